"""Arbitrary responses to any request: a result of the promised type, or an error of the package."""

from __future__ import annotations

import asyncio
import gzip
import json
import pickle
from collections.abc import Awaitable, Callable
from typing import Any, get_origin

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from multidict import CIMultiDict

from paychainhq import (
    APIError,
    BadRequestError,
    DashboardSession,
    DecodeError,
    PayChainError,
    PayChainHQ,
    RateLimitError,
    Request,
    Response,
    RetryPolicy,
    ServerError,
    WaitTimeoutError,
)
from paychainhq._http.messages import Next
from paychainhq._http.responses import plain, retry_after
from paychainhq.emulator import API_KEY
from paychainhq.models import Invoice
from paychainhq.operations import OPERATIONS
from tests.support.calls import CALLS, DASHBOARD_HEADERS, authorized, call
from tests.support.clocks import skipping_clock
from tests.support.json_tools import keys_in, replaced
from tests.support.often import often
from tests.support.raw_server import Behaviour, RawServer, Recorded
from tests.support.samples import BY_NAME, SAMPLES

# --- responses ---

# Header values as a client gets them: any byte, with invalid UTF-8 as surrogates.
header_text = st.binary(max_size=30).map(
    lambda raw: raw.translate(None, b"\0\r\n").strip().decode(errors="surrogateescape")
)
zones = st.sampled_from(
    ["GMT", "", "-0000", "+0530", "PST", "+9999", "+99999999999999999", "-", "+0x10", "a,b"]
)
dates = st.builds(
    lambda day, month, year, time, zone: f"Mon, {day} {month} {year} {time} {zone}".strip(),
    st.integers(-1, 32),
    st.sampled_from(["Jan", "Dec", "Foo", ""]),
    st.integers(0, 12_000) | st.just(10**30),
    st.sampled_from(["00:00:00", "23:59:60", "1:2", "99:99:99", "12.30.00", ":::", "1e9:0:0"]),
    zones,
)
spans = st.sampled_from(
    [
        "0",
        "1",
        "-1",
        "1.5",
        "1e9",
        "inf",
        "nan",
        "9" * 400,
        ".",
        "1.",
        "²",
        "٣",
        "0x10",
        "1_0",
        "+5",
    ]
)
headers = st.fixed_dictionaries(
    {},
    optional={
        "Retry-After": spans | dates | header_text,
        "DATE": dates | header_text,
        "X-Request-Id": header_text,
        "content-type": header_text
        | st.sampled_from(["text/html; charset=nonsense", "application/json;charset=utf-16"]),
    },
)
texts = st.text(max_size=8)
any_json: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | texts
    | st.sampled_from([10**30, "1", "2026-03-14T09:20:00.000Z"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)
envelopes = st.fixed_dictionaries(
    {
        "error": any_json
        | st.fixed_dictionaries(
            {},
            optional={
                "code": any_json
                | st.sampled_from(["NOT_FOUND", "RATE_LIMIT_EXCEEDED", "DUPLICATE_REQUEST"]),
                "message": any_json,
                "details": any_json,
                "requestId": any_json,
            },
        )
    }
)


def deep(levels: int) -> bytes:
    """Return an error with nested details."""
    return (
        b'{"error":{"code":"DEEP","message":"no","details":'
        + b"[" * levels
        + b"1"
        + b"]" * levels
        + b"}}"
    )


@st.composite
def nearly_documented(draw: st.DrawFn) -> Any:
    """Return a documented response with one or two changes."""
    sample = draw(st.sampled_from(SAMPLES)).response
    for path in draw(st.lists(st.sampled_from(keys_in(sample)), max_size=2, unique=True)):
        try:
            sample = replaced(sample, path, draw(any_json))
        except (
            TypeError,
            KeyError,
            IndexError,
            AttributeError,
        ):  # the first change has replaced the parent of the second
            break
    return sample


def written(data: Any) -> bytes:
    return json.dumps(data).encode()


odd_bodies = [
    b"",
    deep(400),
    b"[" * 5000,
    b'{"a":' * 5000,
    b'"\\ud800"',
    b"-0",
    b"1e999",
    b"NaN",
    b"1" * 5000,
    b"\xef\xbb\xbf{}",
]
bodies = (
    st.one_of(nearly_documented(), envelopes, any_json).map(written)
    | st.binary(max_size=40)
    | st.sampled_from(odd_bodies)
)
responses = st.builds(
    lambda status, given, body: Response(status, CIMultiDict(given), body),
    st.integers(200, 599) | st.sampled_from([200, 200, 200, 204, 409, 429, 503]),
    headers,
    bodies,
)


REQUEST = Request(
    operation=OPERATIONS["networks.list"],
    path="/",
    headers={},
    body=None,
    idempotency_key=None,
    deadline=0.0,
    retry=None,
)

# --- expectations ---


def check(error: PayChainError) -> None:
    """Check that an error can be printed on any terminal and pickled, and has a valid `sent`."""
    assert error.sent in ("no", "yes", "unknown")
    assert str(error).encode()
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is type(error)
    assert str(again) == str(error)
    assert again.sent == error.sent
    if isinstance(error, (APIError, DecodeError)):
        assert error.sent == "yes"
    if isinstance(error, (RateLimitError, ServerError)):
        assert error.retry_after is None or 0 <= error.retry_after <= 86_400


async def outcome(made: Awaitable[Any]) -> Any:
    """Return the result of a call, or its error, which is a complete one of the package."""
    try:
        return await made
    except PayChainError as error:
        check(error)
        return error


def result_of(response: Response, make: Callable[[PayChainHQ], Awaitable[Any]]) -> Any:
    """Make a call of a client that gets a response without a socket."""

    async def respond(_: Request, __: Next) -> Response:
        return response

    async def run() -> Any:
        session = DashboardSession(DASHBOARD_HEADERS)
        async with PayChainHQ(
            api_key=API_KEY, business_id="biz_123", middleware=[respond], dashboard=session
        ) as pay:
            return await outcome(make(pay))

    return asyncio.run(run())


@settings(max_examples=often(250), deadline=None)
@given(name=st.sampled_from(sorted(OPERATIONS)), response=responses)
@example(name="invoices.create", response=Response(400, {}, deep(400)))
@example(name="invoices.create", response=Response(200, {}, deep(400)))
@example(
    name="prices.list", response=Response(200, {}, b'{"data":' + b"[" * 400 + b"]" * 400 + b"}")
)
@example(
    name="withdrawals.quote",
    response=Response(200, {}, b'{"data":' + b"[" * 400 + b"]" * 400 + b"}"),
)
@example(
    name="api_keys.create", response=Response(200, {}, b'{"data":' + b"[" * 400 + b"]" * 400 + b"}")
)
@example(name="api_keys.list", response=Response(500, CIMultiDict({"x-request-id": "\udcff"}), b""))
def test_any_response_to_an_operation(name: str, response: Response) -> None:
    """A modelled operation returns its type or raises a complete error; error statuses raise."""
    result = result_of(response, lambda pay: call(pay, name, CALLS[name]))
    type_: Any = OPERATIONS[name].response_type
    assert isinstance(result, (PayChainError, get_origin(type_) or type_))
    assert isinstance(result, PayChainError) or response.status < 300


@settings(max_examples=often(150), deadline=None)
@given(response=responses)
@example(response=Response(200, {}, b'{"a":' * 400 + b"1" + b"}" * 400))
@example(response=Response(404, {}, deep(400)))
def test_any_response_to_a_plain_request(response: Response) -> None:
    """A request without a model returns plain JSON, or raises a complete error of the package."""
    result = result_of(response, lambda pay: pay.request("GET", "/api/v1/new"))
    assert isinstance(result, (PayChainError, dict, list, str, int, float, type(None)))
    assert isinstance(result, PayChainError) or response.status < 300


def test_details_beyond_printing() -> None:
    """Details nested beyond Python's limit of printing do not prevent printing the error."""
    with pytest.raises(BadRequestError, match="400 DEEP no"):
        plain(REQUEST, Response(400, {}, deep(1000)))


@settings(max_examples=often(400), deadline=None)
@given(given=headers)
@example(
    given={
        "Retry-After": "Mon, 1 Jan 2024 00:00:00 GMT",
        "Date": "Mon, 1 Jan 2024 00:00:00 +99999999999999999",
    }
)
@example(given={"Retry-After": "Mon, 1 Jan 0001 00:00:00"})
def test_any_retry_after(given: dict[str, str]) -> None:
    """`retry_after` is None, or 0 seconds to a day, for any headers."""
    wait = retry_after(Response(429, CIMultiDict(given), b""))
    assert wait is None or 0 <= wait <= 86_400


@settings(max_examples=often(150), deadline=None)
@given(
    date=dates | header_text,
    expires_at=st.sampled_from(["2026-03-14T09:20:00.000Z", "0001-01-01T00:00:00Z"]),
)
@example(date="Mon, 1 Jan 2024 00:00:00", expires_at="2026-03-14T09:20:00.000Z")
@example(date="Mon, 1 Jan 2024 00:00:00 -0000", expires_at="2026-03-14T09:20:00.000Z")
@example(date="Mon, 1 Jan 2024 00:00:00 +99999999999999999", expires_at="2026-03-14T09:20:00.000Z")
def test_any_date_while_waiting(date: str, expires_at: str) -> None:
    """Expiry follows the server's `Date`; waiting survives one that is invalid or has no zone."""
    body = written(
        {**BY_NAME["invoices.get"].response, "status": "pending", "expiresAt": expires_at}
    )
    response = Response(200, CIMultiDict({"Date": date}), body)
    result = result_of(
        response, lambda pay: pay.invoices.wait("inv_123", timeout=0.001, interval=0.001)
    )
    assert isinstance(result, (Invoice, WaitTimeoutError))


# --- over the wire ---

encodings = [b"gzip", b"deflate", b"br", b"zstd", b"gzip, gzip", b"text/html; charset=\xff", b"2"]
wire_headers = st.dictionaries(
    st.sampled_from(
        [
            b"Retry-After",
            b"Date",
            b"x-request-id",
            b"Content-Type",
            b"Content-Encoding",
            b"Set-Cookie",
            b"Location",
        ]
    ),
    st.binary(max_size=20) | st.sampled_from(encodings),
    max_size=4,
)
wire_bodies = bodies | bodies.map(gzip.compress) | bodies.map(lambda body: gzip.compress(body)[:-5])


def scripted(status: int, given: dict[bytes, bytes], body: bytes) -> Behaviour:
    async def behave(_: Recorded, writer: asyncio.StreamWriter) -> None:
        lines = b"".join(name + b": " + value + b"\r\n" for name, value in given.items())
        writer.write(
            b"HTTP/1.1 %d x\r\n%sContent-Length: %d\r\n\r\n" % (status, lines, len(body)) + body
        )
        writer.close()

    return behave


@settings(max_examples=often(120), deadline=None)
@given(
    name=st.sampled_from(
        ["invoices.create", "invoices.list", "prices.list", "api_keys.create", "withdrawals.quote"]
    ),
    status=st.integers(200, 599) | st.sampled_from([200, 204, 304, 409, 429, 503]),
    given=wire_headers,
    body=wire_bodies,
)
@example(name="invoices.create", status=429, given={b"x-request-id": b"\xff"}, body=b"")
@example(name="prices.list", status=200, given={b"Content-Encoding": b"gzip"}, body=b"{}")
def test_any_response_over_the_wire(
    name: str, status: int, given: dict[bytes, bytes], body: bytes
) -> None:
    """The same over a socket, with retries and limits; each listed attempt was really made."""

    async def run() -> None:
        async with RawServer(scripted(status, given, body)) as server, authorized(server) as pay:
            view = pay.with_options(retry=RetryPolicy(attempts=2))
            with skipping_clock():
                result = await outcome(call(view, name, CALLS[name]))
            assert isinstance(
                result,
                (
                    PayChainError,
                    get_origin(OPERATIONS[name].response_type) or OPERATIONS[name].response_type,
                ),
            )
            if isinstance(result, PayChainError):
                assert len(result.attempts) == len(server.requests) >= 1
                assert result.sent != "no"

    asyncio.run(run())
