"""API keys: standard, payout and contract execution, and the policies that bind them."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from enum import StrEnum

import attrs

from paychainhq.credentials import Secret
from paychainhq.models.base import Model, wire
from paychainhq.models.chains import Chain


class KeyKind(StrEnum):
    """What a key is for."""

    STANDARD = "standard"
    PAYOUT = "payout"
    CONTRACT_EXECUTION = "contract_execution"


class DestinationPolicy(StrEnum):
    """Whether a payout key may pay to its allowed destinations only, or to any."""

    ALLOWLIST = "allowlist"
    ANY = "any"


@attrs.frozen(kw_only=True)
class Destination(Model):
    """An address that a payout key may pay to; `label` is the operator's name for it."""

    chain: Chain | str
    address: str
    label: str | None = None


@attrs.frozen(kw_only=True)
class PayoutLimit(Model):
    """How much a payout key may pay out of one token on one network.

    Attributes:

        chain: The chain family.
        network_id: The network, such as `sol-mainnet`.
        token: The token.
        max_amount: The most that one withdrawal may be.
        daily_amount: The most that all withdrawals of a rolling day may be.
    """

    chain: Chain | str
    network_id: str
    token: str
    max_amount: Decimal
    daily_amount: Decimal


@attrs.frozen(kw_only=True)
class KeyPolicy(Model):
    """What a payout or contract execution key may do; which fields are there depends on the kind of key.

    Attributes:

        destination_policy: Payout: whether `destinations` bounds where it may pay to.
        destinations: Payout: where it may pay to (`allowedDestinations` in the list of keys).
        allowed_chains: Payout: the chain families.
        allowed_network_ids: The networks.
        allowed_tokens: Payout: the tokens.
        limits: Payout: how much of which token.
        ip_allowlist: Payout: the IPv4 addresses or CIDR blocks that it may be used from.
        allowed_action_ids: Contract execution: the actions that it may quote and execute, as they were when it was made.
        allowed_contract_addresses: Contract execution: the contracts of those actions.
        allowed_function_signatures: Contract execution: the functions of those actions.

    Source: seed 001. The answer to a creation may echo fewer destinations and limits than were sent.
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
    """An active key, as the list shows it: never with its secret.

    Attributes:

        id: The key's id, by which it is revoked.
        name: The operator's name for it.
        kind: What it is for.
        permissions: Its scopes, such as `invoices:*`.
        last_used_at: When it was last used, or None.
        expires_at: When it ends by itself, or None.
        created_at: When it was created.
        payout_policy: What binds a payout key; None for the others.

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
    """A key that was just created: the only answer that ever holds its secret, so store `api_key` at once.

    Attributes:

        id: The key's id, by which it is revoked.
        name: The operator's name for it.
        kind: What it is for.
        api_key: The secret: an ordinary `str` whose repr is masked, and which pickling loses.
        permissions: Its scopes.
        expires_at: When it ends by itself, or None.
        created_at: When it was created.
        policy: What binds a payout or contract execution key; None for a standard key.
        warning: The server's advice about storing it.

    Source: seed 001, "Create standard API key", "Create payout API key" and "Create contract execution API key".
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
    """The answer to a revocation: with `ok`, requests with that key are refused from now on.

    Source: seed 001, "Revoke API key".
    """

    ok: bool
