"""Base of the async receivers: handlers in the event loop or in threads, and web frameworks."""

from __future__ import annotations

import asyncio
import functools
import inspect
import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeVar

from anyio import from_thread

from paychainhq._core.event_loop import running_loop
from paychainhq.webhooks import signatures
from paychainhq.webhooks.base import BaseReceiver, Delivery, log
from paychainhq.webhooks.handlers import check_result, is_async
from paychainhq.webhooks.reception import Reception
from paychainhq.webhooks.signatures import Headers
from paychainhq.webhooks.threads import Threads

if TYPE_CHECKING:
    from aiohttp import web
    from starlette.requests import Request
    from starlette.responses import Response

    from paychainhq.telemetry.facts import Outcome

E = TypeVar("E")


class AsyncReceiver(BaseReceiver[E]):
    """Receiver for programs on asyncio."""

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
        with Reception(self._telemetry) as reception:
            delivery = self._opened(body, headers, reception)
            if delivery is not None:
                run = self._in_loop if is_async(delivery.handler) else self._in_thread
                reception.outcome = await run(delivery)
        return reception.status

    async def _in_loop(self, delivery: Delivery[E]) -> Outcome:
        """Run the steps of a delivery: the handler in this task, the others in threads."""
        steps = self._steps(delivery, _is_cancelled)
        try:
            step = next(steps)
            while True:
                result: object = None
                try:
                    if step == "handle":
                        await _handle(delivery, self._within)
                    else:
                        result = await self._threads.write(step)
                except BaseException as error:  # noqa: BLE001 (the delivery raises or logs it)
                    step = steps.throw(error)
                else:
                    step = steps.send(result)
        except StopIteration as end:
            outcome: Outcome = end.value
            return outcome

    async def _in_thread(self, delivery: Delivery[E]) -> Outcome:
        """Run the steps of a delivery in one thread."""
        run = functools.partial(_run, delivery, self._within)
        deliver = functools.partial(self._deliver, delivery, run)
        outcome = await self._threads.handle(deliver, self._within + self._spare)
        if isinstance(outcome, bool):
            state = (
                "is still running in its thread, and is recorded when it ends"
                if outcome
                else "found no free thread in time"
            )
            log.warning(
                "%s: its handler %s; the event will be delivered again",
                delivery.label,
                state,
                extra=delivery.extra,
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


def _run(delivery: Delivery[E], within: float) -> None:
    """Call a handler in this thread, and await an awaitable result in the event loop."""
    result = delivery.handler(delivery.event)
    check_result(
        from_thread.run(_awaited, result, within) if inspect.isawaitable(result) else result
    )


async def _awaited(awaitable: Awaitable[object], within: float) -> object:
    async with asyncio.timeout(within):
        return await awaitable


async def _handle(delivery: Delivery[E], within: float) -> None:
    """Await a handler, until so many seconds after the start of its delivery."""
    left = delivery.began + within - time.monotonic()
    if left <= 0:
        raise TimeoutError
    async with asyncio.timeout(left):
        result = delivery.handler(delivery.event)
        check_result(await result if inspect.isawaitable(result) else result)


def _is_cancelled() -> bool:
    """Return whether the cancellation of the current task was requested."""
    task = asyncio.current_task()
    return task is None or task.cancelling() > 0
