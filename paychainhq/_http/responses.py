"""Responses of the server, as results or errors of this package."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, TypeVar, cast

from paychainhq import codec
from paychainhq._attempts import make_response_info
from paychainhq._core.operation import Operation
from paychainhq._http.messages import Request, Response
from paychainhq.errors import (
    APIError,
    DecodeError,
    Facts,
    RateLimitError,
    ServerError,
    api_error_class,
)
from paychainhq.models.base import Model

T = TypeVar("T")

_LONGEST_RETRY_AFTER = 86_400.0
_KEPT_BODY = 65_536
_BROKEN = object()
# Members that describe an error: a response with any other member holds data.
_ABOUT_ERRORS = frozenset(
    {
        "code",
        "details",
        "error",
        "errors",
        "message",
        "ok",
        "requestId",
        "status",
        "statusCode",
        "success",
    }
)


def result(
    operation: Operation[T], request: Request, response: Response, elapsed: float | None = None
) -> T:
    """Return the result of a call; raises `APIError` or `DecodeError`.

    Args:
        operation: The operation.
        request: The request.
        response: The response.
        elapsed: The duration of the call in seconds; None for a response of a ledger, whose result
            has no `response`.
    """
    if is_error(response):
        raise api_error(request, response)
    try:
        decoded = codec.decode(operation.response_type, response.body, inside=operation.inside)
    except DecodeError as error:
        problem = error.add(**_facts(request, response))
    except codec.NotJSONError:
        problem = _no_json(request, response)
    else:
        if elapsed is not None and isinstance(decoded, Model):
            info = make_response_info(
                response.status,
                response.headers,
                request_id(response),
                request.idempotency_key,
                tuple(request.attempts),
                elapsed,
            )
            object.__setattr__(decoded, "_response", info)
        return decoded
    raise problem.with_traceback(None)


def plain(request: Request, response: Response) -> Any:
    """Return the response to a request without a model as plain JSON; None without content."""
    if is_error(response):
        raise api_error(request, response)
    if not response.body.strip():
        return None
    try:
        data = codec.parse(response.body)
    except codec.NotJSONError:
        data = _BROKEN
    if data is _BROKEN:  # raised here, so that the exception of the parser is not chained
        raise _no_json(request, response)
    return data


def api_error(request: Request, response: Response) -> APIError:
    """Return the error of an error response."""
    envelope = _error(response)
    code, message = envelope.get("code"), envelope.get("message")
    code = code if isinstance(code, str) else None
    facts = _facts(request, response) | {"code": code, "details": envelope.get("details")}
    if fields := _fields(envelope.get("errors")):
        facts["fields"] = fields
    kind = api_error_class(response.status, code)
    if issubclass(kind, (RateLimitError, ServerError)):
        facts["retry_after"] = retry_after(response)
    if not isinstance(message, str):
        message = f"the server responded with {response.status} without a message"
        if 300 <= response.status < 400:
            message = (
                f"the server responded with {response.status}, a redirect, which a client that "
                "holds keys does not follow"
            )
    return kind(message, **facts)


def is_error(response: Response) -> bool:
    """Return whether a response is an error, by its status or by its body.

    The body of an error is an envelope, or only members that describe an error. A 2xx is no error
    if its `error` is null, false or empty, or accompanies data.
    """
    if not 200 <= response.status < 300:
        return True
    if response.body.find(b'"error"') < 0:  # `in` is slower: see codec.parse
        return False
    data = _object(response)
    envelope = _envelope(data)
    return bool(envelope.get("code") or envelope.get("message")) or (
        _says_error(data.get("error")) and data.keys() <= _ABOUT_ERRORS
    )


def error_code(response: Response) -> str | None:
    """Return the API's code of an error response, or None."""
    code = _error(response).get("code")
    return code if isinstance(code, str) else None


def request_id(response: Response) -> str | None:
    """Return the server's id of the call: from the header, or else from the error's body."""
    given = response.headers.get("x-request-id")
    if not given and response.status >= 400:
        given = _error(response).get("requestId")
    return _printable(given) if isinstance(given, str) and given else None


def retry_after(response: Response) -> float | None:
    """Return the `Retry-After` of a response in seconds; None if it is absent or invalid.

    A date is compared with the server's own `Date` if there is one. The result is at most a day.
    """
    written = response.headers.get("Retry-After", "").strip()
    try:
        seconds = (
            float(written)
            if written.isascii() and written.replace(".", "", 1).isdigit()
            else _until(written, response)
        )
    except (ValueError, TypeError, OverflowError):
        return None
    return min(max(seconds, 0.0), _LONGEST_RETRY_AFTER) if math.isfinite(seconds) else None


def _until(written: str, response: Response) -> float:
    now = server_time(response.headers)
    return _moment(written).timestamp() - (time.time() if now is None else now.timestamp())


def server_time(headers: Mapping[str, str]) -> datetime | None:
    """Return the server's time, from the `Date` of a response; None if it is absent or invalid."""
    try:
        return _moment(headers["Date"])
    except (KeyError, ValueError, TypeError, OverflowError):
        return None


def _moment(written: str) -> datetime:
    moment = parsedate_to_datetime(written)
    # Times in HTTP are UTC; without a zone, or with -0000, `timestamp()` assumes local time.
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _error(response: Response) -> dict[str, Any]:
    """Return the members that describe an error, or an empty dict."""
    data = _object(response)
    # The gateway's errors (Laravel's) have no envelope.
    text = (
        {"message": data["error"]}
        if isinstance(data.get("error"), str) and data["error"].strip()
        else {}
    )
    return (
        _envelope(data)
        or text
        or {name: data[name] for name in ("message", "errors") if name in data}
    )


def _object(response: Response) -> dict[str, Any]:
    """Return the body as a JSON object; an empty one for any other body."""
    try:
        data = codec.parse(response.body)
    except codec.NotJSONError:
        return {}
    return data if isinstance(data, dict) else {}


def _says_error(error: Any) -> bool:
    return error is True or (isinstance(error, str) and bool(error.strip()))


def _fields(errors: Any) -> dict[str, tuple[str, ...]]:
    """Return the problems of each field, without those that are not as documented."""
    if not isinstance(errors, dict):
        return {}
    found = {
        name: tuple(text for text in texts if isinstance(text, str))
        for name, texts in errors.items()
        if isinstance(texts, list)
    }
    return {name: texts for name, texts in found.items() if texts}


def _envelope(data: dict[str, Any]) -> dict[str, Any]:
    """Return the documented envelope of an error, or an empty one."""
    error = data.get("error")
    return (
        cast("dict[str, Any]", error)
        if isinstance(error, dict) and ("code" in error or "message" in error)
        else {}
    )


def _facts(request: Request, response: Response) -> Facts:
    return request.facts() | {
        "sent": "yes",
        "status": response.status,
        "request_id": request_id(response),
    }


def _no_json(request: Request, response: Response) -> DecodeError:
    kind = _printable(response.headers.get("Content-Type", "no content type"))
    what = f"is not JSON ({kind[:80]}, {len(response.body)} bytes)" if response.body else "is empty"
    return DecodeError(
        f"the body of the response with status {response.status} {what}",
        **_facts(request, response) | {"body": shortened(response.body)},
    )


def shortened(body: bytes) -> bytes:
    """Return the first 64 KiB of a body, which an error keeps."""
    return type(body)(body[:_KEPT_BODY])


def _printable(text: str) -> str:
    """Escape the bytes of a header that are not text, and cannot be printed or logged."""
    return text if text.isascii() else text.encode(errors="backslashreplace").decode()
