"""Contract integrations: `pay.contract_integrations`."""

from __future__ import annotations

from paychainhq import operations
from paychainhq.models.contract_integrations import ContractIntegration
from paychainhq.models.lists import Listing
from paychainhq.resources.base import Resource


class ContractIntegrations(Resource):
    """Contracts that the business has integrated."""

    __slots__ = ()

    async def list(self, *, business_id: str | None = None) -> Listing[ContractIntegration]:
        """List the registered contracts and programs of the business, with their operations.

        Args:
            business_id: The business; by default the client's.

        Source: the public page reference/contracts-automation.
        """
        return await self._caller.call(
            operations.CONTRACT_INTEGRATIONS_LIST, {"business_id": business_id}
        )
