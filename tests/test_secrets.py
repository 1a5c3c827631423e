"""Whatever happens, no secret shows: not in logs, reprs, errors, tracebacks with locals, or pickles."""

from __future__ import annotations

import asyncio
import base64
import gc
import logging
import pickle
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from paychainhq import ConfigurationError, DashboardSession, PayChainError, PayChainHQ
from paychainhq.operations import OPERATIONS
from tests.calls import CALLS, call
from tests.engine import CREATED_KEY, QUICK, error_body
from tests.support import Behaviour, RawServer, answer, close, cut, reset, silence

API_KEY = "pk_test_secretALPHA"
PAYOUT_KEY = "pk_test_secretBRAVO"
CONTRACT_KEY = "pk_test_secretCHARLIE"
SESSION = "session=secretDELTA"
PASSWORD = "secretECHO"
NEW_KEY = "biz_secretFOXTROT"
SECRETS = [API_KEY, PAYOUT_KEY, CONTRACT_KEY, SESSION, PASSWORD, NEW_KEY, base64.b64encode(f"me:{PASSWORD}".encode()).decode()]
KEYS: dict[str, Any] = {"api_key": API_KEY, "payout_key": PAYOUT_KEY, "contract_key": CONTRACT_KEY, "business_id": "biz_123"}
CREATED = {**CREATED_KEY, "apiKey": NEW_KEY}


def shown(text: str) -> list[str]:
    """The secrets that a text gives away."""
    return [secret for secret in SECRETS if secret in text]


def looked_at(value: Any) -> str:
    """All that a value says of itself, pickled too."""
    pickles = [pickle.dumps(value, protocol).decode("latin-1") for protocol in (0, pickle.HIGHEST_PROTOCOL)]
    return "\n".join([repr(value), str(value), *pickles])


def traced(error: BaseException) -> str:
    """The traceback with the locals of every frame that is ours or aiohttp's, of the whole chain of exceptions."""
    texts = []
    link: BaseException | None = error
    while link is not None:
        summary = traceback.TracebackException.from_exception(link, capture_locals=True)
        texts += [str(link), *map(str, getattr(link, "__notes__", ()))]
        for frame in summary.stack:
            if "/paychainhq/" in frame.filename.replace("\\", "/") or "aiohttp" in frame.filename:
                texts.append(f"{frame.filename}:{frame.lineno} {frame.locals}")
        link = link.__cause__ or link.__context__
    return "\n".join(texts)


@contextmanager
def all_logs() -> Iterator[list[str]]:
    """Every record of every logger, with its arguments."""
    texts: list[str] = []

    class Keep(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            texts.append(f"{record.getMessage()} {record.args!r} {vars(record)!r}")

    root, handler = logging.getLogger(), Keep()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    try:
        yield texts
    finally:
        root.removeHandler(handler)
        root.setLevel(level)


def make(url: str, **settings: Any) -> PayChainHQ:
    session = DashboardSession({"Cookie": SESSION, "X-Step-Up": SESSION})
    return PayChainHQ(**{**KEYS, "dashboard": session, "base_url": url, "retry": QUICK, "timeout": 2, **settings})


def test_control() -> None:
    """What looks for secrets finds one that was planted: in a repr, a pickle, a log and a frame of ours."""
    assert shown(repr({"x-api-key": API_KEY})) == [API_KEY]
    assert shown(looked_at({"x-api-key": API_KEY})) == [API_KEY]
    with all_logs() as logs:
        logging.getLogger("aiohttp").debug("%s", {"key": API_KEY})
    assert shown("\n".join(logs)) == [API_KEY]
    with pytest.raises(ValueError, match="planted") as caught:
        exec(compile("def f(key):\n    raise ValueError('planted')\nf(key)", "/x/paychainhq/planted.py", "exec"), {"key": API_KEY})
    assert shown(traced(caught.value)) == [API_KEY]


FAILURES: dict[str, Behaviour] = {
    "lost": close,
    "reset": reset,
    "cut": cut(answer(CREATED)),
    "silence": silence,
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


async def failed(pay: PayChainHQ, failure: str) -> list[PayChainError]:
    """The errors of one call with each credential."""
    errors = []
    for work in (
        pay.businesses.get(),
        pay.request("POST", "/api/v1/new", body={}, auth="payout_key", idempotency_key="k"),
        pay.request("POST", "/api/v1/new", body={}, auth="contract_key"),
        pay.api_keys.create("x", ["business:read"]),
    ):
        try:
            await work
        except PayChainError as error:
            errors.append(error)
    assert len(errors) >= 2, failure
    return errors


@pytest.mark.parametrize("failure", FAILURES)
async def test_failures(failure: str) -> None:
    """A call that fails shows no secret, whichever credential it carried and however it failed."""
    with all_logs() as logs:
        async with RawServer(FAILURES[failure]) as server, make(server.url) as pay:
            for error in await failed(pay, failure):
                assert shown(str(error) + repr(error)) == []
                # An answer may hold anything; where no new key was asked for, it is kept for the caller as it came.
                holds_key = error.operation == "api_keys.create"
                seen = traced(error) + looked_at(error) + repr(vars(error))
                assert shown(seen if holds_key else seen.replace(NEW_KEY, "")) == []
    assert logs
    assert shown("\n".join(logs)) == []


async def test_successes() -> None:
    """Calls that succeed show no secret either: not in their results, and not in the server's answer to a new key."""
    with all_logs() as logs:
        async with RawServer(answer(CREATED)) as server, make(server.url) as pay:
            created = await pay.api_keys.create("x", ["business:read"])
            assert created.api_key == NEW_KEY
            assert shown(looked_at(created) + looked_at(created.response)) == []
            await pay.request("POST", "/api/v1/new", body={}, auth="payout_key")
    assert server.requests[0].headers["cookie"] == SESSION
    assert server.requests[1].headers["x-api-key"] == PAYOUT_KEY
    assert shown("\n".join(logs)) == []


async def test_no_connection() -> None:
    """A server or a proxy that is not there learns and shows nothing."""
    for settings in ({}, {"proxy": f"http://me:{PASSWORD}@127.0.0.1:1"}, {"base_url": "https://127.0.0.1:1"}):
        with all_logs() as logs:
            async with make(**{"url": "http://127.0.0.1:1"} | settings) as pay:
                for error in await failed(pay, "no connection"):
                    assert shown(traced(error) + looked_at(error)) == []
        assert shown("\n".join(logs)) == []


@pytest.mark.parametrize("base_url", [None, "https://api.example.com"])
async def test_proxy_that_refuses(base_url: str | None) -> None:
    """A proxy's password goes to the proxy, and shows nowhere."""
    with all_logs() as logs:
        async with RawServer(answer(b"", 407)) as proxy:
            url = base_url or proxy.url
            async with make(url, proxy=proxy.url.replace("//", f"//me:{PASSWORD}@")) as pay:
                assert shown(repr(pay) + repr(vars(pay)) + repr(vars(pay._caller.transport))) == []
                for error in await failed(pay, "407"):
                    assert shown(traced(error) + looked_at(error)) == []
        expected = "Basic " + base64.b64encode(f"me:{PASSWORD}".encode()).decode()
        assert {request.headers["proxy-authorization"] for request in proxy.requests} == {expected}
    assert shown("\n".join(logs)) == []


async def test_cancelled_call() -> None:
    """A call that its caller cancels passes through aiohttp's frames, and shows nothing of them either."""

    async def hold(request: Any, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{")
        await silence(request, writer)

    with all_logs() as logs:
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
    assert shown("\n".join(logs)) == []


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
        {"environment": "sandbox", "base_url": "https://api.example.com", "api_key": "pk_live_" + API_KEY},
        {"timeout": 0},
    ],
)
def test_constructor_that_refuses(settings: dict[str, Any]) -> None:
    """An error of the constructor shows no secret, neither the one that is wrong nor the others."""
    for maker in (PayChainHQ, PayChainHQ.from_env):
        with pytest.raises(ConfigurationError) as caught:
            maker(**{**KEYS, **settings})
        assert shown(traced(caught.value) + looked_at(caught.value)) == []


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


async def test_objects_of_the_package() -> None:
    """No object that a client is made of shows a secret in its repr, after a call as before."""
    async with RawServer(answer(CREATED)) as server, make(server.url) as pay:
        created = await call(pay, "api_keys.create", CALLS["api_keys.create"])
        resources = [getattr(pay, name.split(".")[0]) for name in OPERATIONS]
        ours = [found for found in gc.get_objects() if str(type(found).__module__).startswith("paychainhq.")]
        # An error that another test has left may hold an answer by design.
        objects = [found for found in ours if not isinstance(found, BaseException)]
        for value in (pay, pay.with_options(timeout=1), created, created.response, *resources, *objects):
            assert shown(repr(value)) == []
            assert shown(str(value)) == [] or isinstance(value, str)
            assert shown(repr(getattr(value, "__dict__", ""))) == []


def test_client_is_not_pickled() -> None:
    """A client cannot be pickled, and says why; a session can, without its headers' values."""
    with pytest.raises(TypeError, match="holds keys and connections"):
        pickle.dumps(make("http://127.0.0.1:1"))
    assert shown(looked_at(DashboardSession({"Cookie": SESSION}))) == []
