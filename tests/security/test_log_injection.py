"""Log injection: a server's text cannot forge a log line or control a terminal.

It is escaped where an error is shown; the attributes keep it unchanged.
"""

from __future__ import annotations

import io
import logging
import traceback
from typing import Any

import pytest

from paychainhq import APIError, BadRequestError, ConfigurationError, DecodeError, PayChainError
from paychainhq.errors import printable
from tests.support.client import INVOICE, client, error_body, invoice
from tests.support.raw_server import RawServer, http_response

EVIL = [
    "first\nWARNING paid",
    "a\r\nb",
    "\x1b[2J\x1b]0;title\x07",
    "\x00\x08\x7f\x85\x9b31m",
    "\u2028\u2029",
    "abc\u202edcba",
    "\ud83d",
    "\ufeff",
]


def written(error: PayChainError) -> str:
    """Return all that a program prints or logs of an error, as UTF-8 terminals get it."""
    target = io.TextIOWrapper(io.BytesIO(), "utf-8")
    log, handler = logging.getLogger("a user's"), logging.StreamHandler(target)
    log.addHandler(handler)
    log.propagate = False
    try:
        log.warning("%s and %r", error, error)
        print(error, file=target)
        print("".join(traceback.format_exception_only(error)), file=target)
    finally:
        log.removeHandler(handler)
    target.flush()
    target.seek(0)
    return target.read()


@pytest.mark.usefixtures("face")
@pytest.mark.parametrize("evil", EVIL, ids=ascii)
async def test_a_servers_text_in_an_error(evil: str, caplog: pytest.LogCaptureFixture) -> None:
    """Message, code, details and request id are escaped in texts, and unchanged in attributes."""
    caplog.set_level(logging.DEBUG, "paychainhq")
    body = error_body(f"CODE{evil}", evil, details=evil, requestId=f"r{evil}")
    async with RawServer(http_response(body, 400)) as server, client(server.url) as pay:
        with pytest.raises(BadRequestError) as caught:
            await invoice(pay)
    error = caught.value
    assert (error.code, error.message, error.details) == (f"CODE{evil}", evil, evil)
    assert all(line.isprintable() for line in written(error).split("\n"))
    assert len(written(error).split("\n")) == len(written(APIError("plain")).split("\n"))
    assert str(error).isprintable()
    assert "CODE" in str(error)
    for record in caplog.records:
        assert record.getMessage().isprintable()


@pytest.mark.usefixtures("face")
@pytest.mark.parametrize("details", [{"field\n": ["\x1b[0m"]}, ["\r"], {"\ud83d": 1}], ids=ascii)
async def test_details_of_an_error(details: Any) -> None:
    """Details of any shape and the gateway's fields are escaped as well."""
    script = (
        http_response(error_body("X", details=details), 400),
        http_response({"errors": {"a\n": ["b\n"]}}, 422),
    )
    async with RawServer(*script) as server, client(server.url) as pay:
        for _ in script:
            with pytest.raises(APIError) as caught:
                await invoice(pay)
            assert str(caught.value).isprintable()
    assert caught.value.fields == {"a\n": ("b\n",)}


@pytest.mark.usefixtures("face")
async def test_names_of_fields_in_a_path() -> None:
    """A server's field name in the path of a `DecodeError` is escaped as well."""
    async with (
        RawServer(http_response({**INVOICE, "amount": {"display": "1\n2"}})) as server,
        client(server.url) as pay,
    ):
        with pytest.raises(DecodeError) as caught:
            await invoice(pay)
    assert str(caught.value).isprintable()


def test_printable_text_is_unchanged() -> None:
    """Text of any script is unchanged, and the package's own errors have one line."""
    text = "Größe 注文 👩 é 'x'"
    assert printable(text) == text
    assert str(ConfigurationError(text)) == text
    assert printable("a\nb\ud83d") == "a\\nb\\ud83d"
