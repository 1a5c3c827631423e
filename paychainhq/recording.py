"""What a ledger is told of a call: before it is sent, and once its answer is known."""

from __future__ import annotations

import hashlib
import logging
import time
from datetime import UTC, datetime

import attrs

from paychainhq.answers import is_error, request_id
from paychainhq.errors import IdempotencyKeyMismatchError, LedgerError, OutcomeUnknownError
from paychainhq.exchange import Request, Response
from paychainhq.ledger.base import Answer, Ledger

log = logging.getLogger("paychainhq")

# What these refuse may succeed, or may have been done by an earlier request under the key.
_NOT_DEFINITE = frozenset({408, 409, 425, 429})


@attrs.define
class Record:
    """The entry of one call in a ledger.

    Attributes:

        ledger: The ledger.
        server: Where the request goes, if that is to be told apart: a key that was used at one server is not answered for another.
    """

    ledger: Ledger
    server: str
    _is_open: bool = False
    _may_have_been_taken: bool = False

    async def begin(self, request: Request) -> Response | None:
        """Record the intent; returns the answer if it is known already.

        Raises:

            LedgerError: It cannot be recorded; nothing was sent.
            IdempotencyKeyMismatchError: The key stands for another request; nothing was sent.
            OutcomeUnknownError: It was sent long ago, and nobody knows what became of it.
        """
        operation, key = request.operation.name, request.idempotency_key or ""
        fingerprint = self._fingerprint(request)
        try:
            entry = await self.ledger.begin(operation, key, fingerprint)
        except LedgerError as error:
            error.__dict__.update(request.facts())
            raise
        if entry is None:
            self._is_open = True
            return None
        if entry.fingerprint != fingerprint:
            raise IdempotencyKeyMismatchError(
                "the ledger knows this key from a request with other arguments: a key stands for one request", **request.facts()
            )
        if entry.answer is not None:
            headers = {} if entry.answer.request_id is None else {"x-request-id": entry.answer.request_id}
            return Response(entry.answer.status, headers, entry.answer.body)
        if time.time() - entry.started_at > self.ledger.resend_within:
            since = datetime.fromtimestamp(entry.started_at, UTC)
            raise OutcomeUnknownError(
                f"it was first sent on {since:%Y-%m-%d at %H:%M:%S} UTC and never answered: the server may not know its key any"
                " more, so it is not sent again. Look whether it was done; if it was not, make the ledger forget it",
                **(request.facts() | {"sent": "unknown"}),
            )
        self._is_open = self._may_have_been_taken = True
        return None

    async def finish(self, request: Request, response: Response) -> None:
        """Record the answer, if it is a definite one. What cannot be recorded is told to the log: the caller has the result."""
        if not self._is_open or (is_error(response) and not self._is_refusal(request, response)):
            return
        answer = Answer(response.status, request_id(response), response.body)
        try:
            await self.ledger.finish(request.operation.name, request.idempotency_key or "", answer)
        except LedgerError as error:
            log.warning(
                "%s: the outcome could not be recorded, so the entry of key %s stays unfinished: %s",
                request.operation.name,
                request.idempotency_key,
                error,
            )

    def _is_refusal(self, request: Request, response: Response) -> bool:
        """Whether nothing was done under this key: the server refused, and no earlier attempt may have been taken."""
        taken = self._may_have_been_taken or any(attempt.sent != "no" for attempt in request.attempts[:-1])
        return 400 <= response.status < 500 and response.status not in _NOT_DEFINITE and not taken

    def _fingerprint(self, request: Request) -> str:
        head = f"{self.server} {request.operation.method} {request.path}\n".encode()
        return hashlib.sha256(head if request.body is None else head + request.body).hexdigest()
