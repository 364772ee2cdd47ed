"""The exact numpy core: distances, nearest neighbours, radius edges, greedy and farthest-first selection.

Everything here takes float32 rows, answers exactly, and knows nothing of ids, indexes or engines. A matrix product
only *proposes*: what is returned, ordered or compared with a threshold is `pair_distances`.
"""

from vecsearch.core.facilities import Facilities
from vecsearch.core.farthest import farthest_first
from vecsearch.core.greedy import Kept, greedy_keep
from vecsearch.core.kernels import KernelName, kernel_name
from vecsearch.core.metrics import METRICS, Metric, cross_distances, pair_distances, row_norms
from vecsearch.core.neighbors import Nearest, knn
from vecsearch.core.packed import Packed
from vecsearch.core.radius import Edges, TooManyEdgesError, edge_order, radius_edges
from vecsearch.core.threads import Progress

__all__ = [
    "METRICS",
    "Edges",
    "Facilities",
    "Kept",
    "KernelName",
    "Metric",
    "Nearest",
    "Packed",
    "Progress",
    "TooManyEdgesError",
    "cross_distances",
    "edge_order",
    "farthest_first",
    "greedy_keep",
    "kernel_name",
    "knn",
    "pair_distances",
    "radius_edges",
    "row_norms",
]
