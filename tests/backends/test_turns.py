"""Readers together, writers alone, and nobody waits for ever."""

import threading
import time

import pytest

from vecsearch.backends._turns import Turns, turns


def test_a_writer_is_alone():
    held, inside, worst, wrong = Turns(), [], [], []

    def read():
        for _ in range(300):
            with held.reading():
                inside.append(1)
                worst.append(len(inside))
                time.sleep(0)
                inside.pop()

    def write():
        for _ in range(100):
            with held.writing():
                wrong.extend(inside)
                inside.extend([1] * 100)
                time.sleep(0)
                del inside[:]

    threads = [threading.Thread(target=one, daemon=True) for one in (read, read, read, write, write)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not any(thread.is_alive() for thread in threads)
    assert not wrong
    assert max(worst) < 100


def test_a_writer_waits_for_readers_and_readers_for_it():
    held, order = Turns(), []
    reading, done = threading.Event(), threading.Event()

    def read_long():
        with held.reading():
            reading.set()
            done.wait(10)
            order.append("reader")

    def write():
        with held.writing():
            order.append("writer")

    def read_late():
        with held.reading():
            order.append("late")

    threads = [threading.Thread(target=one, daemon=True) for one in (read_long, write, read_late)]
    threads[0].start()
    assert reading.wait(10)
    threads[1].start()
    while not held._door.locked():
        time.sleep(0.001)
    threads[2].start()
    time.sleep(0.05)
    assert order == []
    done.set()
    for thread in threads:
        thread.join(10)
    assert order == ["reader", "writer", "late"]


def test_an_error_in_a_block_leaves_no_reader():
    held = Turns()
    for block in (held.reading, held.writing):
        with pytest.raises(KeyError), block():
            raise KeyError
    with held.writing():
        pass


def test_a_place_has_one_lock():
    one = turns("a place")
    assert turns("a place") is one
    assert turns("another") is not one
