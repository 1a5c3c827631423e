"""Orders of a CSV file: rows that are requests, and rows refused before anything is sent."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import attrs
import click

from paychainhq import InvoiceRequest, operations
from paychainhq._jobs.arguments import RequestArguments
from paychainhq.errors import InvalidArgumentError

NAMES = tuple(field.name for field in attrs.fields(InvoiceRequest))
_INTEGERS = {"expires_in", "underpayment_tolerance_bps"}
_METADATA = "metadata."


@attrs.frozen
class Refused:
    """Row that cannot become a request.

    Attributes:
        line: The line of the file, from 1.
        reference: The row's reference, or None.
        column: The column, as the file names it, or None for the whole row.
        error: The error; its message has the correction.
    """

    line: int
    reference: str | None
    column: str | None
    error: InvalidArgumentError

    def to_dict(self) -> dict[str, Any]:
        """Return the line of results."""
        return {
            "line": self.line,
            "reference": self.reference,
            "ok": False,
            "column": self.column,
            "error": self.error.to_dict(),
        }


@attrs.frozen
class Orders:
    """Orders of a file.

    Attributes:
        requests: The requests by their lines.
        refused: The other rows.
    """

    requests: dict[int, dict[str, Any]]
    refused: list[Refused]


def read_orders(
    path: Path, names: Mapping[str, str], constants: Mapping[str, str], business_id: str
) -> Orders:
    """Read and check a file; each line with content becomes a request or a refused row.

    Args:
        path: The file, in UTF-8, separated by commas, semicolons or tabs.
        names: Fields by columns; "" leaves a column out.
        constants: Values of fields for the rows without one.
        business_id: The business, for the checks.

    Raises:
        UsageError: The header or a mapping is wrong.
    """
    rows = _rows(path)
    _, columns = next(rows, (0, []))
    columns = [column.strip() for column in columns]
    fields = [names.get(column, column) for column in columns]
    _check_fields(columns, fields, names, constants)
    arguments = RequestArguments(InvoiceRequest, "invoices.create", business_id)
    orders, lines = Orders({}, []), dict[str, int]()
    for line, cells in rows:
        given = dict(zip(fields, map(str.strip, cells), strict=False))
        reference = given.get("reference") or None
        try:
            if len(cells) > len(columns):
                raise _invalid("row", f"has {len(cells)} cells, the header has {len(columns)}")
            request = request_of(given, constants)
            checked, _ = arguments(request)
            operations.INVOICES_CREATE.prepare(checked)
            first = lines.setdefault(request["reference"], line)
            if first != line:
                raise _invalid("reference", f"is that of line {first}: each order needs its own")
        except InvalidArgumentError as error:
            column = next(
                (c for c, f in zip(columns, fields, strict=True) if f == error.argument), None
            )
            orders.refused.append(Refused(line, _readable(reference), column, error))
        else:
            orders.requests[line] = request
    return orders


def _rows(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Yield the rows with content, and the line that each begins on."""
    text = path.read_bytes().decode("utf-8-sig", errors="surrogateescape")
    first = text.partition("\n")[0]
    delimiter = max(",;\t", key=first.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    line = 1
    try:
        for cells in reader:
            if any(map(str.strip, cells)):
                yield line, cells
            line = reader.line_num + 1
    except csv.Error as error:
        raise click.UsageError(f"{path}, line {reader.line_num}: {error}") from None


def _check_fields(
    columns: list[str], fields: list[str], names: Mapping[str, str], constants: Mapping[str, str]
) -> None:
    for column in names.keys() - set(columns):
        raise click.UsageError(f"--map: there is no column {column!r} in {', '.join(columns)}")
    for field in [*fields, *constants]:
        if field and field not in NAMES and not field.startswith(_METADATA):
            close = get_close_matches(field, NAMES, 1)
            raise click.UsageError(
                f"unknown field {field!r}"
                + (f" (perhaps {close[0]}?)" if close else "")
                + f": pass --map {field}=FIELD, or --map {field}= to leave it out. Fields: "
                f"{', '.join(NAMES)}, metadata.NAME"
            )
    if "reference" not in fields:
        raise click.UsageError(
            "no column is the reference, which names each order: pass --map COLUMN=reference"
        )
    for field in {field for field in fields if field and fields.count(field) > 1}:
        raise click.UsageError(f"two columns are {field}: leave one out with --map COLUMN=")


def request_of(given: Mapping[str, str], constants: Mapping[str, str]) -> dict[str, Any]:
    """Return the request with the given fields, and the constants of those without text.

    Raises:
        InvalidArgumentError: A field is not what it must be.
    """
    request: dict[str, Any] = {}
    metadata: dict[str, Any] = {}
    merged = {**constants, **{field: text for field, text in given.items() if field and text}}
    for field, text in merged.items():
        if _readable(text) != text:
            raise _invalid(field, "is not text in UTF-8: save the file as UTF-8")
        if field.startswith(_METADATA):
            metadata[field.removeprefix(_METADATA)] = text
        elif field == "metadata":
            metadata.update(_json_object(text))
        else:
            request[field] = _integer(field, text) if field in _INTEGERS else text
    return {**request, "metadata": metadata} if metadata else request


def _integer(field: str, text: str) -> int:
    if text.isascii() and text.isdecimal():
        return int(text[:20])
    raise _invalid(field, f"must be a whole number such as '3600', not {text[:50]!r}")


def _json_object(text: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise _invalid("metadata", 'must be a JSON object such as {"order": 17}')
    return value


def _readable(text: str | None) -> str | None:
    return text and text.encode("utf-8", "replace").decode("utf-8")


def _invalid(argument: str, problem: str) -> InvalidArgumentError:
    return InvalidArgumentError(f"{argument} {problem}", argument=argument, sent="no")
