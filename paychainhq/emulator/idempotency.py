"""Replies that are given again: what an `Idempotency-Key` does."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import attrs

from paychainhq import arguments as check
from paychainhq.emulator.errors import RefusedError, refuse_field
from paychainhq.emulator.state import State
from paychainhq.errors import InvalidArgumentError
from paychainhq.operations import Operation

HEADER = "Idempotency-Key"


@attrs.frozen
class Scope:
    """What a key belongs to: the documents use one key for six operations, so it is not the business alone."""

    credential: str
    method: str
    path: str
    key: str


@attrs.frozen
class Reply:
    """An answer, ready to be sent or stored."""

    status: int
    body: bytes


def scope_of(operation: Operation[Any], credential: str, path: str, key: str | None) -> Scope | None:
    """Return what the key of a request covers, or None if it has none or the operation takes none."""
    if operation.idempotency == "unsupported":
        return None
    if key is None:
        if operation.idempotency == "required":
            # Assumption: which error this is, no page says; nor what a key may look like.
            refuse_field(HEADER, "this header is required")
        return None
    try:
        return Scope(credential, operation.method, path, check.idempotency_key(HEADER, key))
    except InvalidArgumentError as error:
        refuse_field(HEADER, error.message)


def fingerprint(body: object) -> str:
    """A digest by which two bodies are told apart; the order of their fields does not count."""
    return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()


def in_progress() -> RefusedError:
    return RefusedError(409, "IDEMPOTENCY_REQUEST_IN_PROGRESS", "a request with this Idempotency-Key is still being handled")


def recall(state: State, scope: Scope, body: object) -> Reply | None:
    """Return the stored reply, None if there is none, or refuse the key if it was used with another body."""
    row = state.find(
        "SELECT fingerprint, status, body FROM replies WHERE credential = ? AND method = ? AND path = ? AND idempotency_key = ?",
        *attrs.astuple(scope),
    )
    if row is None:
        return None
    if row["fingerprint"] != fingerprint(body):
        raise RefusedError(409, "IDEMPOTENCY_KEY_MISMATCH", "this Idempotency-Key was used with another body")
    return Reply(row["status"], row["body"])


def remember(state: State, scope: Scope, body: object, reply: Reply) -> None:
    """Store a reply, in the transaction of its effect.

    Assumption: only successes are stored, for ever; a request that was refused can be mended and sent under its old key.
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
