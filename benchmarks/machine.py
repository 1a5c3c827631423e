"""Machine of a run: cores, CPU time, memory, and installed versions."""

from __future__ import annotations

import functools
import importlib.metadata
import os
import platform
import resource
import sys
from pathlib import Path

PACKAGES = [
    "paychainhq",
    "aiohttp",
    "orjson",
    "attrs",
    "uvloop",
    "httpx",
    "stripe",
    "openai",
    "requests",
]

_STEADY = {"MALLOC_TOP_PAD_": "16777216"}


@functools.cache  # the affinity from before this process changed it
def cores() -> tuple[int, int]:
    """Return the cores of the server and the client: the first and the last usable one."""
    usable = sorted(os.sched_getaffinity(0))
    return usable[0], usable[-1]


def stay_on(core: int) -> None:
    """Pin this process, with its future threads and processes, to one core."""
    os.sched_setaffinity(0, {core})


def steady_malloc() -> None:
    """Restart this program with cheap receive buffers for asyncio, by a setting of glibc.

    Without it, a program is in one of two states, by chance, and aiohttp is slower in one of them:
    see docs/benchmarks.md.
    """
    if _STEADY.items() - os.environ.items():
        os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], os.environ | _STEADY)


def cpu_seconds() -> float:
    """Return the CPU seconds of this process so far, user and system, all threads."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def resident_mib() -> float:
    """Return the resident memory of this process."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * resource.getpagesize() / 2**20


def description() -> dict[str, str]:
    """Describe the machine: interpreter, processor, and versions of the installed packages."""
    processors = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    names = [line.partition(":")[2].strip() for line in processors if line.startswith("model name")]
    found = {
        "python": platform.python_version(),
        "processor": next(iter(names), platform.machine()),
        "cores": str(os.cpu_count()),
    }
    for name in PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = "not installed"
    return found
