"""Payment applications: `gateway.applications`."""

from __future__ import annotations

from collections.abc import Sequence

from paychainhq.credentials import conceal
from paychainhq.gateway import operations
from paychainhq.gateway.models import Application
from paychainhq.models.lists import Listing
from paychainhq.resources.base import Resource


class Applications(Resource):
    """Payment applications: what payments belong to; only an OAuth2 token may see or make them."""

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
        return await self._caller.call(operations.APPLICATIONS_GET, {"application_id": application_id})

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
        """Create a payment application; it is not repeated after a failure that leaves open whether it was done.

        Args:

            name: Its name, of 3 to 255 characters.
            secret: The secret that its webhooks are to be signed with; no answer ever shows it.
            url: Your site.
            callback_url: Where its webhooks go; one address.
            currency_whitelist: The codes of the cryptocurrencies that it takes, such as `["BTC", "USDT"]`.
            allow_underpay: Whether too little counts as paid.
            allow_overpay: Whether too much counts as paid.

        Raises:

            InvalidArgumentError: An argument cannot be meant as given; nothing was sent.
            BadRequestError: The gateway refuses it; `error.fields` says which fields.

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
