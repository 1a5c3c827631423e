"""Structure hooks of outcomes: errors from their facts, requests or else the given mappings."""

from __future__ import annotations

from contextlib import suppress
from typing import Any, TypeGuard, get_args

import attrs
from cattrs import Converter
from cattrs.gen import make_dict_structure_fn, override

from paychainhq import errors
from paychainhq._attempts import Attempt, Sent
from paychainhq.codec.containers import is_mapping, is_union
from paychainhq.codec.scalars import REFUSED, Hook, Mismatch, json_object
from paychainhq.errors import PayChainError


@attrs.frozen
class _ErrorData:
    """Facts of an error as `PayChainError.to_dict` writes them."""

    type: str
    message: str
    sent: Sent
    operation: str | None = None
    idempotency_key: str | None = None
    request_id: str | None = None
    status: int | None = None
    code: str | None = None
    attempts: tuple[Attempt, ...] = ()


def register(converter: Converter) -> None:
    """Register the structure hooks of outcomes on a converter."""
    converter.register_structure_hook_factory(_is_error, _error)
    converter.register_structure_hook_factory(_is_request, _request)


def _is_error(type_: Any) -> TypeGuard[type[PayChainError]]:
    return isinstance(type_, type) and issubclass(type_, PayChainError)


def _error(_: Any, converter: Converter) -> Hook:
    """Return the hook of an error. A class of a later version becomes a `PayChainError`."""
    read = make_dict_structure_fn(
        _ErrorData,
        converter,
        idempotency_key=override(rename="idempotencyKey"),
        request_id=override(rename="requestId"),
    )

    def hook(data: Any, type_: Any) -> PayChainError:
        facts = attrs.asdict(read(data, _ErrorData), recurse=False)
        name, message = facts.pop("type"), facts.pop("message")
        known = getattr(errors, name, None)
        cls = known if _is_error(known) else PayChainError
        if not issubclass(cls, type_):
            raise Mismatch(f"should be of type {type_.__name__}, but is of type {name}")
        return cls(message, **{key: fact for key, fact in facts.items() if fact is not None})

    return hook


def _is_request(type_: Any) -> bool:
    """Return whether a type is a request or the mapping that it was given as."""
    parts = get_args(type_)
    return is_union(type_) and len(parts) == 2 and attrs.has(parts[0]) and is_mapping(parts[1])


def _request(type_: Any, converter: Converter) -> Hook:
    """Return the hook of a request: an object with exactly its fields is one, any other a mapping.

    So both are unstructured to the same JSON again. An invalid request stays a mapping as well: it
    may be part of a `Failure`.
    """
    cls, _ = get_args(type_)
    structure, names = converter.get_structure_hook(cls), set(attrs.fields_dict(cls))

    def hook(value: Any, _: Any) -> Any:
        if json_object(value, dict).keys() == names:
            with suppress(*REFUSED):
                return structure(value, cls)
        return value

    return hook
