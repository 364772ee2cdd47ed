"""Loops: nothing is lost, and a stall shows in an open loop."""

import threading
import time
from functools import partial

import numpy as np
import pytest

from vecsearch.bench.loops import closed, opened

MS = 1_000_000


def test_a_repeat_makes_every_call_once_and_all_are_kept():
    asked, lock = [], threading.Lock()

    def ask(number):
        with lock:
            asked.append(number)
        return [[number]]

    found = closed(ask, 50, concurrency=4, repeats=3, warmup=7)
    assert len(asked) == 7 + 150
    assert found.asked == len(found.service_ns) == 150
    for repeat in range(3):
        assert sorted(found.query[found.repeat == repeat]) == list(range(50))
    assert found.answers == {number: [[number]] for number in range(50)}
    assert (found.service_ns > 0).all()
    assert found.response_ns is None
    assert len(found.repeat_seconds) == 3


def test_a_short_round_goes_on_until_the_time_is_over():
    found = closed(lambda _: time.sleep(0.001) or [[0]], 3, repeats=2, seconds=0.05)
    assert min(found.repeat_seconds) > 0.04
    assert found.asked > 6


@pytest.mark.parametrize("loop", [closed, partial(opened, rate=1000.0, seconds=60.0)])
def test_a_slow_engine_is_asked_less(loop):
    asked = []
    found = loop(
        lambda number: asked.append(number) or time.sleep(0.02), 10_000, repeats=2, most_seconds=0.1, warmup=90
    )
    assert found.asked < len(asked) < 100
    assert found.repeat.tolist().count(1) > 0
    assert max(found.repeat_seconds) < 10


@pytest.mark.timing
def test_threads_ask_at_the_same_time():
    slept = closed(lambda _: time.sleep(0.01) or [[0]], 20, concurrency=4, repeats=1)
    assert slept.repeat_seconds[0] < 0.18  # one thread would take 0.2


def test_what_fails_is_counted_and_told_and_has_no_time():
    def ask(number):
        if number == 3:
            raise ValueError("three")
        return [[number]]

    found = closed(ask, 10, repeats=2)
    assert (found.errors, found.asked, len(found.service_ns)) == (2, 20, 18)
    assert found.error == "ValueError: three"
    assert 3 not in found.answers


class Stalling:
    """Answers at once, but sleeps 60 ms every 300 ms, all callers behind it."""

    def __init__(self):
        self.lock, self.next = threading.Lock(), time.perf_counter() + 0.1

    def __call__(self, number):
        with self.lock:
            if time.perf_counter() >= self.next:
                time.sleep(0.06)
                self.next = time.perf_counter() + 0.3
        time.sleep(0.0005)
        return [[number]]


@pytest.mark.timing
def test_a_stall_hides_in_a_closed_loop_and_shows_in_an_open_one():
    hidden = closed(Stalling(), 1000, repeats=1)
    shown = opened(Stalling(), 1000, rate=400, seconds=1.0, concurrency=4)
    assert len(shown.service_ns) == 400
    assert np.quantile(hidden.service_ns, 0.95) < 20 * MS
    assert np.quantile(shown.response_ns, 0.95) > 20 * MS
    # Queries behind the stall waited: their response is longer than their service.
    late = shown.response_ns - shown.service_ns
    assert (late > 10 * MS).sum() > 20


@pytest.mark.timing
def test_the_schedule_does_not_shift_when_it_is_late():
    found = opened(lambda _: time.sleep(0.02) or [[0]], 10, rate=200, seconds=0.25, concurrency=1)
    assert sorted(found.started_ns) == [int(number / 200 * 1e9) for number in range(50)]
    assert found.response_ns.max() > 600 * MS  # 50 calls of 20 ms against 0.25 s
    assert found.repeat_seconds[0] == pytest.approx(1.0, rel=0.5)
