"""Saves that fail half way, at every step: the folder holds the old state or the new, never a mix."""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from embedded import files, filled, opened, parts, state, write

from vecsearch.backends import _storage
from vecsearch.errors import StorageError


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "home" / "table"


class Killed(BaseException):
    """The process is gone: nothing after this runs."""


def breaking(monkeypatch, step, error):
    """Let the ``step``-th call that touches the disk fail; with ``Killed`` so does every one after it."""
    calls = {"left": step, "broken": False}

    def breakable(function):
        def call(*arguments, **named):
            if calls["broken"] and error is Killed:
                raise Killed
            calls["left"] -= 1
            if calls["left"] == 0:
                calls["broken"] = True
                raise Killed if error is Killed else error(errno.ENOSPC, "No space left on device")
            return function(*arguments, **named)

        return call

    places = [(os, "fsync"), (Path, "replace"), (Path, "unlink"), (Path, "open"), (Path, "mkdir")]
    if error is Killed:  # between any two writes; a write that fails is the test of the full disk
        places.append((_storage._Sink, "write"))
    for owner, name in places:
        monkeypatch.setattr(owner, name, breakable(getattr(owner, name)))
    return calls


@pytest.mark.parametrize("error", [OSError, Killed])
@pytest.mark.parametrize("first", [True, False], ids=["first", "second"])
def test_whichever_step_of_a_save_fails_the_old_or_the_new_state_is_there(folder, error, first):
    seen = set()
    for step in range(1, 1000):
        if not first:
            filled(folder, 1).save()
        made = filled(folder, 2)
        with pytest.MonkeyPatch.context() as patch:
            calls = breaking(patch, step, error)
            with contextlib.suppress(Killed, StorageError):
                made.save()
                assert not made.unsaved
        if not calls["broken"]:
            break
        value = state(folder)
        assert value in ({None, 2} if first else {1, 2})
        seen.add(value)
        if error is OSError:
            write(made, 2)
            made.save()  # the same object goes on when there is space again
        else:
            filled(folder, 2).save()
        assert state(folder) == 2
        assert len(files(folder)) == 10, "what the failed save left behind is swept up"
        opened(folder).drop()
    else:
        pytest.fail("saving never ends")
    assert step > 20
    assert seen == ({None, 2} if first else {1, 2})


def test_a_full_disk_is_a_storage_error_that_names_the_file(folder):
    resource = pytest.importorskip("resource")
    filled(folder, 1).save()
    made = opened(folder)
    write(made, 2, 20_000)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    try:
        with pytest.raises(StorageError, match=r"vectors-00000002\.f32"):
            made.save()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert made.unsaved
    assert state(folder) == 1
    assert len(parts(folder)) == 8
    made.save()
    assert state(folder) == 2


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write anywhere")
def test_a_read_only_folder_is_a_storage_error_and_can_be_read(folder):
    filled(folder, 1).save()
    folder.chmod(0o500)
    try:
        made = filled(folder, 2)
        with pytest.raises(StorageError, match=str(folder)):
            made.save()
        with pytest.raises(StorageError, match=str(folder)):
            made.drop()
        assert state(folder) == 1
    finally:
        folder.chmod(0o700)


def test_a_path_that_is_a_file_is_a_storage_error(tmp_path):
    path = tmp_path / "file"
    path.write_text("mine")
    made = filled(path, 1)
    with pytest.raises(StorageError, match=str(path)):
        made.save()
    assert path.read_text() == "mine"


WRITER = """
import sys
import numpy as np
from vecsearch.backends.base import Rows, Spec
from vecsearch.backends.sklearn import SklearnBackend, SklearnConfig
made = SklearnBackend(SklearnConfig(path=sys.argv[1]))
value = 0
if made.describe() is None:
    made.create(Spec(4, "euclidean"))
else:
    value = made.fetch(["r0"], frozenset({"fields"})).fields[0]["v"]
ids = [f"r{number}" for number in range(2000)]
while True:
    value += 1
    vectors = np.full((len(ids), 4), value, dtype=np.float32)
    made.upsert(Rows(ids, vectors, [{"v": value}] * len(ids), [str(value)] * len(ids)))
    made.save()
    print(value, flush=True)
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no kill -9 on this system")
def test_kill_minus_nine_at_random_moments(folder):
    rng = np.random.default_rng(7)
    command = [sys.executable, "-c", WRITER, str(folder)]
    for _ in range(5):
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as writer:
            assert writer.stdout is not None
            first = int(writer.stdout.readline())
            time.sleep(rng.uniform(0, 0.1))
            writer.kill()
            confirmed = [first, *map(int, writer.stdout.read().split())]
        # What was confirmed is there; the one after it may be.
        assert state(folder) in {confirmed[-1], confirmed[-1] + 1}
