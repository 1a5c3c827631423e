"""Arguments of a job's requests."""

from __future__ import annotations

from collections.abc import Mapping
from operator import attrgetter
from typing import Any, Generic, TypeVar

import attrs

from paychainhq._core import validators
from paychainhq._core.idempotency import key_for_reference

R = TypeVar("R")


class RequestArguments(Generic[R]):
    """Function from a request to the arguments of its call.

    Args:
        request_type: The attrs class of the requests.
        operation: The operation's name.
        business_id: The business of all requests.
    """

    def __init__(self, request_type: type[R], operation: str, business_id: str | None) -> None:
        self._request_type = request_type
        self._operation = operation
        self._business_id = business_id
        self._fields = attrs.fields_dict(request_type)  # type: ignore[arg-type]
        self._values = attrgetter(*self._fields)

    def __call__(self, request: object) -> tuple[dict[str, Any], str]:
        """Return the arguments of a request, and the idempotency key of its reference."""
        if not isinstance(request, self._request_type):
            request = self._from_mapping(request)
        given = dict(zip(self._fields, self._values(request), strict=True))
        reference = validators.reference("reference", given.pop("reference"))
        given["business_id"] = self._business_id
        return given, key_for_reference(self._operation, self._business_id or "", reference)

    def _from_mapping(self, request: object) -> R:
        if not isinstance(request, Mapping):
            validators.invalid(
                "request",
                f"must be {self._request_type.__name__} or a mapping, not {type(request).__name__}",
            )
        for name in request:
            if name not in self._fields:
                validators.invalid(
                    str(name), f"is unknown; the names are {', '.join(self._fields)}"
                )
        for name, field in self._fields.items():
            if field.default is attrs.NOTHING and name not in request:
                validators.invalid(name, "is missing")
        return self._request_type(**request)
