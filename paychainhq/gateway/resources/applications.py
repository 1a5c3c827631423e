"""Payment applications: `gateway.applications`."""

from __future__ import annotations

from collections.abc import Sequence

from paychainhq._core.credentials import conceal
from paychainhq.gateway import operations
from paychainhq.gateway.models import Application
from paychainhq.models.lists import Listing
from paychainhq.resources.base import Resource


class Applications(Resource):
    """Payment applications, which own payments; only an OAuth2 token may read or create them."""

    __slots__ = ()

    async def list(self) -> Listing[Application]:
        """Return all payment applications of the account.

        Source: the gateway's page on application endpoints.
        """
        return await self._caller.call(operations.APPLICATIONS_LIST)

    async def get(self, application_id: str) -> Application:
        """Return a payment application.

        Raises:
            NotFoundError: There is no such application.

        Source: the gateway's page on application endpoints.
        """
        return await self._caller.call(
            operations.APPLICATIONS_GET, {"application_id": application_id}
        )

    async def create(
        self,
        name: str,
        secret: str,
        url: str | None = None,
        callback_url: str | None = None,
        currency_whitelist: Sequence[str] | None = None,
        allow_underpay: bool | None = None,
        allow_overpay: bool | None = None,
    ) -> Application:
        """Create a payment application; an attempt that may have reached the server is not retried.

        Args:
            name: Its name, of 3 to 255 characters.
            secret: The secret for the signatures of its webhooks; no response ever holds it.
            url: Your site.
            callback_url: The address of its webhooks; only one.
            currency_whitelist: The codes of the accepted cryptocurrencies, such as `["BTC",
                "USDT"]`.
            allow_underpay: Whether an underpayment counts as paid.
            allow_overpay: Whether an overpayment counts as paid.

        Raises:
            InvalidArgumentError: An argument is invalid; nothing was sent.
            BadRequestError: The gateway refuses the fields; `error.fields` names them.

        Source: the gateway's pages on application endpoints and applications.
        """
        secret = conceal(secret)
        given = {
            "name": name,
            "secret": secret,
            "url": url,
            "callback_url": callback_url,
            "currency_whitelist": currency_whitelist,
            "allow_underpay": allow_underpay,
            "allow_overpay": allow_overpay,
        }
        return await self._caller.call(operations.APPLICATIONS_CREATE, given)
