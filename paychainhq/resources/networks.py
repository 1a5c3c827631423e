"""Networks: `pay.networks`."""

from __future__ import annotations

from paychainhq import operations
from paychainhq.models.lists import Listing
from paychainhq.models.networks import Network
from paychainhq.resources.base import Resource


class Networks(Resource):
    """Supported networks."""

    __slots__ = ()

    async def list(self) -> Listing[Network]:
        """List the networks for invoices and withdrawals; sends no key.

        Other operations take a network's `network_id`, never its display name.

        Source: seed 003, "List supported networks".
        """
        return await self._caller.call(operations.NETWORKS_LIST)
