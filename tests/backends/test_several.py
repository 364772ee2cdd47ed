"""Reads that are given up when nothing comes, and pages that never end."""

from __future__ import annotations

import threading
import time

import pytest

from vecsearch.backends._paging import pages
from vecsearch.backends._several import several
from vecsearch.errors import BackendError


def test_answers_come_in_the_order_of_the_questions():
    assert several(5, 4, lambda number: time.sleep(0.002 * (7 - number)) or number * 2, range(7)) == list(
        range(0, 14, 2)
    )
    assert several(5, 4, str, []) == []


def test_only_so_many_are_asked_at_a_time():
    now, most, lock = 0, 0, threading.Lock()

    def ask(_):
        nonlocal now, most
        with lock:
            now += 1
            most = max(most, now)
        time.sleep(0.005)
        with lock:
            now -= 1

    several(5, 3, ask, range(20))
    assert most == 3


def test_the_first_error_ends_all():
    asked = []

    def ask(number):
        asked.append(number)
        if number == 2:
            raise KeyError(number)
        time.sleep(0.01)

    with pytest.raises(KeyError):
        several(5, 2, ask, range(100))
    assert len(asked) < 10


def test_silence_ends_it_and_progress_does_not():
    held = threading.Event()
    started = time.monotonic()
    with pytest.raises(TimeoutError, match=r"no answer within 0\.2 s"):
        several(0.2, 2, lambda number: held.wait(10) if number else 0, range(4))
    assert time.monotonic() - started < 2
    held.set()
    assert several(0.2, 1, lambda _: time.sleep(0.03), range(12)) == [None] * 12  # longer than 0.2 s in all


def test_a_token_that_comes_again_is_an_error():
    answers = {None: ("one", 1), 1: ("two", 2), 2: ("three", None)}
    assert list(pages("it", answers.__getitem__)) == ["one", "two", "three"]
    answers[2] = ("three", 1)
    turned = pages("it", answers.__getitem__)
    assert [next(turned), next(turned)] == ["one", "two"]
    with pytest.raises(BackendError, match="it gives page 3 again and again"):
        next(turned)
