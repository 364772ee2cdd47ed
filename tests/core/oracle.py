"""The float64 brute force all tests of the core compare with, written as plainly as it can be."""

import numpy as np

RTOL, ATOL = 1e-4, 1e-5


def distances(queries, rows, metric):
    q, x = queries.astype(np.float64), rows.astype(np.float64)
    if metric == "dotproduct":
        return -(q @ x.T)
    if metric == "cosine":
        q = q / np.sqrt((q * q).sum(axis=1))[:, None]
        x = x / np.sqrt((x * x).sum(axis=1))[:, None]
    differences = q[:, None, :] - x[None, :, :]
    squares = (differences * differences).sum(axis=2)
    return 0.5 * squares if metric == "cosine" else np.sqrt(squares)


def scale(rows, metric):
    if metric == "cosine":
        return 1.0
    largest = np.sqrt((rows.astype(np.float64) ** 2).sum(axis=1)).max(initial=0)
    return largest**2 if metric == "dotproduct" else largest


def assert_distances(found, expected, size):
    np.testing.assert_allclose(found, expected, rtol=RTOL, atol=ATOL * size)


def assert_nearest(found, positions, queries, rows, k, metric, considered=None):
    """Right distances, in order, of the rows that are named, and ids equal up to ties."""
    considered = np.arange(len(rows)) if considered is None else np.asarray(considered)
    truth = distances(queries, rows, metric)
    k = min(k, len(considered))
    size = scale(np.vstack([queries, rows]), metric)
    assert found.shape == positions.shape == (len(queries), k)
    assert found.dtype == np.float64
    assert positions.dtype == np.int64
    assert np.isin(positions, considered).all()
    for row, near, truth_row in zip(positions, found, truth, strict=True):
        assert len(set(row.tolist())) == k
        assert (np.diff(near) >= 0).all()
        ties = np.diff(near) == 0
        assert (np.diff(row)[ties] > 0).all()
        assert_distances(near, truth_row[row], size)
        assert_distances(near, np.sort(truth_row[considered])[:k], size)
