"""Commands for a local PayChainHQ: `emulator`, `listen`, `trigger`."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import anyio
import click

from paychainhq import PayChainHQ
from paychainhq._core.settings import variable_value
from paychainhq.cli import output, running
from paychainhq.cli.exit_codes import ExitCode
from paychainhq.cli.importing import pairs
from paychainhq.cli.orders import NAMES, request_of
from paychainhq.emulator import API_KEY, BUSINESS_ID, WEBHOOK_SECRET, Emulator
from paychainhq.emulator.__main__ import main as run_emulator

_HIGHEST_SUCCESS = 299
_LONGEST_EVENT = 2**25
_EMULATOR = click.option(
    "--emulator",
    "base_url",
    envvar="PAYCHAIN_EMULATOR_URL",
    default="http://127.0.0.1:8787",
    show_default=True,
    help="The emulator's URL; also $PAYCHAIN_EMULATOR_URL.",
)
_ORDER = {"amount": "150", "token": "USDC", "chain": "eth", "network_id": "base-mainnet"}
# By event: the controls that lead to it, and the share of the amount that is paid.
_STEPS: Mapping[str, tuple[Sequence[str], str | None]] = {
    "invoice.confirming": (["pay"], None),
    "invoice.paid": (["pay", "confirm"], None),
    "invoice.partially_paid": (["pay", "confirm"], "0.5"),
    "invoice.overpaid": (["pay", "confirm"], "2"),
    "invoice.expired": (["expire"], None),
    "invoice.cancelled": (["cancel"], None),
}


@click.command(
    "emulator", context_settings={"ignore_unknown_options": True, "help_option_names": []}
)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def _emulator(arguments: tuple[str, ...]) -> int:
    """Run a local PayChainHQ, with the options of `python -m paychainhq.emulator`."""
    try:
        return run_emulator(arguments)
    except SystemExit as stop:  # of argparse, after --help or a wrong option
        return int(stop.code or 0)


@click.command("listen")
@click.option("--forward-to", required=True, metavar="URL", help="Your application's endpoint.")
@click.option("--json", "as_json", is_flag=True, help="A JSON line for each delivery.")
@_EMULATOR
def _listen(forward_to: str, as_json: bool, base_url: str) -> int:
    """Send the emulator's webhooks to your application, and show its responses.

    They are signed with $PAYCHAIN_WEBHOOK_SECRET, or with the emulator's published secret. The line
    "Ready." on standard error follows once webhooks are sent. Ctrl-C removes the endpoint.
    """

    async def job() -> int:
        async with (
            _controls(base_url) as session,
            session.get("events", read_bufsize=_LONGEST_EVENT) as events,
        ):
            body = {"url": forward_to, "secret": _webhook_secret()}
            endpoint = await _control(session, "add_webhook", body)
            try:
                click.echo("Ready.", err=True)
                kind = b""
                async for line in events.content:
                    name, _, value = line.rstrip().partition(b": ")
                    if name == b"event":
                        kind = value
                    elif name == b"data" and kind == b"delivery":
                        _show(json.loads(value), forward_to, as_json=as_json)
            finally:
                with anyio.move_on_after(5, shield=True):
                    await _control(session, "remove_webhook", {"endpointId": endpoint["id"]})
        raise click.ClickException("the emulator has ended the connection")

    return running.run(_guarded(job, base_url))


def _show(delivery: Mapping[str, Any], url: str, *, as_json: bool) -> None:
    """Show an attempt that has ended."""
    if delivery["url"] != url or delivery["status"] in ("pending", "sending"):
        return
    status = delivery["responseStatus"]
    if as_json:
        line = {"event": delivery["eventType"], "id": delivery["id"], "responseStatus": status}
        output.write_json({**line, "body": json.loads(delivery["body"])})
    else:
        good = status is not None and status <= _HIGHEST_SUCCESS
        result = click.style(status or delivery["failureReason"], fg="green" if good else "red")
        click.echo(f"{delivery['eventType']}  {delivery['id']}  {result}")


@click.command("trigger")
@click.argument("event", type=click.Choice(list(_STEPS)))
@click.option("--invoice", "invoice_id", metavar="ID", help="An existing invoice; by default new.")
@click.option(
    "--set",
    "fields",
    multiple=True,
    metavar="FIELD=VALUE",
    callback=pairs,
    help="A field of the new invoice, such as amount=20.",
)
@click.option("--to", metavar="URL", help="Post the event here, without a running emulator.")
@_EMULATOR
def _trigger(
    event: str, invoice_id: str | None, fields: dict[str, str], to: str | None, base_url: str
) -> int:
    """Bring an invoice of the emulator to the EVENT, which its webhooks then have."""
    for field in fields:
        if field == "reference" or (field not in NAMES and not field.startswith("metadata.")):
            raise click.UsageError(f"--set: an invoice has no field {field!r}")
    if invoice_id is not None and (fields or to):
        raise click.UsageError("--invoice names an existing invoice: leave out --set and --to")

    async def job() -> int:
        request = request_of(fields, _ORDER)
        if to is None:
            shown = await _bring_about(base_url, event, invoice_id, request)
        else:
            with Emulator(allow_remote_webhooks=True) as emulator:
                shown = await _bring_about(emulator.url, event, None, request)
                try:
                    response = await emulator.adeliver(
                        event, shown["invoice"], to=to, secret=_webhook_secret()
                    )
                except (OSError, ValueError) as error:
                    raise click.ClickException(f"{to}: {error}") from None
            shown["responseStatus"] = response.status
        output.write_result(shown, None, as_json=False)
        return (
            ExitCode.OK if shown.get("responseStatus", 0) <= _HIGHEST_SUCCESS else ExitCode.FAILED
        )

    return running.run(_guarded(job, base_url))


async def _bring_about(
    base_url: str, event: str, invoice_id: str | None, request: Mapping[str, Any]
) -> dict[str, Any]:
    names, share = _STEPS[event]
    client = PayChainHQ(api_key=API_KEY, business_id=BUSINESS_ID, base_url=base_url)
    async with client as pay, _controls(base_url) as session:
        if invoice_id is None:
            invoice_id = (await pay.invoices.create(**request)).id
        body: dict[str, Any] = {"invoiceId": invoice_id}
        if share is not None:
            invoice = await pay.invoices.get(invoice_id)
            body["amount"] = str(invoice.amount.display * type(invoice.amount.display)(share))
        state: dict[str, Any] = {}
        for name in names:
            state = await _control(session, name, body)
    return {"event": event, "invoice": invoice_id, "status": state["status"]}


@asynccontextmanager
async def _controls(base_url: str) -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(
        f"{base_url.rstrip('/')}/_emulator/", timeout=aiohttp.ClientTimeout(total=None, connect=5)
    ) as session:
        yield session


async def _control(
    session: aiohttp.ClientSession, name: str, body: Mapping[str, Any]
) -> dict[str, Any]:
    async with session.post(name, json=body) as response:
        result: dict[str, Any] = await response.json()
        if response.status > _HIGHEST_SUCCESS:
            raise click.ClickException(str(result.get("message", result)))
        return result


def _guarded(job: Any, base_url: str) -> Any:
    """Return the job, whose failed connections name the emulator."""

    async def guarded() -> int:
        try:
            code: int = await job()
        except aiohttp.ClientError as error:
            raise click.ClickException(
                f"no emulator at {base_url} ({error}): start one with `paychainhq emulator`"
            ) from None
        return code

    return guarded


def _webhook_secret() -> str:
    return variable_value("PAYCHAIN_WEBHOOK_SECRET") or WEBHOOK_SECRET


COMMANDS = {"emulator": _emulator, "listen": _listen, "trigger": _trigger}
