"""Exit codes of the command."""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    """Exit code: `UNKNOWN` means that nobody knows whether the request was sent."""

    OK = 0
    FAILED = 1
    USAGE = 2
    UNKNOWN = 3
    SETTINGS = 4
    PARTLY = 5
    INTERRUPTED = 130
