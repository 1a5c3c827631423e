"""Commands `ledger ...`: entries of a ledger's file, and their removal."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path

import click

from paychainhq._core.settings import variable_value
from paychainhq.cli import calls, output
from paychainhq.cli.exit_codes import ExitCode
from paychainhq.cli.running import report
from paychainhq.errors import ConfigurationError, LedgerError, PayChainError
from paychainhq.ledger import Entry, PostgresLedger, SQLiteLedger

_FILE = click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
_DATABASE = "DATABASE_URL"
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


def _opened(file: Path) -> SQLiteLedger:
    try:
        return SQLiteLedger(file)
    except LedgerError as error:
        raise click.ClickException(str(error)) from None


@click.group("ledger")
def _ledger() -> None:
    """Show the entries of a ledger's FILE, or remove some; create tables in PostgreSQL."""


def _write(entry: Entry) -> None:
    started = datetime.fromtimestamp(entry.started_at, UTC).isoformat(timespec="seconds")
    answer = entry.answer
    output.write_json(
        {
            "operation": entry.operation,
            "key": entry.key,
            "state": entry.state,
            "startedAt": started,
            "status": answer and answer.status,
            "requestId": answer and answer.request_id,
        }
    )


@_ledger.command("show")
@_FILE
@click.option("--state", type=click.Choice(["unfinished", "finished", "refused"]))
def _show(file: Path, state: str | None) -> int:
    """Write a JSON line for each entry, oldest first; responses are not shown."""
    with _opened(file) as ledger:
        for entry in ledger.entries():
            if state in (None, entry.state):
                _write(entry)
    return ExitCode.OK


@_ledger.command("unfinished")
@_FILE
def _unfinished(file: Path) -> int:
    """Write the entries whose outcome nobody knows; exit code 3 if there are any."""
    code = ExitCode.OK
    with _opened(file) as ledger:
        for entry in ledger.entries("unfinished"):
            _write(entry)
            code = ExitCode.UNKNOWN
    return code


@_ledger.command("compact")
@_FILE
@click.option("--older-than", required=True, metavar="30d", help="A number of s, m, h or d.")
def _compact(file: Path, older_than: str) -> int:
    """Remove answered entries; unfinished ones of any age stay."""
    found = re.fullmatch(r"([0-9]{1,9})([smhd])", older_than)
    if found is None:
        raise click.UsageError("--older-than: write a number and a unit, such as 30d or 12h")
    with _opened(file) as ledger:
        removed = ledger.compact(older_than=int(found[1]) * _SECONDS[found[2]])
    click.echo(f"{removed} entries removed", err=True)
    return ExitCode.OK


@_ledger.command("forget")
@_FILE
@click.argument("operation")
@click.argument("key")
@click.option("--yes", is_flag=True, help="Do not ask.")
def _forget(file: Path, operation: str, key: str, yes: bool) -> int:
    """Remove one entry, after you have verified that the request was not executed."""
    if not yes and not calls.confirmed(f"ledger forget {operation} {key}"):
        return ExitCode.FAILED
    with _opened(file) as ledger:
        try:
            ledger.forget(operation, key)
        except LookupError as error:
            raise click.ClickException(str(error)) from None
    return ExitCode.OK


@_ledger.command("migrate")
@click.option("--schema", help="The schema of the tables; by default the first of the search path.")
@click.option("--sql", is_flag=True, help="Only print the SQL, for a migration tool of yours.")
def _migrate(schema: str | None, sql: bool) -> int:
    """Create the tables of a PostgresLedger in the database of $DATABASE_URL.

    $DATABASE_URL_FILE may name a file with the connection string.
    """
    if sql:
        click.echo(PostgresLedger.migration(schema))
        return ExitCode.OK
    try:
        dsn = variable_value(_DATABASE)
        if dsn is None:
            raise ConfigurationError(f"{_DATABASE} is not set, nor {_DATABASE}_FILE")
        PostgresLedger(dsn, schema=schema).migrate()
    except PayChainError as error:
        return report(error)
    click.echo("The tables are up to date.", err=True)
    return ExitCode.OK


COMMANDS = {"ledger": _ledger}
