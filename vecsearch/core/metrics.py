"""The distance of two rows, and nothing else: every other file of the core asks this one.

A distance is a function of the two rows alone, to the last bit. Each is computed by direct difference, never from the
expanded square ``‖x‖² - 2⟨x,y⟩ + ‖y‖²``, and each sum runs over one row in an order that depends only on its width.

Ordinary magnitudes are summed in float32; where float32 could overflow, underflow or lose digits the pair is done
again in float64. Which of the two it is follows from the pair itself, so it cannot depend on the batch either.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Float32 = NDArray[np.float32]
    Float64 = NDArray[np.float64]
    Int64 = NDArray[np.int64]
    Int32 = NDArray[np.int32]
    Int8 = NDArray[np.int8]

Metric = Literal["cosine", "euclidean", "dotproduct"]
METRICS: tuple[Metric, ...] = get_args(Metric)

CHUNK = 1 << 17  # elements of one scratch buffer: two of them (1 MiB in float32) stay in a core's L2 cache
_SPAN = 4096  # columns that one reduction may see; wider rows are summed span by span, so no buffer size can matter
_SQUARE_SMALL, _SQUARE_LARGE = np.float32(1e-24), np.float32(1e30)  # where a float32 sum of squares is trusted
_NORM_SMALL, _NORM_LARGE = 1e-18, 1e18  # where 1 / norm and its products are ordinary float32
_UNIT_SQUARE_SMALL = np.float32(1e-4)  # below this, the rounding of float32 unit rows would show in ‖x̂-ŷ‖²


def check_metric(metric: str, allowed: tuple[str, ...] = METRICS) -> None:
    """Raise ValueError unless ``metric`` is one of ``allowed``."""
    if metric not in allowed:
        raise ValueError(f"metric is one of {', '.join(allowed)}, not {metric!r}")


def as_rows(rows: NDArray[Any], name: str = "rows", width: int | None = None) -> Float32:
    """The same memory as a plain array, checked to be float32 rows (n, d) of the given width.

    Raises:
        TypeError: the dtype is not float32: a silent cast would copy everything, or lose what was meant.
        ValueError: it is not two-dimensional, has no columns, or has another width.

    """
    array = np.asarray(rows)
    if array.dtype != np.float32:
        raise TypeError(f"{name} must be float32, not {array.dtype}: cast once, before the call")
    if len(array.shape[1:]) != 1 or not array.shape[1]:
        raise ValueError(f"{name} must have shape (n, d) with d >= 1, not {array.shape}")
    if width is not None and array.shape[1] != width:
        raise ValueError(f"{name} must be {width} wide, not {array.shape[1]}")
    return array


def sums_of_squares(rows: Float32) -> Float32:
    """‖row‖² of each row (n, d) in float32, overflowing to inf; the order of the sum depends on d alone."""
    width = rows.shape[1]
    # einsum and not BLAS: a BLAS may choose its order by alignment or thread count, numpy's own loop does not.
    total: Float32 = np.einsum("ij,ij->i", rows[:, :_SPAN], rows[:, :_SPAN])
    for start in range(_SPAN, width, _SPAN):
        span = rows[:, start : start + _SPAN]
        total += np.einsum("ij,ij->i", span, span)
    return total


def _dots64(x: Float64, y: Float64) -> Float64:
    total: Float64 = np.einsum("ij,ij->i", x[:, :_SPAN], y[:, :_SPAN])
    for start in range(_SPAN, x.shape[1], _SPAN):
        total += np.einsum("ij,ij->i", x[:, start : start + _SPAN], y[:, start : start + _SPAN])
    return total


def row_norms(rows: NDArray[np.float32]) -> NDArray[np.float64]:
    """Euclidean length of each row, in blocks.

    Args:
        rows: float32 (n, d), an array or a memory map.

    Returns:
        float64 (n,). Zero exactly where the row is zero; not finite only where the row is not.

    Raises:
        TypeError, ValueError: not float32 rows.

    """
    rows = as_rows(rows)
    norms = np.empty(len(rows))
    step = max(1, CHUNK // rows.shape[1])
    for start in range(0, len(rows), step):
        norms[start : start + step] = norms_of(np.ascontiguousarray(rows[start : start + step]))
    return norms


def norms_of(block: Float32) -> Float64:
    """`row_norms` of one C-contiguous block."""
    with np.errstate(over="ignore", invalid="ignore"):
        squares = sums_of_squares(block)
        norms = np.sqrt(squares.astype(np.float64))
        odd = np.flatnonzero(~((squares > _SQUARE_SMALL) & (squares < _SQUARE_LARGE)))
        if odd.size:
            wide = block[odd].astype(np.float64)
            norms[odd] = np.sqrt(_dots64(wide, wide))
    return norms


def check_norms(norms: Float64, metric: Metric, first: int = 0) -> None:
    """Refuse what no metric can rank: rows that are not finite, and zero rows under cosine.

    Raises:
        ValueError: naming the first such row, counted from ``first``.

    """
    bad = ~np.isfinite(norms)
    if metric == "cosine":
        bad |= norms == 0
    if bad.any():
        row = int(np.argmax(bad))
        what = "is zero, which has no direction under cosine" if norms[row] == 0 else "is not finite"
        raise ValueError(f"row {first + row} {what}")


def ordinary_norms(norms: Float64) -> NDArray[np.bool_]:
    """Where the norm and its inverse, and their products with the row, are ordinary float32."""
    return (norms > _NORM_SMALL) & (norms < _NORM_LARGE)


def unit_rows(block: Float32, norms: Float64, out: Float32 | None = None) -> Float32:
    """``row / ‖row‖`` in float32, for a block and its norms; ``out`` may be the block."""
    odd = np.flatnonzero(~ordinary_norms(norms))
    wide = block[odd].astype(np.float64) / norms[odd, None] if odd.size else None
    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
        inverse = np.reciprocal(norms).astype(np.float32)
        units: Float32 = np.multiply(block, inverse[:, None], out=out)
    if wide is not None:
        units[odd] = wide
    return units


def _wide_distances(x: Float32, y: Float32, metric: Metric) -> Float64:
    """Distances of aligned rows wholly in float64, where every finite float32 row is harmless."""
    wide_x, wide_y = x.astype(np.float64), y.astype(np.float64)
    if metric == "dotproduct":
        return np.subtract(0.0, _dots64(wide_x, wide_y))
    if metric == "cosine":
        wide_x /= np.sqrt(_dots64(wide_x, wide_x))[:, None]
        wide_y /= np.sqrt(_dots64(wide_y, wide_y))[:, None]
    wide_x -= wide_y
    squares = _dots64(wide_x, wide_x)
    return 0.5 * squares if metric == "cosine" else np.sqrt(squares)


class Side:
    """One side of a comparison: rows, with what the metric needs of each computed once.

    Args:
        rows: float32 (n, d).
        metric: the metric the rows are compared by.
        norms: float64 (n,), what `row_norms` gives for them; found when needed if not given.
        ready: with norms given, make the unit rows of all rows now (a copy: for queries, not for a collection).

    """

    def __init__(self, rows: Float32, metric: Metric, norms: Float64 | None = None, *, ready: bool = False) -> None:
        self.rows = rows
        self.metric = metric
        self.norms = norms
        self._units = None
        if ready and metric == "cosine" and norms is not None:
            self._units = unit_rows(np.ascontiguousarray(rows), norms)

    def gather(self, index: Int64, out: Float32) -> tuple[Float32, Float64 | None]:
        """The rows at ``index`` as the metric compares them, in ``out``, and under cosine their norms."""
        out = out[: len(index)]
        ready = self._units is not None
        # mode="clip" lets take write straight to out; the indices are ours and in range.
        np.take(self.rows if self._units is None else self._units, index, axis=0, out=out, mode="clip")
        if self.metric != "cosine":
            return out, None
        norms = norms_of(out) if self.norms is None else self.norms[index]
        return out if ready else unit_rows(out, norms, out=out), norms


def aligned_distances(x: Side, y: Side, i: Int64, j: Int64) -> Float64:
    """Distance of ``x.rows[i[t]]`` from ``y.rows[j[t]]`` for each t, float64 (len(i),), in L2-sized chunks."""
    distances = np.empty(len(i))
    width = x.rows.shape[1]
    step = max(1, min(len(i), CHUNK // width))
    left, right = np.empty((2, step, width), dtype=np.float32)
    chunk = _wide_chunk if x.metric == "dotproduct" else _difference_chunk
    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
        for start in range(0, len(i), step):
            part = slice(start, start + step)
            distances[part] = chunk(x, y, i[part], j[part], left, right)
    return distances


def _wide_chunk(x: Side, y: Side, i: Int64, j: Int64, left: Float32, right: Float32) -> Float64:
    return _wide_distances(x.gather(i, left)[0], y.gather(j, right)[0], x.metric)


def _difference_chunk(x: Side, y: Side, i: Int64, j: Int64, left: Float32, right: Float32) -> Float64:
    left, left_norms = x.gather(i, left)
    right, right_norms = y.gather(j, right)
    squares = sums_of_squares(np.subtract(left, right, out=left))
    if left_norms is None or right_norms is None:
        trusted = (squares > _SQUARE_SMALL) & (squares < _SQUARE_LARGE)
        distances = np.sqrt(squares.astype(np.float64))
    else:
        # Unit rows that agree in every digit are as near as float32 can say: the same row, or parallel ones.
        trusted = (squares > _UNIT_SQUARE_SMALL) | (squares == 0)
        trusted &= ordinary_norms(left_norms)
        trusted &= ordinary_norms(right_norms)
        distances = 0.5 * squares.astype(np.float64)
    odd = np.flatnonzero(~trusted)
    if odd.size:
        distances[odd] = _wide_distances(x.rows[i[odd]], y.rows[j[odd]], x.metric)
    return distances


def pair_distances(x: NDArray[np.float32], y: NDArray[np.float32], metric: Metric) -> NDArray[np.float64]:
    """The distance of aligned rows, a function of the two rows alone.

    cosine is ``½‖x/‖x‖ - y/‖y‖‖²``, which is ``1 - cos`` without its cancellation; euclidean is ``‖x - y‖``, not
    squared; dotproduct is ``-⟨x, y⟩``. Smaller is nearer. Under cosine and euclidean a row is at exactly 0 from itself.

    Args:
        x: float32 (m, d), or one row (d,) that is compared with every row of the other side.
        y: the same.
        metric: "cosine", "euclidean" or "dotproduct".

    Returns:
        float64 (m,). The same bits whatever else is in the batch, and for (x, y) as for (y, x); right for every
        finite float32 row, also where float32 arithmetic would overflow or underflow.

    Raises:
        TypeError: not float32.
        ValueError: shapes that do not match, an unknown metric, or under cosine a zero row.

    """
    check_metric(metric)
    left = as_rows(np.atleast_2d(x), "x")
    right = as_rows(np.atleast_2d(y), "y", left.shape[1])
    single_left, single_right = np.ndim(x) == 1, np.ndim(y) == 1
    if len(left) != len(right) and not (single_left or single_right):
        raise ValueError(f"x and y must be aligned, or one of them one row: {len(left)} rows and {len(right)}")
    count = len(right) if single_left else len(left)
    every, zero = np.arange(count), np.zeros(count, dtype=np.int64)
    return aligned_distances(
        Side(left, metric, _checked_norms(left, metric)),
        Side(right, metric, _checked_norms(right, metric)),
        zero if single_left else every,
        zero if single_right else every,
    )


def _checked_norms(rows: Float32, metric: Metric) -> Float64 | None:
    if metric != "cosine":
        return None
    norms = row_norms(rows)
    check_norms(norms, metric)
    return norms


def cross_distances(queries: NDArray[np.float32], rows: NDArray[np.float32], metric: Metric) -> NDArray[np.float64]:
    """Distance of every query from every row, the values of `pair_distances` bit for bit.

    Args:
        queries: float32 (q, d).
        rows: float32 (n, d), an array or a memory map.
        metric: "cosine", "euclidean" or "dotproduct".

    Returns:
        float64 (q, n); a few MiB of memory beside it.

    Raises:
        TypeError: not float32.
        ValueError: shapes that do not match, an unknown metric, or under cosine a zero row.

    """
    check_metric(metric)
    queries = as_rows(queries, "queries")
    rows = as_rows(rows, "rows", queries.shape[1])
    left = Side(queries, metric, _checked_norms(queries, metric), ready=True)
    right = Side(rows, metric, _checked_norms(rows, metric))
    distances = np.empty((len(queries), len(rows)))
    step = max(1, CHUNK // rows.shape[1])
    for start in range(0, len(rows), step):
        index = np.arange(start, min(start + step, len(rows)))
        for query in range(len(queries)):
            distances[query, index[0] : index[-1] + 1] = aligned_distances(
                left, right, np.full(len(index), query), index
            )
    return distances
