"""Requests of the inspector: the list, and one request with its response and its command."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping
from datetime import UTC, datetime
from urllib.parse import urlencode

from paychainhq._core.secrets import Secret
from paychainhq.emulator import shown
from paychainhq.emulator.inspector.markup import (
    Child,
    Markup,
    element,
    heading,
    moment,
    pairs,
    part,
    table,
)
from paychainhq.emulator.inspector.view import View
from paychainhq.emulator.request_log import ReceivedRequest, RequestLog

SIZE = 15
_COLUMNS = ("Time", "Operation", "Status", "-Key", "-Idempotency key", "-Reply", "-Duration")
# The credential of a command comes from the environment.
_VARIABLES = {"x-api-key": "$PAYCHAIN_API_KEY", "authorization": "Bearer $PAYCHAIN_TOKEN"}
_SECRET = re.compile(r'("(?:apiKey|secret)"\s*:\s*)"(?:[^"\\]|\\.)*"?')
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def section(log: RequestLog, view: View) -> Markup:
    newest = log.page((view.page("requests") - 1) * SIZE, SIZE)
    listed = [(request.request_id, _cells(view, request)) for request in newest]
    return element(
        "section",
        heading("h2", "Requests", "requests"),
        part("requests", table("list of requests", _COLUMNS, listed, SIZE)),
        part("requests-pager", view.pager("requests", len(log), SIZE)),
        part("request", _opened(log, view)),
        id="requests",
    )


def _cells(view: View, request: ReceivedRequest) -> list[Child]:
    name = request.operation or f"{request.method} {request.path}"
    return [
        moment((request.received_at - _EPOCH) // (_EPOCH.resolution * 1000)),
        view.link(name, "request", request=request.request_id),
        "-" if request.status is None else str(request.status),
        "-" if request.credential is None else f"{request.credential} ***",
        request.headers.get("Idempotency-Key", "-"),
        "stored" if request.replayed else "new",
        "-" if request.duration is None else f"{request.duration * 1000:.1f} ms",
    ]


def _opened(log: RequestLog, view: View) -> Child:
    request = log.get(view.get("request"))
    if request is None:
        return None
    response = log.response(request.request_id)
    target = request.path + (f"?{urlencode(request.query)}" if request.query else "")
    return element(
        "article",
        element("h3", f"{request.method} {target}", id="request"),
        pairs({"Request id": request.request_id, "Status": str(request.status or "-")}),
        element("h4", "Request"),
        _message(
            shown.masked(request.headers),
            "" if request.body is None else json.dumps(request.body, indent=2, ensure_ascii=False),
        ),
        element("h4", "Response"),
        _message(response.headers, response.body.decode(errors="replace"))
        if response
        else element("p", "not available any more, or there is none"),
        element("h4", "As a command"),
        element("pre", curl(request), id="curl", tabindex=0),
        element("button", "Copy", type="button", class_="js-only", data_copy="curl"),
        element("p", view.link("Close", "requests", request=None)),
    )


def _message(headers: Mapping[str, str], body: str) -> Markup:
    lines = [f"{name}: {value}" for name, value in headers.items()]
    text = "\n".join([*lines, "", mask_secrets(body)])
    return element("pre", text, tabindex=0)


def mask_secrets(text: str) -> str:
    """Mask the new keys and secrets in a body, also in one that is cut."""
    return _SECRET.sub(r'\1"***"', text)


def curl(request: ReceivedRequest) -> str:
    """Return a shell command that sends the request again, with no credential in it."""
    query = f"?{urlencode(request.query)}" if request.query else ""
    url = f"http://{request.headers.get('Host', '')}{request.path}{query}"
    words = ["curl", "-X", shlex.quote(request.method), shlex.quote(url)]
    for name, value in request.headers.items():
        if isinstance(value, Secret):
            variable = _VARIABLES.get(name.lower(), "$PAYCHAIN_CREDENTIAL")
            words += ["-H", f'"{name}: {variable}"']
        elif name.lower() in ("content-type", "idempotency-key"):
            words += ["-H", shlex.quote(f"{name}: {value}")]
    if request.body is not None:
        words += ["--data", shlex.quote(mask_secrets(json.dumps(request.body)))]
    return " ".join(words)
