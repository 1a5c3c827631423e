"""Emulator for programs and tests: the server on a thread of its own."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from contextlib import closing
from os import PathLike
from types import TracebackType
from typing import Self, TypeVar

from paychainhq._core.credentials import DashboardSession
from paychainhq._core.settings import is_loopback
from paychainhq._core.validators import Money
from paychainhq.emulator import outbox
from paychainhq.emulator.auth import DASHBOARD_HEADER, DASHBOARD_SESSION
from paychainhq.emulator.control import Control
from paychainhq.emulator.outbox import Delivery
from paychainhq.emulator.request_log import ReceivedRequest
from paychainhq.emulator.routing import GATEWAY
from paychainhq.emulator.server import Server
from paychainhq.emulator.state import State

T = TypeVar("T")


class Emulator:
    """Local PayChainHQ on a real socket, which runs inside its `with` (or `async with`) block.

    The server has a thread and an event loop of its own: async and blocking clients can use it, and
    its methods can be called from any thread.

    Args:
        state: A SQLite file for the state, created if missing; None keeps the state in memory.
        port: The port to listen on; 0 selects a free one.
        host: The address to listen on.
        allow_remote: Accept a `host` beyond loopback. The emulator does not restrict any caller
            that reaches it.
        allowed_hosts: Further hosts that requests may name, such as the name of its container:
            `"name"` (with any port) or `"name:port"`. Requests with any other `Host` are refused,
            as are those of web pages of another origin.

    Attributes:
        dashboard: A valid session for `PayChainHQ(dashboard=...)`. Assumption: its header is the
            emulator's own.

    Raises:
        ValueError: `host` is not loopback, or (on entering) the file was written by another version
            of the emulator.
        sqlite3.Error: The file is not a database (on entering).
        OSError: The port is in use (on entering).
        OverflowError: The port is out of range (on entering).
    """

    def __init__(
        self,
        state: str | PathLike[str] | None = None,
        port: int = 0,
        host: str = "127.0.0.1",
        *,
        allow_remote: bool = False,
        allowed_hosts: Iterable[str] = (),
    ) -> None:
        if not allow_remote and not is_loopback(host):
            raise ValueError(f"{host} is not loopback: listening on it requires allow_remote=True")
        self.dashboard = DashboardSession({DASHBOARD_HEADER: DASHBOARD_SESSION})
        self._state_path = state
        self._host = host
        self._allowed_hosts = tuple(allowed_hosts)
        self._port = port
        self._bound_port = port
        self._thread: threading.Thread | None = None
        self._server: Server
        self._loop: asyncio.AbstractEventLoop
        self._stop: asyncio.Event

    # --- start and stop ---

    def __enter__(self) -> Self:
        if self._thread is not None:
            raise RuntimeError("this emulator is already running")
        listening: Future[int] = Future()
        thread = threading.Thread(
            target=self._serve, args=(listening,), name="paychainhq-emulator", daemon=True
        )
        thread.start()
        error = listening.exception()
        if error is not None:
            thread.join()
            raise error
        self._bound_port, self._thread = listening.result(), thread
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._thread is not None:
            self._loop.call_soon_threadsafe(self._stop.set)
            self._thread.join()
            self._thread = None

    # Starting and stopping take milliseconds and do not use the caller's loop, so blocking it is
    # acceptable.
    async def __aenter__(self) -> Self:
        return self.__enter__()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.__exit__(kind, error, trace)

    def _serve(self, listening: Future[int]) -> None:
        try:
            asyncio.run(self._run(listening))
        except BaseException as error:
            if listening.done():
                raise
            listening.set_exception(error)

    async def _run(self, listening: Future[int]) -> None:
        with closing(State(self._state_path)) as state:
            self._server, self._loop, self._stop = (
                Server(state, self._allowed_hosts),
                asyncio.get_running_loop(),
                asyncio.Event(),
            )
            try:
                listening.set_result(await self._server.start(self._host, self._port))
                await self._stop.wait()
            finally:
                await self._server.stop()

    # --- controls ---

    @property
    def url(self) -> str:
        """Base URL, such as `http://127.0.0.1:43121`."""
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"http://{host}:{self._bound_port}"

    @property
    def requests(self) -> tuple[ReceivedRequest, ...]:
        """Received requests without control requests, oldest first (the latest 20,000)."""
        return self._run_control(lambda control: control.request_log.all())

    def pay(self, invoice_id: str, amount: Money | None = None, token: str | None = None) -> str:
        """Record a payment of an invoice, as seen on chain.

        Args:
            invoice_id: The invoice.
            amount: The amount in display units of the token; by default the remaining amount.
            token: The token; by default the invoice's own. Another one never settles the invoice.

        Returns:
            The invoice's status: `"confirming"` if the payment counts.

        Raises:
            LookupError: There is no such invoice.
            ValueError: The amount is invalid.
        """
        return self._run_control(lambda control: control.pay(invoice_id, amount, token))

    def confirm(self, invoice_id: str) -> str:
        """Confirm the payments of an invoice, and return the status that it settles in.

        Raises:
            LookupError: There is no such invoice.
        """
        return self._run_control(lambda control: control.confirm(invoice_id))

    def advance(self, seconds: float) -> None:
        """Advance the emulator's clock, which is also the `Date` of its responses, by `seconds`."""
        self._run_control(lambda control: control.advance(seconds))

    def fault(self, operation: str, kind: str | int, times: int = 1) -> None:
        """Inject a fault into the next requests.

        Args:
            operation: The operation's name, such as `"invoices.create"`, or `"*"` for any.
            kind: The fault: a status (`503`), a status with `Retry-After` in seconds (`"429:1"`),
                `"slow:2.5"`, `"drop"`, `"reset"`, `"truncate"`, `"bad_json"`, `"html"`, `"empty"`,
                `"silence"` or `"in_progress"`.
            times: The number of requests that fail.

        Raises:
            ValueError: There is no such operation or kind.
        """
        self._run_control(lambda control: control.fault(operation, kind, times))

    @property
    def gateway_url(self) -> str:
        """Base URL of the payment gateway of seed 004, for `paychainhq.gateway.Gateway`."""
        return f"{self.url}{GATEWAY}"

    def pay_gateway(self, payment_id: str, amount: int | None = None) -> str:
        """Record a transaction for a gateway payment, as seen on chain, and return its status.

        Args:
            payment_id: The payment.
            amount: The amount in minor units of its currency; by default the remaining amount.

        Raises:
            LookupError: There is no such payment.
            ValueError: The amount is invalid.
        """
        return self._run_control(lambda control: control.pay_gateway(payment_id, amount))

    def confirm_gateway(self, payment_id: str) -> str:
        """Confirm a gateway payment, and return its status: `"RECEIVED"` or `"UNDERPAID"`.

        Webhooks go to the application's `callbackUrl`; its acknowledgement changes `"RECEIVED"` to
        `"CONFIRMED"`.

        Raises:
            LookupError: There is no such payment.
        """
        return self._run_control(lambda control: control.confirm_gateway(payment_id))

    def refund_gateway(self, payment_id: str) -> str:
        """Execute the requested refund of a gateway payment, and return the payment's status.

        Raises:
            LookupError: There is no such payment, or no refund of it was requested.
        """
        return self._run_control(lambda control: control.refund_gateway(payment_id))

    def add_webhook(
        self,
        url: str,
        *,
        secret: str,
        bearer: str | None = None,
        copies: int = 1,
        jitter: float = 0.0,
    ) -> str:
        """Add an endpoint, which receives a signed event for each change of an invoice's status.

        A delivery without a 2xx response within 30 s is repeated after 1, 5, 15 minutes, 1 and 6
        hours of the emulator's clock.

        Args:
            url: The endpoint's URL.
            secret: The secret that signs the events.
            bearer: A bearer token to send along.
            copies: The number of deliveries of each event.
            jitter: The longest random delay of a delivery, in seconds of the emulator's clock, so
                that events arrive in any order.

        Returns:
            The endpoint's id.

        Raises:
            ValueError: An argument is invalid.
        """
        return self._run_control(
            lambda control: control.add_webhook(url, secret, bearer, copies, jitter)
        )

    @property
    def deliveries(self) -> tuple[Delivery, ...]:
        """Deliveries of webhooks with their states, oldest first."""
        return self._run_control(lambda control: outbox.deliveries(control.state))

    def _run_control(self, call: Callable[[Control], T]) -> T:
        """Run a control on the server's thread, which alone may use the state."""
        if self._thread is None:
            raise RuntimeError("this emulator is not running: use it inside its with block")

        async def run() -> T:
            self._server.outbox.wake()
            return call(self._server.control)

        return asyncio.run_coroutine_threadsafe(run(), self._loop).result()
