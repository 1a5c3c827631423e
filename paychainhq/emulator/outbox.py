"""Outbox: webhooks for changes of invoices and gateway payments, sent by the emulator's clock."""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress

import aiohttp

from paychainhq._core.settings import is_loopback_url
from paychainhq.emulator import lifecycle
from paychainhq.emulator.deliveries import insert_events
from paychainhq.emulator.gateway import lifecycle as gateway
from paychainhq.emulator.state import Row, State
from paychainhq.emulator.webhook_schemes import SCHEMES

_POLL_S = 1.0
_SIGNATURES = ("X-Webhook-Signature", "X-PaymentService-Signature")
_MASKED = {*_SIGNATURES, "Authorization"}


class _RemoteError(Exception):
    """Refusal to send to a host beyond loopback."""


class Outbox:
    """Sender of the deliveries that are due, while `run` runs.

    Args:
        state: The database of the deliveries.
        allow_remote: Send to hosts beyond loopback, too.
    """

    def __init__(self, state: State, *, allow_remote: bool = False) -> None:
        self._state = state
        self._allow_remote = allow_remote
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
                has_endpoint = (
                    self._state.find("SELECT 1 FROM webhook_endpoints WHERE state <> 'removed'")
                    is not None
                )
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
            insert_events(state)
            due = state.all(
                "UPDATE webhook_deliveries SET status = 'sending', attempts = attempts + 1"
                " WHERE status IN ('pending', 'retrying') AND next_at <= ? AND endpoint_id IN"
                " (SELECT id FROM webhook_endpoints WHERE state = 'active') RETURNING id, next_at",
                state.now(),
            )
        return [row["id"] for row in sorted(due, key=lambda row: row["next_at"])]

    async def _send(self, session: aiohttp.ClientSession, delivery_id: str) -> None:
        row = self._state.find(
            "SELECT d.*, e.url, e.secret, e.bearer, e.scheme FROM webhook_deliveries d"
            " JOIN webhook_endpoints e ON e.id = d.endpoint_id WHERE d.id = ?",
            delivery_id,
        )
        if row is None:  # the state was reset
            return
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
        status = None
        try:
            if not self._allow_remote and not is_loopback_url(row["url"]):
                raise _RemoteError
            async with session.post(row["url"], **options) as response:
                status = response.status
                failure = None if 200 <= status < 300 else f"the endpoint returned {status}"
        except _RemoteError:
            failure = "the endpoint is not loopback: --allow-remote-webhooks permits it"
        except TimeoutError:
            failure = f"the endpoint did not respond within {scheme.timeout:.0f} s"
        except (aiohttp.ClientError, OSError) as error:
            failure = f"the endpoint could not be reached: {type(error).__name__}"
        shown = json.dumps(
            {name: "***" if name in _MASKED else value for name, value in headers.items()}
        )
        signature = next((headers[name] for name in _SIGNATURES if name in headers), None)
        self._record(row, failure, status, shown, signature)

    def _record(self, row: Row, failure: str | None, *seen: str | int | None) -> None:
        attempts, now, schedule = (
            row["attempts"],
            self._state.now(),
            SCHEMES[row["scheme"]].schedule,
        )
        removed = self._state.find(
            "SELECT 1 FROM webhook_endpoints WHERE id = ? AND state = 'removed'", row["endpoint_id"]
        )
        again = failure is not None and attempts <= len(schedule) and removed is None
        with self._state.transaction():
            if failure is None and row["scheme"] == "gateway":
                gateway.acknowledged(self._state, row["body"])
            self._state.run(
                "UPDATE webhook_deliveries SET status = ?, next_at = ?, failure_reason = ?, "
                "response_status = ?, latest_request_headers = ?, signature = ? WHERE id = ?",
                "delivered" if failure is None else "retrying" if again else "failed",
                now + 1000 * schedule[attempts - 1] if again else None,
                failure,
                *seen,
                row["id"],
            )
