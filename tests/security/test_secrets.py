"""Whatever happens, no secret shows: not in logs, warnings, reprs, errors, tracebacks with locals, or pickles."""

from __future__ import annotations

import asyncio
import gc
import logging
import pickle
import signal
import threading
import warnings
from pathlib import Path
from typing import Any

import pytest

import paychainhq_sync
from paychainhq import ConfigurationError, DashboardSession, LedgerError, Next, PayChainError, Request, Response
from paychainhq.ledger import SQLiteLedger
from paychainhq.operations import OPERATIONS
from tests import faces
from tests.calls import CALLS, call
from tests.engine import INVOICE, error_body
from tests.faces import PayChainHQ
from tests.security.leaks import (
    API_KEY,
    BASIC,
    CONTRACT_KEY,
    CREATED,
    KEYS,
    NEW_KEY,
    PASSWORD,
    PAYOUT_KEY,
    SESSION,
    everything_said,
    failed,
    looked_at,
    make,
    shown,
    traced,
)
from tests.support import Behaviour, RawServer, answer, close, cut, reset, silence
from tests.sync.support import ThreadedServer
from tests.test_connections import Tunnel, server_tls

pytestmark = pytest.mark.usefixtures("face")


@pytest.fixture(autouse=True)
def debugging(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever event loop is made, it is in debug mode."""
    monkeypatch.setenv("PYTHONASYNCIODEBUG", "1")


@pytest.mark.async_only("it makes no client")
def test_control() -> None:
    """What looks for secrets finds one that was planted: in a repr, a pickle, a log, a warning, a note and frames of others."""
    assert shown(repr({"x-api-key": API_KEY})) == [API_KEY]
    assert shown(looked_at({"x-api-key": API_KEY})) == [API_KEY]
    with everything_said() as said:
        logging.getLogger("aiohttp").debug("%s", {"key": API_KEY})
        warnings.warn(f"not closed: {SESSION}", ResourceWarning, stacklevel=1)
    assert shown("\n".join(said)) == [API_KEY, SESSION]
    program = "def f(key):\n    raise ValueError('planted')\nf(key)"
    for folder in ("/x/paychainhq", "/x/paychainhq_sync", "/x/site-packages/aiohttp", "/usr/lib/python/asyncio"):
        with pytest.raises(ValueError, match="planted") as caught:
            exec(compile(program, f"{folder}/planted.py", "exec"), {"key": API_KEY})
        caught.value.add_note(PAYOUT_KEY)
        assert shown(traced(caught.value)) == [API_KEY, PAYOUT_KEY]
        try:
            raise LedgerError("outer") from caught.value
        except LedgerError as error:
            assert shown(traced(error)) == [API_KEY, PAYOUT_KEY]


@pytest.mark.parametrize("plant", ["a log", "an error", "a frame"])
async def test_control_of_a_call(plant: str) -> None:
    """A client that did leak would be found out, over both faces: a middleware that is given a key leaks it."""

    def leaking(key: str) -> None:
        if plant == "a log":
            logging.getLogger("paychainhq").debug("with %s", key)
        raise ZeroDivisionError(key if plant == "an error" else "")

    async def middleware(request: Request, send: Next) -> Response:
        exec(compile("leaking(key)", "/x/paychainhq/leaking.py", "exec"), {"leaking": leaking}, {"key": API_KEY})
        return await send(request)

    with everything_said() as said:
        async with make("http://127.0.0.1:1", middleware=[middleware]) as pay:
            with pytest.raises(ZeroDivisionError) as caught:
                await pay.prices.list()
    assert shown("\n".join(said)) == ([API_KEY] if plant == "a log" else [])
    assert shown(traced(caught.value)) == [API_KEY]
    assert shown(str(caught.value)) == ([API_KEY] if plant == "an error" else [])


# --- calls that fail ---

FAILURES: dict[str, Behaviour] = {
    "lost": close,
    "reset": reset,
    "cut": cut(answer(CREATED)),
    "silence": silence,
    "400": answer(error_body("VALIDATION_ERROR", details=[{"field": "x"}]), 400),
    "401": answer(error_body("UNAUTHORIZED"), 401),
    "429": answer(error_body("X"), 429, {"Retry-After": "100"}),
    "503": answer(error_body("X"), 503),
    "html": answer(b"<html>" + NEW_KEY.encode()),
    "bad JSON": answer(b'{"apiKey": "' + NEW_KEY.encode()),
    "wrong": answer({**CREATED, "id": 5}),
    "wrong secret": answer({**CREATED, "apiKey": {"value": NEW_KEY}}),
    "in a 200": answer(error_body("X") | {"apiKey": NEW_KEY}),
    "redirect": answer(b"", 302, {"Location": "http://127.0.0.1:1/"}),
    "nonsense": b"nonsense\r\n\r\n",
}


@pytest.mark.parametrize("failure", FAILURES)
async def test_failures(failure: str) -> None:
    """A call that fails shows no secret, whichever credential it carried and however it failed."""
    with everything_said() as said:
        async with RawServer(FAILURES[failure]) as server, make(server.url) as pay:
            for error in await failed(pay):
                assert shown(str(error) + repr(error)) == []
                # An answer may hold anything; where no new key was asked for, it is kept for the caller as it came.
                holds_key = error.operation == "api_keys.create"
                seen = traced(error) + looked_at(error) + repr(vars(error))
                assert shown(seen if holds_key else seen.replace(NEW_KEY, "")) == []
    assert said
    assert shown("\n".join(said)) == []


async def test_no_connection() -> None:
    """A server or a proxy that is not there learns and shows nothing."""
    for settings in ({}, {"proxy": f"http://me:{PASSWORD}@127.0.0.1:1"}, {"base_url": "https://127.0.0.1:1"}):
        with everything_said() as said:
            async with make(**{"url": "http://127.0.0.1:1"} | settings) as pay:
                for error in await failed(pay):
                    assert shown(traced(error) + looked_at(error)) == []
        assert shown("\n".join(said)) == []


@pytest.mark.parametrize("tunnelled", [False, True])
async def test_a_certificate_that_does_not_verify(tunnelled: bool) -> None:
    """Neither does a server that cannot prove who it is, also behind a proxy that takes a password."""
    with everything_said() as said:
        async with RawServer(answer({}), tls=server_tls()) as server, Tunnel(int(server.url.rpartition(":")[2])) as proxy:
            through = {"proxy": proxy.url.replace("//", f"//me:{PASSWORD}@")} if tunnelled else {}
            async with make(server.url, **through) as pay:
                for error in await failed(pay):
                    assert shown(traced(error) + looked_at(error)) == []
        assert server.requests == []
        assert len(proxy.requests) == (4 if tunnelled else 0)
    assert shown("\n".join(said)) == []


@pytest.mark.parametrize("base_url", [None, "https://api.example.com"])
async def test_proxy_that_refuses(base_url: str | None) -> None:
    """A proxy's password goes to the proxy, and shows nowhere."""
    with everything_said() as said:
        async with RawServer(answer(b"", 407)) as proxy:
            url = base_url or proxy.url
            async with make(url, proxy=proxy.url.replace("//", f"//me:{PASSWORD}@")) as pay:
                caller = getattr(pay, "_async", pay)._caller  # under the blocking client is an async one
                assert shown(repr(pay) + repr(vars(pay)) + repr(vars(caller.transport))) == []
                for error in await failed(pay):
                    assert shown(traced(error) + looked_at(error)) == []
        assert {request.headers["proxy-authorization"] for request in proxy.requests} == {f"Basic {BASIC}"}
    assert shown("\n".join(said)) == []


@pytest.mark.parametrize("at", ["before", "after"])
async def test_middleware_that_raises(at: str) -> None:
    """What a middleware raises goes through our frames, which hold no secret, and the middleware sees none."""
    seen: list[str] = []

    async def raising(request: Request, send: Next) -> Response:
        seen.append(f"{request!r} {request.headers!r}")
        if at == "after":
            response = await send(request)
            seen.append(f"{response!r} {response.body!r}" if request.operation.holds_secret else repr(response))
        raise RuntimeError("of the middleware")

    with everything_said() as said:
        async with RawServer(answer(CREATED)) as server, make(server.url, middleware=[raising]) as pay:
            for work in (pay.businesses.get(), pay.api_keys.create("x", ["business:read"])):
                with pytest.raises(RuntimeError, match="of the middleware") as caught:
                    await work
                assert shown(traced(caught.value)) == []
    assert len(seen) == (4 if at == "after" else 2)
    assert shown("\n".join(seen + said)) == []


async def test_a_job_that_is_given_up() -> None:
    """The errors among a job's outcomes are no exception."""
    request = {"amount": "1", "token": "USDC", "chain": "eth", "reference": "order-1"}
    with everything_said() as said:
        async with make("http://127.0.0.1:1") as pay:
            outcomes = [outcome async for outcome in pay.invoices.create_many([request], give_up_after=0.01)]
    (outcome,) = outcomes
    assert outcome.error is not None
    assert shown(repr(outcome) + traced(outcome.error) + looked_at(outcome.error) + "\n".join(said)) == []


@pytest.mark.async_only("it cancels a task")
async def test_cancelled_call() -> None:
    """A call that its caller cancels passes through aiohttp's frames, and shows nothing of them either."""

    async def hold(request: Any, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{")
        await silence(request, writer)

    with everything_said() as said:
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
def test_interrupted_call() -> None:
    """Ctrl-C during a blocking call shows none, neither in its frames nor in its note."""
    main = threading.main_thread().ident
    assert main is not None
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with ThreadedServer(silence) as server, everything_said() as said:
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
    assert "api_keys.create was under way" in traced(caught.value)
    assert shown(traced(caught.value) + "\n".join(said)) == []


# --- ledgers ---


async def test_ledger_that_fails(tmp_path: Path) -> None:
    """A ledger that cannot record, before or after, shows none in its error and in its warning."""
    requests: list[Any] = [lambda pay: call(pay, "invoices.create", CALLS["invoices.create"])]
    requests.append(lambda pay: pay.request("POST", "/api/v1/new", auth="payout_key", idempotency_key="k"))
    with everything_said() as said:
        async with RawServer(answer(INVOICE)) as server:
            for number, request in enumerate(requests):
                ledger = SQLiteLedger(tmp_path / f"{number}.db")

                async def closing(request: Request, send: Next, ledger: SQLiteLedger = ledger) -> Response:
                    response = await send(request)
                    ledger.close()
                    return response

                async with make(server.url, idempotency=ledger, middleware=[closing]) as pay:
                    await request(pay)
                    assert len(server.requests) == number + 1
                    with pytest.raises(LedgerError) as caught:
                        await request(pay)
                    assert shown(traced(caught.value) + looked_at(caught.value) + repr(vars(caught.value))) == []
    assert any("could not be recorded" in text for text in said)
    assert shown("\n".join(said)) == []


async def test_ledger_file(tmp_path: Path) -> None:
    """What an SQLite ledger writes holds answers, but no credential, and nothing of the operations on API keys."""
    ledger = SQLiteLedger(tmp_path / "jobs.db")
    async with RawServer(answer({**INVOICE, "description": "as-it-came"}), answer(CREATED)) as server:
        async with make(server.url, idempotency=ledger) as pay:
            await call(pay, "invoices.create", CALLS["invoices.create"])
            for name in ("api_keys.create", "api_keys.create_payout", "api_keys.create_contract"):
                assert (await call(pay, name, CALLS[name])).api_key == NEW_KEY
            for path in ("/api/v1/businesses/biz_123/api-keys", "/api/v1/businesses/biz_123/payout%2dapi-keys"):
                await pay.request("POST", path, body={}, auth="dashboard", idempotency_key=f"key of {path}".replace(" ", "-"))
            written = b"".join(file.read_bytes() for file in tmp_path.iterdir())
            assert [entry.operation for entry in ledger.entries()] == ["invoices.create"]
    ledger.close()
    written += b"".join(file.read_bytes() for file in tmp_path.iterdir())
    assert b"as-it-came" in written  # the control: this is where an answer would be
    assert shown(written.decode("latin-1")) == []
    assert b"api_keys" not in written
    assert b"api-keys" not in written
    assert {file.stat().st_mode & 0o777 for file in tmp_path.iterdir()} == {0o600}


# --- what succeeds ---


async def test_successes() -> None:
    """Calls that succeed show no secret either: not in their results, and not in the server's answer to a new key."""
    with everything_said() as said:
        async with RawServer(answer(CREATED)) as server, make(server.url) as pay:
            created = await pay.api_keys.create("x", ["business:read"])
            assert created.api_key == NEW_KEY
            assert shown(looked_at(created) + looked_at(created.response)) == []
            await pay.request("POST", "/api/v1/new", body={}, auth="payout_key")
    assert server.requests[0].headers["cookie"] == SESSION
    assert server.requests[1].headers["x-api-key"] == PAYOUT_KEY
    assert shown("\n".join(said)) == []


async def test_objects_of_the_package() -> None:
    """No object that a client is made of shows a secret in its repr, after a call as before."""
    async with RawServer(answer(CREATED)) as server, make(server.url) as pay:
        created = await call(pay, "api_keys.create", CALLS["api_keys.create"])
        resources = [getattr(pay, name.split(".")[0]) for name in OPERATIONS]
        packages = ("paychainhq", "paychainhq_sync", "aiohttp")
        ours = [found for found in gc.get_objects() if str(type(found).__module__).partition(".")[0] in packages]
        # An error that another test has left may hold an answer by design.
        objects = [found for found in ours if not isinstance(found, BaseException)]
        for value in (pay, pay.with_options(timeout=1), created, created.response, *resources, *objects):
            assert shown(repr(value)) == []
            assert shown(str(value)) == [] or isinstance(value, str)
            assert shown(repr(getattr(value, "__dict__", ""))) == []


@pytest.mark.async_only("it collects a client of each face itself")
@pytest.mark.parametrize("face_of_client", faces.FACES)
async def test_a_client_that_is_never_closed(monkeypatch: pytest.MonkeyPatch, face_of_client: str) -> None:
    """The warning about it names the line that made it, and shows nothing."""
    monkeypatch.setattr(faces, "current", face_of_client)
    with everything_said() as said:
        async with RawServer(answer({})) as server:
            pay = make(server.url)
            await pay.request("GET", "/api/v1/new")
            del pay
            gc.collect()
            await asyncio.sleep(0)
    assert any("was never closed" in text for text in said)
    assert shown("\n".join(said)) == []


# --- settings that are refused ---


@pytest.mark.parametrize(
    "settings",
    [
        {"api_key": API_KEY + "\n"},
        {"payout_key": " " + PAYOUT_KEY},
        {"contract_key": CONTRACT_KEY + "\x00"},
        {"dashboard": {"Cookie": SESSION}},
        {"base_url": f"https://me:{PASSWORD}@api.example.com"},
        {"base_url": "http://api.example.com"},
        {"proxy": f"ftp://me:{PASSWORD}@proxy"},
        {"proxy": f"http://me:{PASSWORD}@proxy:99999"},
        {"proxy": f"http://me:{PASSWORD}@proxy.example.com", "base_url": "http://127.0.0.1:1"},
        {"environment": "sandbox", "base_url": "https://api.example.com", "api_key": "pk_live_" + API_KEY},
        {"timeout": 0},
        {"ssl": False},
    ],
)
def test_constructor_that_refuses(settings: dict[str, Any]) -> None:
    """An error of the constructor shows no secret, neither the one that is wrong nor the others."""
    for maker in (PayChainHQ, PayChainHQ.from_env):
        with pytest.raises(ConfigurationError) as caught:
            maker(**{**KEYS, **settings})
        assert shown(traced(caught.value) + looked_at(caught.value)) == []


@pytest.mark.async_only("it makes no client")
def test_dashboard_session_that_refuses() -> None:
    """Neither does an error about the headers of a session."""
    with pytest.raises(ConfigurationError) as caught:
        DashboardSession({"X-Other": SESSION, "Cookie": SESSION + "\n"})
    assert shown(traced(caught.value) + looked_at(caught.value)) == []


def test_environment_that_refuses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor one about what the environment's variables hold."""
    monkeypatch.setenv("PAYCHAIN_API_KEY", API_KEY + "\n")
    monkeypatch.setenv("PAYCHAIN_PAYOUT_KEY", PAYOUT_KEY)
    with pytest.raises(ConfigurationError) as caught:
        PayChainHQ.from_env()
    assert shown(traced(caught.value) + looked_at(caught.value)) == []
    monkeypatch.setenv("https_proxy", f"ftp://me:{PASSWORD}@proxy")
    with pytest.raises(ConfigurationError) as caught:
        PayChainHQ(trust_env=True)
    assert shown(traced(caught.value) + looked_at(caught.value)) == []


async def test_missing_credential() -> None:
    """An error about the key that is missing shows none of those that are there."""
    async with make("http://127.0.0.1:1", api_key=None) as pay:
        with pytest.raises(PayChainError, match="api_key") as caught:
            await pay.businesses.get()
    assert shown(traced(caught.value) + looked_at(caught.value) + repr(vars(caught.value))) == []


@pytest.mark.async_only("it pickles a client of each face itself")
@pytest.mark.parametrize("face_of_client", faces.FACES)
def test_client_is_not_pickled(monkeypatch: pytest.MonkeyPatch, face_of_client: str) -> None:
    """A client cannot be pickled, and says why; a session can, without its headers' values."""
    monkeypatch.setattr(faces, "current", face_of_client)
    pay: Any = make("http://127.0.0.1:1")
    with pytest.raises(TypeError, match="holds keys and connections"):
        pickle.dumps(pay._blocking if face_of_client == "sync" else pay)
    assert shown(looked_at(DashboardSession({"Cookie": SESSION}))) == []
