"""The rows that the core is measured on: real text embeddings, and clusters made to resemble them."""

from pathlib import Path

import numpy as np

FULL = 117_659


def unit(rows):
    return rows / np.linalg.norm(rows, axis=1)[:, None]


def wordnet(folder, n, d):
    """WordNet glosses (float16, 384 wide): the first 64 coordinates, all, or a fixed random projection to 768.

    The projection is an orthonormal frame, so cosines at d = 768 are those at d = 384: what changes is the width.
    """
    rows = np.load(Path(folder) / "embeddings-f16.npy", mmap_mode="r")
    if n < len(rows):
        rows = rows[np.sort(np.random.default_rng(1).permutation(len(rows))[:n])]
    rows = rows.astype(np.float32)
    if d > rows.shape[1]:
        frame = np.linalg.qr(np.random.default_rng(2).standard_normal((d, rows.shape[1])))[0]
        rows = rows @ frame.T.astype(np.float32)
    return np.ascontiguousarray(unit(rows[:, :d]), dtype=np.float32)


def mixture(n, d):
    """Topics: 20 super-topics, n / 10 centres about them, Zipf 0.8 sizes, a spectrum i^-0.8 turned per topic.

    Tuned to resemble the glosses (intrinsic dimension 24, relative contrast 1.24). Each topic is turned by a
    permutation and two reflections, where a random rotation would take hours to draw for 12,000 topics.
    """
    rng = np.random.default_rng(3)
    topics = n // 10
    centres = (rng.standard_normal((20, d))[rng.integers(0, 20, topics)] + rng.standard_normal((topics, d))) / np.sqrt(
        2 * d
    )
    share = np.arange(1, topics + 1) ** -0.8
    owner = np.sort(rng.choice(topics, n, p=share / share.sum()))
    spectrum = np.arange(1, d + 1) ** -0.8
    spectrum *= 1.5 / np.linalg.norm(spectrum)
    rows = np.empty((n, d), dtype=np.float32)
    starts = np.searchsorted(owner, np.arange(topics + 1))
    for topic in range(topics):
        part = slice(starts[topic], starts[topic + 1])
        z = (rng.standard_normal((part.stop - part.start, d)) * spectrum)[:, rng.permutation(d)]
        for axis in unit(rng.standard_normal((2, d))):
            z -= 2 * np.outer(z @ axis, axis)
        rows[part] = unit(z + centres[topic])
    return rows


def load(name, folder, n, d):
    return wordnet(folder, n, d) if name == "wordnet" else mixture(n, d)
