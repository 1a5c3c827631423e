"""Simulated transport of a client, without sockets, so that time can be skipped."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any, Literal

import attrs

from paychainhq import ConnectionFailedError, Request, RequestTimeoutError, Response, RetryPolicy
from paychainhq._attempts import Attempt, Sent
from paychainhq._caller import Caller
from paychainhq._core.credentials import Credentials
from paychainhq._core.statistics import Counters
from paychainhq.codec import parse
from paychainhq.ledger.base import Ledger
from paychainhq.ledger.record import CredentialFingerprints, LedgerRecord
from paychainhq.telemetry import Telemetry

Kind = Literal["500", "in progress", "503", "408", "silence", "reset", "refused", "undecodable"]
KINDS: tuple[Kind, ...] = (
    "500",
    "in progress",
    "503",
    "408",
    "silence",
    "reset",
    "refused",
    "undecodable",
)

ANSWERS = {
    "500": (500, b'{"error": {"code": "INTERNAL", "message": "no"}}'),
    "503": (503, b"busy"),
    "408": (408, b""),
    "in progress": (
        409,
        b'{"error": {"code": "IDEMPOTENCY_REQUEST_IN_PROGRESS", "message": "wait"}}',
    ),
    "undecodable": (200, b'{"id": 7}'),
}


@attrs.define
class Outage:
    """Period in which every request fails."""

    begin: float
    end: float
    kind: Kind


@attrs.define
class Server:
    """Server with requests that always fail, and outages.

    Attributes:
        poison: The references that always fail, with the kind of failure.
        outages: The periods without a success.
        latency: The seconds until a response.
        made: The accepted references with their keys, in order; a repeat adds none.
        sent: The number of requests.
    """

    poison: dict[str, Kind] = attrs.field(factory=dict)
    outages: list[Outage] = attrs.field(factory=list)
    latency: float = 0.05
    made: dict[str, str] = attrs.field(factory=dict)
    sent: int = 0
    under_way: int = 0
    most: int = 0
    connection: Any = attrs.field(
        factory=lambda: SimpleNamespace(
            max_connections=64, name="simulated", origin="https://simulated.example"
        )
    )
    counters: Counters = attrs.field(factory=Counters)
    telemetry: Telemetry | None = None
    credentials: Any = attrs.field(factory=lambda: SimpleNamespace(require=lambda *_: None))
    fingerprints: Any = attrs.field(
        factory=lambda: CredentialFingerprints(Credentials(api_key="simulated"))
    )

    def caller(
        self, ledger: Ledger | None = None, attempts: int = 6, timeout: float = 60.0
    ) -> Caller:
        """Return a caller whose requests are sent to this server."""
        policy = RetryPolicy(attempts=attempts, attempt_timeout=2.0)
        transport: Any = self
        return Caller(
            transport=transport, business_id="biz_1", timeout=timeout, retry=policy, ledger=ledger
        )

    async def send(self, request: Request, record: LedgerRecord | None = None) -> Response:
        """Simulate `Transport.send`."""
        known = None if record is None else await record.begin(request)
        if known is not None:
            return known
        self.sent += 1
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        try:
            response = await self._respond(request)
        finally:
            self.under_way -= 1
        if record is not None:
            await record.finish(request, response)
        return response

    async def _respond(self, request: Request) -> Response:
        loop = asyncio.get_running_loop()
        started = loop.time()
        reference = parse(request.body or b"")["description"]
        kind = self.poison.get(reference)
        for outage in self.outages:
            if outage.begin <= started < outage.end and kind != "undecodable":
                kind = outage.kind
        if kind == "silence":
            assert request.retry is not None
            await asyncio.sleep(
                min(request.deadline, started + request.retry.attempt_timeout) - started
            )
            request.attempts.append(Attempt(None, "timed out", "unknown", loop.time() - started))
            raise RequestTimeoutError("no response arrived in time", **request.facts())
        await asyncio.sleep(self.latency)
        if kind in ("reset", "refused"):
            sent: Sent = "unknown" if kind == "reset" else "no"
            request.attempts.append(Attempt(None, kind, sent, self.latency))
            raise ConnectionFailedError(kind, **request.facts())
        status, body = ANSWERS.get(
            kind or "",
            (200, b'{"id": "inv_%s", "status": "pending", "amount": "1"}' % reference.encode()),
        )
        if kind is None:
            assert (
                self.made.setdefault(reference, request.idempotency_key or "")
                == request.idempotency_key
            )
        request.attempts.append(Attempt(status, None, "yes", self.latency))
        return Response(status, {}, body)
