"""Fields of all models: their wire names, source objects, and the metadata of their responses."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Annotated, Any, ClassVar, TypeVar, cast

import attrs

from paychainhq._attempts import ResponseInfo
from paychainhq._core.validators import wire_name
from paychainhq._data import Data

C = TypeVar("C", bound=Callable[..., Any])


def cached(function: C) -> C:
    """Cache a function like `functools.cache`, with the function's type preserved."""
    return cast(C, functools.cache(function))


def hidden(alias: str) -> Any:
    """Return a field that is not part of the API and takes no part in equality or repr.

    Its alias keeps its underscore: attrs would drop it, and a price has its own `source`.
    """
    return attrs.field(default=None, eq=False, repr=False, kw_only=True, alias=alias)


def wire(*names: str, default: Any = None) -> Any:
    """Return an optional field with alternative wire names instead of its own in camelCase."""
    return attrs.field(default=default, metadata={"names": names})


def free_form() -> Any:
    """Return an optional field of JSON objects, which are not hashable: no part of the hash."""
    return attrs.field(default=None, hash=False)


Digits = Annotated[int, "digits"]
"""Integer that the wire writes as a string of digits, such as a raw amount."""

JsonNumber = Annotated[Decimal, "number"]
"""Decimal that the wire writes as a JSON number."""


@cached
def field_names(cls: type[ModelBase]) -> Mapping[str, tuple[str, ...]]:
    """Return the wire names of each field of a model, the usual spelling first."""
    fields = [field for field in attrs.fields(cls) if not field.name.startswith("_")]
    return {field.name: field.metadata.get("names") or (wire_name(field.name),) for field in fields}


def plain_copy(value: Any) -> Any:
    """Return a copy of parsed JSON, with a number as its text if no float equals it."""
    if isinstance(value, dict):
        return {name: plain_copy(item) for name, item in value.items()}
    if isinstance(value, list):
        return [plain_copy(item) for item in value]
    if isinstance(value, float) and type(value) is not float:  # a `Number` of the codec
        text: str = getattr(value, "text", repr(value))
        return float(value) if Decimal(text) == Decimal(repr(float(value))) else text
    return value


@attrs.frozen
class ModelBase(Data):
    """Part of a model that the codec reads and fills; `models.base.Model` converts itself."""

    # The one field that holds the value if the wire has a bare string or array instead of an
    # object.
    _bare: ClassVar[tuple[str, type] | None] = None
    # Optional fields that must not be null: money is parsed strictly.
    _not_null: ClassVar[frozenset[str]] = frozenset()

    _source: Any = hidden("_source")
    _response: ResponseInfo | None = hidden("_response")

    @property
    def response(self) -> ResponseInfo | None:
        """Attempts and metadata of the response, or None for a nested or locally made value."""
        return self._response

    @property
    def extra(self) -> Mapping[str, Any]:
        """Fields that the server sent and this package does not define."""
        unknown = self._unknown()
        try:
            return cast("dict[str, Any]", plain_copy(unknown))
        except RecursionError:  # nested too deeply to convert its numbers
            return unknown

    def _unknown(self) -> dict[str, Any]:
        if not isinstance(self._source, dict):
            return {}
        known = {name for names in field_names(type(self)).values() for name in names}
        return {name: value for name, value in self._source.items() if name not in known}
