"""Sources of rows for the tests of duplicates: no index, no engine."""

import numpy as np


class Fake:
    """An index that only iterates, as an engine over a network does."""

    def __init__(self, vectors, ids=None, metric="cosine", dim=None, labels=False):
        self.vectors = np.asarray(vectors, dtype=np.float32)
        self.names = [f"r{i:05d}" for i in range(len(self.vectors))] if ids is None else list(ids)
        self.metric = metric
        self.dim = dim or (self.vectors.shape[1] if self.vectors.ndim == 2 else None)
        self.labels = labels
        self.passes = 0

    def iter_embeddings(self, batch_size=7):
        self.passes += 1
        for start in range(0, len(self.names), 7):
            part = slice(start, start + 7)
            names = self.names[part]
            yield self.vectors[part], ["sample"] * len(names) if self.labels else names, names if self.labels else None


class Held(Fake):
    """An index whose rows lie in this process."""

    def matrix(self):
        return self.names, self.vectors

    def iter_embeddings(self, batch_size=7):
        raise AssertionError("the matrix is there")


def normal(n, dim=8, seed=0):
    return np.random.default_rng(seed).normal(size=(n, dim)).astype(np.float32)


def clusters(groups=30, size=4, dim=16, spread=0.03, seed=0):
    rng = np.random.default_rng(seed)
    centres = np.repeat(rng.normal(size=(groups, dim)), size, axis=0)
    return (centres + spread * rng.normal(size=centres.shape)).astype(np.float32)


def as_dict(found):
    return dict(zip(found.duplicate_ids, zip(found.nearest_ids, found.distances, strict=True), strict=True))
