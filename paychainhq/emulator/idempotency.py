"""Idempotency keys: stored responses, replayed for a repeated key."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import attrs

from paychainhq._core import validators as check
from paychainhq._core.operation import Operation
from paychainhq.emulator.errors import RefusedError, refuse_field
from paychainhq.emulator.state import State
from paychainhq.errors import InvalidArgumentError

HEADER = "Idempotency-Key"


@attrs.frozen
class Scope:
    """Scope of a key.

    The documents use one key for six operations, so the scope is narrower than the business.
    """

    credential: str
    method: str
    path: str
    key: str


@attrs.frozen
class Reply:
    """Response, ready to be sent or stored."""

    status: int
    body: bytes


def scope_of(
    operation: Operation[Any], credential: str, path: str, key: str | None
) -> Scope | None:
    """Return the scope of a request's key, or None if the request or the operation has none."""
    if operation.idempotency == "unsupported":
        return None
    if key is None:
        if operation.idempotency == "required":
            # Assumption: no page gives this error, nor the format of a key.
            refuse_field(HEADER, "this header is required")
        return None
    try:
        return Scope(credential, operation.method, path, check.idempotency_key(HEADER, key))
    except InvalidArgumentError as error:
        refuse_field(HEADER, error.message)


def fingerprint(body: object) -> str:
    """Return a digest that distinguishes two bodies, regardless of the order of their fields."""
    return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()


def in_progress() -> RefusedError:
    return RefusedError(
        409,
        "IDEMPOTENCY_REQUEST_IN_PROGRESS",
        "a request with this Idempotency-Key is still being handled",
    )


def find_reply(state: State, scope: Scope, body: object) -> Reply | None:
    """Return the stored response, or None; refuse a key that was used with another body."""
    row = state.find(
        "SELECT fingerprint, status, body FROM replies WHERE credential = ? AND method = ? AND "
        "path = ? AND idempotency_key = ?",
        *attrs.astuple(scope),
    )
    if row is None:
        return None
    if row["fingerprint"] != fingerprint(body):
        raise RefusedError(
            409, "IDEMPOTENCY_KEY_MISMATCH", "this Idempotency-Key was used with another body"
        )
    return Reply(row["status"], row["body"])


def store_reply(state: State, scope: Scope, body: object, reply: Reply) -> None:
    """Store a response, in the transaction of its effect.

    Assumption: only successes are stored, without expiry. A refused request can be corrected and
    sent with the same key.
    """
    state.insert(
        "replies",
        credential=scope.credential,
        method=scope.method,
        path=scope.path,
        idempotency_key=scope.key,
        fingerprint=fingerprint(body),
        status=reply.status,
        body=reply.body,
    )
