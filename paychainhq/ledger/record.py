"""Ledger record of a call: its intent and its answer."""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import attrs

from paychainhq._core.credentials import Auth, Keyring
from paychainhq._core.secrets import SecretBytes
from paychainhq._core.statistics import Counters
from paychainhq._http.messages import Request, Response, log_facts
from paychainhq._http.responses import is_error, plain, request_id, result
from paychainhq._http.waits import add_wait
from paychainhq.errors import (
    IdempotencyKeyMismatchError,
    LedgerError,
    OutcomeUnknownError,
    PayChainError,
    RequestTimeoutError,
)
from paychainhq.ledger.base import Answer, Entry, Intent, Ledger, make_intent
from paychainhq.ledger.send_slots import SendSlots

log = logging.getLogger("paychainhq")

# Not definite: a retry may succeed, or an earlier request with the key may have.
_NOT_DEFINITE = frozenset({408, 409, 425, 429})
# Seconds by which a clock may be set back without making the age of an entry doubtful.
_CLOCK_STEP = 300.0
_ADVICE = "Check whether it was executed; if it was not, remove the entry with `forget`"


class CredentialFingerprints:
    """Salted digests of one client's credentials. A ledger stores nothing else of a credential.

    Args:
        credentials: The client's keys.
    """

    def __init__(self, credentials: Keyring) -> None:
        self._credentials = credentials
        self._digests: dict[Auth | None, bytes] = {}

    def of(self, request: Request) -> str:
        """Return the digest of a request's credential, salted with its idempotency key."""
        operation = request.operation
        digest = self._digests.get(operation.auth)
        if digest is None:
            headers = sorted(self._credentials.headers_for(operation.auth, operation.name).items())
            written = SecretBytes(
                "\n".join(f"{name.lower()}: {value}" for name, value in headers).encode()
            )
            digest = self._digests[operation.auth] = hashlib.sha256(
                b"paychainhq credential\n" + written
            ).digest()
        return hashlib.blake2b(
            digest + (request.idempotency_key or "").encode(), digest_size=16
        ).hexdigest()


@attrs.define
class LedgerRecord:
    """Ledger entry of one call.

    Attributes:
        ledger: The ledger.
        server: The server's name, part of the fingerprint: a key of one server is not answered for
            another. Empty for the usual server.
        credentials: The digests of the client's credentials.
        counters: The counts of the client.
        now: The clock of the event loop.
    """

    ledger: Ledger
    server: str
    credentials: CredentialFingerprints
    counters: Counters
    now: Callable[[], float]
    _intent: Intent | None = None
    _is_recorded: bool = False
    _is_open: bool = False
    _may_have_been_sent: bool = False

    async def begin(self, request: Request) -> Response | None:
        """Record the intent, and wait for a send slot of a job; return a known response, or None.

        Raises:
            LedgerError: The intent cannot be recorded; nothing was sent.
            IdempotencyKeyMismatchError: The key stands for another request; nothing was sent.
            OutcomeUnknownError: The request was sent before, and another attempt may execute it
                twice.
        """
        intent = self._intent = make_intent(
            request.operation.name,
            request.idempotency_key,
            self._fingerprint(request),
            self.credentials.of(request),
            os.urandom(8).hex(),
        )
        began = self.now()  # a `Stopwatch` would cost several times as much
        try:
            entry = await self.ledger.begin(intent)
        except LedgerError as error:
            error.add(**request.facts())
            raise
        finally:
            add_wait(request.waits, "ledger", self.now() - began)
        if entry is not None:
            if entry.fingerprint != intent.fingerprint:
                raise IdempotencyKeyMismatchError(
                    "the ledger has this key from a request with other arguments; a key stands for "
                    "one request",
                    **request.facts() | {"known": _known(request, entry)},
                )
            if entry.answer is not None:
                self.counters.replays += 1
                if request._observation is not None:
                    request._observation.replayed = True
                return _response(entry.answer)
            if problem := self._problem(entry, intent):
                raise OutcomeUnknownError(problem, **(request.facts() | {"sent": "unknown"}))
            self._may_have_been_sent = True
        self._is_recorded = True
        self.counters.intents += 1
        if isinstance(self.ledger, SendSlots):
            began = self.now()
            try:
                await self.ledger.enter()
            finally:
                add_wait(request.waits, "slot", self.now() - began)
        self._is_open = True
        return None

    def _problem(self, entry: Entry, intent: Intent) -> str:
        """Return the reason not to send an unfinished entry again, or an empty string."""
        since = f"it was first sent on {_date(entry.started_at)}, without a response"
        if entry.credential is None:
            reason = (
                "an earlier version of the package did not record its credential, and the server "
                "does not recognise its key under another one"
            )
        elif entry.credential != intent.credential:
            return (
                f"{since}; it is not sent again, because the server does not recognise its key "
                "under another credential. Repeat it with the earlier credential if that is still "
                f"valid. {_ADVICE}"
            )
        elif entry.age > self.ledger.resend_within:
            reason = "the server may not recognise its key any more"
        elif entry.age < -_CLOCK_STEP:
            reason = "the clock has been set back since, so that its age is unknown"
        else:
            return ""
        return f"{since}; it is not sent again, because {reason}. {_ADVICE}"

    async def finish(self, request: Request, response: Response) -> None:
        """Record a definite response.

        A failure of the ledger is logged and not raised, since the caller has a result.
        """
        if (
            self._intent is None
            or not self._is_open
            or (is_error(response) and not self._is_refusal(request, response))
        ):
            return
        answer = Answer(response.status, request_id(response), response.body)
        began = self.now()
        try:
            await self.ledger.finish(self._intent, answer)
        except LedgerError as error:
            self.warn(request, str(error))
        else:
            self.counters.answers += 1
        finally:
            add_wait(request.waits, "ledger", self.now() - began)

    def warn(self, request: Request, problem: str) -> None:
        """Log that the response to a request was not recorded."""
        log.warning(
            "%s: the response was not recorded, and the entry of key %s stays unfinished: %s",
            request.operation.name,
            request.idempotency_key,
            problem,
            extra=log_facts(request),
        )

    def late(self, request: Request) -> PayChainError:
        """Return the error of a call whose deadline passed before a response."""
        if self._is_open:
            return RequestTimeoutError(
                "no response arrived within the deadline of the call", **request.facts()
            )
        if self._is_recorded:
            return RequestTimeoutError(
                "the deadline of the call passed while it waited for a send slot", **request.facts()
            )
        return LedgerError(
            "the ledger did not record the intent within the deadline of the call: it is locked or "
            "busy. Nothing was sent",
            **request.facts(),
        )

    def _is_refusal(self, request: Request, response: Response) -> bool:
        """Return whether the server refused the key, and no earlier attempt may have left."""
        may_have_left = self._may_have_been_sent or any(
            attempt.sent != "no" for attempt in request.attempts[:-1]
        )
        is_definite = 400 <= response.status < 500 and response.status not in _NOT_DEFINITE
        return is_definite and not may_have_left

    def _fingerprint(self, request: Request) -> str:
        head = f"{self.server} {request.operation.method} {request.path}\n".encode()
        return hashlib.sha256(head if request.body is None else head + request.body).hexdigest()


def _response(answer: Answer) -> Response:
    headers = {} if answer.request_id is None else {"x-request-id": answer.request_id}
    return Response(answer.status, headers, answer.body)


def _known(request: Request, entry: Entry) -> Any:
    """Return the result of a finished entry, or None if it has none that can be decoded."""
    if entry.answer is None:
        return None
    response = _response(entry.answer)
    try:
        if request.operation.response_type is object:  # without a model
            return plain(request, response)
        return result(request.operation, request, response)
    except PayChainError:
        return None


def _date(moment: float) -> str:
    try:
        return f"{datetime.fromtimestamp(moment, UTC):%Y-%m-%d at %H:%M:%S} UTC"
    except (ValueError, OverflowError, OSError):
        return "a date outside the calendar"
