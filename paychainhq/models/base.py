"""Base of all models, with their conversions for users, pydantic and FastAPI."""

from __future__ import annotations

from copy import deepcopy
from typing import Any, get_origin

import attrs

from paychainhq._core.model import ModelBase
from paychainhq.errors import DecodeError


@attrs.frozen
class Model(ModelBase):
    """Value of the API: immutable, compared by its fields, and lossless.

    `to_dict` returns the source object, with the changes of `attrs.evolve`.
    """

    def to_dict(self) -> Any:
        """Return the value as the API writes it: plain JSON types, with no field lost.

        Where the API writes money as a number (withdrawal quotes), a number with an unusual
        spelling is text; so is any number that no float equals. The result is a dict, unless the
        API writes the value as an array or as text.
        """
        from paychainhq.codec import to_plain  # on the first use: the codec loads cattrs

        return to_plain(self)

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
