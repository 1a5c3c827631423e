"""Records of calls in a ledger: the intent before a call is sent, and its answer."""

from __future__ import annotations

import hashlib
import logging
import os
import time
from datetime import UTC, datetime
from typing import Any

import attrs

from paychainhq._core.credentials import Auth, Keyring
from paychainhq._core.secrets import SecretBytes
from paychainhq._http.messages import Request, Response
from paychainhq._http.responses import is_error, plain, request_id, result
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

# What these refuse may succeed, or may have been done by an earlier request under the key.
_NOT_DEFINITE = frozenset({408, 409, 425, 429})
# Seconds by which a clock may be set back without making the age of an entry doubtful.
_CLOCK_STEP = 300.0
_LOOK = "Look whether it was done; if it was not, make the ledger forget it"


class Seals:
    """Salted digests of the credentials of one client, of which a ledger keeps no other trace.

    Args:
        credentials: The client's keys.
    """

    def __init__(self, credentials: Keyring) -> None:
        self._credentials = credentials
        self._digests: dict[Auth | None, bytes] = {}

    def seal(self, request: Request) -> str:
        """Return the digest of the credential that a request is sent with, salted with its
        idempotency key.
        """
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
    """The entry of one call in a ledger.

    Attributes:
        ledger: The ledger.
        server: Where the request goes, if that is to be told apart: a key that was used at one
            server is not answered for another.
        seals: The digests of the client's credentials.
    """

    ledger: Ledger
    server: str
    seals: Seals
    _intent: Intent | None = None
    _is_recorded: bool = False
    _is_open: bool = False
    _may_have_been_taken: bool = False

    async def begin(self, request: Request) -> Response | None:
        """Record the intent, and wait for the turn of a job; returns the answer if it is known
        already.

        Raises:
            LedgerError: It cannot be recorded; nothing was sent.
            IdempotencyKeyMismatchError: The key stands for another request; nothing was sent.
            OutcomeUnknownError: It was sent before, and sending it again may do it twice.
        """
        intent = self._intent = make_intent(
            request.operation.name,
            request.idempotency_key,
            self._fingerprint(request),
            self.seals.seal(request),
            os.urandom(8).hex(),
        )
        try:
            entry = await self.ledger.begin(intent)
        except LedgerError as error:
            error.add(**request.facts())
            raise
        if entry is not None:
            if entry.fingerprint != intent.fingerprint:
                raise IdempotencyKeyMismatchError(
                    "the ledger has this key from a request with other arguments: a key stands for "
                    "one request",
                    **request.facts() | {"known": _known(request, entry)},
                )
            if entry.answer is not None:
                return _response(entry.answer)
            if problem := self._problem(entry, intent):
                raise OutcomeUnknownError(problem, **(request.facts() | {"sent": "unknown"}))
            self._may_have_been_taken = True
        self._is_recorded = True
        if isinstance(self.ledger, SendSlots):
            await self.ledger.enter()
        self._is_open = True
        return None

    def _problem(self, entry: Entry, intent: Intent) -> str:
        """Return why an unfinished entry must not be sent again, or nothing."""
        since = f"it was first sent on {_date(entry.started_at)} and never answered"
        if entry.credential is None:
            return (
                f"{since}, and its entry is of an earlier version, which did not record the "
                "credential: the server would not"
                f" recognise its key under another one, so it is not sent again. {_LOOK}"
            )
        if entry.credential != intent.credential:
            return (
                f"{since}, and its key belonged to another credential: the server would take it "
                "for a new request under this one,"
                " so it is not sent again. Run it with the earlier credential, if that is still "
                f"valid. {_LOOK}"
            )
        age = time.time() - entry.started_at
        if age > self.ledger.resend_within:
            return (
                f"{since}: the server may not recognise its key any more, so it is not sent "
                f"again. {_LOOK}"
            )
        if age < -_CLOCK_STEP:
            return (
                f"{since}, by a clock that has been set back since: its age is not known, so it "
                f"is not sent again. {_LOOK}"
            )
        return ""

    async def finish(self, request: Request, response: Response) -> None:
        """Record the answer, if it is a definite one; a failure is logged and not raised, since the
        caller has the result.
        """
        if (
            self._intent is None
            or not self._is_open
            or (is_error(response) and not self._is_refusal(request, response))
        ):
            return
        answer = Answer(response.status, request_id(response), response.body)
        try:
            await self.ledger.finish(self._intent, answer)
        except LedgerError as error:
            self.warn(request, str(error))

    def warn(self, request: Request, problem: str) -> None:
        """Log that the answer to a request was not recorded."""
        log.warning(
            "%s: the outcome could not be recorded, so the entry of key %s stays unfinished: %s",
            request.operation.name,
            request.idempotency_key,
            problem,
        )

    def late(self, request: Request) -> PayChainError:
        """Return the error of a call whose deadline passed before an answer came."""
        if self._is_open:
            return RequestTimeoutError(
                "no response arrived within the deadline of the call", **request.facts()
            )
        if self._is_recorded:
            return RequestTimeoutError(
                "the deadline of the call passed while it waited for its turn", **request.facts()
            )
        return LedgerError(
            "the ledger did not record the intent within the deadline of the call: it is locked or "
            "busy. Nothing was sent",
            **request.facts(),
        )

    def _is_refusal(self, request: Request, response: Response) -> bool:
        """Return whether nothing was done under this key: the server refused, and no earlier
        attempt may have been taken.
        """
        taken = self._may_have_been_taken or any(
            attempt.sent != "no" for attempt in request.attempts[:-1]
        )
        return 400 <= response.status < 500 and response.status not in _NOT_DEFINITE and not taken

    def _fingerprint(self, request: Request) -> str:
        head = f"{self.server} {request.operation.method} {request.path}\n".encode()
        return hashlib.sha256(head if request.body is None else head + request.body).hexdigest()


def _response(answer: Answer) -> Response:
    headers = {} if answer.request_id is None else {"x-request-id": answer.request_id}
    return Response(answer.status, headers, answer.body)


def _known(request: Request, entry: Entry) -> Any:
    """Return the result that a finished entry holds, or None if there is none that can be
    decoded.
    """
    if entry.answer is None:
        return None
    response = _response(entry.answer)
    try:
        if request.operation.response_type is object:  # not modelled
            return plain(request, response)
        return result(request.operation, request, response)
    except PayChainError:
        return None


def _date(moment: float) -> str:
    try:
        return f"{datetime.fromtimestamp(moment, UTC):%Y-%m-%d at %H:%M:%S} UTC"
    except (ValueError, OverflowError, OSError):
        return "a date that no calendar has"
