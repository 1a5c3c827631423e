"""Contract integrations: the contracts and programs that a business has registered."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import attrs

from paychainhq.models.base import Model
from paychainhq.models.chains import Chain


@attrs.frozen(kw_only=True)
class ContractOperation(Model):
    """Something that can be done with a contract, or asked of it.

    Attributes:

        operation_kind: The kind, such as `solana_instruction`.
        name: Its name in the interface.
        signature: Its full signature.
        selector: Its selector in hexadecimal.
        state_mutability: Whether it changes anything, such as `view` or `nonpayable`.
        inputs: What it takes, as the interface describes it.
        outputs: What it gives, likewise.
    """

    operation_kind: str
    name: str
    signature: str | None = None
    selector: str | None = None
    state_mutability: str | None = None
    inputs: tuple[Mapping[str, Any], ...] | None = None
    outputs: tuple[Mapping[str, Any], ...] | None = None


@attrs.frozen(kw_only=True)
class ContractIntegration(Model):
    """A registered contract or program.

    Attributes:

        id: The integration's id.
        business_id: Whose it is.
        name: Its name for people.
        chain: The chain family.
        interface_type: How its interface is described, such as `anchor_idl`.
        network_id: The network, such as `sol-devnet`.
        contract_address: Where it is.
        program_id: Where it is, in the words of Solana.
        abi_hash: The hash of its interface.
        status: Where it stands; the documents show `active`.
        turnkey_smart_contract_interface_id: The signing provider's id of the interface, or None.
        turnkey_last_synced_at: When the signing provider last took it over, or None.
        turnkey_sync_error: Why it did not, or None.
        available_write_operations: What can be done with it.
        available_query_operations: What can be asked of it.

    Source: reference/contracts-automation. Assumption: the three `turnkey` fields, null there, are an id, a time and a text.
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
