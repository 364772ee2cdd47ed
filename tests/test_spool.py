import tempfile
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from row_sources import Fake, Held, as_dict, clusters, normal

from vecsearch import spool
from vecsearch.duplicates import find_duplicates, find_unique
from vecsearch.errors import InvalidInputError, StorageError, UnsupportedError


def test_the_three_ways_to_read_agree_and_leave_no_file(monkeypatch, tmp_path):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    vectors = clusters()
    held = Held(vectors)
    wanted = find_duplicates(held, 0.05), find_duplicates(held, fraction=0.4), find_unique(held, 9)
    for in_memory in (spool._IN_MEMORY, 500, 0):
        monkeypatch.setattr(spool, "_IN_MEMORY", in_memory)
        source = Fake(vectors)
        found = find_duplicates(source, 0.05), find_duplicates(source, fraction=0.4), find_unique(source, 9)
        assert as_dict(found[0]) == as_dict(wanted[0])
        assert as_dict(found[1]) == as_dict(wanted[1])
        assert found[2].unique_ids.tolist() == wanted[2].unique_ids.tolist()
        assert source.passes == 3
        assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
@pytest.mark.parametrize("when", ["reading", "comparing"])
def test_no_file_is_left_after_an_error(monkeypatch, tmp_path, error, when):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(spool, "_IN_MEMORY", 0)
    source = Fake(clusters())

    class Counted(Fake):
        def __len__(self):
            return len(self.names)

    if when == "reading":
        whole = source.iter_embeddings

        def broken(batch_size):
            yield next(iter(whole()))
            raise error("half way")

        source.iter_embeddings = broken
        progress = False
    else:
        source = Counted(source.vectors)

        def progress(done, total):
            if total != 120:
                raise error("half way")

    open_files = Path("/proc/self/fd")
    before = len(list(open_files.iterdir())) if open_files.is_dir() else 0
    with pytest.raises(error, match="half way") as caught:
        find_duplicates(source, 0.05, progress=progress)
    assert list(tmp_path.iterdir()) == []
    if before:  # the map is gone too, although the traceback is held
        assert caught.traceback
        assert len(list(open_files.iterdir())) == before
        assert str(tmp_path) not in Path("/proc/self/maps").read_text()


def test_a_full_disk_is_said_before_the_first_row_is_written(monkeypatch, tmp_path):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(spool, "_IN_MEMORY", 100)
    free = [224 * 3, 224 * 2, 223, 3000]
    monkeypatch.setattr(spool.shutil, "disk_usage", lambda _: SimpleNamespace(free=free.pop(0)))
    source = Fake(normal(100))
    with pytest.raises(StorageError, match=r"at least 672 bytes of temporary disk.*223 bytes is free.*TMPDIR"):
        find_duplicates(source, 0.1)

    class Counted(Fake):
        read = 0

        def __len__(self):
            return len(self.names)

        def iter_embeddings(self, batch_size=7):
            for batch in super().iter_embeddings():
                self.read += 1
                yield batch

    source = Counted(normal(100))
    with pytest.raises(StorageError, match=r"100 rows of 8 dimensions need 3\.1 KiB .* 2\.9 KiB is free"):
        find_duplicates(source, 0.1)
    assert source.read == 1
    assert list(tmp_path.iterdir()) == []


def test_a_length_that_cannot_be_told_is_no_obstacle():
    class Uncounted(Fake):
        def __len__(self):
            raise UnsupportedError("no counting here")

    assert len(find_duplicates(Uncounted(clusters(groups=3)), 0.1)) == 9


def test_ids_that_a_moving_scan_repeats_count_once():
    vectors = clusters(groups=5, size=2)
    twice = Fake(np.vstack([vectors, vectors[:4]]), [f"{i}" for i in [*range(10), *range(4)]])
    once = Fake(vectors, [f"{i}" for i in range(10)])
    assert as_dict(find_duplicates(twice, 0.1)) == as_dict(find_duplicates(once, 0.1))
    with pytest.raises(InvalidInputError, match="more than once"):
        find_duplicates(Held(twice.vectors, twice.names), 0.1)


def test_rows_are_neither_copied_nor_written():
    source = Held(clusters())
    source.vectors.setflags(write=False)
    before = source.vectors.copy()
    with spool.gathered(source) as rows:
        assert np.shares_memory(rows.vectors, source.vectors)
    find_duplicates(source, fraction=0.3)
    find_unique(source, 5)
    np.testing.assert_array_equal(before, source.vectors)


def test_a_batch_may_be_a_buffer_that_is_used_again():
    vectors = clusters()

    class Reusing(Fake):
        def iter_embeddings(self, batch_size=7):
            buffer = np.empty((7, 16), dtype=np.float32)
            for batch, names, _ in super().iter_embeddings():
                buffer[: len(batch)] = batch
                yield buffer[: len(batch)], names, None

    assert as_dict(find_duplicates(Reusing(vectors), 0.05)) == as_dict(find_duplicates(Fake(vectors), 0.05))
