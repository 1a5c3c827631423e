"""The client of the gateway."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, Self

from paychainhq import config
from paychainhq.base_client import UNCHANGED, BaseClient
from paychainhq.config import RateLimit, RetryPolicy
from paychainhq.credentials import conceal
from paychainhq.errors import MissingCredentialError
from paychainhq.gateway.calls import GatewayCaller
from paychainhq.gateway.credentials import VARIABLES, Tokens
from paychainhq.gateway.webhooks import Event, parse
from paychainhq.signing import Headers
from paychainhq.transport import make_transport

if TYPE_CHECKING:
    import ssl as ssl_module

    import aiohttp

    from paychainhq.exchange import Middleware
    from paychainhq.gateway.resources.applications import Applications
    from paychainhq.gateway.resources.payments import Payments
    from paychainhq.gateway.resources.refunds import Refunds


class Gateway(BaseClient):
    """The asynchronous client of the bearer-token payment gateway; use it as `async with Gateway(...) as gateway:`.

    Its connections are opened by the first call and belong to the event loop that made it.

    Args:

        base_url: Where your gateway is, with or without `/api`.
        client_token: The client token, for payments.
        oauth_token: An OAuth2 access token, for applications and refunds; without a client token it is used for payments too.
        client_id: The client id of the application that payments belong to where they are not told otherwise.
        webhook_secret: The application's webhook secret, for `parse_webhook`.
        scopes: What the client token may do, if you know: then an operation that it may not is refused before anything is sent.
        timeout: Seconds that a whole call may take, all attempts and waits included.
        retry: How failures that may pass are met; None turns repeating off. What may have changed something is never repeated.
        rate_limit: One or several limits on the requests of this client.
        middleware: Async callables `(request, send) -> response` that see each call once, around its attempts; the first is
            outermost.
        max_connections: How many requests may be under way at once.
        session: An `aiohttp.ClientSession` of your own, which stays yours to close.
        ssl: A TLS context of your own, which must verify certificates and host names; by default one that does so against the
            system's certificates.
        proxy: The URL of an HTTP proxy.
        trust_env: Take the proxy from the environment's variables.
        allow_insecure_http: Allow plain http to a host or proxy that is not this machine: your tokens can then be read on the way.

    Raises:

        ConfigurationError: The settings cannot work, or would endanger a token.

    Source: seed 004.
    """

    _shows = "client_id"

    def __init__(
        self,
        *,
        base_url: str,
        client_token: str | None = None,
        oauth_token: str | None = None,
        client_id: str | None = None,
        webhook_secret: str | None = None,
        scopes: Collection[str] | None = None,
        timeout: float = 60.0,
        retry: RetryPolicy | None = RetryPolicy(),  # noqa: B008 (immutable)
        rate_limit: RateLimit | Sequence[RateLimit] | None = None,
        middleware: Sequence[Middleware] = (),
        max_connections: int = 100,
        session: aiohttp.ClientSession | None = None,
        ssl: ssl_module.SSLContext | None = None,
        proxy: str | None = None,
        trust_env: bool = False,
        allow_insecure_http: bool = False,
    ) -> None:
        # The first lines, so that no frame ever shows a token or a password that it was given.
        client_token, oauth_token, webhook_secret = conceal(client_token), conceal(oauth_token), conceal(webhook_secret)
        base_url, proxy = conceal(base_url), conceal(proxy)
        transport = make_transport(
            config.checked_base_url(base_url, "/api", allow_insecure_http=allow_insecure_http),
            Tokens(client_token=client_token, oauth_token=oauth_token, scopes=scopes),
            rate_limit=rate_limit,
            middleware=middleware,
            max_connections=max_connections,
            session=session,
            ssl=ssl,
            proxy=proxy,
            trust_env=trust_env,
            allow_insecure_http=allow_insecure_http,
        )
        self._caller = GatewayCaller(transport=transport, business_id=None, timeout=timeout, retry=retry, client_id=client_id)
        self._webhook_secret = webhook_secret

    @classmethod
    def from_env(cls, *, base_url: str, **settings: Any) -> Gateway:
        """Make a client from environment variables.

        `PAYMENT_CLIENT_ID`, `PAYMENT_CLIENT_TOKEN` and `WEBHOOK_SECRET` are the documented names; for the base URL there is none.

        Args:

            base_url: Where your gateway is.
            settings: Arguments of the constructor, which win over the environment.
        """
        settings = {name: value if name == "client_id" else conceal(value) for name, value in settings.items()}
        return cls(base_url=conceal(base_url), **{**config.environment_settings(names=VARIABLES), **settings})

    def with_options(self, *, timeout: float = UNCHANGED, retry: RetryPolicy | None = UNCHANGED) -> Self:
        """Return a view of this client with other options; it shares the connections, and closing it closes nothing.

        Args:

            timeout: Seconds that a whole call may take.
            retry: How failures are met; None turns repeating off.
        """
        view = self._view(timeout=timeout, retry=retry)
        view._webhook_secret = self._webhook_secret
        return view

    def parse_webhook(self, body: bytes, headers: Headers, *, max_age: float = 300.0) -> Event:
        """Verify a webhook with this client's secret and decode it, as `paychainhq.gateway.webhooks.parse` does.

        The name of the event is in a header that is not signed: let `event.payment` decide, which is.

        Args:

            body: The body as it came, before anything has parsed it.
            headers: The headers; their names may be in any case.
            max_age: Refuse a timestamp that is more seconds than that away from now, either way.

        Raises:

            WebhookVerificationError: It is not proven to be from the gateway.
            DecodeError: It is, and it holds no payment.
            MissingCredentialError: This client was given no webhook secret.

        Source: the gateway's pages on webhook security and webhook events.
        """
        if self._webhook_secret is None:
            raise MissingCredentialError("parse_webhook needs Gateway(webhook_secret=...)", argument="webhook_secret")
        return parse(body, headers, secrets=self._webhook_secret, max_age=max_age)

    @cached_property
    def applications(self) -> Applications:
        """Payment applications: what payments belong to."""
        from paychainhq.gateway.resources.applications import Applications

        return Applications(self._caller)

    @cached_property
    def payments(self) -> Payments:
        """Payments on a hosted page, or as your own page instructs."""
        from paychainhq.gateway.resources.payments import Payments

        return Payments(self._caller)

    @cached_property
    def refunds(self) -> Refunds:
        """Requests to refund payments."""
        from paychainhq.gateway.resources.refunds import Refunds

        return Refunds(self._caller)
