"""``IndexConformance``: the contract of a backend as tests, to be inherited by an adapter's test class."""

from __future__ import annotations

from vecsearch.testing.suite.capabilities import CapabilityTests
from vecsearch.testing.suite.cleaning import CleaningTests
from vecsearch.testing.suite.copies import CopyTests
from vecsearch.testing.suite.declared_filters import DeclaredFilterTests
from vecsearch.testing.suite.filtering import FilterTests
from vecsearch.testing.suite.lifecycle import LifecycleTests
from vecsearch.testing.suite.metadata import MetadataTests
from vecsearch.testing.suite.others import OtherTests
from vecsearch.testing.suite.patches import PatchTests
from vecsearch.testing.suite.ranking import RankingTests
from vecsearch.testing.suite.refusals import RefusalTests
from vecsearch.testing.suite.rows import RowTests
from vecsearch.testing.suite.search import SearchTests
from vecsearch.testing.suite.threads import ThreadTests
from vecsearch.testing.suite.views import ViewTests
from vecsearch.testing.suite.writes import WriteTests


class IndexConformance(  # pytest runs the tests of the last base first: what everything stands on
    CopyTests,
    OtherTests,
    LifecycleTests,
    ThreadTests,
    CleaningTests,
    RefusalTests,
    PatchTests,
    ViewTests,
    FilterTests,
    DeclaredFilterTests,
    RankingTests,
    SearchTests,
    WriteTests,
    MetadataTests,
    RowTests,
    CapabilityTests,
):
    """What every backend must do, through vecsearch and past it.

    A subclass gives the name of the backend and two hooks, ``settings`` and ``back_door``; it may declare ``gaps``
    (known defects, each a strict xfail) and ``recall`` (what an approximate engine must reach). See
    ``vecsearch.testing.suite.harness.Harness`` for each.
    """


__all__ = ("IndexConformance",)
