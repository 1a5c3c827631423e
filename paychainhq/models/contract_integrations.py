"""Contract integrations: contracts and programs that a business has registered."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import attrs

from paychainhq._core.model import free_form
from paychainhq.models.base import Model
from paychainhq.models.chains import Chain


@attrs.frozen(kw_only=True)
class ContractOperation(Model):
    """Operation of a contract: a write or a query.

    Attributes:
        operation_kind: The kind, such as `solana_instruction`.
        name: Its name in the interface.
        signature: Its full signature.
        selector: Its selector in hexadecimal.
        state_mutability: Its effect on state, such as `view` or `nonpayable`.
        inputs: Its inputs, as in the interface.
        outputs: Its outputs, as in the interface.
    """

    operation_kind: str
    name: str
    signature: str | None = None
    selector: str | None = None
    state_mutability: str | None = None
    inputs: tuple[Mapping[str, Any], ...] | None = free_form()
    outputs: tuple[Mapping[str, Any], ...] | None = free_form()


@attrs.frozen(kw_only=True)
class ContractIntegration(Model):
    """Registered contract or program.

    Attributes:
        id: The integration's id.
        business_id: The business.
        name: The display name.
        chain: The chain family.
        interface_type: The format of its interface, such as `anchor_idl`.
        network_id: The network, such as `sol-devnet`.
        contract_address: The contract's address.
        program_id: The program's address (Solana).
        abi_hash: The hash of its interface.
        status: The status; the documents show `active`.
        turnkey_smart_contract_interface_id: The signing provider's id of the interface, or None.
        turnkey_last_synced_at: The time of the last synchronization with the signing provider, or
            None.
        turnkey_sync_error: The error of that synchronization, or None.
        available_write_operations: The operations that write.
        available_query_operations: The operations that read.

    Source: reference/contracts-automation. Assumption: the three `turnkey` fields, null there, are
    an id, a time and a text.
    """

    id: str
    name: str
    chain: Chain | str
    status: str
    business_id: str | None = None
    interface_type: str | None = None
    network_id: str | None = None
    contract_address: str | None = None
    program_id: str | None = None
    abi_hash: str | None = None
    turnkey_smart_contract_interface_id: str | None = None
    turnkey_last_synced_at: datetime | None = None
    turnkey_sync_error: str | None = None
    available_write_operations: tuple[ContractOperation, ...] | None = None
    available_query_operations: tuple[ContractOperation, ...] | None = None
