"""API keys: standard, payout and contract execution, and the policies that bind them."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from enum import StrEnum

import attrs

from paychainhq._core.model import wire
from paychainhq._core.secrets import Secret
from paychainhq.models.base import Model
from paychainhq.models.chains import Chain


class KeyKind(StrEnum):
    """Kind of an API key."""

    STANDARD = "standard"
    PAYOUT = "payout"
    CONTRACT_EXECUTION = "contract_execution"


class DestinationPolicy(StrEnum):
    """Restriction of a payout key's destinations: its allowed destinations only, or any."""

    ALLOWLIST = "allowlist"
    ANY = "any"


@attrs.frozen(kw_only=True)
class Destination(Model):
    """Address that a payout key may pay to; `label` is the operator's name for it."""

    chain: Chain | str
    address: str
    label: str | None = None


@attrs.frozen(kw_only=True)
class PayoutLimit(Model):
    """Payout limit of a key for one token on one network.

    Attributes:
        chain: The chain family.
        network_id: The network, such as `sol-mainnet`.
        token: The token.
        max_amount: The largest amount of one withdrawal.
        daily_amount: The largest sum of all withdrawals in a rolling day.
    """

    chain: Chain | str
    network_id: str
    token: str
    max_amount: Decimal
    daily_amount: Decimal


@attrs.frozen(kw_only=True)
class KeyPolicy(Model):
    """Policy of a payout or contract execution key. The kind of key determines the fields.

    Attributes:
        destination_policy: Payout: whether `destinations` restricts the addresses that it may pay
            to.
        destinations: Payout: the addresses that it may pay to (`allowedDestinations` in the list of
            keys).
        allowed_chains: Payout: the chain families.
        allowed_network_ids: The networks.
        allowed_tokens: Payout: the tokens.
        limits: Payout: the limits by token and network.
        ip_allowlist: Payout: the IPv4 addresses or CIDR blocks that it may be used from.
        allowed_action_ids: Contract execution: the actions that it may quote and execute, as of its
            creation.
        allowed_contract_addresses: Contract execution: the contracts of those actions.
        allowed_function_signatures: Contract execution: the functions of those actions.

    Source: seed 001. The response to a creation may echo fewer destinations and limits than were
    sent.
    """

    destination_policy: DestinationPolicy | str | None = None
    destinations: tuple[Destination, ...] | None = wire("destinations", "allowedDestinations")
    allowed_chains: tuple[str, ...] | None = None
    allowed_network_ids: tuple[str, ...] | None = None
    allowed_tokens: tuple[str, ...] | None = None
    limits: tuple[PayoutLimit, ...] | None = None
    ip_allowlist: tuple[str, ...] | None = None
    allowed_action_ids: tuple[str, ...] | None = None
    allowed_contract_addresses: tuple[str, ...] | None = None
    allowed_function_signatures: tuple[str, ...] | None = None


@attrs.frozen(kw_only=True)
class ApiKey(Model):
    """Active key as listed, without its secret.

    Attributes:
        id: The key's id, for `api_keys.revoke`.
        name: The operator's name for it.
        kind: The kind of key.
        permissions: Its scopes, such as `invoices:*`.
        last_used_at: The time of its last use, or None.
        expires_at: The time of its expiry, or None.
        created_at: The time of its creation.
        payout_policy: The policy of a payout key; None for other kinds.

    Source: seed 001, "List API keys".
    """

    id: str
    name: str
    kind: KeyKind | str
    permissions: tuple[str, ...]
    last_used_at: datetime | None = None
    expires_at: datetime | None = None
    created_at: datetime | None = None
    payout_policy: KeyPolicy | None = None


@attrs.frozen(kw_only=True)
class CreatedApiKey(Model):
    """Key that was just created. No other response holds its secret, so store `api_key` at once.

    Attributes:
        id: The key's id, for `api_keys.revoke`.
        name: The operator's name for it.
        kind: The kind of key.
        api_key: The secret: an ordinary `str` with a masked repr; pickling drops it.
        permissions: Its scopes.
        expires_at: The time of its expiry, or None.
        created_at: The time of its creation.
        policy: The policy of a payout or contract execution key; None for a standard key.
        warning: The server's advice about storing it.

    Source: seed 001, "Create standard API key", "Create payout API key" and "Create contract
    execution API key".
    """

    id: str
    name: str
    kind: KeyKind | str
    api_key: Secret
    permissions: tuple[str, ...]
    expires_at: datetime | None = None
    created_at: datetime | None = None
    policy: KeyPolicy | None = None
    warning: str | None = None


@attrs.frozen(kw_only=True)
class Revocation(Model):
    """Result of a revocation. If `ok` is true, requests with that key are refused from now on.

    Source: seed 001, "Revoke API key".
    """

    ok: bool
