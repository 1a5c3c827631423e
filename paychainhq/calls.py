"""One call: from the caller's arguments to a request, and from its answer to a result."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Mapping
from contextvars import ContextVar
from typing import Any, TypeVar
from unicodedata import normalize
from urllib.parse import unquote

import attrs

from paychainhq import answers, arguments, codec, config, plain_json
from paychainhq.config import RetryPolicy
from paychainhq.credentials import Auth, SecretBytes
from paychainhq.errors import ConfigurationError, InvalidArgumentError
from paychainhq.exchange import COMMON_HEADERS, Request, Response, make_request, make_response_info
from paychainhq.idempotency import new_key
from paychainhq.ledger.base import Ledger
from paychainhq.models.base import Model
from paychainhq.operations import Operation, path_with_query
from paychainhq.recording import Record
from paychainhq.transport import Transport

T = TypeVar("T")

# The last request of this context: whoever interrupts a call from outside can tell its idempotency
# key.
current_request: ContextVar[Request] = ContextVar("paychainhq_request")

# What would end a path, and what stands for an escape that is no text.
_NO_PATH = re.compile(r"[\\?#\s\ufffd]")
# Where keys and webhook secrets are made and listed.
_ABOUT_SECRETS = re.compile(r"api[-_]?key|webhook")
_METHODS = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE"})


def _checked_business_id(instance: object, field: attrs.Attribute[Any], value: object) -> None:
    if value is not None:
        arguments.path_segment(field.name, value)


def _checked_seconds(instance: object, field: attrs.Attribute[Any], value: object) -> None:
    config.seconds(field.name, value)


def _checked_policy(instance: object, field: attrs.Attribute[Any], value: object) -> None:
    if value is not None and not isinstance(value, RetryPolicy):
        raise ConfigurationError(
            f"{field.name} must be a RetryPolicy or None, not {type(value).__name__}"
        )


def _checked_ledger(instance: object, field: attrs.Attribute[Any], value: object) -> None:
    if value is not None and not (
        callable(getattr(value, "begin", None)) and callable(getattr(value, "finish", None))
    ):
        raise ConfigurationError(
            f"{field.name} must be a ledger, such as paychainhq.ledger.SQLiteLedger, or None"
        )


@attrs.frozen(kw_only=True)
class Caller:
    """Makes calls with one set of options: what every resource holds."""

    transport: Transport
    business_id: str | None = attrs.field(
        converter=arguments.content, validator=_checked_business_id
    )
    timeout: float = attrs.field(validator=_checked_seconds)
    retry: RetryPolicy | None = attrs.field(validator=_checked_policy)
    ledger: Ledger | None = attrs.field(default=None, validator=_checked_ledger)

    async def call(
        self,
        operation: Operation[T],
        given: Mapping[str, Any] = {},
        idempotency_key: str | None = None,
    ) -> T:
        """Check the arguments, send the request, and decode the answer."""
        path, body = operation.prepare(self.complete(operation, given))
        now = asyncio.get_running_loop().time
        request = self._request(
            operation, path, None if body is None else codec.dump(body), idempotency_key, now()
        )
        response = await self._send(request)
        result = answers.result(operation, request, response)
        if isinstance(result, Model):
            info = make_response_info(
                response.status,
                response.headers,
                answers.request_id(response),
                request.idempotency_key,
                tuple(request.attempts),
                now() - (request.deadline - self.timeout),
            )
            object.__setattr__(result, "_response", info)
        return result

    async def request(
        self,
        method: str,
        path: str,
        body: object = None,
        query: Mapping[str, Any] | None = None,
        auth: Auth | None = "api_key",
        idempotency_key: str | None = None,
    ) -> Any:
        """Send a request that is not modelled, and return plain JSON."""
        method, path = _checked_method(method), _checked_path(path)
        operation = Operation(
            name=f"{method} {path}",
            method=method,
            path=path,
            response=lambda: object,
            auth=_checked_auth(auth),
            idempotency="unsupported" if idempotency_key is None else "recommended",
            holds_secret=_ABOUT_SECRETS.search(_decoded(path).casefold()) is not None,
        )
        data = None if body is None else plain_json.dump_plain("body", body)
        now = asyncio.get_running_loop().time()
        request = self._request(
            operation, path_with_query(path, _checked_query(query)), data, idempotency_key, now
        )
        return answers.plain(request, await self._send(request))

    def _send(self, request: Request) -> Awaitable[Response]:
        # Not a coroutine of its own, which each request would pay for.
        # The answers about API keys and webhooks hold secrets: no file is to keep them.
        if self.ledger is None or request.idempotency_key is None or request.operation.holds_secret:
            return self.transport.send(request)
        return self.transport.send(
            request, Record(self.ledger, self.transport.route.name, self.transport.seals)
        )

    def complete(self, operation: Operation[Any], given: Mapping[str, Any]) -> Mapping[str, Any]:
        """Add the client's business id where the path needs one and the caller gave none."""
        if "business_id" not in operation.placeholders or given.get("business_id") is not None:
            return given
        if self.business_id is None:
            raise InvalidArgumentError(
                f"{operation.name} needs a business id: pass business_id=... to it or to "
                "PayChainHQ",
                argument="business_id",
                operation=operation.name,
            )
        return {**given, "business_id": self.business_id}

    def _request(
        self,
        operation: Operation[Any],
        path: str,
        body: bytes | None,
        idempotency_key: str | None,
        now: float,
    ) -> Request:
        self.transport.credentials.require(operation.auth, operation.name)
        if body is not None and operation.holds_secret:
            body = SecretBytes(body)
        if idempotency_key is not None:
            idempotency_key = arguments.idempotency_key("idempotency_key", idempotency_key)
        elif operation.idempotency != "unsupported":
            idempotency_key = new_key()
        deadline = now + self.timeout
        request = make_request(
            operation, path, COMMON_HEADERS, body, idempotency_key, deadline, self.retry, []
        )
        current_request.set(request)
        return request


def _checked_method(method: str) -> str:
    method = arguments.content(method)
    if method not in _METHODS:
        arguments.refuse("method", f"must be one of {', '.join(sorted(_METHODS))}, not {method!r}")
    return method


def _checked_path(path: str) -> str:
    """Take a path that stays under `/api/` whatever a URL library makes of it."""
    path = arguments.content(path)
    if not isinstance(path, str) or not path.startswith("/api/"):
        arguments.refuse("path", "must begin with /api/ (no host, no other prefix)")
    decoded = _decoded(path)
    if (
        not path.isascii()
        or not path.isprintable()
        or _NO_PATH.search(decoded)
        or not decoded.isprintable()
    ):
        arguments.refuse(
            "path",
            "must be plain ASCII without spaces, backslashes, '?' or '#'; the query has an "
            "argument of its own",
        )
    if (
        any(segment.partition(";")[0] in (".", "..") for segment in decoded.split("/"))
        or "%2f" in path.lower()
    ):
        arguments.refuse("path", "must hold no dot segments and no escaped slashes")
    return path


def _decoded(path: str) -> str:
    """Return a path as a lenient server may read it."""
    return normalize("NFKC", unquote(unquote(path)))


def _checked_auth(auth: Auth | None) -> Auth | None:
    auth = arguments.content(auth)
    if auth not in ("api_key", "payout_key", "contract_key", "dashboard", None):
        # What was given is not shown: it may be a key.
        arguments.refuse(
            "auth", 'must be "api_key", "payout_key", "contract_key", "dashboard" or None'
        )
    return auth


def _checked_query(query: Mapping[str, Any] | None) -> dict[str, Any]:
    checked: dict[str, Any] = {}
    if query is None:
        return checked
    if not isinstance(query, Mapping):
        arguments.refuse("query", f"must be a mapping, not {type(query).__name__}")
    for name, value in query.items():
        if not isinstance(name, str) or not isinstance(value, (str, int)):
            arguments.refuse("query", "must map names to strings, whole numbers or booleans")
        checked[arguments.content(name)] = plain_json.plain("query", value)
    plain_json.dump_plain(
        "query", checked
    )  # half a surrogate pair, or an int that is too long to print
    return checked
