"""Progress of a job on standard error: a bar on a terminal, a line each ten seconds otherwise."""

from __future__ import annotations

import os
import sys
from types import TracebackType
from typing import TYPE_CHECKING, Self

import click

if TYPE_CHECKING:
    import rich.progress

    from paychainhq import Progress

_INTERVAL = 10.0


class ProgressDisplay:
    """Display of a job's progress, which a job calls.

    Args:
        total: The number of requests.
    """

    def __init__(self, total: int) -> None:
        self._total = total
        self._shown = 0.0
        self._bar: rich.progress.Progress | None = None
        is_plain = os.environ.get("NO_COLOR") or os.environ.get("CI")
        if sys.stderr.isatty() and not is_plain:
            self._bar = _bar()
            self._task = self._bar.add_task("", total=total, rate="")

    def __call__(self, progress: Progress) -> None:
        """Show the progress."""
        done = progress.ok + progress.failed
        text = f"{progress.ok} created, {progress.failed} failed, {progress.rate:.0f}/s"
        if self._bar is not None:
            self._bar.update(self._task, completed=done, rate=text)
        elif progress.elapsed - self._shown >= _INTERVAL:
            self._shown = progress.elapsed
            left = "" if progress.eta is None else f", {progress.eta:.0f} s left"
            click.echo(f"{done} of {self._total}: {text}{left}", err=True)

    def __enter__(self) -> Self:
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._bar is not None:
            self._bar.stop()


def _bar() -> rich.progress.Progress:
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    columns = (
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
    )
    return Progress(*columns, console=Console(stderr=True))
