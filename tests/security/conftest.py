"""Ways in which a request is transmitted."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest

from paychainhq import RetryPolicy
from paychainhq._http import fast_path
from tests.support import faces
from tests.support.client import client
from tests.support.faces import PayChainHQ

SHORT, BLOCKING, LONG, OWN = (
    "the short way",
    "the short way, blocking",
    "through aiohttp's session",
    "a session of one's own",
)


# Retries at once, with ample time for each attempt on a busy machine.
PATIENT = RetryPolicy(first=0.001, cap=0.002)


class Way:
    """Factory of clients that transmit their requests in one way."""

    def __init__(self, name: str) -> None:
        self.name = name

    @asynccontextmanager
    async def client(self, url: str, **settings: Any) -> AsyncGenerator[PayChainHQ, None]:
        """Open a client; in the way with the caller's session, `ssl` configures that session."""
        settings = {"retry": PATIENT, "timeout": 60, **settings}
        if self.name != OWN:
            async with client(url, **settings) as pay:
                yield pay
            return
        connector = aiohttp.TCPConnector(ssl=settings.pop("ssl", True))
        async with (
            aiohttp.ClientSession(connector=connector) as session,
            client(url, session=session, **settings) as pay,
        ):
            yield pay


@pytest.fixture(params=[SHORT, BLOCKING, LONG, OWN])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Way:
    """Return each of the ways; the last one is for the async face only."""
    monkeypatch.setattr(faces, "current", "sync" if request.param == BLOCKING else "async")
    if request.param == LONG:
        monkeypatch.setattr(fast_path, "is_genuine", lambda: False)
    return Way(request.param)


@pytest.fixture
def debugging(monkeypatch: pytest.MonkeyPatch) -> None:
    """Put every new event loop into debug mode."""
    monkeypatch.setenv("PYTHONASYNCIODEBUG", "1")
