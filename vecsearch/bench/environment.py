"""The machine and the software that measured; neither host names nor paths, since results are published."""

from __future__ import annotations

import hashlib
import os
import platform
import subprocess
import sys
from importlib.metadata import distributions
from pathlib import Path
from typing import NamedTuple

import vecsearch
from vecsearch.bench.points import Environment

_SHOWN = ("vecsearch", "numpy", "scikit-learn", "pydantic", "numkong")
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "RAYON_NUM_THREADS")
_CGROUP = Path("/sys/fs/cgroup")
_GIT_SECONDS = 5


def environment() -> Environment:
    """What is known about this machine and this process."""
    packages = installed()
    listed = "\n".join(f"{name}=={version}" for name, version in sorted(packages.items()))
    commit, dirty = _git()
    return Environment(
        cpu=_cpu(),
        cores=os.cpu_count() or 0,
        affinity=cores(),
        memory_bytes=_memory(),
        memory_limit=_number(_read(_CGROUP / "memory.max")),
        cpu_limit=_cpu_limit(_read(_CGROUP / "cpu.max")),
        system=f"{platform.system()} {platform.machine()}",
        kernel=platform.release(),
        python=f"{platform.python_implementation()} {platform.python_version()}",
        packages={name: packages[name] for name in _SHOWN if name in packages},
        packages_sha256=hashlib.sha256(listed.encode()).hexdigest(),
        threads={name: os.environ[name] for name in _THREADS if name in os.environ},
        commit=commit,
        dirty=dirty,
    )


def cores() -> int:
    """How many processors this process may use."""
    if sys.platform == "linux":
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def installed() -> dict[str, str]:
    """Every installed distribution and its version."""
    found = ((one.metadata["Name"], one.version) for one in distributions())
    return {str(name): str(version) for name, version in found if name}


class Ticks(NamedTuple):
    """Processor time of the whole machine, in clock ticks."""

    busy: int
    steal: int
    total: int


def ticks() -> Ticks | None:
    """The machine's processor time so far; ``None`` where the system does not say."""
    text = _read(Path("/proc/stat"))
    if text is None:
        return None
    # user nice system idle iowait irq softirq steal; guest time is within user
    values = [int(word) for word in text.splitlines()[0].split()[1:9]]
    idle, steal = values[3] + values[4], values[7]
    return Ticks(sum(values) - idle - steal, steal, sum(values))


def elsewhere(before: Ticks | None, after: Ticks | None, own_seconds: float) -> tuple[float | None, float | None]:
    """The shares of the machine's time between two moments that other work, and the host, took."""
    if before is None or after is None or after.total == before.total:
        return None, None
    total = after.total - before.total
    own = own_seconds * os.sysconf("SC_CLK_TCK")
    others = (after.busy - before.busy - own) / total
    return min(1.0, max(0.0, others)), min(1.0, max(0.0, (after.steal - before.steal) / total))


def anonymous_memory() -> int | None:
    """Bytes of this process that are in memory and in no file; ``None`` where the system does not say."""
    for line in (_read(Path("/proc/self/status")) or "").splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) * 1024
    return None


def _cpu() -> str:
    for line in (_read(Path("/proc/cpuinfo")) or "").splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _memory() -> int | None:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):  # a system without these
        return None


def _cpu_limit(text: str | None) -> float | None:
    """``"200000 100000"``: two processors; ``"max 100000"``: no limit."""
    quota, _, period = (text or "").partition(" ")
    return int(quota) / int(period) if quota.isdigit() and period.strip().isdigit() else None


def _number(text: str | None) -> int | None:
    return int(text) if text is not None and text.strip().isdigit() else None


def _read(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None


def _git() -> tuple[str | None, bool | None]:
    """The commit of the source tree that vecsearch runs from, if it runs from one."""
    root = Path(vecsearch.__file__).resolve().parent.parent
    if not (root / ".git").exists():
        return None, None
    try:
        commit = _asked(root, "rev-parse", "HEAD")
        return commit, bool(_asked(root, "status", "--porcelain", "--untracked-files=no"))
    except (OSError, subprocess.SubprocessError):
        return None, None


def _asked(root: Path, *words: str) -> str:
    command = ["git", "-C", str(root), *words]
    answer = subprocess.run(command, check=True, capture_output=True, text=True, timeout=_GIT_SECONDS)  # noqa: S603  no word of a user's
    return answer.stdout.strip()


__all__ = ("Ticks", "anonymous_memory", "cores", "elsewhere", "environment", "installed", "ticks")
