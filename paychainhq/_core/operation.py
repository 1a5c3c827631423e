"""Operations: endpoints as data, and the path and body of a call."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Generic, Literal, TypeVar
from urllib.parse import quote, urlencode

import attrs

from paychainhq._core import validators as check
from paychainhq._core.credentials import Auth
from paychainhq._core.validators import Check
from paychainhq.errors import InvalidArgumentError

T = TypeVar("T", covariant=True)


Idempotency = Literal["required", "recommended", "unsupported"]


@attrs.frozen
class Parameter:
    """Field of a body or a query: its check, whether it is required, and its name on the wire."""

    check: Check
    required: bool = False
    wire: str = ""


def _parameters(fields: Mapping[str, Check | Parameter]) -> dict[str, Parameter]:
    parameters = {
        name: field if isinstance(field, Parameter) else Parameter(field)
        for name, field in fields.items()
    }
    return {
        name: attrs.evolve(parameter, wire=check.wire_name(name))
        for name, parameter in parameters.items()
    }


_Row = tuple[str, str, Check, bool]


def _rows(parameters: Mapping[str, Parameter]) -> tuple[_Row, ...]:
    return tuple(
        (name, field.wire, field.check, field.required) for name, field in parameters.items()
    )


@attrs.frozen(kw_only=True, eq=False)
class Operation(Generic[T]):
    """Endpoint, as data.

    Attributes:
        name: The resource and the method of the client, such as `"invoices.create"`.
        method: The HTTP method.
        path: The path, with `{placeholders}` for ids.
        response_type: The type of the decoded response.
        auth: The required credential, or None for a public operation.
        idempotency: Whether the documents give it an `Idempotency-Key`; `"unsupported"` if they
            give none.
        body: The fields of its body by their names in Python.
        query: The fields of its query by their names in Python.
        holds_secret: Whether the request or the response holds a secret, which is then concealed.
        needs_confirmation: Whether a person confirms it on a command line: no call reverts it.
        inside: The one field of the response that holds the result; None if the whole response
            does.
        source: The page that documents it, if not in the seed documents.
        placeholders: The names of the ids in the path.
        account: The arguments of which a call needs one; the client's own id is the default of the
            first.
    """

    name: str
    method: str
    path: str
    _response: Callable[[], type[T]] = attrs.field(repr=False, alias="response")
    auth: Auth | None = "api_key"
    idempotency: Idempotency = "unsupported"
    body: Mapping[str, Parameter] = attrs.field(factory=dict, converter=_parameters, repr=False)
    query: Mapping[str, Parameter] = attrs.field(factory=dict, converter=_parameters, repr=False)
    holds_secret: bool = False
    needs_confirmation: bool = False
    inside: str | None = None
    source: str | None = None
    placeholders: tuple[str, ...] = attrs.field(
        init=False,
        repr=False,
        default=attrs.Factory(
            lambda self: tuple(re.findall(r"{(\w+)}", self.path)), takes_self=True
        ),
    )
    account: tuple[str, ...] = attrs.field(
        repr=False,
        default=attrs.Factory(
            lambda self: ("business_id",) if "business_id" in self.placeholders else (),
            takes_self=True,
        ),
    )
    # Derived once, for the speed of calls: the path in pieces, and the fields as rows.
    _start: str = attrs.field(init=False, repr=False)
    _rest: tuple[tuple[str, str], ...] = attrs.field(init=False, repr=False)
    _body: tuple[_Row, ...] = attrs.field(init=False, repr=False)
    _query: tuple[_Row, ...] = attrs.field(init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        start, *rest = re.split(r"{\w+}", self.path)
        object.__setattr__(self, "_start", start)
        object.__setattr__(self, "_rest", tuple(zip(self.placeholders, rest, strict=True)))
        object.__setattr__(self, "_body", _rows(self.body))
        object.__setattr__(self, "_query", _rows(self.query))

    @property
    def response_type(self) -> type[T]:
        return self._response()

    @property
    def is_documented(self) -> bool:
        """Return whether it is a row of the operation table, unlike that of `pay.request`."""
        return " " not in self.name

    def prepare(self, given: Mapping[str, Any]) -> tuple[str, dict[str, Any] | None]:
        """Check the arguments, and return the path with its query and the body.

        None stands for an omitted argument.
        """
        try:
            path = self._start
            for name, rest in self._rest:
                path += check.path_segment(name, given[name]) + rest
            if self.query:
                path = path_with_query(path, _checked(self._query, given))
            return path, _checked(self._body, given) if self.body else None
        except InvalidArgumentError as error:
            error.operation = self.name
            raise


def _checked(rows: tuple[_Row, ...], given: Mapping[str, Any]) -> dict[str, Any]:
    fields = {}
    for name, wire, test, required in rows:
        value = given.get(name)
        if value is not None:
            fields[wire] = test(name, value)
        elif required:
            check.invalid(name, "is required")
    return fields


def path_with_query(path: str, query: Mapping[str, Any]) -> str:
    """Append a query, with booleans in JSON spelling."""
    if not query:
        return path
    written = {
        name: str(value).lower() if isinstance(value, bool) else value
        for name, value in query.items()
    }
    return f"{path}?{urlencode(written, quote_via=quote)}"
