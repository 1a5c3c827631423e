"""Secrets in calls: logs, warnings, reprs, errors, tracebacks and pickles show none."""

from __future__ import annotations

import asyncio
import gc
import logging
import signal
import threading
import warnings
from typing import Any

import pytest

import paychainhq_sync
import paychainhq_sync.webhooks
from paychainhq import (
    DashboardSession,
    LedgerError,
    Next,
    Request,
    Response,
)
from paychainhq.operations import OPERATIONS
from paychainhq.typing import InvoiceRequestDict
from tests.http.test_connection import Tunnel, server_tls
from tests.security.leaks import (
    API_KEY,
    BASIC,
    CREATED,
    KEYS,
    NEW_KEY,
    PASSWORD,
    PAYOUT_KEY,
    SESSION,
    all_forms,
    all_output,
    failed,
    make,
    shown,
    traced,
)
from tests.support import faces
from tests.support.calls import CALLS, call
from tests.support.client import QUICK, error_body
from tests.support.raw_server import (
    Behaviour,
    RawServer,
    close,
    cut,
    http_response,
    reset,
    silence,
)
from tests.sync.support import ThreadedServer

pytestmark = pytest.mark.usefixtures("face", "debugging")


@pytest.mark.async_only("it makes no client")
def test_control_of_the_search() -> None:
    """The search finds a secret in a repr, a pickle, a log, a warning, a note and frames."""
    assert shown(repr({"x-api-key": API_KEY})) == [API_KEY]
    assert shown(all_forms({"x-api-key": API_KEY})) == [API_KEY]
    with all_output() as said:
        logging.getLogger("aiohttp").debug("%s", {"key": API_KEY})
        warnings.warn(f"not closed: {SESSION}", ResourceWarning, stacklevel=1)
    assert shown("\n".join(said)) == [API_KEY, SESSION]
    with all_output() as said:
        about = {"paychainhq": {"request_id": PAYOUT_KEY}}
        logging.getLogger("paychainhq").debug("a sentence", extra=about)
    assert shown("\n".join(said)) == [PAYOUT_KEY]
    program = "def f(key):\n    raise ValueError('planted')\nf(key)"
    for folder in (
        "/x/paychainhq",
        "/x/paychainhq_sync",
        "/x/site-packages/aiohttp",
        "/usr/lib/python/asyncio",
    ):
        with pytest.raises(ValueError, match="planted") as caught:
            exec(compile(program, f"{folder}/planted.py", "exec"), {"key": API_KEY})
        caught.value.add_note(PAYOUT_KEY)
        assert shown(traced(caught.value)) == [API_KEY, PAYOUT_KEY]
        with pytest.raises(LedgerError) as outer:
            raise LedgerError("outer") from caught.value
        assert shown(traced(outer.value)) == [API_KEY, PAYOUT_KEY]


@pytest.mark.parametrize("plant", ["a log", "an error", "a frame"])
async def test_control_of_a_call(plant: str) -> None:
    """The search finds a secret that a middleware leaks during a call, over both faces."""

    def leaking(key: str) -> None:
        if plant == "a log":
            logging.getLogger("paychainhq").debug("with %s", key)
        raise ZeroDivisionError(key if plant == "an error" else "")

    async def middleware(request: Request, send: Next) -> Response:
        exec(
            compile("leaking(key)", "/x/paychainhq/leaking.py", "exec"),
            {"leaking": leaking},
            {"key": API_KEY},
        )
        return await send(request)

    with all_output() as said:
        async with make("http://127.0.0.1:1", middleware=[middleware]) as pay:
            with pytest.raises(ZeroDivisionError) as caught:
                await pay.prices.list()
    assert shown("\n".join(said)) == ([API_KEY] if plant == "a log" else [])
    assert shown(traced(caught.value)) == [API_KEY]
    assert shown(str(caught.value)) == ([API_KEY] if plant == "an error" else [])


@pytest.mark.parametrize("place", ["path", "query", "body", "added header", "response"])
async def test_control_of_telemetry(place: str) -> None:
    """Telemetry receives the path of a request, and so a secret in it, but nothing else of it."""
    plants = {place: "secretPLANT"}

    async def adding(request: Request, send: Next) -> Response:
        return await send(request.with_headers({"x-more": plants.get("added header", "")}))

    response = http_response(
        {"r": plants.get("response")}, 200, {"x-r": plants.get("response", "")}
    )
    with all_output() as said:
        async with (
            RawServer(response) as server,
            make(server.url, middleware=[adding]) as pay,
        ):
            await pay.request(
                "POST",
                f"/api/v1/x{plants.get('path', '')}",
                query={"q": plants.get("query", "")},
                body={"b": plants.get("body")},
                auth="payout_key",
            )
    of_telemetry = "\n".join(text for text in said if text.startswith(("call ", "attempt ")))
    assert "/api/v1/x" in of_telemetry
    assert ("secretPLANT" in of_telemetry) == (place == "path")
    assert shown(of_telemetry) == []


FAILURES: dict[str, Behaviour] = {
    "lost": close,
    "reset": reset,
    "cut": cut(http_response(CREATED)),
    "silence": silence,
    "400": http_response(error_body("VALIDATION_ERROR", details=[{"field": "x"}]), 400),
    "401": http_response(error_body("UNAUTHORIZED"), 401),
    "429": http_response(error_body("X"), 429, {"Retry-After": "100"}),
    "503": http_response(error_body("X"), 503),
    "html": http_response(b"<html>" + NEW_KEY.encode()),
    "bad JSON": http_response(b'{"apiKey": "' + NEW_KEY.encode()),
    "wrong": http_response({**CREATED, "id": 5}),
    "wrong secret": http_response({**CREATED, "apiKey": {"value": NEW_KEY}}),
    "in a 200": http_response(error_body("X") | {"apiKey": NEW_KEY}),
    "redirect": http_response(b"", 302, {"Location": "http://127.0.0.1:1/"}),
    "nonsense": b"nonsense\r\n\r\n",
}


@pytest.mark.parametrize("failure", FAILURES)
async def test_a_failed_call_shows_no_secret(failure: str) -> None:
    """No secret is shown, with any credential and after any failure."""
    with all_output() as said:
        async with (
            RawServer(FAILURES[failure]) as server,
            make(server.url, retry=QUICK, timeout=2) as pay,
        ):
            for error in await failed(pay):
                assert shown(str(error) + repr(error)) == []
                # A response may contain anything; unless a new key was requested, the error keeps
                # it unchanged for the caller.
                holds_key = error.operation == "api_keys.create"
                seen = traced(error) + all_forms(error) + repr(vars(error))
                assert shown(seen if holds_key else seen.replace(NEW_KEY, "")) == []
    assert said
    assert shown("\n".join(said)) == []


async def test_a_missing_server_or_proxy_shows_no_secret() -> None:
    """The errors of a failed connection show no secret."""
    for settings in (
        {},
        {"proxy": f"http://me:{PASSWORD}@127.0.0.1:1"},
        {"base_url": "https://127.0.0.1:1"},
    ):
        with all_output() as said:
            async with make(**{"url": "http://127.0.0.1:1"} | settings) as pay:
                for error in await failed(pay):
                    assert shown(traced(error) + all_forms(error)) == []
        assert shown("\n".join(said)) == []


@pytest.mark.parametrize("tunnelled", [False, True])
async def test_a_certificate_that_does_not_verify(tunnelled: bool) -> None:
    """An untrusted server receives no secret, even through a proxy with a password."""
    with all_output() as said:
        async with (
            RawServer(http_response({}), tls=server_tls()) as server,
            Tunnel(int(server.url.rpartition(":")[2])) as proxy,
        ):
            through = {"proxy": proxy.url.replace("//", f"//me:{PASSWORD}@")} if tunnelled else {}
            async with make(server.url, **through) as pay:
                for error in await failed(pay):
                    assert shown(traced(error) + all_forms(error)) == []
        assert server.requests == []
        assert len(proxy.requests) == (4 if tunnelled else 0)
    assert shown("\n".join(said)) == []


@pytest.mark.parametrize("base_url", [None, "https://api.example.com"])
async def test_a_proxy_that_refuses(base_url: str | None) -> None:
    """The proxy receives its password, which nothing else shows."""
    with all_output() as said:
        async with RawServer(http_response(b"", 407)) as proxy:
            url = base_url or proxy.url
            async with make(url, proxy=proxy.url.replace("//", f"//me:{PASSWORD}@")) as pay:
                caller = getattr(
                    pay, "_async", pay
                )._caller  # the blocking client wraps an async one
                assert shown(repr(pay) + repr(vars(pay)) + repr(vars(caller.transport))) == []
                for error in await failed(pay):
                    assert shown(traced(error) + all_forms(error)) == []
        assert {request.headers["proxy-authorization"] for request in proxy.requests} == {
            f"Basic {BASIC}"
        }
    assert shown("\n".join(said)) == []


@pytest.mark.parametrize("at", ["before", "after"])
async def test_a_middleware_that_raises(at: str) -> None:
    """A middleware sees no secret, and the frames that its exception passes hold none."""
    seen: list[str] = []

    async def raising(request: Request, send: Next) -> Response:
        seen.append(f"{request!r} {request.headers!r}")
        if at == "after":
            response = await send(request)
            seen.append(
                f"{response!r} {response.body!r}"
                if request.operation.holds_secret
                else repr(response)
            )
        raise RuntimeError("of the middleware")

    with all_output() as said:
        async with (
            RawServer(http_response(CREATED)) as server,
            make(server.url, middleware=[raising]) as pay,
        ):
            for work in (pay.businesses.get(), pay.api_keys.create("x", ["business:read"])):
                with pytest.raises(RuntimeError, match="of the middleware") as caught:
                    await work
                assert shown(traced(caught.value)) == []
    assert len(seen) == (4 if at == "after" else 2)
    assert shown("\n".join(seen + said)) == []


async def test_a_job_that_gives_up() -> None:
    """The errors among a job's outcomes show no secret either."""
    request: InvoiceRequestDict = {
        "amount": "1",
        "token": "USDC",
        "chain": "eth",
        "reference": "order-1",
    }
    with all_output() as said:
        async with make("http://127.0.0.1:1") as pay:
            outcomes = [
                outcome async for outcome in pay.invoices.create_many([request], give_up_after=0.01)
            ]
    (outcome,) = outcomes
    assert outcome.error is not None
    assert (
        shown(repr(outcome) + traced(outcome.error) + all_forms(outcome.error) + "\n".join(said))
        == []
    )


@pytest.mark.async_only("it cancels a task")
async def test_a_cancelled_call() -> None:
    """The traceback of a cancelled call includes aiohttp's frames, and shows no secret."""

    async def hold(request: Any, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{")
        await silence(request, writer)

    with all_output() as said:
        async with RawServer(silence, hold) as server, make(server.url) as pay:
            for work in (pay.businesses.get(), pay.api_keys.create("x", ["business:read"])):
                task = asyncio.ensure_future(work)
                seen = len(server.requests)
                while len(server.requests) == seen:
                    await asyncio.sleep(0)
                task.cancel()
                with pytest.raises(asyncio.CancelledError) as caught:
                    await task
                assert "aiohttp" in traced(caught.value)
                assert shown(traced(caught.value)) == []
    assert shown("\n".join(said)) == []


@pytest.mark.async_only("it interrupts the blocking client in the main thread")
def test_an_interrupted_call() -> None:
    """Ctrl-C during a blocking call shows no secret in its frames or its note."""
    main = threading.main_thread().ident
    assert main is not None
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with ThreadedServer(silence) as server, all_output() as said:
            session = DashboardSession({"Cookie": SESSION})
            with paychainhq_sync.PayChainHQ(**KEYS, dashboard=session, base_url=server.url) as pay:

                def interrupt() -> None:
                    server.wait_for_requests(1)
                    signal.pthread_kill(main, signal.SIGINT)

                thread = threading.Thread(target=interrupt)
                thread.start()
                with pytest.raises(KeyboardInterrupt) as caught:
                    pay.api_keys.create("x", ["business:read"])
                thread.join()
    finally:
        signal.signal(signal.SIGINT, before)
    assert "paychainhq_sync" in traced(caught.value)
    assert "api_keys.create was in progress" in traced(caught.value)
    assert shown(traced(caught.value) + "\n".join(said)) == []


async def test_a_successful_call_shows_no_secret() -> None:
    """Neither the results nor the response with a new key show a secret."""
    with all_output() as said:
        async with RawServer(http_response(CREATED)) as server, make(server.url) as pay:
            created = await pay.api_keys.create("x", ["business:read"])
            assert created.api_key == NEW_KEY
            assert shown(all_forms(created) + all_forms(created.response)) == []
            await pay.request("POST", "/api/v1/new", body={}, auth="payout_key")
    assert server.requests[0].headers["cookie"] == SESSION
    assert server.requests[1].headers["x-api-key"] == PAYOUT_KEY
    assert shown("\n".join(said)) == []


async def test_objects_of_the_package() -> None:
    """No object that a client is made of shows a secret in its repr, even after a call."""
    async with RawServer(http_response(CREATED)) as server, make(server.url) as pay:
        created = await call(pay, "api_keys.create", CALLS["api_keys.create"])
        resources = [getattr(pay, name.split(".")[0]) for name in OPERATIONS]
        packages = ("paychainhq", "paychainhq_sync", "aiohttp")
        ours = [
            found
            for found in gc.get_objects()
            if str(type(found).__module__).partition(".")[0] in packages
        ]
        # An error left by another test may hold a response by design.
        objects = [found for found in ours if not isinstance(found, BaseException)]
        for value in (
            pay,
            pay.with_options(timeout=1),
            created,
            created.response,
            *resources,
            *objects,
        ):
            assert shown(repr(value)) == []
            assert shown(str(value)) == [] or isinstance(value, str)
            assert shown(repr(getattr(value, "__dict__", ""))) == []


@pytest.mark.async_only("it collects a client of each face itself")
@pytest.mark.parametrize("face_of_client", faces.FACES)
async def test_a_client_that_is_never_closed(
    monkeypatch: pytest.MonkeyPatch, face_of_client: str
) -> None:
    """The warning names the line that made the client, and shows no secret."""
    monkeypatch.setattr(faces, "current", face_of_client)
    with all_output() as said:
        async with RawServer(http_response({})) as server:
            pay = make(server.url)
            await pay.request("GET", "/api/v1/new")
            del pay
            gc.collect()
            await asyncio.sleep(0)
    assert any("was never closed" in text for text in said)
    assert shown("\n".join(said)) == []
