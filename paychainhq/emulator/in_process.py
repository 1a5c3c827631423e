"""Posts of signed webhooks: to an ASGI or WSGI application in the same process, or to a URL."""

from __future__ import annotations

import asyncio
import inspect
import io
import sys
import urllib.error
import urllib.request
from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping
from typing import Any, TypeGuard, cast

import attrs

ASGIApplication = Callable[..., Awaitable[None]]
WSGIApplication = Callable[..., Iterable[bytes]]
Application = ASGIApplication | WSGIApplication
Target = str | Application
_TIMEOUT_S = 30.0


@attrs.frozen
class WebhookResponse:
    """Response of an application to a webhook.

    Attributes:
        status: The status; a 2xx acknowledges the event.
        headers: The headers, names in lower case.
        body: The body.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes


def post(to: Target, path: str, body: bytes, headers: Mapping[str, str]) -> WebhookResponse:
    """Post a webhook, and block until the response."""
    if isinstance(to, str):
        return _post_to_url(to, body, headers)
    if not _is_asgi(to):
        return _post_to_wsgi(cast(WSGIApplication, to), path, body, headers)
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(_post_to_asgi(to, path, body, headers))
    raise RuntimeError("this thread runs an event loop: use `await ...adeliver(...)`")


async def apost(to: Target, path: str, body: bytes, headers: Mapping[str, str]) -> WebhookResponse:
    """Post a webhook: to an ASGI application on the running loop, otherwise on a thread."""
    if not isinstance(to, str) and _is_asgi(to):
        return await _post_to_asgi(to, path, body, headers)
    return await asyncio.to_thread(post, to, path, body, headers)


def _is_asgi(to: Application) -> TypeGuard[ASGIApplication]:
    if not callable(to):
        raise TypeError(f"{type(to).__name__} is no ASGI or WSGI application, and no URL")
    return any(
        inspect.iscoroutinefunction(function)
        for function in (to, getattr(type(to), "__call__", None))  # noqa: B004
    )


async def _post_to_asgi(
    app: ASGIApplication, path: str, body: bytes, headers: Mapping[str, str]
) -> WebhookResponse:
    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": "POST",
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": [
            (name.lower().encode(), value.encode())
            for name, value in _all_headers(body, headers).items()
        ],
        "client": ("127.0.0.1", 1),
        "server": ("testserver", 80),
    }
    unread = [{"type": "http.request", "body": body, "more_body": False}]
    sent: list[MutableMapping[str, Any]] = []

    async def receive() -> MutableMapping[str, Any]:
        return unread.pop() if unread else {"type": "http.disconnect"}

    async def send(message: MutableMapping[str, Any]) -> None:
        sent.append(message)

    await app(scope, receive, send)
    start = next(message for message in sent if message["type"] == "http.response.start")
    content = b"".join(message.get("body", b"") for message in sent)
    named = {name.decode().lower(): value.decode() for name, value in start.get("headers", ())}
    return WebhookResponse(start["status"], named, content)


def _post_to_wsgi(
    app: WSGIApplication, path: str, body: bytes, headers: Mapping[str, str]
) -> WebhookResponse:
    environ: dict[str, Any] = {
        "REQUEST_METHOD": "POST",
        "SCRIPT_NAME": "",
        "PATH_INFO": path,
        "QUERY_STRING": "",
        "SERVER_NAME": "testserver",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "127.0.0.1",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(body),
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": False,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
    }
    for name, value in _all_headers(body, headers).items():
        upper = name.upper().replace("-", "_")
        bare = upper in ("CONTENT_TYPE", "CONTENT_LENGTH")
        environ[upper if bare else f"HTTP_{upper}"] = value
    written: list[bytes] = []
    begun: list[tuple[str, list[tuple[str, str]]]] = []

    def start_response(
        status: str, headers: list[tuple[str, str]], exc_info: object = None
    ) -> Callable[[bytes], None]:
        begun.append((status, headers))
        return written.append

    chunks = app(environ, start_response)
    try:
        written.extend(chunks)
    finally:
        close = getattr(chunks, "close", None)
        if close is not None:
            close()
    status, returned = begun[-1]
    named = {name.lower(): value for name, value in returned}
    return WebhookResponse(int(status.split()[0]), named, b"".join(written))


def _post_to_url(url: str, body: bytes, headers: Mapping[str, str]) -> WebhookResponse:
    request = urllib.request.Request(url, body, dict(headers), method="POST")  # noqa: S310
    opener = urllib.request.build_opener(_NoRedirects, urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=_TIMEOUT_S) as response:  # nosec B310
            return _read(response.status, response)
    except urllib.error.HTTPError as error:
        with error:
            return _read(error.code, error)


def _read(status: int, response: Any) -> WebhookResponse:
    named = {name.lower(): value for name, value in response.headers.items()}
    return WebhookResponse(status, named, response.read())


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """Handler that follows no redirect, as the sender of webhooks does."""

    def redirect_request(
        self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str
    ) -> None:
        return None


def _all_headers(body: bytes, headers: Mapping[str, str]) -> dict[str, str]:
    return {"Host": "testserver", "Content-Length": str(len(body)), **headers}
