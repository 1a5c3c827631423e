"""Inspector: the page at `/_emulator/`, with the state of the emulator and its controls."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path

from aiohttp import web

from paychainhq.emulator.control import PREFIX, Control
from paychainhq.emulator.inspector.page import page

_ASSETS = {
    f"{PREFIX}inspector.js": "text/javascript",
    f"{PREFIX}inspector.css": "text/css",
    f"{PREFIX}icon.svg": "image/svg+xml",
}
_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
        "img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
}


def respond(
    control: Control, instance_id: str, path: str, query: Mapping[str, str]
) -> web.Response | None:
    """Return the page or one of its files, or None for another path."""
    if path == PREFIX:
        text = page(control, instance_id, query)
        # Text from JSON may have lone surrogates, which UTF-8 cannot represent.
        body = text.encode(errors="replace")
        return _response(body, "text/html")
    if path in _ASSETS:
        return _response(_read(path.removeprefix(PREFIX)), _ASSETS[path])
    return None


@cache
def _read(name: str) -> bytes:
    return Path(__file__).with_name(name).read_bytes()


def _response(body: bytes, content_type: str) -> web.Response:
    return web.Response(body=body, content_type=content_type, charset="utf-8", headers=_HEADERS)
