"""What all models have in common: the object that they came from, and the exchange that brought it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import attrs

from paychainhq.exchange import ResponseInfo


def hidden(alias: str) -> Any:
    """A field that is no field of the API: it takes no part in equality or repr.

    Its alias keeps its underscore, since attrs would drop it, and a price has a `source` of its own.
    """
    return attrs.field(default=None, eq=False, repr=False, kw_only=True, alias=alias)


def wire(*names: str, default: Any = None) -> Any:
    """An optional field whose name on the wire is not its own in camelCase; several names are several spellings."""
    return attrs.field(default=default, metadata={"names": names})


def digits(*, required: bool = False) -> Any:
    """An integer that the wire writes as a string of digits, such as a raw amount."""
    default: Any = attrs.NOTHING if required else None
    return attrs.field(default=default, metadata={"digits": True})


def number(*names: str, default: Any = None) -> Any:
    """A decimal that the wire writes as a JSON number; `names` as in `wire`."""
    return attrs.field(default=default, metadata={"number": True, "names": names})


@attrs.frozen
class Model:
    """A value of the API: immutable, compared by its fields, and lossless.

    `to_json` gives back the object it was made from, with what `attrs.evolve` has changed.
    """

    # The one field that stands for the whole where the wire has a bare string or array instead of an object.
    bare: ClassVar[tuple[str, type] | None] = None
    # Fields that may be missing, but that are never null: money is read strictly.
    not_null: ClassVar[frozenset[str]] = frozenset()

    _source: Any = hidden("_source")
    _response: ResponseInfo | None = hidden("_response")

    @property
    def response(self) -> ResponseInfo | None:
        """How this result came about, or None for a value inside another, and for one that was not fetched."""
        return self._response

    @property
    def extra(self) -> Mapping[str, Any]:
        """The fields that the server sent and this package does not know."""
        from paychainhq.codec import wire_names

        known = wire_names(type(self))
        return {name: value for name, value in self._source.items() if name not in known} if isinstance(self._source, dict) else {}
