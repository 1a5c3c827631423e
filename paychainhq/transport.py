"""A call from its arguments to its answer: deadline, middleware, and the pool of the running loop."""

from __future__ import annotations

import asyncio
import re
import warnings
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextvars import ContextVar
from types import MappingProxyType
from typing import Any, TypeVar
from urllib.parse import unquote

import attrs

from paychainhq import answers, arguments, codec, config
from paychainhq._version import __version__
from paychainhq.config import RateLimit, RetryPolicy
from paychainhq.credentials import Auth, Credentials
from paychainhq.errors import ConfigurationError, InvalidArgumentError, RequestTimeoutError
from paychainhq.exchange import Middleware, Next, Request, Response, ResponseInfo
from paychainhq.forking import forget_in_child
from paychainhq.idempotency import new_key
from paychainhq.middleware.rate_limit import Limiter
from paychainhq.middleware.retry import Retry, RetryBudget
from paychainhq.models.base import Model
from paychainhq.operations import Operation, path_with_query
from paychainhq.pool import Pool
from paychainhq.route import Route

T = TypeVar("T")

_HEADERS = MappingProxyType({"Content-Type": "application/json", "User-Agent": f"paychainhq-python/{__version__}"})
# The last request of this context: whoever interrupts a call from outside can tell its idempotency key.
current_request: ContextVar[Request] = ContextVar("paychainhq_request")

_METHODS = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE"})


class _Wiring:
    """What belongs to one event loop: the pool, the limiter, and the chain of middleware that ends in them."""

    def __init__(self, transport: Transport) -> None:
        self.pool = Pool(transport.route, transport.credentials)
        limiter = Limiter(transport.rate_limits, transport.route.max_connections)
        self.send: Next = self.pool.send
        chain: list[Middleware] = [*transport.middleware, Retry(transport.budget), limiter]
        for middleware in reversed(chain):
            self.send = _link(middleware, self.send)
        self.background: set[asyncio.Task[Any]] = set()

    async def close(self) -> None:
        for task in self.background:
            task.cancel()
        await asyncio.gather(*self.background, return_exceptions=True)
        await self.pool.close()


def _link(middleware: Middleware, send: Next) -> Next:
    return lambda request: middleware(request, send)


class Transport:
    """Shared by a client and its views: credentials, limits, and one pool, which belongs to the loop that first used it."""

    def __init__(
        self,
        route: Route,
        credentials: Credentials,
        *,
        middleware: Sequence[Middleware],
        rate_limits: Sequence[RateLimit],
        made_at: str,
    ) -> None:
        self.route = route
        self.credentials = credentials
        self.middleware = tuple(middleware)
        self.rate_limits = tuple(rate_limits)
        self.budget = RetryBudget()
        self._made_at = made_at
        self._wiring: _Wiring | None = None
        self._closed = False
        forget_in_child(self._forget)

    async def send(self, request: Request) -> Response:
        """Send a request through the middleware, within its deadline."""
        wiring = self._wiring
        if wiring is None or wiring.pool.loop is not asyncio.get_running_loop():
            wiring = await self._wire()
        scope = asyncio.timeout_at(request.deadline)
        try:
            async with scope:
                return await wiring.send(request)
        except TimeoutError:
            if not scope.expired():  # a middleware's own
                raise
        raise RequestTimeoutError("no answer came within the deadline of the call", **request.facts())

    def spawn(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Start work that belongs to the client: `close` cancels it, and its failure is only for whoever awaits it."""
        assert self._wiring is not None
        background = self._wiring.background
        task = asyncio.create_task(work)
        background.add(task)

        def forget(done: asyncio.Task[T]) -> None:
            background.discard(done)
            if not done.cancelled():
                done.exception()

        task.add_done_callback(forget)
        return task

    async def _wire(self) -> _Wiring:
        old = self._wiring
        if self._closed:
            raise ConfigurationError("this client is closed")
        if old is not None:
            if old.pool.loop.is_running():
                raise ConfigurationError("this client is in use on another running event loop: make one client for each loop")
            old.pool.abandon()
        self._wiring = wiring = _Wiring(self)
        await wiring.pool.open()
        return wiring

    def _forget(self) -> object:
        wiring, self._wiring = self._wiring, None
        return wiring

    async def close(self) -> None:
        """Close the connections; a call that is under way is cut off."""
        self._closed = True
        wiring, self._wiring = self._wiring, None
        if wiring is None:
            return
        loop = wiring.pool.loop
        if loop is asyncio.get_running_loop():
            await wiring.close()
        elif loop.is_running():
            await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(wiring.close(), loop))
        else:
            wiring.pool.abandon()

    def __del__(self, warn: Callable[..., None] = warnings.warn) -> None:
        if getattr(self, "_wiring", None) is not None and not self._wiring.pool.loop.is_closed():  # type: ignore[union-attr]
            warn(f"PayChainHQ client made at {self._made_at} was never closed", ResourceWarning, stacklevel=1, source=self)


def _checked_business_id(instance: object, field: attrs.Attribute[Any], value: object) -> None:
    if value is not None:
        arguments.path_segment(field.name, value)


def _checked_seconds(instance: object, field: attrs.Attribute[Any], value: object) -> None:
    config.seconds(field.name, value)


def _checked_policy(instance: object, field: attrs.Attribute[Any], value: object) -> None:
    if value is not None and not isinstance(value, RetryPolicy):
        raise ConfigurationError(f"{field.name} must be a RetryPolicy or None, not {type(value).__name__}")


@attrs.frozen(kw_only=True)
class Caller:
    """Makes calls with one set of options: what every resource holds."""

    transport: Transport
    business_id: str | None = attrs.field(validator=_checked_business_id)
    timeout: float = attrs.field(validator=_checked_seconds)
    retry: RetryPolicy | None = attrs.field(validator=_checked_policy)

    async def call(self, operation: Operation[T], given: Mapping[str, Any] = {}, idempotency_key: str | None = None) -> T:
        """Check the arguments, send the request, and decode the answer."""
        path, body = operation.prepare(self.complete(operation, given))
        request = self._request(operation, path, None if body is None else codec.dump(body), idempotency_key)
        started = asyncio.get_running_loop().time()
        response = await self.transport.send(request)
        result = answers.result(operation, request, response)
        if isinstance(result, Model):
            info = ResponseInfo(
                response.status,
                response.headers,
                answers.request_id(response),
                request.idempotency_key,
                tuple(request.attempts),
                asyncio.get_running_loop().time() - started,
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
        """Send what is not modelled, and return plain JSON."""
        operation = Operation(
            name=f"{method} {path}",
            method=_checked_method(method),
            path=_checked_path(path),
            response=lambda: object,
            auth=_checked_auth(auth),
            idempotency="unsupported" if idempotency_key is None else "recommended",
        )
        data = None if body is None else arguments.dump_plain("body", body)
        request = self._request(operation, path_with_query(path, _checked_query(query)), data, idempotency_key)
        return answers.plain(request, await self.transport.send(request))

    def complete(self, operation: Operation[Any], given: Mapping[str, Any]) -> Mapping[str, Any]:
        """Add the client's business id where the path needs one and the caller gave none."""
        if "business_id" not in operation.placeholders or given.get("business_id") is not None:
            return given
        if self.business_id is None:
            raise InvalidArgumentError(
                f"{operation.name} needs a business id: pass business_id=... to it or to PayChainHQ",
                argument="business_id",
                operation=operation.name,
            )
        return {**given, "business_id": self.business_id}

    def _request(self, operation: Operation[Any], path: str, body: bytes | None, idempotency_key: str | None) -> Request:
        self.transport.credentials.headers_for(operation.auth, operation.name)
        if idempotency_key is not None:
            arguments.idempotency_key("idempotency_key", idempotency_key)
        elif operation.idempotency != "unsupported":
            idempotency_key = new_key()
        request = Request(
            operation=operation,
            path=path,
            headers=_HEADERS,
            body=body,
            idempotency_key=idempotency_key,
            deadline=asyncio.get_running_loop().time() + self.timeout,
            retry=self.retry,
        )
        current_request.set(request)
        return request


def _checked_method(method: str) -> str:
    if method not in _METHODS:
        arguments.refuse("method", f"must be one of {', '.join(sorted(_METHODS))}, not {method!r}")
    return method


def _checked_path(path: str) -> str:
    """Take a path that stays under `/api/` whatever a URL library makes of it."""
    if not isinstance(path, str) or not path.startswith("/api/"):
        arguments.refuse("path", "must begin with /api/ (no host, no other prefix)")
    decoded = unquote(unquote(path))
    if not path.isascii() or not path.isprintable() or re.search(r"[\\?#\s]", decoded) or not decoded.isprintable():
        arguments.refuse(
            "path", "must be plain ASCII without spaces, backslashes, '?' or '#'; the query has an argument of its own"
        )
    if any(segment.partition(";")[0] in (".", "..") for segment in decoded.split("/")) or "%2f" in path.lower():
        arguments.refuse("path", "must hold no dot segments and no escaped slashes")
    return path


def _checked_auth(auth: Auth | None) -> Auth | None:
    if auth not in ("api_key", "payout_key", "contract_key", "dashboard", None):
        # What was given is not shown: it may be a key.
        arguments.refuse("auth", 'must be "api_key", "payout_key", "contract_key", "dashboard" or None')
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
        checked[name] = value
    arguments.dump_plain("query", checked)  # half a surrogate pair, or an int that is too long to print
    return checked
