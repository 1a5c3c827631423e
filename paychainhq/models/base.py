"""Base of all models, with the source object and the response metadata of each."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from copy import deepcopy
from decimal import Decimal
from typing import Annotated, Any, ClassVar, TypeVar, cast, get_origin

import attrs

from paychainhq._attempts import ResponseInfo
from paychainhq._core.validators import wire_name
from paychainhq._data import Data
from paychainhq.errors import DecodeError

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


Digits = Annotated[int, "digits"]
"""Integer that the wire writes as a string of digits, such as a raw amount."""

JsonNumber = Annotated[Decimal, "number"]
"""Decimal that the wire writes as a JSON number."""


@cached
def field_names(cls: type[Model]) -> Mapping[str, tuple[str, ...]]:
    """Return the wire names of each field of a model, the usual spelling first."""
    fields = [field for field in attrs.fields(cls) if not field.name.startswith("_")]
    return {field.name: field.metadata.get("names") or (wire_name(field.name),) for field in fields}


def free_form() -> Any:
    """Return an optional field of JSON objects, which are not hashable: no part of the hash."""
    return attrs.field(default=None, hash=False)


def exact_data(value: object) -> Any:
    """Return the JSON of a value in plain types, with its exact numbers as strings."""
    from paychainhq.codec import to_json  # on the first use: the codec is built on the models

    return _plain(to_json(value), str)


def _plain(value: Any, exact: type[str | float]) -> Any:
    """Return parsed JSON with its numbers of type `Number` as their text, or as floats."""
    if isinstance(value, dict):
        return {name: _plain(item, exact) for name, item in value.items()}
    if isinstance(value, list):
        return [_plain(item, exact) for item in value]
    if isinstance(value, float) and type(value) is not float:
        return getattr(value, "text", value) if exact is str else float(value)
    return value


@attrs.frozen
class Model(Data):
    """Value of the API: immutable, compared by its fields, and lossless.

    `to_dict` returns the source object, with the changes of `attrs.evolve`.
    """

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
        if not isinstance(self._source, dict):
            return {}
        known = {name for names in field_names(type(self)).values() for name in names}
        unknown = {name: value for name, value in self._source.items() if name not in known}
        try:
            return cast("dict[str, Any]", _plain(unknown, float))
        except RecursionError:  # nested too deeply to convert its numbers
            return unknown

    def to_dict(self) -> Any:
        """Return the value as the API writes it: plain JSON types, with no field lost.

        Money is text, also where the API writes a number with a fraction (withdrawal quotes). The
        result is a dict, unless the API writes the value as an array or as text.
        """
        return exact_data(self)

    # --- fields of pydantic models, parameters and results of FastAPI ---

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: Any) -> Any:
        """Return the schema for pydantic: an instance is kept, JSON is decoded."""
        from pydantic_core import core_schema

        from paychainhq.codec import from_json

        def validate(value: Any) -> Any:
            if isinstance(value, get_origin(source) or source):
                return value
            try:
                return from_json(source, deepcopy(value))
            except DecodeError as error:
                problem = error.message
            raise ValueError(problem)

        return core_schema.no_info_plain_validator_function(
            validate,
            serialization=core_schema.plain_serializer_function_ser_schema(
                lambda value: value.to_dict()
            ),
        )

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: Any, handler: Any) -> dict[str, Any]:
        """Return the JSON schema for pydantic: any object, or the bare value of this class."""
        if cls._bare is None:
            return {"title": cls.__name__, "type": "object"}
        bare = "string" if cls._bare[1] is str else "array"
        return {"title": cls.__name__, "anyOf": [{"type": "object"}, {"type": bare}]}
