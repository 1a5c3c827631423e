"""API keys: `pay.api_keys`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from paychainhq import operations
from paychainhq.errors import InvalidArgumentError
from paychainhq.models.api_keys import (
    ApiKey,
    CreatedApiKey,
    Destination,
    DestinationPolicy,
    PayoutLimit,
    Revocation,
)
from paychainhq.models.lists import Listing
from paychainhq.resources.base import Resource


class APIKeys(Resource):
    """API keys, managed by dashboard sessions after step-up. With an API key, the response is 403.

    No document gives these operations an idempotency key: a creation that the server may have
    executed is never retried.
    """

    __slots__ = ()

    async def list(self, *, business_id: str | None = None) -> Listing[ApiKey]:
        """List the active standard and payout keys, with policies and without secrets.

        Args:
            business_id: The business; by default the client's.

        Source: seed 001, "List API keys".
        """
        return await self._caller.call(operations.API_KEYS_LIST, {"business_id": business_id})

    async def create(
        self,
        name: str,
        permissions: Sequence[str] | None = None,
        expires_in: int | None = None,
        *,
        business_id: str | None = None,
    ) -> CreatedApiKey:
        """Create a standard key for invoices, customers and reads.

        It can neither move funds nor manage keys. No later response holds the secret: store
        `api_key` safely before anything else.

        Args:
            name: The operator's name for it.
            permissions: Its scopes, such as `"invoices:*"`. The server refuses those of high risk:
                `*`, `apiKeys:*`, `payments:*`, `payouts:create`, and contract signing.
            expires_in: Its lifetime in days, at most 365.
            business_id: The business; by default the client's.

        Raises:
            InvalidArgumentError: An argument is invalid; nothing was sent.
            BadRequestError: With the code `HIGH_RISK_SCOPE_NOT_ALLOWED`: a standard key may not
                have such a permission.

        Source: seed 001, "Create standard API key".
        """
        given = {
            "name": name,
            "permissions": permissions,
            "expires_in": expires_in,
            "business_id": business_id,
        }
        return await self._caller.call(operations.API_KEYS_CREATE, given)

    async def create_payout(
        self,
        name: str,
        limits: Sequence[PayoutLimit | Mapping[str, Any]],
        destination_policy: DestinationPolicy | str | None = None,
        destinations: Sequence[Destination | Mapping[str, Any]] | None = None,
        ip_allowlist: Sequence[str] | None = None,
        expires_in: int | None = None,
        *,
        business_id: str | None = None,
    ) -> CreatedApiKey:
        """Create a payout key, which can move funds within its limits.

        No later response holds the secret: store `api_key` safely before anything else. Rotate it
        separately from the standard keys. A policy that allows a withdrawal does not promise that
        the withdrawal settles.

        Args:
            name: The operator's name for it.
            limits: The limits for each token on each network, of one withdrawal and of a rolling
                day. Mappings with `chain`, `network_id`, `token`, `max_amount` and `daily_amount`,
                or `PayoutLimit`s.
            destination_policy: `"allowlist"` (the default), or `"any"`, which lets a stolen key pay
                to anybody: choose lower limits, a shorter lifetime and an `ip_allowlist` then.
            destinations: The addresses that it may pay to, required unless the policy is `"any"`:
                mappings with `chain`, `address` and optionally `label`, or `Destination`s.
            ip_allowlist: The IPv4 addresses or CIDR blocks that it may be used from; by default
                any.
            expires_in: Its lifetime in days, at most 365.
            business_id: The business; by default the client's.

        Raises:
            InvalidArgumentError: An argument is invalid, or `destinations` is missing; nothing was
                sent.

        Source: seed 001, "Create payout API key".
        """
        if destinations is None and destination_policy != DestinationPolicy.ANY:
            raise InvalidArgumentError(
                'destinations is required unless destination_policy="any"',
                argument="destinations",
                operation=operations.API_KEYS_CREATE_PAYOUT.name,
            )
        given = {
            "name": name,
            "limits": limits,
            "destination_policy": destination_policy,
            "destinations": destinations,
            "ip_allowlist": ip_allowlist,
            "expires_in": expires_in,
            "business_id": business_id,
        }
        return await self._caller.call(operations.API_KEYS_CREATE_PAYOUT, given)

    async def create_contract(
        self,
        name: str,
        action_ids: Sequence[str],
        expires_in: int | None = None,
        *,
        business_id: str | None = None,
    ) -> CreatedApiKey:
        """Create a contract execution key, which can only quote and execute the named actions.

        No later response holds the secret: store `api_key` safely before anything else. The key
        keeps the policy of its actions as of its creation (networks, contracts, functions): later
        changes of an action do not apply to it.

        Args:
            name: The operator's name for it.
            action_ids: The contract actions, which must be published and active.
            expires_in: Its lifetime in days, at most 365.
            business_id: The business; by default the client's.

        Raises:
            InvalidArgumentError: An argument is invalid; nothing was sent.

        Source: seed 001, "Create contract execution API key".
        """
        given = {
            "name": name,
            "action_ids": action_ids,
            "expires_in": expires_in,
            "business_id": business_id,
        }
        return await self._caller.call(operations.API_KEYS_CREATE_CONTRACT, given)

    async def revoke(self, key_id: str, *, business_id: str | None = None) -> Revocation:
        """Revoke a key: later requests with it are refused, withdrawals in progress continue.

        Args:
            key_id: The key's id, not its secret.
            business_id: The business; by default the client's.

        Raises:
            NotFoundError: There is no such key, or another business owns it.

        Source: seed 001, "Revoke API key"; that withdrawals in progress continue is an
        interpretation of its caution.
        """
        return await self._caller.call(
            operations.API_KEYS_REVOKE, {"key_id": key_id, "business_id": business_id}
        )
