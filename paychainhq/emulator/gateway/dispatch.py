"""Dispatch of gateway requests: authorization, arguments, response."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from paychainhq._core.operation import Operation
from paychainhq.emulator.errors import RefusedError
from paychainhq.emulator.gateway.handlers import HANDLERS
from paychainhq.emulator.handlers.call import Call
from paychainhq.emulator.idempotency import Reply
from paychainhq.emulator.keys import digest
from paychainhq.emulator.request_context import BROKEN, RequestContext, dump
from paychainhq.emulator.state import State
from paychainhq.emulator.validation import check_body
from paychainhq.gateway.credentials import EVERY_SCOPE, SCOPES

# Assumption: the page shows no token for this operation, so none is required.
_PUBLIC = "payments.methods"


def dispatch(context: RequestContext) -> Reply:
    """Execute an operation in one transaction.

    Assumption: creations return 201, all other operations 200.
    """
    if context.route is None:
        raise RefusedError(404, "NOT_FOUND", "Not found.")
    operation, values = context.route
    with context.state.transaction():
        if operation.name != _PUBLIC:
            _authorize(context.state, operation, context.request.headers)
        if context.body is BROKEN:
            raise RefusedError(400, "BAD_REQUEST", "The body is not JSON.")
        call = Call(context.state, values, {}, check_body(operation.body, context.body))
        return Reply(
            201 if operation.method == "POST" else 200,
            dump({"data": HANDLERS[operation.name](call)}),
        )


def _authorize(state: State, operation: Operation[Any], headers: Mapping[str, str]) -> None:
    kind, _, token = headers.get("Authorization", "").partition(" ")
    row = state.find("SELECT kind, scopes FROM gateway_tokens WHERE digest = ?", digest(token))
    if kind.lower() != "bearer" or row is None:
        raise RefusedError(401, "UNAUTHORIZED", "Unauthenticated")
    if row["kind"] == "oauth":
        return
    needed = {SCOPES[operation.name], EVERY_SCOPE} if operation.name in SCOPES else set()
    if needed.isdisjoint(json.loads(row["scopes"])):
        raise RefusedError(403, "FORBIDDEN", "Insufficient permissions")
