"""Answers of the server, read as a result or as one of our errors."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, TypeVar, cast

from paychainhq import codec
from paychainhq.errors import APIError, DecodeError, RateLimitError, ServerError, api_error_class
from paychainhq.exchange import Request, Response
from paychainhq.operations import Operation

T = TypeVar("T")

_LONGEST_RETRY_AFTER = 86_400.0
_KEPT_BODY = 65_536
_BROKEN = object()
# Members that describe an error: an answer with any other one holds data.
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


def result(operation: Operation[T], request: Request, response: Response) -> T:
    """Decode the answer of an operation; raises `APIError` or `DecodeError`."""
    if is_error(response):
        raise api_error(request, response)
    try:
        return codec.decode(operation.response_type, response.body, inside=operation.inside)
    except DecodeError as error:
        problem = error
        problem.__dict__.update(_answer_facts(request, response))
    except codec.NotJSONError:
        problem = _no_json(request, response)
    raise problem.with_traceback(None)


def plain(request: Request, response: Response) -> Any:
    """Parse the answer to a request that is not modelled; no content is None, whatever the status
    says of it.
    """
    if is_error(response):
        raise api_error(request, response)
    if not response.body.strip():
        return None
    try:
        data = codec.parse(response.body)
    except codec.NotJSONError:
        data = _BROKEN
    if data is _BROKEN:  # raised here, it has no exception of the parser behind it
        raise _no_json(request, response)
    return data


def api_error(request: Request, response: Response) -> APIError:
    """Make the error that an answer stands for."""
    envelope = _error(response)
    code, message = envelope.get("code"), envelope.get("message")
    code = code if isinstance(code, str) else None
    facts = _answer_facts(request, response) | {"code": code, "details": envelope.get("details")}
    if fields := _fields(envelope.get("errors")):
        facts["fields"] = fields
    kind = api_error_class(response.status, code)
    if issubclass(kind, (RateLimitError, ServerError)):
        facts["retry_after"] = retry_after(response)
    if not isinstance(message, str):
        message = f"the server answered {response.status} without saying why"
        if 300 <= response.status < 400:
            message = (
                f"the server answered {response.status}, a redirect, which a client that "
                "holds keys does not follow"
            )
    return kind(message, **facts)


def is_error(response: Response) -> bool:
    """Return whether an answer is an error, by its status or by its body: an envelope, or nothing
    but a description of an error.

    A member `error` that is null, false or empty, or that stands beside the data of a result, makes
    no error of a 2xx.
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
    """Return the API's code of an error answer."""
    code = _error(response).get("code")
    return code if isinstance(code, str) else None


def request_id(response: Response) -> str | None:
    """Return the server's id of the exchange: from the header, or else from the error's body."""
    given = response.headers.get("x-request-id")
    if not given and response.status >= 400:
        given = _error(response).get("requestId")
    return _printable(given) if isinstance(given, str) and given else None


def retry_after(response: Response) -> float | None:
    """Return how many seconds the server asks to wait, whether it gave seconds or a date; None if
    it gave no sense.

    A date is read against the server's own clock where its `Date` is there. More than a day counts
    as a day.
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
    """Return the server's own time: an answer's `Date`, or None where there is none that makes
    sense.
    """
    try:
        return _moment(headers["Date"])
    except (KeyError, ValueError, TypeError, OverflowError):
        return None


def _moment(written: str) -> datetime:
    moment = parsedate_to_datetime(written)
    # Without a zone, or with -0000, it would be taken for local time; times in HTTP are UTC.
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _error(response: Response) -> dict[str, Any]:
    """Return the members of an error's description, or none if the answer has no description."""
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
    """Parse a body; anything but a JSON object is an empty one."""
    try:
        data = codec.parse(response.body)
    except codec.NotJSONError:
        return {}
    return data if isinstance(data, dict) else {}


def _says_error(error: Any) -> bool:
    return error is True or (isinstance(error, str) and bool(error.strip()))


def _fields(errors: Any) -> dict[str, tuple[str, ...]]:
    """Read what is wrong with which field; what is not written as documented is left out."""
    if not isinstance(errors, dict):
        return {}
    found = {
        name: tuple(text for text in texts if isinstance(text, str))
        for name, texts in errors.items()
        if isinstance(texts, list)
    }
    return {name: texts for name, texts in found.items() if texts}


def _envelope(data: dict[str, Any]) -> dict[str, Any]:
    """Return the documented envelope of an error, or an empty one if there is none."""
    error = data.get("error")
    return (
        cast("dict[str, Any]", error)
        if isinstance(error, dict) and ("code" in error or "message" in error)
        else {}
    )


def _answer_facts(request: Request, response: Response) -> dict[str, Any]:
    return request.facts() | {
        "sent": "yes",
        "status": response.status,
        "request_id": request_id(response),
    }


def _no_json(request: Request, response: Response) -> DecodeError:
    kind = _printable(response.headers.get("Content-Type", "no content type"))
    what = f"is not JSON ({kind[:80]}, {len(response.body)} bytes)" if response.body else "is empty"
    body = type(response.body)(response.body[:_KEPT_BODY])
    return DecodeError(
        f"the body of the {response.status} answer {what}",
        body=body,
        **_answer_facts(request, response),
    )


def _printable(text: str) -> str:
    """Escape the bytes of a header that are no text, which could be neither printed nor logged."""
    return text if text.isascii() else text.encode(errors="backslashreplace").decode()
