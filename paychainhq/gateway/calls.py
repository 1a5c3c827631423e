"""Calls of the gateway, with a client id in place of PayChainHQ's business id."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs

from paychainhq._caller import Caller
from paychainhq._core import validators
from paychainhq._core.operation import Operation
from paychainhq.errors import InvalidArgumentError


def _checked_client_id(instance: object, field: attrs.Attribute[Any], value: object) -> None:
    if value is not None:
        validators.text(field.name, value)


@attrs.frozen(kw_only=True)
class GatewayCaller(Caller):
    """Caller of the gateway's operations with one set of options."""

    client_id: str | None = attrs.field(validator=_checked_client_id)

    def complete(self, operation: Operation[Any], given: Mapping[str, Any]) -> Mapping[str, Any]:
        """Add the client's own client id if the body needs one and the call names neither
        application nor site.
        """
        if (
            "client_id" not in operation.body
            or given.get("client_id") is not None
            or given.get("site_id") is not None
        ):
            return given
        if self.client_id is None:
            raise InvalidArgumentError(
                f"{operation.name} needs a client id: pass client_id=... (or site_id=...) to it, "
                "or client_id=... to Gateway",
                argument="client_id",
                operation=operation.name,
            )
        return {**given, "client_id": self.client_id}
