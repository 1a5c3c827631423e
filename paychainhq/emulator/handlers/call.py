"""Arguments of a handler, and helpers that handlers share."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable, Mapping
from typing import Any

import attrs

from paychainhq.emulator.state import Row, State, Value

# Assumption: no page gives a largest page size. Larger values are reduced to this one.
LARGEST_PAGE = 100
DEFAULT_PAGE = 20


@attrs.frozen
class Call:
    """Authorized request with validated fields.

    Fields of the query and the body have their wire names, path ids the operation's names.
    """

    state: State
    path: Mapping[str, str]
    query: Mapping[str, Any]
    body: Mapping[str, Any]


Handler = Callable[[Call], object]


def new_id(prefix: str) -> str:
    return f"{prefix}_{secrets.token_hex(8)}"


def new_address(chain: str) -> str:
    """Return an address in the format of a chain family that cannot receive payments."""
    seed = secrets.token_bytes(32)
    if chain == "eth":
        return "0x" + seed[:20].hex()
    base58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
    letters = "".join(base58[byte % 58] for byte in hashlib.sha512(seed).digest())
    return f"bc1q{seed[:19].hex()}" if chain == "btc" else letters[:44]


def page_of(call: Call, source: str, *values: Value) -> tuple[list[Row], dict[str, object]]:
    """Return one page of `source` (SQL from FROM on) and its `pagination`.

    Assumption: newest rows first.
    """
    page, limit = (
        call.query.get("page", 1),
        min(call.query.get("limit", DEFAULT_PAGE), LARGEST_PAGE),
    )
    total: int = call.state.get("SELECT count(*) AS total " + source, *values)["total"]
    rows = call.state.all(
        "SELECT * " + source + " ORDER BY seq DESC LIMIT ? OFFSET ?",
        *values,
        limit,
        (page - 1) * limit,
    )
    pages = -(-total // limit)
    return rows, {
        "page": page,
        "limit": limit,
        "total": total,
        "totalPages": pages,
        "hasMore": page < pages,
    }
