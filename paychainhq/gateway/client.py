"""Client of the gateway."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, Self, TypedDict, Unpack, cast

from paychainhq._base_client import UNCHANGED, BaseClient
from paychainhq._caller import Caller
from paychainhq._core.credentials import TokenAuth, conceal
from paychainhq._core.policies import RateLimit, RetryPolicy
from paychainhq._core.settings import checked_base_url, environment_settings
from paychainhq._http.connection import ConnectionSettings
from paychainhq._transport import Transport
from paychainhq.errors import MissingCredentialError
from paychainhq.gateway.credentials import VARIABLES, Tokens
from paychainhq.gateway.webhooks import Event, parse
from paychainhq.webhooks.signatures import Headers, checked_secrets

if TYPE_CHECKING:
    import ssl as ssl_module

    import aiohttp

    from paychainhq._http.messages import Middleware
    from paychainhq.gateway.resources.applications import Applications
    from paychainhq.gateway.resources.payments import Payments
    from paychainhq.gateway.resources.refunds import Refunds
    from paychainhq.shared import SharedRateLimit
    from paychainhq.telemetry import Telemetry


class GatewaySettings(TypedDict, total=False):
    """Arguments of `Gateway` but the base URL, as a type for annotations."""

    client_token: str | None
    oauth_token: str | None
    client_id: str | None
    webhook_secret: str | None
    scopes: Collection[str] | None
    timeout: float
    retry: RetryPolicy | None
    rate_limit: RateLimit | Sequence[RateLimit] | SharedRateLimit | None
    middleware: Sequence[Middleware]
    attempt_middleware: Sequence[Middleware]
    telemetry: Telemetry | None
    max_connections: int
    session: aiohttp.ClientSession | None
    ssl: ssl_module.SSLContext | None
    proxy: str | None
    trust_env: bool
    allow_insecure_http: bool


class Gateway(BaseClient):
    """Asynchronous client of the payment gateway: `async with Gateway(...) as gateway:`.

    The first call opens the connections, which belong to its event loop.

    Args:
        base_url: The address of your gateway, with or without `/api`.
        client_token: The client token, for payments.
        oauth_token: An OAuth2 access token, for applications and refunds; without a client token it
            is used for payments too.
        client_id: The client id of the application of payments, unless a call names another one.
        webhook_secret: The application's webhook secret, for `parse_webhook`.
        scopes: The scopes of the client token, if known: an operation outside them is refused
            before anything is sent.
        timeout: The deadline of a call in seconds, all attempts and waits included.
        retry: The policy for transient failures; None turns retries off. A request that may have
            had an effect is not repeated.
        rate_limit: One or several limits on the requests of this client, or a
            `paychainhq.shared.SharedRateLimit`.
        middleware: Async callables `(request, send) -> response`, called once for each call, around
            its attempts; the first is outermost.
        attempt_middleware: The same, called once for each attempt, inside the waits for the limits.
        telemetry: The telemetry, such as `paychainhq.otel.OpenTelemetry()`; by default the one that
            is installed (`paychainhq.telemetry.install`), or none.
        max_connections: The largest number of concurrent requests.
        session: Your own `aiohttp.ClientSession`, which you close.
        ssl: Your own TLS context, which must verify certificates and host names; by default a
            context with the certificates of the system.
        proxy: The URL of an HTTP proxy.
        trust_env: Take the proxy from the environment (`HTTPS_PROXY`, `NO_PROXY`).
        allow_insecure_http: Allow plain http to another host or proxy, which exposes your tokens
            to the network.

    Raises:
        ConfigurationError: A setting is invalid, or would expose a token.

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
        rate_limit: RateLimit | Sequence[RateLimit] | SharedRateLimit | None = None,
        middleware: Sequence[Middleware] = (),
        attempt_middleware: Sequence[Middleware] = (),
        telemetry: Telemetry | None = None,
        max_connections: int = 100,
        session: aiohttp.ClientSession | None = None,
        ssl: ssl_module.SSLContext | None = None,
        proxy: str | None = None,
        trust_env: bool = False,
        allow_insecure_http: bool = False,
    ) -> None:
        # The first lines, so that the variables of a traceback show no token and no password.
        client_token, oauth_token, webhook_secret = (
            conceal(client_token),
            conceal(oauth_token),
            conceal(webhook_secret),
        )
        base_url, proxy = conceal(base_url), conceal(proxy)
        credentials = Tokens(client_token=client_token, oauth_token=oauth_token, scopes=scopes)
        connection = ConnectionSettings(
            base_url=checked_base_url(base_url, "/api", allow_insecure_http=allow_insecure_http),
            session=session,
            ssl=ssl,
            proxy=proxy,
            trust_env=trust_env,
            allow_insecure_http=allow_insecure_http,
            max_connections=max_connections,
        )
        transport = Transport(
            connection,
            credentials,
            middleware=middleware,
            attempt_middleware=attempt_middleware,
            rate_limit=rate_limit,
            telemetry=telemetry,
        )
        self._caller = Caller(
            transport=transport, timeout=timeout, retry=retry, client_id=client_id
        )
        self._webhook_secrets = () if webhook_secret is None else checked_secrets(webhook_secret)

    @classmethod
    def from_env(cls, *, base_url: str, **settings: Unpack[GatewaySettings]) -> Gateway:
        """Return a client with settings from environment variables.

        `PAYMENT_CLIENT_ID`, `PAYMENT_CLIENT_TOKEN` and `WEBHOOK_SECRET` are the documented names;
        for the base URL there is none. Each has a variant with the ending `_FILE`, as those of
        `PayChainHQ.from_env` have.

        Args:
            base_url: The address of your gateway.
            settings: Arguments of the constructor, which take precedence over the environment.
        """
        settings = cast(
            "GatewaySettings",
            {
                name: value if name == "client_id" else conceal(value)
                for name, value in settings.items()
            },
        )
        return cls(base_url=conceal(base_url), **environment_settings(settings, VARIABLES))

    def with_options(
        self, *, timeout: float = UNCHANGED, retry: RetryPolicy | None = UNCHANGED
    ) -> Self:
        """Return a view of this client with other options; closing the view does nothing.

        Args:
            timeout: The deadline of a call in seconds.
            retry: The policy for transient failures; None turns retries off.
        """
        view = self._view(timeout=timeout, retry=retry)
        view._webhook_secrets = self._webhook_secrets
        return view

    async def request(
        self,
        method: str,
        path: str,
        *,
        body: object = None,
        query: Mapping[str, Any] | None = None,
        auth: TokenAuth | None = "any_token",
    ) -> Any:
        """Send a request without a model, with the retries, limits and errors of other calls.

        The gateway documents no idempotency key, so a mutation is not retried once the server may
        have received it.

        Args:
            method: The HTTP method.
            path: A path under `/api/`.
            body: Plain JSON, or None for no body.
            query: The query's names and values.
            auth: The credential: `"any_token"` (the client token, or without one the OAuth2 token),
                `"oauth_token"`, or None. `scopes` are not compared.

        Returns:
            The response as plain JSON, `data` included, with exact integers and with fractions as
            floats; None without content.
        """
        return await self._caller.request(method, path, body, query, auth)

    def parse_webhook(self, body: bytes, headers: Headers, *, max_age: float = 300.0) -> Event:
        """Verify and decode a webhook with this client's secret, like `gateway.webhooks.parse`.

        The name of the event is in a header that is not signed: decide by `event.payment`, which is
        signed.

        Args:
            body: The raw body, unparsed.
            headers: The headers; their names may be in any case.
            max_age: Refuse a timestamp that differs from now by more than this number of seconds,
                either way.

        Raises:
            WebhookVerificationError: The webhook is not verified as the gateway's.
            DecodeError: The webhook is verified, but holds no payment.
            MissingCredentialError: This client has no webhook secret.

        Source: the gateway's pages on webhook security and webhook events.
        """
        if not self._webhook_secrets:
            raise MissingCredentialError(
                "parse_webhook needs a secret: pass webhook_secret=... to Gateway",
                argument="webhook_secret",
            )
        return parse(body, headers, secrets=self._webhook_secrets, max_age=max_age)

    @cached_property
    def applications(self) -> Applications:
        """Payment applications, which own payments."""
        from paychainhq.gateway.resources.applications import Applications

        return Applications(self._caller)

    @cached_property
    def payments(self) -> Payments:
        """Payments on a hosted page, or on a page of your own."""
        from paychainhq.gateway.resources.payments import Payments

        return Payments(self._caller)

    @cached_property
    def refunds(self) -> Refunds:
        """Requests to refund payments."""
        from paychainhq.gateway.resources.refunds import Refunds

        return Refunds(self._caller)
