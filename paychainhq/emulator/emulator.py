"""`Emulator`: the server on a thread of its own, for programs and tests."""

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
    """A local PayChainHQ on a real socket, from entering its `with` (or `async with`) block to
    leaving it.

    It has a thread and an event loop of its own, so that async and blocking clients can use it
    alike, and so that its methods can be called from any thread.

    Args:
        state: A SQLite file that keeps the state, and is created if it does not exist; None keeps
            it in memory.
        port: The port to listen on; 0 takes a free one.
        host: The address to listen on.
        allow_remote: Take a `host` beyond loopback. Whoever reaches the emulator can do everything
            with it.
        allowed_hosts: Further hosts under which the emulator is reached, such as the name of its
            container: `"name"` (with any port) or `"name:port"`. Requests to any other `Host` are
                refused, as are those of web pages of another origin.

    Attributes:
        dashboard: A session that the emulator takes for `PayChainHQ(dashboard=...)`. Assumption:
            its header is the emulator's own.

    Raises:
        ValueError: `host` is not loopback, or (on entering) the file was written by another version
            of the emulator.
        sqlite3.Error: The file is no database (on entering).
        OSError: The port is taken (on entering).
        OverflowError: The port is no port (on entering).
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
            raise ValueError(
                f"{host} is not loopback: the emulator listens beyond it only with allow_remote"
            )
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

    # --- its life ---

    def __enter__(self) -> Self:
        if self._thread is not None:
            raise RuntimeError("this emulator is running already")
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

    # Starting and stopping take milliseconds and need nothing of the caller's loop, so it may wait
    # for them.
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

    # --- what it is asked ---

    @property
    def url(self) -> str:
        """The base URL, such as `http://127.0.0.1:43121`."""
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"http://{host}:{self._bound_port}"

    @property
    def requests(self) -> tuple[ReceivedRequest, ...]:
        """What was received but for the control requests, oldest first (the latest 20,000)."""
        return self._ask(lambda control: control.recording.all())

    def pay(self, invoice_id: str, amount: Money | None = None, token: str | None = None) -> str:
        """Let a payer's transaction be seen on chain.

        Args:
            invoice_id: The invoice that is paid.
            amount: How much, in display units of the token; what is missing if left out.
            token: Which token; the invoice's own if left out. Another one never settles the
                invoice.

        Returns the invoice's status: `"confirming"`, if the payment counts.

        Raises:
            LookupError: There is no such invoice.
            ValueError: The amount cannot be meant.
        """
        return self._ask(lambda control: control.pay(invoice_id, amount, token))

    def confirm(self, invoice_id: str) -> str:
        """Complete the confirmations of all that was paid, and return the status that the invoice
        settles in.

        Raises:
            LookupError: There is no such invoice.
        """
        return self._ask(lambda control: control.confirm(invoice_id))

    def advance(self, seconds: float) -> None:
        """Set the emulator's clock forward by `seconds`. Its answers carry this clock's time as
        their `Date`.
        """
        self._ask(lambda control: control.advance(seconds))

    def fault(self, operation: str, kind: str | int, times: int = 1) -> None:
        """Let the next requests fail.

        Args:
            operation: Which requests: an operation's name such as `"invoices.create"`, or `"*"` for
                any.
            kind: What goes wrong: a status (`503`), a status with `Retry-After` in seconds
                (`"429:1"`), `"slow:2.5"`, `"drop"`, `"reset"`, `"truncate"`, `"bad_json"`,
                `"html"`, `"empty"`, `"silence"` or `"in_progress"`.
            times: How many requests it meets.

        Raises:
            ValueError: There is no such operation or kind.
        """
        self._ask(lambda control: control.fault(operation, kind, times))

    @property
    def gateway_url(self) -> str:
        """The base URL of the payment gateway of seed 004, for `paychainhq.gateway.Gateway`."""
        return f"{self.url}{GATEWAY}"

    def pay_gateway(self, payment_id: str, amount: int | None = None) -> str:
        """Let a payer's transaction for a payment of the gateway be seen on chain, and return the
        payment's status.

        Args:
            payment_id: The payment.
            amount: How much, in minor units of its currency; what is missing if left out.

        Raises:
            LookupError: There is no such payment.
            ValueError: The amount cannot be meant.
        """
        return self._ask(lambda control: control.pay_gateway(payment_id, amount))

    def confirm_gateway(self, payment_id: str) -> str:
        """Complete the confirmations of what was paid, and return the payment's status:
        `"RECEIVED"` or `"UNDERPAID"`.

        Webhooks go to the application's `callbackUrl`; once it has answered, what was received
        becomes `"CONFIRMED"`.

        Raises:
            LookupError: There is no such payment.
        """
        return self._ask(lambda control: control.confirm_gateway(payment_id))

    def refund_gateway(self, payment_id: str) -> str:
        """Approve and carry out the refund that was asked for, and return the payment's status.

        Raises:
            LookupError: There is no such payment, or no refund of it was asked for.
        """
        return self._ask(lambda control: control.refund_gateway(payment_id))

    def add_webhook(
        self,
        url: str,
        *,
        secret: str,
        bearer: str | None = None,
        copies: int = 1,
        jitter: float = 0.0,
    ) -> str:
        """Send signed webhooks to an endpoint from now on: an event for each change of an invoice's
        status.

        What is not answered with 2xx within 30 s is sent again after 1, 5, 15 minutes, 1 and 6
        hours of the emulator's clock.

        Args:
            url: Where they go.
            secret: What they are signed with.
            bearer: A token that is sent along.
            copies: How often each event is delivered.
            jitter: Each delivery waits up to so many seconds of the emulator's clock, at random, so
                that they come in any order.

        Returns the endpoint's id.

        Raises:
            ValueError: An argument cannot be meant.
        """
        return self._ask(lambda control: control.add_webhook(url, secret, bearer, copies, jitter))

    @property
    def deliveries(self) -> tuple[Delivery, ...]:
        """What became of each webhook, oldest first."""
        return self._ask(lambda control: outbox.deliveries(control.state))

    def _ask(self, question: Callable[[Control], T]) -> T:
        """Have the server's own thread answer: its state belongs to it."""
        if self._thread is None:
            raise RuntimeError("this emulator is not running: use it inside its with block")

        async def answer() -> T:
            self._server.outbox.wake()
            return question(self._server.control)

        return asyncio.run_coroutine_threadsafe(answer(), self._loop).result()
