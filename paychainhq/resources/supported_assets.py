"""Supported assets: `pay.supported_assets`."""

from __future__ import annotations

from paychainhq import operations
from paychainhq.models.lists import Listing
from paychainhq.models.supported_assets import PaymentMethod
from paychainhq.resources.base import Resource


class SupportedAssets(Resource):
    """The public catalogue of deposit rails."""

    __slots__ = ()

    async def list(self, include_inactive: bool | None = None) -> Listing[PaymentMethod]:
        """List the networks and tokens in which the platform takes deposits; sends no key.

        This is the catalogue of the platform: what one business can be paid in is told by `businesses.payment_methods`.

        Args:

            include_inactive: Also those that are not in use; by default not.

        Source: seed 003, "List supported assets".
        """
        return await self._caller.call(operations.SUPPORTED_ASSETS_LIST, {"include_inactive": include_inactive})
