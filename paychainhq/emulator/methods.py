"""Methods of the emulator: everything that a test does to it while it runs."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from paychainhq import webhooks
from paychainhq._core.validators import Money
from paychainhq.emulator import in_process
from paychainhq.emulator.control import Control
from paychainhq.emulator.deliveries import Delivery, deliveries
from paychainhq.emulator.handlers.call import new_id
from paychainhq.emulator.in_process import Target, WebhookResponse
from paychainhq.emulator.keys import WEBHOOK_SECRET
from paychainhq.emulator.request_log import ReceivedRequest

T = TypeVar("T")


class Methods:
    """Controls of a running emulator, as methods that any thread may call."""

    def _read(self, call: Callable[[Control], T]) -> T:
        """Run a function on the server's thread, which alone may use the state."""
        raise NotImplementedError

    def _act(self, call: Callable[[Control], T]) -> T:
        """Run a control on the server's thread, and publish its effects."""
        raise NotImplementedError

    @property
    def requests(self) -> tuple[ReceivedRequest, ...]:
        """Received requests without control requests, oldest first (the latest 20,000)."""
        return self._read(lambda control: control.request_log.all())

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
        return self._act(lambda control: control.pay(invoice_id, amount, token))

    def confirm(self, invoice_id: str) -> str:
        """Confirm the payments of an invoice, and return the status that it settles in.

        Raises:
            LookupError: There is no such invoice.
        """
        return self._act(lambda control: control.confirm(invoice_id))

    def expire(self, invoice_id: str) -> str:
        """Let one open invoice expire, and return its status; the clock stays as it is.

        A confirming invoice keeps its status, as it does at its real end.

        Raises:
            LookupError: There is no such invoice.
        """
        return self._act(lambda control: control.expire(invoice_id))

    def cancel(self, invoice_id: str) -> str:
        """Cancel an invoice without a payment, and return its status.

        Raises:
            LookupError: There is no such invoice.
        """
        return self._act(lambda control: control.cancel(invoice_id))

    def advance(self, seconds: float) -> None:
        """Advance the emulator's clock, which is also the `Date` of its responses, by `seconds`."""
        self._act(lambda control: control.advance(seconds))

    def reset_clock(self) -> None:
        """Set the emulator's clock back to the present."""
        self._act(lambda control: control.reset_clock())

    def reset(self) -> None:
        """Restore the initial data and the clock; remove all requests, faults and webhooks.

        Rate limit and latency stay as they are.
        """
        self._act(lambda control: control.reset())

    def set_rate_limit(self, rate: int | None, per: float = 1) -> None:
        """Refuse requests beyond a limit with a 429 `RATE_LIMIT_EXCEEDED`.

        Assumption: all requests share one limit. The documents give neither numbers nor a scope.

        Args:
            rate: The number of requests in a window; None removes the limit.
            per: The length of a window in seconds of real time.

        Raises:
            ValueError: An argument is invalid.
        """
        self._act(lambda control: control.set_rate_limit(rate, per))

    def set_latency(self, seconds: float) -> None:
        """Delay the handling of each request by `seconds` of real time.

        Raises:
            ValueError: `seconds` is invalid.
        """
        self._act(lambda control: control.set_latency(seconds))

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
        self._act(lambda control: control.fault(operation, kind, times))

    def clear_faults(self) -> None:
        """Remove all faults that have not fired yet."""
        self._act(lambda control: control.clear_faults())

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
        return self._act(lambda control: control.add_webhook(url, secret, bearer, copies, jitter))

    def remove_webhook(self, endpoint_id: str) -> None:
        """Remove an endpoint; its deliveries that are still due have failed.

        Raises:
            LookupError: There is no such endpoint.
        """
        self._act(lambda control: control.remove_webhook(endpoint_id))

    def hold_webhook(self, endpoint_id: str) -> None:
        """Hold back the deliveries to an endpoint until `release_webhook`.

        Raises:
            LookupError: There is no such endpoint.
        """
        self._act(lambda control: control.hold_webhook(endpoint_id))

    def release_webhook(self, endpoint_id: str) -> None:
        """Send the deliveries that `hold_webhook` held back, and all later ones.

        Raises:
            LookupError: There is no such endpoint.
        """
        self._act(lambda control: control.release_webhook(endpoint_id))

    def resend(self, delivery_id: str) -> str:
        """Make another attempt of a delivery at once, and return its id.

        Raises:
            LookupError: There is no such delivery.
            ValueError: An attempt is in progress.
        """
        return self._act(lambda control: control.resend(delivery_id))

    def duplicate(self, delivery_id: str) -> str:
        """Deliver the event of a delivery a second time, and return the new delivery's id.

        Raises:
            LookupError: There is no such delivery.
        """
        return self._act(lambda control: control.duplicate(delivery_id))

    def trigger(self, event: str, invoice_id: str = "inv_123") -> list[str]:
        """Send an event of an invoice to all endpoints, and return the ids of the deliveries.

        The invoice does not change. The event reports the status in its name, such as
        `"invoice.paid"`, or else the invoice's own.

        Raises:
            LookupError: There is no such invoice.
        """
        return self._act(lambda control: control.trigger(event, invoice_id))

    def deliver(
        self,
        event: str | Delivery,
        invoice_id: str = "inv_123",
        *,
        to: Target,
        path: str = "/",
        secret: str = WEBHOOK_SECRET,
        bearer: str | None = None,
    ) -> WebhookResponse:
        """Post a signed event to an application in this process, or to a URL, without an endpoint.

        Start-up and shutdown handlers of an ASGI application do not run.

        Args:
            event: The event's name, as for `trigger`, or a delivery to repeat unchanged.
            invoice_id: The event's invoice.
            to: An ASGI application (which runs on an event loop of its own), a WSGI application, or
                an http or https URL.
            path: The path of the request to an application.
            secret: The secret that signs the event.
            bearer: A bearer token to send along.

        Returns:
            The response of the application. Its exceptions are raised here.

        Raises:
            LookupError: There is no such invoice.
            ValueError: The URL is invalid, or beyond loopback without `allow_remote_webhooks`.
            RuntimeError: `to` is an ASGI application, and this thread runs an event loop.
            OSError: The URL does not respond.
        """
        body, headers = self._sign(event, invoice_id, to, secret, bearer)
        return in_process.post(to, path, body, headers)

    async def adeliver(
        self,
        event: str | Delivery,
        invoice_id: str = "inv_123",
        *,
        to: Target,
        path: str = "/",
        secret: str = WEBHOOK_SECRET,
        bearer: str | None = None,
    ) -> WebhookResponse:
        """Post a signed event as `deliver` does; an ASGI application runs on this event loop."""
        body, headers = self._sign(event, invoice_id, to, secret, bearer)
        return await in_process.apost(to, path, body, headers)

    def _sign(
        self, event: str | Delivery, invoice_id: str, to: Target, secret: str, bearer: str | None
    ) -> tuple[bytes, dict[str, str]]:
        def sign(control: Control) -> tuple[bytes, dict[str, str]]:
            if isinstance(to, str):
                control.check_url(to)
            if isinstance(event, str):
                body, webhook_id = control.event_body(event, invoice_id), new_id("wh")
            else:
                body, webhook_id = event.body.encode(), event.id
            return body, webhooks.sign(
                body,
                secret=secret,
                webhook_id=webhook_id,
                timestamp=control.state.now() / 1000,
                bearer=bearer,
            )

        return self._read(sign)

    @property
    def deliveries(self) -> tuple[Delivery, ...]:
        """Deliveries of webhooks with their states, oldest first."""
        return self._read(lambda control: deliveries(control.state))

    # --- the gateway ---

    def pay_gateway(self, payment_id: str, amount: int | None = None) -> str:
        """Record a transaction for a gateway payment, as seen on chain, and return its status.

        Args:
            payment_id: The payment.
            amount: The amount in minor units of its currency; by default the remaining amount.

        Raises:
            LookupError: There is no such payment.
            ValueError: The amount is invalid.
        """
        return self._act(lambda control: control.pay_gateway(payment_id, amount))

    def confirm_gateway(self, payment_id: str) -> str:
        """Confirm a gateway payment, and return its status: `"RECEIVED"` or `"UNDERPAID"`.

        Webhooks go to the application's `callbackUrl`; its acknowledgement changes `"RECEIVED"` to
        `"CONFIRMED"`.

        Raises:
            LookupError: There is no such payment.
        """
        return self._act(lambda control: control.confirm_gateway(payment_id))

    def refund_gateway(self, payment_id: str) -> str:
        """Execute the requested refund of a gateway payment, and return the payment's status.

        Raises:
            LookupError: There is no such payment, or no refund of it was requested.
        """
        return self._act(lambda control: control.refund_gateway(payment_id))
