"""What all models have in common: the object that they came from, and the exchange that brought it."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, TypeVar, cast

import attrs

from paychainhq.arguments import wire_name
from paychainhq.exchange import ResponseInfo

C = TypeVar("C", bound=Callable[..., Any])


def cached(function: C) -> C:
    """`functools.cache`, without losing the function's type."""
    return cast(C, functools.cache(function))


def hidden(alias: str) -> Any:
    """A field that is no field of the API: it takes no part in equality or repr.

    Its alias keeps its underscore, since attrs would drop it, and a price has a `source` of its own.
    """
    return attrs.field(default=None, eq=False, repr=False, kw_only=True, alias=alias)


def wire(*names: str, default: Any = None) -> Any:
    """An optional field whose name on the wire is not its own in camelCase; several names are several spellings."""
    return attrs.field(default=default, metadata={"names": names})


def digits() -> Any:
    """An optional integer that the wire writes as a string of digits, such as a raw amount."""
    return attrs.field(default=None, metadata={"digits": True})


def number(*names: str, default: Any = None) -> Any:
    """A decimal that the wire writes as a JSON number; `names` as in `wire`."""
    return attrs.field(default=default, metadata={"number": True, "names": names})


@cached
def field_names(cls: type[Model]) -> Mapping[str, tuple[str, ...]]:
    """What each field of a model goes by on the wire, the usual spelling first."""
    fields = [field for field in attrs.fields(cls) if not field.name.startswith("_")]
    return {field.name: field.metadata.get("names") or (wire_name(field.name),) for field in fields}


@attrs.frozen
class Model:
    """A value of the API: immutable, compared by its fields, and lossless.

    `to_json` gives back the object it was made from, with what `attrs.evolve` has changed.
    """

    # The one field that stands for the whole where the wire has a bare string or array instead of an object.
    _bare: ClassVar[tuple[str, type] | None] = None
    # Fields that may be missing, but that are never null: money is read strictly.
    _not_null: ClassVar[frozenset[str]] = frozenset()

    _source: Any = hidden("_source")
    _response: ResponseInfo | None = hidden("_response")

    @property
    def response(self) -> ResponseInfo | None:
        """How this result came about, or None for a value inside another, and for one that was not fetched."""
        return self._response

    @property
    def extra(self) -> Mapping[str, Any]:
        """The fields that the server sent and this package does not know."""
        if not isinstance(self._source, dict):
            return {}
        known = {name for names in field_names(type(self)).values() for name in names}
        return {name: value for name, value in self._source.items() if name not in known}
