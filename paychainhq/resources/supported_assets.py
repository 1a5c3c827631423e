"""Supported assets: `pay.supported_assets`."""

from __future__ import annotations

from paychainhq import operations
from paychainhq.models.lists import Listing
from paychainhq.models.supported_assets import PaymentMethod
from paychainhq.resources.base import Resource


class SupportedAssets(Resource):
    """Public catalogue of deposit rails."""

    __slots__ = ()

    async def list(self, include_inactive: bool | None = None) -> Listing[PaymentMethod]:
        """List the networks and tokens in which the platform accepts deposits; sends no key.

        This is the catalogue of the platform: `businesses.payment_methods` lists the methods of one
        business.

        Args:
            include_inactive: Include inactive methods; by default not.

        Source: seed 003, "List supported assets".
        """
        return await self._caller.call(
            operations.SUPPORTED_ASSETS_LIST, {"include_inactive": include_inactive}
        )
