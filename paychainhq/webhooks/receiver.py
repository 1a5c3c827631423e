"""Async receiver of webhooks."""

from __future__ import annotations

import asyncio
import functools
import inspect
import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from anyio import from_thread

from paychainhq._core.event_loop import running_loop
from paychainhq.errors import printable
from paychainhq.models.webhooks import Event
from paychainhq.telemetry import Outcome
from paychainhq.webhooks import base, signatures
from paychainhq.webhooks.base import SPARE, BaseReceiver, about, log
from paychainhq.webhooks.delivery import Delivery
from paychainhq.webhooks.handlers import Handler, check_result, is_async
from paychainhq.webhooks.signatures import Headers
from paychainhq.webhooks.threads import Threads

if TYPE_CHECKING:
    from aiohttp import web
    from starlette.requests import Request
    from starlette.responses import Response


WITHIN: float = base.WITHIN


class Receiver(BaseReceiver):
    """Receiver of webhooks: 400 for an unverified one, 2xx for a handled one, otherwise 5xx.

    An event with a handler is claimed in the ledger, handled, recorded as done, and only then
    acknowledged. So each event is handled at least once, and exactly once unless a process dies in
    a handler. Several processes may share the ledger's file. The response to an event that another
    process is handling is 503: the API repeats it.

    A handler is an `async def`, or a plain function, which runs in a thread; there,
    `anyio.from_thread.run(event.fetch, pay)` awaits. A cancelled delivery cancels an `async def`,
    and waits for a plain function. A handler must commit its work before it returns.

    Args:
        secrets: The webhook secret, or several during a rotation.
        ledger: The storage of claims: an `SQLiteLedger`, which processes may share and which
            survives them, or a `MemoryLedger`.
        bearer: The bearer token of the webhooks, if you have set one.
        max_age: The largest accepted difference between the unsigned timestamp and now, in seconds
            (see `parse`).
        lease: Seconds until the claim of a dead process ends; more than the 25 s of a handler.
        name: The name of this receiver, part of its claims: on one ledger, receivers with different
            names each handle an event, and receivers with the same name share the events.
        telemetry: The telemetry; by default the one that is installed, or none.

    Raises:
        ConfigurationError: A setting is invalid.

    Source: reference/webhooks-events.
    """

    @functools.cached_property
    def _threads(self) -> Threads:
        return Threads()

    async def receive(self, body: bytes, headers: Headers) -> int:
        """Handle one webhook and return the HTTP status of the response.

        Args:
            body: The raw body.
            headers: The headers, as a mapping or as pairs; their names may be in any case.

        Raises:
            InvalidArgumentError: The body is not bytes, or the headers are invalid.
            ConfigurationError: No asyncio event loop is running.
        """
        running_loop()
        headers = signatures.concealed_headers(headers)
        with Delivery(self._telemetry) as delivery:
            opened = self._opened(body, headers, delivery)
            if opened is not None:
                run = self._in_loop if is_async(opened[1]) else self._in_thread
                delivery.outcome = await run(*opened, delivery)
        return delivery.status

    async def _in_loop(self, event: Event, handler: Handler, delivery: Delivery) -> Outcome:
        """Run the steps of a delivery: the handler in this task, the others in threads."""
        began = time.monotonic()
        steps = self._steps(event, began, delivery, _is_cancelled)
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
            outcome: Outcome = end.value
            return outcome

    async def _in_thread(self, event: Event, handler: Handler, delivery: Delivery) -> Outcome:
        """Run the steps of a delivery in one thread."""
        run = functools.partial(_run, handler)
        deliver = functools.partial(self._deliver, event, run, delivery)
        outcome = await self._threads.handle(deliver, WITHIN + SPARE)
        if isinstance(outcome, bool):
            state = (
                "is still running in its thread, and is recorded when it ends"
                if outcome
                else "found no free thread in time"
            )
            log.warning(
                "%s: the handler of the event %s %s; the event will be delivered again",
                event.event,
                printable(event.id),
                state,
                extra=about(event),
            )
            return "held"
        return outcome

    # --- in a web framework ---

    async def aiohttp(self, request: web.Request) -> web.Response:
        """Serve as a handler of aiohttp: `app.router.add_post("/webhooks", receiver.aiohttp)`."""
        from aiohttp import web

        return web.Response(status=await self.receive(await request.read(), request.headers))

    @property
    def starlette(self) -> Callable[[Request], Awaitable[Response]]:
        """Endpoint of Starlette or FastAPI.

        `Route("/webhooks", receiver.starlette, methods=["POST"])`, or
        `app.post("/webhooks")(receiver.starlette)`.
        """
        try:
            from starlette.requests import Request
            from starlette.responses import Response
        except ModuleNotFoundError as error:
            # An AttributeError, since `hasattr` and mocks read properties.
            raise AttributeError(f"receiver.starlette requires Starlette: {error}") from error

        async def webhook(request: Request) -> Response:
            return Response(status_code=await self.receive(await request.body(), request.headers))

        # FastAPI resolves annotations, and finds these names in no module.
        webhook.__annotations__ = {"request": Request, "return": Response}
        return webhook


def _run(handler: Handler, event: Event) -> None:
    """Call a handler in this thread, and await an awaitable result in the event loop."""
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
