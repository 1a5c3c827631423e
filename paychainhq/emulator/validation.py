"""Validation of requests by the parameters that the client validates its arguments by."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from paychainhq._core.operation import Parameter
from paychainhq._core.validators import Check, wire_name
from paychainhq.emulator.errors import refuse_fields
from paychainhq.errors import InvalidArgumentError


def check_body(parameters: Mapping[str, Parameter], body: object) -> dict[str, Any]:
    """Return the known fields of a body under their wire names.

    Assumption: unknown fields are ignored.
    """
    if not parameters:
        return {}
    if not isinstance(body, Mapping):
        refuse_fields([{"field": "body", "message": "must be a JSON object"}])
    return _check(parameters, body, lambda check, name, value: check(name, value))


def check_query(parameters: Mapping[str, Parameter], query: Mapping[str, str]) -> dict[str, Any]:
    """Return the known fields of a query under their wire names.

    Numbers and booleans are parsed from text.
    """
    return _check(parameters, query, _check_text)


def _check(
    parameters: Mapping[str, Parameter],
    given: Mapping[str, Any],
    apply: Callable[[Check, str, Any], Any],
) -> dict[str, Any]:
    checked, problems = {}, []
    for python_name, parameter in parameters.items():
        name = wire_name(python_name)
        value = given.get(name)
        if value is None:
            if parameter.required:
                problems.append({"field": name, "message": f"{name} is required"})
            continue
        try:
            checked[name] = apply(parameter.check, name, value)
        except InvalidArgumentError as error:
            problems.append({"field": error.argument or name, "message": error.message})
    if problems:
        refuse_fields(problems)
    return checked


def _check_text(check: Check, name: str, text: str) -> Any:
    try:
        return check(name, text)
    except InvalidArgumentError:
        return check(name, _scalar(text))


def _scalar(text: str) -> object:
    if text in ("true", "false"):
        return text == "true"
    return int(text) if text.isascii() and text.isdigit() and len(text) < 20 else text
