"""Each gate must be able to shut."""

import json
import os
import platform
import socket
from pathlib import Path

import pytest

from vecsearch.bench import gates
from vecsearch.bench.environment import Ticks, anonymous_memory, elsewhere, environment, ticks
from vecsearch.bench.points import Control, Load, Recall, Search, Stream, Times

TIMES = Times(samples=1, mean=1, p50=1, max=1)


def a_recall(**changes):
    return Recall(**{"strict": 0.9, "tied": 0.9, "p5": 0.8, "low": 0.7, "short": 0.0, **changes})


def a_search(**changes):
    fields = {"service": TIMES, "qps": 100.0, "qps_repeats": [100.0], "p50_repeats": [1e6], "asked": 1000}
    return Search(**{**fields, **changes})


GOOD_AND_BAD = {
    "available": (gates.available(None), gates.available("pip install it")),
    "finished": (gates.finished(None), gates.finished("killed")),
    "rows": (gates.rows(10, 10), gates.rows(10, 9)),
    "rows, more": (gates.rows(10, 10), gates.rows(10, 11)),
    "rows, unknown": (gates.rows(10, 10), gates.rows(10, None)),
    "exact": (gates.exact(Control(exact_recall=1.0)), gates.exact(Control(exact_recall=0.9999))),
    "exact, none": (gates.exact(Control(exact_recall=1.0)), gates.exact(Control())),
    "unique": (gates.answers(a_recall(), 0)[0], gates.answers(a_recall(repeated=1), 0)[0]),
    "foreign": (gates.answers(a_recall(), 0)[1], gates.answers(a_recall(), 1)[1]),
    "short": (gates.answers(a_recall(), 0)[2], gates.answers(a_recall(short=0.01), 0)[2]),
    "zero": (gates.answers(a_recall(), 0)[3], gates.answers(a_recall(strict=0, tied=0, p5=0, low=0), 0)[3]),
    "errors": (gates.errors(1, 1000), gates.errors(2, 1000)),
    "errors, none asked": (gates.errors(1, 1000), gates.errors(0, 0)),
    "settings": (gates.settings({"m": 1}, {"m": 1, "n": 2}), gates.settings({"m": 1}, {"m": 2})),
    "ceiling": (gates.ceiling(50, 100), gates.ceiling(51, 100)),
    "spread": (gates.spread(a_search(p50_repeats=[10, 11, 10])), gates.spread(a_search(p50_repeats=[10, 13, 10]))),
    "rate": (gates.kept_up(a_search(rate=100.0)), gates.kept_up(a_search(rate=110.0))),
    "quiet": (gates.quiet(Control(others=0.1, steal=0)), gates.quiet(Control(others=0.3, steal=0))),
    "steal": (gates.quiet(Control(others=0.1, steal=0)), gates.quiet(Control(others=0.1, steal=0.1))),
    "stored": (
        gates.stored(Load(rows=2, insert_seconds=1, searchable_seconds=1, rows_per_second=2, cpu_seconds=1), 2),
        gates.stored(Load(rows=2, insert_seconds=1, searchable_seconds=1, rows_per_second=2, cpu_seconds=1), 3),
    ),
    "samples": (
        gates.samples(a_search(service=TIMES.model_copy(update={"samples": 20}))),
        gates.samples(a_search(service=TIMES.model_copy(update={"samples": 19}))),
    ),
    "stream": (
        gates.streamed(Stream(inserted=9, seconds=1, rows_per_second=9))[0],
        gates.streamed(Stream(inserted=9, seconds=1, rows_per_second=9, missing=1))[0],
    ),
    "stream, deleted": (
        gates.streamed(Stream(inserted=9, seconds=1, rows_per_second=9, deleted=2))[1],
        gates.streamed(Stream(inserted=9, seconds=1, rows_per_second=9, deleted=2, remaining=1))[1],
    ),
}


@pytest.mark.parametrize(("good", "bad"), GOOD_AND_BAD.values(), ids=GOOD_AND_BAD)
def test_a_gate_opens_and_shuts(good, bad):
    assert good.passed
    assert not bad.passed
    assert gates.verdict([good]) == "valid"
    assert gates.verdict([good, bad]) == bad.verdict != "valid"


def test_the_worst_gate_is_the_verdict():
    noisy, invalid = gates.ceiling(2, 1), gates.rows(2, 1)
    assert gates.verdict([noisy, invalid]) == "invalid"
    assert gates.verdict([noisy]) == "noisy"
    assert gates.verdict([invalid, gates.available("not installed")]) == "unavailable"
    assert gates.verdict([]) == "valid"


def test_the_environment_names_no_host_and_no_path():
    found = environment()
    text = json.dumps(found.model_dump())
    assert str(Path.cwd()) not in text
    assert str(Path.home()) not in text
    if len(socket.gethostname()) > 3:
        assert socket.gethostname() not in text
    assert found.packages["numpy"]
    assert 1 <= found.affinity <= found.cores
    assert environment() == found


@pytest.mark.skipif(platform.system() != "Linux", reason="reads /proc")
def test_other_work_is_told_from_ones_own():
    assert anonymous_memory() > 1_000_000
    assert ticks().total > ticks().busy > 0
    second = os.sysconf("SC_CLK_TCK")
    others, steal = elsewhere(Ticks(0, 0, 0), Ticks(10 * second, second, 20 * second), own_seconds=4.0)
    assert (others, steal) == (pytest.approx(0.3), pytest.approx(0.05))
    assert elsewhere(None, ticks(), 1.0) == (None, None)
