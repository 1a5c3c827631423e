"""DNS changes: after a failure to connect, the next attempt resolves the name anew."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any
from unittest.mock import patch

import aiohttp
import attrs
import pytest
from aiohttp.abc import AbstractResolver, ResolveResult

from paychainhq import PayChainError, PayChainHQ, Request, Response, RetryPolicy
from paychainhq._http.messages import Next
from tests.support.client import PRICES, client, states
from tests.support.raw_server import RawServer, http_response

FAST, SESSION, OWN, PROXY = "the fast path", "the session path", "the caller's session", "a proxy"
HERE, DEAD = "127.0.0.1", "127.0.0.77"


@attrs.define
class Moving(AbstractResolver):
    """Resolver of every name to one address, which may change."""

    address: str
    lookups: int = 0

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        self.lookups += 1
        return [
            ResolveResult(
                hostname=host, host=self.address, port=port, family=socket.AF_INET, proto=0, flags=0
            )
        ]

    async def close(self) -> None:
        pass


async def add_header(request: Request, send: Next) -> Response:
    return await send(attrs.evolve(request, headers={**request.headers, "X-Trace": "1"}))


@pytest.fixture
def resolver() -> Iterator[Moving]:
    resolver = Moving(DEAD)
    with patch("aiohttp.connector.DefaultResolver", lambda *_, **__: resolver):
        yield resolver


@asynccontextmanager
async def client_of(way: str, server: RawServer, **settings: Any) -> AsyncIterator[PayChainHQ]:
    """Yield a client that connects to a name in one of the ways."""
    url = server.url.replace(HERE, "api.localhost")
    if way == PROXY:
        url, settings["proxy"] = "http://api.localhost", url
    if way == SESSION:
        settings["middleware"] = [add_header]
    if way != OWN:
        async with client(url, **settings) as pay:
            yield pay
        return
    async with aiohttp.ClientSession() as session, client(url, session=session, **settings) as pay:
        yield pay


def move_with_the_retry(resolver: Moving) -> Any:
    """Return a patch that moves the name to this machine between two attempts."""

    def moved(_: float, ceiling: float) -> float:
        resolver.address = HERE
        return ceiling

    return patch("random.uniform", moved)


@pytest.mark.parametrize("way", [FAST, SESSION, OWN, PROXY])
async def test_a_name_that_moves(way: str, resolver: Moving) -> None:
    """The second attempt goes to the new address, which is then kept."""
    async with RawServer(http_response(PRICES)) as server, client_of(way, server) as pay:
        with move_with_the_retry(resolver):
            prices = await pay.prices.list()
        for _ in range(3):
            await asyncio.gather(pay.prices.list(), pay.prices.list())
    assert prices.response is not None
    assert len(prices.response.attempts) == 2
    assert len(server.requests) == 7
    assert resolver.lookups == 2


@pytest.mark.usefixtures("face")
async def test_both_faces(resolver: Moving) -> None:
    """The same holds over both faces, also for the next call instead of the next attempt."""
    async with (
        RawServer(http_response(PRICES)) as server,
        client_of(FAST, server, retry=None) as pay,
    ):
        with pytest.raises(PayChainError, match="the connection failed"):
            await pay.prices.list()
        resolver.address = HERE
        await pay.prices.list()


@contextmanager
def silent_host(port: int) -> Iterator[None]:
    """Open a port at the dead address that answers no attempt to connect."""
    with socket.socket() as listening:
        listening.bind((DEAD, port))
        listening.listen(0)
        waiting = [socket.socket() for _ in range(3)]  # a full backlog: the kernel drops the rest
        try:
            for one in waiting:
                one.setblocking(False)
                one.connect_ex((DEAD, port))
            yield
        finally:
            for one in waiting:
                one.close()


@pytest.mark.parametrize("whole", [False, True])
async def test_a_dead_address_without_a_response(whole: bool, resolver: Moving) -> None:
    """An attempt, or a whole call, that times out while it connects has the same effect."""
    settings: dict[str, Any] = {"retry": None}
    if not whole:  # the second attempt has as much time as the first
        settings = {"retry": RetryPolicy(first=0.001, cap=0.002, attempt_timeout=2)}
    async with (
        RawServer(http_response(PRICES)) as server,
        client_of(FAST, server, **settings) as pay,
    ):
        with silent_host(int(server.url.rpartition(":")[2])):
            if not whole:
                with move_with_the_retry(resolver):
                    await pay.prices.list()
            else:
                with pytest.raises(PayChainError) as caught:
                    await pay.with_options(timeout=0.3).prices.list()
                assert (states(caught.value), caught.value.sent) == (["timed out"], "no")
                resolver.address = HERE
                await pay.prices.list()
    assert len(server.requests) == 1


async def test_a_response_keeps_the_cache(resolver: Moving) -> None:
    """A request that was sent clears nothing, whatever its result."""
    resolver.address = HERE
    async with (
        RawServer(http_response({}, status=503)) as server,
        client_of(FAST, server) as pay,
    ):
        for _ in range(3):
            with pytest.raises(PayChainError):
                await pay.prices.list()
    assert len(server.requests) > 3
    assert resolver.lookups == 1


@pytest.mark.parametrize("way", [FAST, SESSION, OWN])
async def test_a_cleared_lookup_is_repeated(
    way: str, resolver: Moving, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An attempt whose lookup another attempt clears at the wrong moment begins anew."""
    resolver.address = HERE
    table = aiohttp.connector._DNSCacheTable
    read = table.next_addrs
    cleared: list[Any] = []

    def clear_and_read(self: Any, key: Any) -> Any:
        if not cleared:
            cleared.append(key)
            self.clear()
        return read(self, key)

    monkeypatch.setattr(table, "next_addrs", clear_and_read)
    async with RawServer(http_response(PRICES)) as server, client_of(way, server) as pay:
        prices = await pay.prices.list()
    assert prices.response is not None
    assert [str(attempt) for attempt in prices.response.attempts] == ["200"]
    assert resolver.lookups == 2
