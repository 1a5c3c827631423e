"""Client of the PayChainHQ API."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, Self, TypedDict, Unpack, cast

from paychainhq._base_client import UNCHANGED, BaseClient
from paychainhq._core.credentials import Credentials, DashboardSession, conceal
from paychainhq._core.policies import RateLimit, RetryPolicy
from paychainhq._core.settings import environment_settings, is_loopback_url, resolve_base_url

if TYPE_CHECKING:
    import ssl as ssl_module

    import aiohttp

    from paychainhq._core.credentials import Auth
    from paychainhq._http.messages import Middleware
    from paychainhq.ledger import Ledger
    from paychainhq.resources.api_keys import APIKeys
    from paychainhq.resources.balances import Balances
    from paychainhq.resources.billing import Billing
    from paychainhq.resources.businesses import Businesses
    from paychainhq.resources.contract_integrations import ContractIntegrations
    from paychainhq.resources.customers import Customers
    from paychainhq.resources.invoices import Invoices
    from paychainhq.resources.networks import Networks
    from paychainhq.resources.prices import Prices
    from paychainhq.resources.supported_assets import SupportedAssets
    from paychainhq.resources.tokens import Tokens
    from paychainhq.resources.withdrawals import Withdrawals
    from paychainhq.shared import SharedRateLimit
    from paychainhq.telemetry import Telemetry


class ClientSettings(TypedDict, total=False):
    """Arguments of `PayChainHQ`, as a type for annotations."""

    api_key: str | None
    payout_key: str | None
    contract_key: str | None
    dashboard: DashboardSession | None
    business_id: str | None
    environment: str
    base_url: str | None
    timeout: float
    retry: RetryPolicy | None
    rate_limit: RateLimit | Sequence[RateLimit] | SharedRateLimit | None
    idempotency: Ledger | None
    middleware: Sequence[Middleware]
    attempt_middleware: Sequence[Middleware]
    telemetry: Telemetry | None
    max_connections: int
    session: aiohttp.ClientSession | None
    ssl: ssl_module.SSLContext | None
    proxy: str | None
    trust_env: bool
    allow_insecure_http: bool


class PayChainHQ(BaseClient):
    """Asynchronous client of the PayChainHQ API: `async with PayChainHQ(...) as pay:`.

    The first call opens the connections, which belong to its event loop.

    Args:
        api_key: The standard key.
        payout_key: The payout key, for operations that move funds.
        contract_key: The key for contract execution.
        dashboard: A dashboard session, for the operations that take no key.
        business_id: The business of the operations, unless a call names another one.
        environment: `"live"`, or `"sandbox"`, whose base URL is not published and must come with
            `base_url`.
        base_url: The address of the API, with or without `/api/v1`.
        timeout: The deadline of a call in seconds, all attempts and waits included.
        retry: The policy for transient failures; None turns retries off.
        rate_limit: One or several limits on the requests of this client, or a
            `paychainhq.shared.SharedRateLimit`.
        idempotency: A ledger, such as `paychainhq.ledger.SQLiteLedger("jobs.db")`, which records
            each mutation with an idempotency key before it is sent. You close it. One file belongs
            to one environment.
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
        allow_insecure_http: Allow plain http to another host or proxy, which exposes your keys to
            the network.

    Raises:
        ConfigurationError: A setting is invalid, or would expose a key.

    Source: seed 000; the base URL: the public guide to the REST API.
    """

    _shows = "business_id"

    def __init__(
        self,
        *,
        api_key: str | None = None,
        payout_key: str | None = None,
        contract_key: str | None = None,
        dashboard: DashboardSession | None = None,
        business_id: str | None = None,
        environment: str = "live",
        base_url: str | None = None,
        timeout: float = 60.0,
        retry: RetryPolicy | None = RetryPolicy(),  # noqa: B008 (immutable)
        rate_limit: RateLimit | Sequence[RateLimit] | SharedRateLimit | None = None,
        idempotency: Ledger | None = None,
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
        # The first lines, so that the variables of a traceback show no key and no password.
        api_key, payout_key, contract_key = (
            conceal(api_key),
            conceal(payout_key),
            conceal(contract_key),
        )
        dashboard, base_url, proxy = conceal(dashboard), conceal(base_url), conceal(proxy)
        credentials = Credentials(
            api_key=api_key, payout_key=payout_key, contract_key=contract_key, dashboard=dashboard
        )
        url = resolve_base_url(environment, base_url, allow_insecure_http=allow_insecure_http)
        if environment == "sandbox" and not is_loopback_url(url):
            credentials.refuse_live_keys()
        from paychainhq._caller import Caller
        from paychainhq._http.connection import ConnectionSettings
        from paychainhq._transport import Transport

        connection = ConnectionSettings(
            base_url=url,
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
            transport=transport,
            business_id=business_id,
            timeout=timeout,
            retry=retry,
            ledger=idempotency,
        )

    @classmethod
    def from_env(cls, **settings: Unpack[ClientSettings]) -> PayChainHQ:
        """Return a client with settings from environment variables.

        `PAYCHAIN_API_KEY` and `PAYCHAIN_BUSINESS_ID` are required; `PAYCHAIN_API_URL`,
        `PAYCHAIN_PAYOUT_KEY`, `PAYCHAIN_CONTRACT_KEY`, `PAYCHAIN_ENVIRONMENT` and
        `PAYCHAIN_TIMEOUT` (seconds) are optional. Each has a variant with the ending `_FILE`, the
        path of a file with the value, such as a mounted secret. An argument precedes the variable,
        and the variable precedes the file; an empty variable counts as not set.

        Args:
            settings: Arguments of the constructor. With None instead of a required one, the client
                has none: `api_key=None`.

        Raises:
            ConfigurationError: Required variables are not set (the error names each), a file cannot
                be read, or a setting is invalid.

        Source: the names of the first three: the public guide to the REST API.
        """
        settings = cast(
            "ClientSettings",
            {
                name: value if name == "business_id" else conceal(value)
                for name, value in settings.items()
            },
        )
        return cls(**environment_settings(settings))

    def with_options(
        self,
        *,
        timeout: float = UNCHANGED,
        retry: RetryPolicy | None = UNCHANGED,
        business_id: str | None = UNCHANGED,
    ) -> Self:
        """Return a view of this client with other options; closing the view does nothing.

        Args:
            timeout: The deadline of a call in seconds.
            retry: The policy for transient failures; None turns retries off.
            business_id: The business of the operations.
        """
        return self._view(timeout=timeout, retry=retry, business_id=business_id)

    async def request(
        self,
        method: str,
        path: str,
        *,
        body: object = None,
        query: Mapping[str, Any] | None = None,
        auth: Auth | None = "api_key",
        idempotency_key: str | None = None,
    ) -> Any:
        """Send a request without a model, with the retries, limits and errors of other calls.

        Args:
            method: The HTTP method.
            path: A path under `/api/`.
            body: Plain JSON, or None for no body.
            query: The query's names and values.
            auth: The credential: `"api_key"`, `"payout_key"`, `"contract_key"`, `"dashboard"`, or
                None.
            idempotency_key: The idempotency key. A mutation without one is not retried once the
                server may have received it. Withdrawals need one (seed 001).

        Returns:
            The response as plain JSON, with exact integers and with fractions as floats; None
            without content.
        """
        return await self._caller.request(method, path, body, query, auth, idempotency_key)

    @cached_property
    def api_keys(self) -> APIKeys:
        """API keys: created, listed and revoked by a dashboard session."""
        from paychainhq.resources.api_keys import APIKeys

        return APIKeys(self._caller)

    @cached_property
    def balances(self) -> Balances:
        """Balances of the business."""
        from paychainhq.resources.balances import Balances

        return Balances(self._caller)

    @cached_property
    def billing(self) -> Billing:
        """Charges of PayChainHQ to the business: plan, usage, invoices."""
        from paychainhq.resources.billing import Billing

        return Billing(self._caller)

    @cached_property
    def businesses(self) -> Businesses:
        """Business: identity, payment methods, settings."""
        from paychainhq.resources.businesses import Businesses

        return Businesses(self._caller)

    @cached_property
    def contract_integrations(self) -> ContractIntegrations:
        """Contracts that the business has integrated."""
        from paychainhq.resources.contract_integrations import ContractIntegrations

        return ContractIntegrations(self._caller)

    @cached_property
    def customers(self) -> Customers:
        """Reusable customer identities with permanent deposit addresses."""
        from paychainhq.resources.customers import Customers

        return Customers(self._caller)

    @cached_property
    def invoices(self) -> Invoices:
        """Payable invoices with deposit addresses and a lifecycle."""
        from paychainhq.resources.invoices import Invoices

        return Invoices(self._caller)

    @cached_property
    def networks(self) -> Networks:
        """Supported networks."""
        from paychainhq.resources.networks import Networks

        return Networks(self._caller)

    @cached_property
    def prices(self) -> Prices:
        """Cached token prices in US dollars."""
        from paychainhq.resources.prices import Prices

        return Prices(self._caller)

    @cached_property
    def supported_assets(self) -> SupportedAssets:
        """Public catalogue of deposit rails."""
        from paychainhq.resources.supported_assets import SupportedAssets

        return SupportedAssets(self._caller)

    @cached_property
    def tokens(self) -> Tokens:
        """Tokens that the business can use."""
        from paychainhq.resources.tokens import Tokens

        return Tokens(self._caller)

    @cached_property
    def withdrawals(self) -> Withdrawals:
        """Quotes for withdrawals."""
        from paychainhq.resources.withdrawals import Withdrawals

        return Withdrawals(self._caller)
