"""One call of the gateway, which has a client id where PayChainHQ has a business id."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs

from paychainhq.calls import Caller
from paychainhq.errors import InvalidArgumentError
from paychainhq.operations import Operation


@attrs.frozen(kw_only=True)
class GatewayCaller(Caller):
    """Makes calls of the gateway with one set of options."""

    client_id: str | None

    def complete(self, operation: Operation[Any], given: Mapping[str, Any]) -> Mapping[str, Any]:
        """Add the client's own client id where the body needs one and the caller named neither application nor site."""
        if "client_id" not in operation.body or given.get("client_id") is not None or given.get("site_id") is not None:
            return given
        if self.client_id is None:
            raise InvalidArgumentError(
                f"{operation.name} needs a client id: pass client_id=... (or site_id=...) to it, or client_id=... to Gateway",
                argument="client_id",
                operation=operation.name,
            )
        return {**given, "client_id": self.client_id}
