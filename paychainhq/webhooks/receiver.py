"""The async receiver of webhooks: each event is claimed, handled, recorded as done, and only then
acknowledged.
"""

from __future__ import annotations

import asyncio
import functools
import inspect
import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from anyio import from_thread

from paychainhq.errors import printable
from paychainhq.models.webhooks import Event
from paychainhq.webhooks import base, signatures
from paychainhq.webhooks.base import HELD, SPARE, BaseReceiver, log
from paychainhq.webhooks.handlers import Handler, check_result, is_async
from paychainhq.webhooks.signatures import Headers
from paychainhq.webhooks.threads import Threads

if TYPE_CHECKING:
    from aiohttp import web
    from starlette.requests import Request
    from starlette.responses import Response


WITHIN: float = base.WITHIN


class Receiver(BaseReceiver):
    """Answers webhooks: 400 to what is not proven to be from the API, 2xx to what was handled, 5xx
    to what was not.

    An event that has a handler is claimed in the ledger, handled, recorded as done, and only then
    acknowledged. So each event is handled at least once, and exactly once unless a process dies in
    a handler; several processes may share the ledger's file. An event that another process is
    handling is answered with 503: it comes again.

    A handler is an `async def`, or a plain function, which runs in a thread; there,
    `anyio.from_thread.run(event.fetch, pay)` awaits. A cancelled delivery cancels an `async def`,
    and waits for a plain function. When a handler returns, its work must be committed.

    Args:
        secrets: The webhook secret, or several while it is being changed.
        ledger: Where claims are kept: an `SQLiteLedger`, which processes may share and which
            survives them, or a `MemoryLedger`.
        bearer: The token that the API sends along, if you have set one.
        max_age: Refuse a timestamp that is more seconds than that away from now; it is not signed
            (see `parse`).
        lease: Seconds after which the claim of a process that died runs out; more than the 25 s
            that a handler has.
        name: The name of this receiver, part of its claims: on one ledger, receivers with different
            names each handle an event, and receivers with the same name share the events.

    Raises:
        ConfigurationError: The settings cannot work.

    Source: reference/webhooks-events.
    """

    @functools.cached_property
    def _threads(self) -> Threads:
        return Threads()

    async def receive(self, body: bytes, headers: Headers) -> int:
        """Handle one webhook and return the HTTP status that answers it.

        Args:
            body: The raw body.
            headers: The headers, as a mapping or as pairs; their names may be in any case.

        Raises:
            InvalidArgumentError: The body is not bytes, or the headers cannot be any.
        """
        headers = signatures.concealed_headers(headers)
        opened = self._opened(body, headers)
        if isinstance(opened, int):
            return opened
        event, handler = opened
        return await (
            self._in_loop(event, handler) if is_async(handler) else self._in_thread(event, handler)
        )

    async def _in_loop(self, event: Event, handler: Handler) -> int:
        """Run the steps of a delivery: the handler in this task, the others in threads."""
        began = time.monotonic()
        steps = self._delivery(event, began, _is_cancelled)
        try:
            step = next(steps)
            while True:
                result: object = None
                try:
                    if step == "handle":
                        await _handle(event, handler, began + WITHIN)
                    else:
                        result = await self._threads.write(step)
                except BaseException as error:  # noqa: BLE001 (the delivery raises or logs it)
                    step = steps.throw(error)
                else:
                    step = steps.send(result)
        except StopIteration as end:
            return int(end.value)

    async def _in_thread(self, event: Event, handler: Handler) -> int:
        """Claim an event, run its plain handler and record it as done, all in one thread; returns
        the status that answers it.
        """
        deliver = functools.partial(self._deliver, event, functools.partial(_run, handler))
        answer = await self._threads.handle(deliver, WITHIN + SPARE)
        if isinstance(answer, bool):
            state = (
                "is still running in its thread, and is recorded when it ends"
                if answer
                else "found no free thread in time"
            )
            log.warning(
                "%s: the handler of the event %s %s; the event will come again",
                event.event,
                printable(event.id),
                state,
            )
            return HELD
        return answer

    # --- in a web framework ---

    async def aiohttp(self, request: web.Request) -> web.Response:
        """Serve as a handler of aiohttp: `app.router.add_post("/webhooks", receiver.aiohttp)`."""
        from aiohttp import web

        return web.Response(status=await self.receive(await request.read(), request.headers))

    @property
    def starlette(self) -> Callable[[Request], Awaitable[Response]]:
        """An endpoint of Starlette or FastAPI: `Route("/webhooks", receiver.starlette,
        methods=["POST"])`, `app.post("/webhooks")(receiver.starlette)`.
        """
        try:
            from starlette.requests import Request
            from starlette.responses import Response
        except (
            ModuleNotFoundError
        ) as error:  # an AttributeError, since `hasattr` and mocks read properties
            raise AttributeError(f"receiver.starlette needs Starlette: {error}") from error

        async def webhook(request: Request) -> Response:
            return Response(status_code=await self.receive(await request.body(), request.headers))

        # FastAPI resolves annotations, and finds these names in no module.
        webhook.__annotations__ = {"request": Request, "return": Response}
        return webhook


def _run(handler: Handler, event: Event) -> None:
    """Call a handler in this thread; an awaitable that it returns is awaited in the event loop."""
    result = handler(event)
    check_result(from_thread.run(_within, result) if inspect.isawaitable(result) else result)


async def _within(awaitable: Awaitable[object]) -> object:
    async with asyncio.timeout(WITHIN):
        return await awaitable


async def _handle(event: Event, handler: Handler, until: float) -> None:
    """Await a handler, until a time of `time.monotonic` at the latest."""
    async with asyncio.timeout(max(until - time.monotonic(), 0)):
        await asyncio.sleep(0)  # a cancelled or late delivery does not start its handler
        result = handler(event)
        check_result(await result if inspect.isawaitable(result) else result)


def _is_cancelled() -> bool:
    """Return whether the cancellation of the current task was requested."""
    task = asyncio.current_task()
    return task is None or task.cancelling() > 0
