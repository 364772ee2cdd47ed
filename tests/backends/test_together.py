"""Searches of several threads are answered together, and each as if it were alone."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import vecsearch
from vecsearch.backends._together import Together

WAIT = 30  # seconds: long beyond what anything here takes


class Searched:
    """A search whose first call lasts until it is let go; answers are the sums of the queries."""

    def __init__(self):
        self.calls = []
        self.begun, self.let_go = threading.Event(), threading.Event()

    def __call__(self, queries):
        self.calls.append(sorted(queries[:, 0].tolist()))
        if len(self.calls) == 1:
            self.begun.set()
            assert self.let_go.wait(WAIT)
        if 13.0 in queries[:, 0]:
            raise ValueError("thirteen")
        return queries.sum(axis=1).tolist()


def rows(*firsts):
    return np.array([[first, 0.5] for first in firsts], dtype=np.float32)


def waiting(together, what):
    return sum(len(call.queries) for call in together._waiting.get(what, ()))


def asked_meanwhile(together, find, pool, *asked):
    """Futures of a first search and of others that came while it lasted, which is now over."""
    first = pool.submit(together.search, "what", rows(1.0), find)
    assert find.begun.wait(WAIT)
    others = [pool.submit(together.search, "what", rows(*firsts), find) for firsts in asked]
    ends = time.monotonic() + WAIT
    while waiting(together, "what") < sum(map(len, asked)):
        assert time.monotonic() < ends
        time.sleep(0.001)
    find.let_go.set()
    return [first, *others]


@pytest.fixture
def pool():
    with ThreadPoolExecutor(8) as executor:
        yield executor


def test_who_is_alone_searches_alone():
    together, find = Together(), Searched()
    find.let_go.set()
    assert together.search("what", rows(2.0, 3.0), find) == [2.5, 3.5]
    assert find.calls == [[2.0, 3.0]]
    assert not together._busy
    assert not together._waiting


def test_those_who_wait_are_answered_by_one_search(pool):
    together, find = Together(), Searched()
    found = asked_meanwhile(together, find, pool, [2.0, 3.0], [4.0], [5.0, 6.0, 7.0])
    assert [future.result(WAIT) for future in found] == [[1.5], [2.5, 3.5], [4.5], [5.5, 6.5, 7.5]]
    assert find.calls == [[1.0], [2.0, 3.0, 4.0, 5.0, 6.0, 7.0]]


def test_another_search_waits_for_nobody(pool):
    together, find = Together(), Searched()
    first = pool.submit(together.search, "what", rows(1.0), find)
    assert find.begun.wait(WAIT)
    assert together.search("other", rows(2.0), find) == [2.5]
    find.let_go.set()
    assert first.result(WAIT) == [1.5]


def test_an_error_is_seen_by_whom_it_concerns(pool):
    together, find = Together(), Searched()
    first, *others, last = asked_meanwhile(together, find, pool, [2.0], [4.0], [13.0])
    assert [future.result(WAIT) for future in (first, *others)] == [[1.5], [2.5], [4.5]]
    with pytest.raises(ValueError, match="thirteen"):
        last.result(WAIT)
    assert together.search("what", rows(5.0), find) == [5.5]


def test_an_interrupted_search_leaves_the_others_to_themselves(pool):
    class Interrupted(Searched):
        def __call__(self, queries):
            found = super().__call__(queries)
            if len(self.calls) == 2:
                raise KeyboardInterrupt
            return found

    together, find = Together(), Interrupted()
    found = asked_meanwhile(together, find, pool, [2.0], [3.0], [4.0])
    ends = [future.exception(WAIT) for future in found]
    assert [type(end) for end in ends].count(KeyboardInterrupt) == 1
    answers = [future.result() for future, end in zip(found, ends, strict=True) if end is None]
    assert len(answers) == 3
    assert answers[0] == [1.5]
    assert not together._busy


def test_threads_find_what_one_finds():
    """While rows come and go, and with different k."""
    rng = np.random.default_rng(5)
    vectors = rng.normal(size=(3000, 24)).astype(np.float32)
    queries = rng.normal(size=(200, 24)).astype(np.float32)
    index = vecsearch.compute_similarity(embeddings=vectors, metric="euclidean", backend="sklearn")
    alone = vecsearch.compute_similarity(embeddings=vectors, metric="euclidean", backend="sklearn", threads=1)
    far = np.full((1, 24), 1e3, dtype=np.float32)
    done = threading.Event()

    def write():
        for number in range(50):
            index.add_to_index(far, [f"far{number}"])
            if number % 2:
                index.remove_from_index(sample_ids=[f"far{number}"])
            if done.is_set():
                return

    def ask(number):
        return index.search(queries[number], 5 + number % 2)[0]

    with ThreadPoolExecutor(6) as executor:
        writing = executor.submit(write)
        found = list(executor.map(ask, range(len(queries))))
        done.set()
        writing.result(WAIT)
    for number, ranking in enumerate(found):
        expected = alone.search(queries[number], 5 + number % 2)[0]
        assert ranking.ids.tolist() == expected.ids.tolist()
        assert ranking.distances.tolist() == expected.distances.tolist()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_a_forked_child_waits_for_no_thread_of_its_parent():
    program = """
import os, threading, warnings
import numpy as np
from vecsearch.backends._together import Together
warnings.simplefilter("ignore")
together, begun, let_go = Together(), threading.Event(), threading.Event()
def find(queries):
    begun.set()
    assert let_go.wait(30)
    return list(queries)
thread = threading.Thread(target=together.search, args=("what", np.zeros((1, 2), np.float32), find))
thread.start()
assert begun.wait(30)
child = os.fork()
if child == 0:
    let_go.set()
    os._exit(len(together.search("what", np.zeros((3, 2), np.float32), list)))
let_go.set()
thread.join()
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 3
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=WAIT)
