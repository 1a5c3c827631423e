"""Command `invoices import`: an invoice for each row of a CSV file, once."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

import attrs
import click

from paychainhq.cli import output, running
from paychainhq.cli.exit_codes import ExitCode
from paychainhq.cli.orders import Orders, read_orders
from paychainhq.cli.progress import ProgressDisplay
from paychainhq.cli.settings import business_id, open_client
from paychainhq.errors import PayChainError
from paychainhq.ledger import SQLiteLedger

_SHOWN = 20
_AGAIN = "Interrupted. Run the same command again to continue: no order is invoiced twice."


@attrs.define
class _Counts:
    ok: int = 0
    refused: int = 0
    unknown: int = 0


def pairs(context: click.Context, parameter: click.Parameter, given: Any) -> dict[str, str]:
    """Return the names and values of options such as NAME=VALUE."""
    for pair in given:
        if "=" not in pair:
            raise click.BadParameter(f"{pair!r} has no '='", context, parameter)
    return dict(pair.split("=", 1) for pair in given)


@click.command("import")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--map",
    "names",
    multiple=True,
    metavar="COLUMN=FIELD",
    callback=pairs,
    help="The field of a column; COLUMN= leaves it out.",
)
@click.option(
    "--set",
    "constants",
    multiple=True,
    metavar="FIELD=VALUE",
    callback=pairs,
    help="A field of the rows that have none.",
)
@click.option(
    "--ledger", type=click.Path(dir_okay=False, path_type=Path), help="By default FILE.ledger.db."
)
@click.option(
    "--results",
    type=click.Path(dir_okay=False, path_type=Path, allow_dash=True),
    help="By default FILE.results.jsonl; - is standard output.",
)
@click.option(
    "--concurrency",
    type=click.IntRange(1),
    help="Requests at once; by default adapted to the throughput.",
)
@click.option(
    "--give-up-after",
    type=click.FloatRange(0),
    default=600.0,
    show_default=True,
    metavar="SECONDS",
    help="Without any success.",
)
@click.option("--dry-run", is_flag=True, help="Check all rows, and send nothing.")
def _import(
    file: Path,
    names: dict[str, str],
    constants: dict[str, str],
    ledger: Path | None,
    results: Path | None,
    concurrency: int | None,
    give_up_after: float,
    dry_run: bool,
) -> int:
    """Create an invoice for each row of a CSV FILE, once, however often this runs.

    The header has the fields of an invoice (see `invoices create --help`), metadata.NAME, and
    reference: your own name of the order. Run the same command again after a crash or Ctrl-C.

    Exit code 0: all created; 5: some rows refused; 3: of some, nobody knows.
    """
    try:
        orders = read_orders(file, names, constants, business_id())
    except PayChainError as error:
        return running.report(error)
    for refused in orders.refused[:_SHOWN]:
        column = f", column {refused.column}" if refused.column else ""
        click.echo(f"{file}:{refused.line}{column}: {refused.error.message}", err=True)
    if len(orders.refused) > _SHOWN:
        click.echo(f"... and {len(orders.refused) - _SHOWN} more refused rows", err=True)
    if dry_run:
        click.echo(
            f"{len(orders.requests)} rows are valid, {len(orders.refused)} are not", err=True
        )
        return ExitCode.PARTLY if orders.refused else ExitCode.OK
    job = _Job(
        orders,
        ledger or file.with_name(f"{file.name}.ledger.db"),
        results or file.with_name(f"{file.name}.results.jsonl"),
        {"concurrency": concurrency or "auto", "give_up_after": give_up_after},
    )
    return running.run(job.run, interrupted=_AGAIN)


@attrs.frozen
class _Job:
    orders: Orders
    ledger: Path
    results: Path
    options: dict[str, Any]

    async def run(self) -> int:
        """Create the invoices, write the results, and return the exit code."""
        counts = _Counts(refused=len(self.orders.refused))
        lines = {id(request): line for line, request in self.orders.requests.items()}
        requests: list[Any] = list(self.orders.requests.values())
        with _results(self.results) as file, SQLiteLedger(self.ledger) as ledger:
            for refused in self.orders.refused:
                file.write(output.json_line(refused.to_dict()))
            with ProgressDisplay(len(requests)) as display:
                async with open_client() as pay:
                    stream = pay.invoices.create_many(
                        requests, ledger=ledger, progress=display, **self.options
                    )
                    async with stream:
                        async for outcome in stream:
                            line = lines[id(outcome.request)]
                            file.write(output.json_line({"line": line, **outcome.to_dict()}))
                            counts.ok += outcome.ok
                            if outcome.error is not None:
                                unknown = outcome.error.sent == "unknown"
                                counts.unknown += unknown
                                counts.refused += not unknown
                                _show(line, outcome.error, counts)
        return self._summarize(counts)

    def _summarize(self, counts: _Counts) -> ExitCode:
        written = "" if self.results == Path("-") else f"; results: {self.results}"
        click.echo(
            f"{counts.ok} invoices, {counts.refused} rows refused, {counts.unknown} unknown"
            f"{written}",
            err=True,
        )
        if counts.unknown:
            click.echo(
                "Nobody knows whether the unknown ones were created: run the same command again.",
                err=True,
            )
            return ExitCode.UNKNOWN
        return ExitCode.PARTLY if counts.refused else ExitCode.OK


def _show(line: int, error: PayChainError, counts: _Counts) -> None:
    if counts.refused + counts.unknown <= _SHOWN:
        click.echo(f"line {line}: {error}", err=True)


@contextmanager
def _results(path: Path) -> Iterator[TextIO]:
    """Open the file of results, which is replaced only once it is whole."""
    if path == Path("-"):
        yield sys.stdout
        return
    part = path.with_name(f"{path.name}.part")
    with part.open("w", encoding="utf-8") as file:
        yield file
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)


COMMANDS = {"import": _import}
