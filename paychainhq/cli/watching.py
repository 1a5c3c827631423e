"""Command `invoices watch`: the statuses of invoices until all are terminal."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import anyio
import click

from paychainhq import WatchState
from paychainhq.cli import output, running
from paychainhq.cli.exit_codes import ExitCode
from paychainhq.cli.settings import open_client


@click.command("watch")
@click.argument("ids", nargs=-1)
@click.option("--status", help="Also the invoices that the list has with this status.")
@click.option(
    "--interval",
    type=click.FloatRange(0, min_open=True),
    default=5.0,
    show_default=True,
    metavar="SECONDS",
    help="Between two reads.",
)
@click.option(
    "--timeout",
    type=click.FloatRange(0, min_open=True),
    metavar="SECONDS",
    help="Stop then, with exit code 1.",
)
@click.option(
    "--state",
    "path",
    type=click.Path(dir_okay=False, path_type=Path),
    help="File that continues an earlier watch.",
)
@click.option("--json", "as_json", is_flag=True, help="JSON, also on a terminal.")
def _watch(
    ids: tuple[str, ...],
    status: str | None,
    interval: float,
    timeout: float | None,
    path: Path | None,
    as_json: bool,
) -> int:
    """Show the status of each invoice, and its changes, until all statuses are terminal.

    IDS are ids of invoices; - reads them from standard input.

    Exit code 5: some invoices cannot be read.
    """
    wanted = [id_ for one in ids for id_ in (sys.stdin.read().split() if one == "-" else [one])]
    as_json = as_json or not sys.stdout.isatty()

    async def job() -> int:
        state, code = _stored(path), ExitCode.OK
        async with open_client() as pay:
            if status is not None:
                wanted.extend([invoice.id async for invoice in pay.invoices.list(status=status)])
            with anyio.move_on_after(timeout) as limit:
                async with pay.invoices.watch(wanted, interval=interval, state=state) as changes:
                    async for change in changes:
                        if change.error is not None:
                            code = ExitCode.PARTLY
                        if as_json:
                            output.write_json(change.to_dict())
                        else:
                            news = change.current if change.error is None else change.error
                            earlier = f"{change.previous} -> " if change.previous else ""
                            click.echo(
                                f"{time.strftime('%X')}  {change.invoice_id}  {earlier}{news}"
                            )
                        sys.stdout.flush()
                        _store(path, state)
            if limit.cancelled_caught:
                click.echo("Not all statuses are terminal in time.", err=True)
                return ExitCode.FAILED
        _store(path, state)
        return code

    return running.run(job)


def _stored(path: Path | None) -> WatchState:
    if path is None or not path.exists():
        return WatchState()
    return WatchState.from_token(path.read_text(encoding="utf-8"))


def _store(path: Path | None, state: WatchState) -> None:
    if path is not None:
        part = path.with_name(f"{path.name}.part")
        part.write_text(state.token(), encoding="utf-8")
        part.replace(path)


COMMANDS = {"watch": _watch}
