"""Call of one operation: confirmation, client, output, exit code."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from paychainhq._core.idempotency import new_key
from paychainhq.cli import output
from paychainhq.cli.exit_codes import ExitCode
from paychainhq.cli.rows import Row
from paychainhq.cli.running import advice, report, run
from paychainhq.cli.settings import open_client
from paychainhq.errors import PayChainError


def call(row: Row, given: dict[str, Any]) -> int:
    """Call an operation with the command's options, and return the exit code."""
    options = {
        name: given.pop(name, None)
        for name in ("as_json", "fields", "all_pages", "yes", "key_file")
    }
    names = {parameter.name for parameter in row.parameters}
    arguments: dict[str, Any] = {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in given.items()
        if value is not None and value != ()
    }
    if row.needs_confirmation and not options["yes"] and not confirmed(row.name):
        return ExitCode.FAILED
    if "idempotency_key" in names:  # known here, also if the call is interrupted
        arguments.setdefault("idempotency_key", new_key())

    async def job() -> int:
        try:
            needs_business = "business_id" in names and "business_id" not in arguments
            async with open_client(row.auth, needs_business=needs_business) as pay:
                resource, _, method = row.name.partition(".")
                result = getattr(getattr(pay, resource), method)(**arguments)
                if options["all_pages"]:
                    async for item in result:
                        shown = item.to_dict()
                        output.write_json(
                            output.picked(shown, options["fields"]) if options["fields"] else shown
                        )
                    return ExitCode.OK
                result = await result
        except PayChainError as error:
            return report(error, mutates=row.mutates)
        if row.holds_secret:
            options["key_file"].write(result.api_key)
        output.write_result(result.to_dict(), options["fields"], as_json=options["as_json"])
        return ExitCode.OK

    interrupted = "Interrupted."
    if row.mutates:
        interrupted += f" {advice(arguments.get('idempotency_key'))}"
    with _new_file(options["key_file"]) as options["key_file"]:
        return run(job, interrupted=interrupted)


def confirmed(name: str) -> bool:
    """Return whether the user confirms an operation that nothing reverts."""
    if not sys.stdin.isatty():
        raise click.UsageError(f"{name} cannot be reverted: without a terminal, pass --yes")
    return click.confirm(f"{name} cannot be reverted. Continue?", err=True)


@contextmanager
def _new_file(path: Path | None) -> Iterator[Any]:
    """Open a new file, readable by its owner only, and remove it if it stays empty."""
    if path is None:
        yield None
        return
    try:
        descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    except OSError as error:
        raise click.UsageError(f"--key-file: {error.strerror}") from None
    with open(descriptor, "w", encoding="utf-8") as file:
        try:
            yield file
        finally:
            file.flush()
            if not file.tell():
                path.unlink()
