import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))  # for `import oracle`: test folders are no package


@pytest.fixture
def rng():
    return np.random.default_rng(7)


def clustered(rng, n, d, spread=0.1):
    """Rows around a few centres, in the order of the centres: what real, sorted data looks like."""
    centres = rng.standard_normal((max(1, n // 50), d))
    owner = np.sort(rng.integers(0, len(centres), n))
    return (centres[owner] + spread * rng.standard_normal((n, d))).astype(np.float32)


@pytest.fixture(name="clustered")
def clustered_rows():
    return clustered
