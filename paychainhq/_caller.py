"""Calls: from arguments to a request, and from its response to a result."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from contextvars import ContextVar
from typing import Any, Literal, TypeVar
from unicodedata import normalize
from urllib.parse import unquote

import attrs
from attrs.validators import optional

from paychainhq import codec
from paychainhq._core import plain_json, validators
from paychainhq._core.credentials import Auth
from paychainhq._core.event_loop import no_loop, running_loop
from paychainhq._core.idempotency import new_key
from paychainhq._core.operation import Operation, path_with_query
from paychainhq._core.policies import RetryPolicy
from paychainhq._core.secrets import SecretBytes
from paychainhq._core.validators import checked, instance_of, path_segment, seconds
from paychainhq._http import responses
from paychainhq._http.messages import COMMON_HEADERS, Request, Response, make_request
from paychainhq._http.observation import CallObservation
from paychainhq._transport import Transport
from paychainhq.errors import ConfigurationError, InvalidArgumentError
from paychainhq.ledger.base import Ledger
from paychainhq.ledger.record import LedgerRecord

T = TypeVar("T")

# The last request of this context. The sync face reads its idempotency key when it interrupts a
# call.
current_request: ContextVar[Request] = ContextVar("paychainhq_request")

# Characters that end a path, and U+FFFD from undecodable escapes.
_NO_PATH = re.compile(r"[\\?#\s\ufffd]")
# Paths whose requests or responses may hold keys and webhook secrets.
_ABOUT_SECRETS = re.compile(r"api[-_]?key|webhook|payment[-_]?application")
_METHODS = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE"})


def _ledger(name: str, value: object) -> None:
    if not (callable(getattr(value, "begin", None)) and callable(getattr(value, "finish", None))):
        raise ConfigurationError(
            f"{name} must be a ledger, such as paychainhq.ledger.SQLiteLedger, or None"
        )


@attrs.frozen(kw_only=True)
class Caller:
    """Maker of calls with one set of options, shared by the resources of a client."""

    transport: Transport
    business_id: str | None = attrs.field(
        default=None, converter=validators.content, validator=optional(checked(path_segment))
    )
    client_id: str | None = attrs.field(default=None, validator=optional(checked(validators.text)))
    timeout: float = attrs.field(validator=checked(seconds))
    retry: RetryPolicy | None = attrs.field(validator=optional(checked(instance_of(RetryPolicy))))
    ledger: Ledger | None = attrs.field(default=None, validator=optional(checked(_ledger)))

    async def call(
        self,
        operation: Operation[T],
        given: Mapping[str, Any] = {},
        idempotency_key: str | None = None,
        observation: CallObservation | Literal[False] | None = None,
    ) -> T:
        """Check the arguments, send the request, and return the result.

        Args:
            operation: The operation.
            given: The arguments.
            idempotency_key: The idempotency key, or None for a new one.
            observation: The observation by telemetry; None before it has begun, False without one.
        """
        transport = self.transport
        if transport.telemetry is not None and observation is None:
            return await self._observe(self.call, operation, given, idempotency_key)
        counters = transport.counters
        counters.calls += 1
        try:
            path, body = operation.prepare(self.complete(operation, given))
            try:  # costs nothing, unlike a call of `running_loop`
                now = asyncio.get_running_loop().time
            except RuntimeError:
                raise no_loop() from None
            request = self._request(
                operation,
                path,
                None if body is None else codec.dump(body),  # no variable, which tracebacks show
                idempotency_key,
                now(),
                observation,
            )
            response = await self._send(request, now)
            elapsed = now() - (request.deadline - self.timeout)
            return responses.result(operation, request, response, elapsed)
        except BaseException:
            counters.failed += 1
            raise

    async def _observe(
        self, call: Callable[..., Coroutine[Any, Any, T]], operation: Operation[Any], *given: Any
    ) -> T:
        """Make a call under the observation of telemetry, if any."""
        observation = self.transport.observe(operation)
        if observation is None:
            return await call(operation, *given, False)
        try:
            result = await call(operation, *given, observation)
        except BaseException as error:
            observation.end(error)
            raise
        observation.end(None)
        return result

    async def request(
        self,
        method: str,
        path: str,
        body: object,
        query: Mapping[str, Any] | None,
        auth: Auth | None,
        idempotency_key: str | None = None,
    ) -> Any:
        """Send a request without a model, and return plain JSON."""
        method, path = _checked_method(method), _checked_path(path)
        operation = Operation(
            name=f"{method} {path}",
            method=method,
            path=path,
            response=lambda: object,
            auth=_checked_auth(auth, self.transport.credentials.kinds),
            idempotency="unsupported" if idempotency_key is None else "recommended",
            holds_secret=_ABOUT_SECRETS.search(_decoded(path).casefold()) is not None,
        )
        data = None if body is None else plain_json.dump_plain("body", body)
        path = path_with_query(path, _checked_query(query))
        return await self._observe(self._plain, operation, path, data, idempotency_key)

    async def _plain(
        self,
        operation: Operation[Any],
        path: str,
        data: bytes | None,
        idempotency_key: str | None,
        observation: CallObservation | Literal[False],
    ) -> Any:
        with self.transport.counters:
            now = running_loop().time
            request = self._request(operation, path, data, idempotency_key, now(), observation)
            return responses.plain(request, await self._send(request, now))

    def _send(self, request: Request, now: Callable[[], float]) -> Awaitable[Response]:
        # Not a coroutine of its own, for which each request would pay.
        # Responses about API keys and webhooks hold secrets, which no file may keep.
        if self.ledger is None or request.idempotency_key is None or request.operation.holds_secret:
            return self.transport.send(request)
        transport = self.transport
        record = LedgerRecord(
            self.ledger,
            transport.connection.name,
            transport.fingerprints,
            transport.counters,
            now,
        )
        return transport.send(request, record)

    def complete(self, operation: Operation[Any], given: Mapping[str, Any]) -> Mapping[str, Any]:
        """Add the client's own id if the operation needs one and the call gives none."""
        names = operation.account
        for name in names:
            if given.get(name) is not None:
                return given
        if not names:
            return given
        own = names[0]
        value = getattr(self, own)
        if value is None:
            raise InvalidArgumentError(
                f"{operation.name} needs {' or '.join(names)}: pass it to the method, or "
                f"{own}=... to the client",
                argument=own,
                operation=operation.name,
            )
        return {**given, own: value}

    def _request(
        self,
        operation: Operation[Any],
        path: str,
        body: bytes | None,
        idempotency_key: str | None,
        now: float,
        observation: CallObservation | Literal[False] | None,
    ) -> Request:
        self.transport.credentials.require(operation.auth, operation.name)
        if body is not None and operation.holds_secret:
            body = SecretBytes(body)
        if idempotency_key is not None:
            idempotency_key = validators.idempotency_key("idempotency_key", idempotency_key)
        elif operation.idempotency != "unsupported":
            idempotency_key = new_key()
        deadline = now + self.timeout
        request = make_request(
            operation,
            path,
            COMMON_HEADERS,
            body,
            idempotency_key,
            deadline,
            self.retry,
            [],
            self.transport.connection.origin,
            {},
            observation or None,
        )
        if observation:
            observation.attempts, observation.waits = request.attempts, request.waits
            observation.idempotency_key = idempotency_key
        current_request.set(request)
        return request


def _checked_method(method: str) -> str:
    method = validators.content(method)
    if method not in _METHODS:
        validators.invalid(
            "method", f"must be one of {', '.join(sorted(_METHODS))}, not {method!r}"
        )
    return method


def _checked_path(path: str) -> str:
    """Check that a path stays under `/api/`, however a URL library normalizes it."""
    path = validators.content(path)
    if not isinstance(path, str) or not path.startswith("/api/"):
        validators.invalid("path", "must begin with /api/, without a host")
    decoded = _decoded(path)
    if (
        not path.isascii()
        or not path.isprintable()
        or _NO_PATH.search(decoded)
        or not decoded.isprintable()
    ):
        validators.invalid(
            "path",
            "must be ASCII without spaces, backslashes, '?' or '#'; pass the query as query=...",
        )
    if (
        any(segment.partition(";")[0] in (".", "..") for segment in decoded.split("/"))
        or "%2f" in path.lower()
    ):
        validators.invalid("path", "must not contain dot segments or escaped slashes")
    return path


def _decoded(path: str) -> str:
    """Return a path as a lenient server may read it."""
    return normalize("NFKC", unquote(unquote(path)))


def _checked_auth(auth: Auth | None, kinds: tuple[Auth, ...]) -> Auth | None:
    auth = validators.content(auth)
    if auth is not None and auth not in kinds:
        # The value is not shown: it may be a key.
        written = ", ".join(f'"{kind}"' for kind in kinds)
        validators.invalid("auth", f"must be {written} or None")
    return auth


def _checked_query(query: Mapping[str, Any] | None) -> dict[str, Any]:
    checked: dict[str, Any] = {}
    if query is None:
        return checked
    if not isinstance(query, Mapping):
        validators.invalid("query", f"must be a mapping, not {type(query).__name__}")
    for name, value in query.items():
        if not isinstance(name, str) or not isinstance(value, (str, int)):
            validators.invalid("query", "must map strings to strings, ints or bools")
        checked[validators.content(name)] = plain_json.plain("query", value)
    plain_json.dump_plain("query", checked)  # refuses lone surrogates, and ints too long to print
    return checked
