"""Lifetime of a client: its loop, views and end, and the caller's session and middleware."""

from __future__ import annotations

import asyncio
import gc
import inspect
import subprocess
import sys
import threading
import warnings
from collections.abc import Callable
from socket import create_server
from typing import Any

import aiohttp
import attrs
import pytest

from paychainhq import (
    ConfigurationError,
    ConnectionFailedError,
    Next,
    PayChainError,
    PayChainHQ,
    Request,
    Response,
)
from tests.support.client import INVOICE, KEY, PRICES, client, error_body, info, invoice
from tests.support.raw_server import RawServer, close, http_response, silence

# --- loops ---


def test_one_client_in_several_runs() -> None:
    """A client made outside any loop works in several `asyncio.run`, and leaves nothing behind."""
    with create_server(("127.0.0.1", 0)) as reserved:
        port = reserved.getsockname()[1]
    pay = client(f"http://127.0.0.1:{port}")

    async def run() -> None:
        async with RawServer(http_response(PRICES), port=port) as server:
            await pay.prices.list()
            await pay.prices.list()
        assert len(server.requests) == 2

    for _ in range(3):
        asyncio.run(run())
    asyncio.run(pay.close())
    gc.collect()


async def test_two_running_loops() -> None:
    """A client with a running loop refuses another one, and goes on working on its own."""
    async with RawServer(http_response(PRICES)) as server, client(server.url) as pay:
        await pay.prices.list()

        async def elsewhere() -> None:
            with pytest.raises(ConfigurationError, match="one client for each loop"):
                await pay.prices.list()

        await asyncio.to_thread(asyncio.run, elsewhere())
        await pay.prices.list()
    assert len(server.requests) == 2


async def test_loop_that_has_ended_in_a_thread() -> None:
    """Another loop may use a client whose loop has ended."""
    pay = client("http://127.0.0.1:1", retry=None)

    async def use() -> None:
        with pytest.raises(ConnectionFailedError):
            await pay.prices.list()

    thread = threading.Thread(target=lambda: asyncio.run(use()))
    thread.start()
    await asyncio.to_thread(thread.join)
    await use()
    await pay.close()


# --- end ---


async def test_closed_client() -> None:
    """A second `close()` is allowed, also without any call; later calls are refused unsent."""
    async with RawServer(http_response(PRICES)) as server:
        for use in (True, False):
            pay = client(server.url)
            if use:
                await pay.prices.list()
            await pay.close()
            await pay.close()
            for face in (pay, pay.with_options(timeout=5)):
                with pytest.raises(ConfigurationError, match="closed") as caught:
                    await face.prices.list()
                assert caught.value.sent == "no"
    assert len(server.requests) == 1


async def test_closed_during_a_call() -> None:
    """A call in progress under `close()` raises an error that it may have been received."""
    async with RawServer(silence) as server:
        pay = client(server.url)
        task = asyncio.create_task(invoice(pay))
        while not server.requests:
            await asyncio.sleep(0)
        await pay.close()
        with pytest.raises(PayChainError) as caught:
            await task
    assert (caught.value.sent, caught.value.idempotency_key is not None) == ("unknown", True)
    assert len(server.requests) == 1


def direct(url: str) -> PayChainHQ:
    return PayChainHQ(api_key=KEY, base_url=url)


def from_env(url: str) -> PayChainHQ:
    return PayChainHQ.from_env(base_url=url, api_key=KEY, business_id=None)


@pytest.mark.parametrize("make", [direct, from_env])
async def test_forgotten_client(make: Callable[[str], PayChainHQ]) -> None:
    """A used client without `close()` gives one ResourceWarning with the line that made it."""
    async with RawServer(http_response(PRICES)) as server:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            pay = make(server.url)
            await pay.prices.list()
            del pay
            gc.collect()
            await asyncio.sleep(0)
            gc.collect()
        (warning,) = caught
    lines, first = inspect.getsourcelines(make)
    line = first + next(number for number, text in enumerate(lines) if "return PayChainHQ" in text)
    assert warning.category is ResourceWarning
    assert f"{inspect.getsourcefile(make)}:{line}" in str(warning.message)
    assert KEY not in str(warning.message)


FORGETFUL = """
import asyncio, logging, sys
from paychainhq import PayChainHQ
from paychainhq.emulator import Emulator, API_KEY

logging.getLogger("asyncio").setLevel(logging.ERROR)  # in development mode it tells of a slow machine

async def main(url):
    global pay
    pay = PayChainHQ(api_key=API_KEY, base_url=url)
    await pay.invoices.get("inv_123")
    if sys.argv[1] == "exits":
        sys.exit(0)

with Emulator() as emulator:
    asyncio.run(main(emulator.url))
"""  # noqa: E501


@pytest.mark.parametrize("options", [["-W", "always"], ["-X", "dev"]])
@pytest.mark.parametrize("how", ["ends", "exits"])
def test_the_end_of_the_interpreter_is_silent(how: str, options: list[str]) -> None:
    """A program that ends with an open client prints nothing, with any filter of warnings."""
    command = [sys.executable, *options, "-c", FORGETFUL, how]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


async def test_unused_client_needs_no_close() -> None:
    """An unused client can be dropped without a warning."""
    client("http://127.0.0.1:1")
    gc.collect()


# --- views ---


async def test_view() -> None:
    """A view has its own options and the client's connections; closing it closes nothing."""
    peers = set()

    async def note(_: Any, writer: asyncio.StreamWriter) -> None:
        peers.add(writer.get_extra_info("peername"))
        writer.write(http_response(INVOICE))

    async with RawServer(note) as server, client(server.url) as pay:
        await invoice(pay)
        async with pay.with_options(business_id="biz_view", timeout=5, retry=None) as view:
            await invoice(view)
        await view.close()
        await invoice(view)
        await invoice(pay)
    assert len(peers) == 1
    assert [request.target.split("/")[4] for request in server.requests] == [
        "biz_123",
        "biz_view",
        "biz_view",
        "biz_123",
    ]


async def test_view_keeps_other_options() -> None:
    """An option that a view does not name is the client's, and `retry=None` is a change."""
    async with client("http://127.0.0.1:1", timeout=7) as pay:
        view = pay.with_options(retry=None)
        assert (view._caller.timeout, view._caller.business_id, view._caller.retry) == (
            7,
            "biz_123",
            None,
        )
        with pytest.raises(ConfigurationError):
            pay.with_options(business_id="a/b")
        with pytest.raises(TypeError):
            pay.with_options(api_key="x")  # type: ignore[call-arg]


# --- a session of the caller's own ---


async def test_own_session() -> None:
    """A session of the caller's own is used with all guarantees of the client, and left open."""
    refused = http_response(error_body("NOT_FOUND"), 404)
    session = aiohttp.ClientSession(headers={"X-Mine": "1"}, raise_for_status=True)
    async with (
        RawServer(http_response(PRICES), close, http_response(PRICES), refused) as server,
        session,
    ):
        async with client(server.url, session=session) as pay:
            await pay.prices.list()
            await pay.prices.list()
            with pytest.raises(PayChainError) as caught:
                await pay.invoices.get("inv_1")
        assert not session.closed
    assert vars(caught.value)["status"] == 404
    assert {request.headers["x-mine"] for request in server.requests} == {"1"}
    assert {request.headers.get("x-api-key") for request in server.requests} == {None, KEY}


async def test_own_session_without_a_server() -> None:
    """A refused connection of the caller's session has sent nothing, and is retried."""
    async with (
        aiohttp.ClientSession() as session,
        client("http://127.0.0.1:1", session=session) as pay,
    ):
        with pytest.raises(ConnectionFailedError) as caught:
            await pay.request("POST", "/api/v1/new", body={})
    assert (caught.value.sent, len(caught.value.attempts)) == ("no", 6)


async def test_own_session_that_is_closed() -> None:
    """A call over a closed session of the caller is refused, with nothing sent."""
    session = aiohttp.ClientSession()
    await session.close()
    async with client("http://127.0.0.1:1", session=session) as pay:
        with pytest.raises(ConfigurationError, match="closed") as caught:
            await pay.prices.list()
    assert caught.value.sent == "no"


# --- middleware of the caller's own ---


async def test_middleware() -> None:
    """Middleware runs once a call, the first one outermost; its changes are sent."""
    seen: list[str] = []

    def named(name: str) -> Any:
        async def middleware(request: Request, send: Next) -> Response:
            seen.append(f"{name} in")
            changed = attrs.evolve(
                request, headers={**request.headers, f"X-{name}": request.operation.name}
            )
            response = await send(changed)
            seen.append(f"{name} out {response.status} after {len(request.attempts)}")
            return response

        return middleware

    chain = [named("A"), named("B")]
    async with (
        RawServer(close, http_response(b"", 503), http_response(INVOICE)) as server,
        client(server.url, middleware=chain) as pay,
    ):
        result = await invoice(pay)
    assert seen == ["A in", "B in", "B out 200 after 3", "A out 200 after 3"]
    assert (
        {request.headers["x-a"] for request in server.requests}
        == {"invoices.create"}
        == {r.headers["x-b"] for r in server.requests}
    )
    assert len(info(result).attempts) == 3


@pytest.mark.parametrize("error", [KeyError("mine"), TimeoutError("mine"), OSError("mine")])
async def test_exception_of_middleware(error: Exception) -> None:
    """An exception of the caller's middleware is raised unchanged."""

    async def broken(request: Request, send: Next) -> Response:
        raise error

    async with client("http://127.0.0.1:1", middleware=[broken]) as pay:
        with pytest.raises(type(error)) as caught:
            await pay.prices.list()
    assert caught.value is error


async def test_middleware_that_responds() -> None:
    """Middleware may return a response itself, which is read like the server's."""

    async def cache(request: Request, send: Next) -> Response:
        return Response(
            200, {"x-request-id": "cached"}, http_response(INVOICE).partition(b"\r\n\r\n")[2]
        )

    async with client("http://127.0.0.1:1", middleware=[cache]) as pay:
        result = await invoice(pay)
    assert (info(result).request_id, info(result).attempts) == ("cached", ())
