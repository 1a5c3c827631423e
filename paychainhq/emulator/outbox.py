"""Outbox: webhooks for changes of invoices and gateway payments, sent by the emulator's clock."""

from __future__ import annotations

import asyncio
import json
import random
from contextlib import suppress
from typing import Literal, cast

import aiohttp
import attrs

from paychainhq.emulator import lifecycle, money
from paychainhq.emulator.gateway import lifecycle as gateway
from paychainhq.emulator.handlers.call import new_id
from paychainhq.emulator.state import Row, State, iso
from paychainhq.emulator.webhook_schemes import SCHEMES

_POLL_S = 1.0
_MASKED = {"X-Webhook-Signature", "Authorization", "X-PaymentService-Signature"}


@attrs.frozen
class Delivery:
    """Delivery of one event to one endpoint.

    Attributes:
        id: The delivery's id, which webhooks of invoices have as `X-Webhook-ID`.
        event_type: The event's name.
        url: The endpoint's URL.
        status: The state of the delivery.
        attempts: The number of attempts.
        max_attempts: The largest number of attempts.
        failure_reason: The reason of the last attempt's failure, or None.
        latest_request_headers: The headers of the last attempt as JSON with masked secrets, or
            None.
        body: The body.

    Source: the schema `WebhookEvent` of reference/openapi.
    """

    id: str
    event_type: str
    url: str
    status: Literal["pending", "sending", "retrying", "delivered", "failed"]
    attempts: int
    max_attempts: int
    failure_reason: str | None
    latest_request_headers: str | None
    body: str


def deliveries(state: State) -> tuple[Delivery, ...]:
    """Return all deliveries, oldest first."""
    rows = state.all(
        "SELECT d.*, e.url, e.scheme FROM webhook_deliveries d JOIN webhook_endpoints e ON e.id = "
        "d.endpoint_id ORDER BY d.seq"
    )
    return tuple(_delivery(row) for row in rows)


def _delivery(row: Row) -> Delivery:
    names = [
        field.name for field in attrs.fields(Delivery) if field.name not in ("max_attempts", "body")
    ]
    return Delivery(
        **{name: row[name] for name in names},
        max_attempts=1 + len(SCHEMES[row["scheme"]].schedule),
        body=row["body"].decode(),
    )


class Outbox:
    """Sender of the deliveries that are due, while `run` runs."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._wake = asyncio.Event()
        with state.transaction():  # an attempt that a dead process had in progress is repeated
            state.run("UPDATE webhook_deliveries SET status = 'retrying' WHERE status = 'sending'")

    def wake(self) -> None:
        """Send the deliveries that are due at once."""
        self._wake.set()

    async def run(self) -> None:
        """Send until cancelled."""
        async with aiohttp.ClientSession() as session, asyncio.TaskGroup() as sending:
            while True:
                self._wake.clear()
                has_endpoint = self._state.find("SELECT 1 FROM webhook_endpoints") is not None
                for delivery_id in self._due() if has_endpoint else ():
                    sending.create_task(self._send(session, delivery_id))
                # Invoices expire without a request, so an endpoint requires polling.
                # `asyncio.wait_for` can lose a cancellation that coincides with the event
                # (Python 3.11).
                with suppress(TimeoutError):
                    async with asyncio.timeout(_POLL_S if has_endpoint else None):
                        await self._wake.wait()

    def _due(self) -> list[str]:
        state = self._state
        with state.transaction():
            lifecycle.expire(state)
            for change in state.all("SELECT * FROM status_changes ORDER BY seq"):
                _insert_deliveries(state, change)
            state.run("DELETE FROM status_changes")
            due = state.all(
                "UPDATE webhook_deliveries SET status = 'sending', attempts = attempts + 1"
                " WHERE status IN ('pending', 'retrying') AND next_at <= ? RETURNING id, next_at",
                state.now(),
            )
        return [row["id"] for row in sorted(due, key=lambda row: row["next_at"])]

    async def _send(self, session: aiohttp.ClientSession, delivery_id: str) -> None:
        row = self._state.get(
            "SELECT d.*, e.url, e.secret, e.bearer, e.scheme FROM webhook_deliveries d"
            " JOIN webhook_endpoints e ON e.id = d.endpoint_id WHERE d.id = ?",
            delivery_id,
        )
        scheme = SCHEMES[row["scheme"]]
        headers, timeout = (
            scheme.sign(row, self._state.now() / 1000),
            aiohttp.ClientTimeout(total=scheme.timeout),
        )
        options = {
            "data": row["body"],
            "headers": headers,
            "timeout": timeout,
            "allow_redirects": False,
        }
        try:
            async with session.post(row["url"], **options) as response:
                failure = (
                    None
                    if 200 <= response.status < 300
                    else f"the endpoint returned {response.status}"
                )
        except TimeoutError:
            failure = f"the endpoint did not respond within {scheme.timeout:.0f} s"
        except (aiohttp.ClientError, OSError) as error:
            failure = f"the endpoint could not be reached: {type(error).__name__}"
        shown = json.dumps(
            {name: "***" if name in _MASKED else value for name, value in headers.items()}
        )
        self._record(row, failure, shown)

    def _record(self, row: Row, failure: str | None, headers: str) -> None:
        attempts, now, schedule = (
            row["attempts"],
            self._state.now(),
            SCHEMES[row["scheme"]].schedule,
        )
        again = failure is not None and attempts <= len(schedule)
        with self._state.transaction():
            if failure is None and row["scheme"] == "gateway":
                gateway.acknowledged(self._state, row["body"])
            self._state.run(
                "UPDATE webhook_deliveries SET status = ?, next_at = ?, failure_reason = ?, "
                "latest_request_headers = ?"
                " WHERE id = ?",
                "delivered" if failure is None else "retrying" if again else "failed",
                now + 1000 * schedule[attempts - 1] if again else None,
                failure,
                headers,
                row["id"],
            )


def _insert_deliveries(state: State, change: Row) -> None:
    """Insert the deliveries of an event.

    Assumption: no page names the events of an invoice, except `invoice.paid`.
    """
    event = {
        "id": new_id("evt"),
        "event": f"invoice.{change['status']}",
        "timestamp": iso(change["at"]),
        "data": _data(state, change),
    }
    body = json.dumps(event).encode()
    for endpoint in state.all("SELECT * FROM webhook_endpoints WHERE scheme = 'paychain'"):
        for _ in range(endpoint["copies"]):
            state.insert(
                "webhook_deliveries",
                id=new_id("wh"),
                endpoint_id=endpoint["id"],
                event_type=cast(str, event["event"]),
                body=body,
                status="pending",
                attempts=0,
                next_at=change["at"] + random.randint(0, endpoint["jitter_ms"]),  # noqa: S311  # nosec B311
            )


def _data(state: State, change: Row) -> dict[str, object]:
    invoice = lifecycle.find(state, change["invoice_id"])
    standing = lifecycle.standing(state, invoice)
    shortfall = max(int(invoice["raw"]) - standing.in_time, 0)
    return {
        "invoiceId": invoice["id"],
        "businessId": state.get("SELECT id FROM business")["id"],
        "status": change["status"],
        "amount": money.amount(invoice, int(invoice["raw"])),
        "paidAmount": money.amount(invoice, standing.paid),
        "settledByTolerance": bool(invoice["settled_by_tolerance"]),
        "toleranceRaw": str(standing.tolerance),
        "shortfallRaw": str(shortfall),
    }
