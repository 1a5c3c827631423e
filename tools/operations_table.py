"""Generator of docs/operations.md from the operation table.

    python tools/operations_table.py [--check]

With --check, nothing is written; the exit code is 1 if the page is stale.
"""

from __future__ import annotations

import argparse
import difflib
import inspect
import re
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, get_args

from paychainhq._core.operation import Operation
from paychainhq.gateway.credentials import SCOPES
from paychainhq.gateway.operations import OPERATIONS as GATEWAY_OPERATIONS
from paychainhq.operations import OPERATIONS
from paychainhq.resources.base import Resource

TARGET = Path(__file__).parents[1] / "docs" / "operations.md"

_INTRODUCTION = """\
# Operations

<!-- Written by tools/operations_table.py: do not edit. -->

All {count} operations that this package models. `PayChainHQ.request` calls others.

- **Credential**: the argument of `PayChainHQ` with the operation's credential. "public" operations
  send none.
- **Idempotency**: "required" or "recommended" by the documents. Such a call always has an
  `Idempotency-Key` (a new one, unless you pass `idempotency_key`). An empty cell means that none is
  ever sent.
- **Documented in**: "seed 000" to "seed 003" are the vendor's pages on authentication (000), on the
  business and its keys (001), on customers and invoices (002), and on reference data and billing
  (003). Others are named by their path.

| Method | HTTP | Path | Credential | Idempotency | Result | Documented in |
|---|---|---|---|---|---|---|
"""


_GATEWAY = """
## The gateway

Operations of `paychainhq.gateway`, another API on another host (seed 004). None has an idempotency
key.

| Method | HTTP | Path | Credential | Scope of a client token | Result | Documented in |
|---|---|---|---|---|---|---|
"""


def table() -> str:
    """Return the page."""
    rows = "".join(map(_row, OPERATIONS.values()))
    return (
        _INTRODUCTION.format(count=len(OPERATIONS))
        + rows
        + _GATEWAY
        + "".join(map(_gateway_row, GATEWAY_OPERATIONS.values()))
    )


def _row(operation: Operation[Any]) -> str:
    cells = (
        f"`pay.{operation.name}`",
        operation.method,
        f"`{operation.path}`",
        f"`{operation.auth}`" if operation.auth else "public",
        "" if operation.idempotency == "unsupported" else operation.idempotency,
        f"`{_type_name(operation.response_type)}`",
        _source(operation, "paychainhq"),
    )
    return f"| {' | '.join(cells)} |\n"


def _gateway_row(operation: Operation[Any]) -> str:
    cells = (
        f"`gateway.{operation.name}`",
        operation.method,
        f"`{operation.path}`",
        "`oauth_token`" if operation.auth == "oauth_token" else "`client_token`, or `oauth_token`",
        f"`{SCOPES[operation.name]}`" if operation.name in SCOPES else "",
        "plain JSON"
        if operation.response_type is object
        else f"`{_type_name(operation.response_type)}`",
        _source(operation, "paychainhq.gateway"),
    )
    return f"| {' | '.join(cells)} |\n"


def _type_name(type_: type[Any]) -> str:
    arguments = ", ".join(map(_type_name, get_args(type_)))
    return f"{type_.__name__}[{arguments}]" if arguments else type_.__name__


def _source(operation: Operation[Any], package: str) -> str:
    """Return the sources of an operation, as in the docstring of its method."""
    resource, _, method = operation.name.partition(".")
    module = import_module(f"{package}.resources.{resource}")
    (cls,) = (
        value
        for value in vars(module).values()
        if isinstance(value, type) and issubclass(value, Resource) and value is not Resource
    )
    found = re.search(
        r"^Source: (.+?)\.$", inspect.getdoc(getattr(cls, method)) or "", re.MULTILINE | re.DOTALL
    )
    if found is None:
        raise ValueError(f"the docstring of {operation.name} names no source")
    return " ".join(found[1].split())


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the page, or check it."""
    parser = argparse.ArgumentParser(description="Write docs/operations.md.")
    parser.add_argument(
        "--check", action="store_true", help="write nothing; fail if the file is stale"
    )
    options = parser.parse_args(arguments)
    wanted = table()
    if not options.check:
        TARGET.parent.mkdir(exist_ok=True)
        TARGET.write_text(wanted, encoding="utf-8")
        return 0
    found = TARGET.read_text(encoding="utf-8") if TARGET.exists() else ""
    sys.stdout.writelines(
        difflib.unified_diff(
            found.splitlines(True), wanted.splitlines(True), TARGET.name, "expected"
        )
    )
    return int(found != wanted)


if __name__ == "__main__":
    sys.exit(main())
