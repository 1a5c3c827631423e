"""Command `request`: any path of the API."""

from __future__ import annotations

from typing import Any

import click

from paychainhq.cli.exit_codes import ExitCode
from paychainhq.cli.operation_command import JsonType

_CREDENTIALS = ["api_key", "payout_key", "contract_key", "dashboard", "none"]


@click.command("request")
@click.argument("method", type=click.Choice(["GET", "POST", "PUT", "PATCH", "DELETE"], False))
@click.argument("path")
@click.option("--data", type=JsonType(), help="JSON of the body: text, @FILE, or -.")
@click.option("--auth", type=click.Choice(_CREDENTIALS), default="api_key", show_default=True)
@click.option("--idempotency-key", help="A mutation without one is not retried.")
@click.option("--yes", is_flag=True, help="Do not ask before a DELETE.")
@click.option("--fields", metavar="A,B", help="Only these fields.")
def _request(
    method: str,
    path: str,
    data: Any,
    auth: str,
    idempotency_key: str | None,
    yes: bool,
    fields: str | None,
) -> int:
    """Send a request to a PATH under /api/ without a model, and print its JSON."""
    from paychainhq.cli import calls, output, running
    from paychainhq.cli.settings import open_client
    from paychainhq.errors import PayChainError

    mutates = method != "GET"
    if method == "DELETE" and not yes and not calls.confirmed(f"{method} {path}"):
        return ExitCode.FAILED
    credential: Any = None if auth == "none" else auth

    async def job() -> int:
        try:
            async with open_client(credential, needs_business=False) as pay:
                result = await pay.request(
                    method, path, body=data, auth=credential, idempotency_key=idempotency_key
                )
        except PayChainError as error:
            return running.report(error, mutates=mutates)
        output.write_result(result, fields, as_json=True)
        return ExitCode.OK

    interrupted = f"Interrupted. {running.advice(idempotency_key)}" if mutates else "Interrupted."
    return running.run(job, interrupted=interrupted)


COMMANDS = {"request": _request}
