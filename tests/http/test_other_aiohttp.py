"""Other versions of aiohttp: requests go through the session, and none is retried blindly."""

from __future__ import annotations

import asyncio
import logging
import subprocess
import sys
import textwrap
from typing import Any

import pytest

from paychainhq import ConnectionFailedError
from paychainhq._http import fast_path
from tests.support.client import INVOICE, client, info, invoice, states
from tests.support.raw_server import RawServer, close, http_response

HEAD = """
import asyncio, sys
import aiohttp, aiohttp.client_proto, aiohttp.client_reqrep, aiohttp.connector


def requiring(function, *names):
    def stricter(*args, **kwargs):
        if missing := [name for name in names if name not in kwargs]:
            raise TypeError(f"missing {missing}")
        return function(*args, **kwargs)

    return stricter

"""
TAIL = """

async def main():
    from paychainhq import PayChainError, PayChainHQ

    async with PayChainHQ(api_key="pk", business_id="biz_123", base_url=sys.argv[1], timeout=30) as pay:
        try:
            print("got", (await pay.invoices.create("150", "USDC", "eth")).id)
        except PayChainError as error:
            print(type(error).__name__, error.sent)
        try:
            print("got", await pay.request("POST", "/api/v1/new"))
        except PayChainError as error:
            print(type(error).__name__, error.sent)

asyncio.run(main())
"""  # noqa: E501

CHANGES = {
    "another constructor of requests": """
        request = aiohttp.ClientRequest
        request.__init__ = requiring(request.__init__, "session", "traces")
    """,
    "another way to prepare a response": """
        handler = aiohttp.client_proto.ResponseHandler
        handler.set_response_params = requiring(handler.set_response_params, "timer", "skip_payload")
    """,  # noqa: E501
    "another signature of connect": """
        aiohttp.TCPConnector.connect = requiring(aiohttp.TCPConnector.connect, "traces", "timeout")
    """,
    "no transport on a connection": """
        del aiohttp.connector.Connection.transport
    """,
    "another name for send": """
        request = aiohttp.ClientRequest
        request._send = request.send
        del request.send
        request.__getattr__ = lambda self, name: self._send if name == "send" else object.__getattribute__(self, name)
    """,  # noqa: E501
    "more to know of a request": """
        direct = aiohttp.TCPConnector._create_direct_connection

        async def create(self, req, *args, **kwargs):
            req.session.closed  # that of the fast path has none
            return await direct(self, req, *args, **kwargs)

        aiohttp.TCPConnector._create_direct_connection = create
    """,
}


async def run(change: str, *script: Any) -> tuple[RawServer, list[str]]:
    async with RawServer(*script) as server:
        source = HEAD + textwrap.dedent(change) + TAIL
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", source, server.url, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        printed, errors = await process.communicate()
        assert process.returncode == 0, errors.decode()
        return server, printed.decode().splitlines()


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
async def test_calls_work_through_the_session(change: str) -> None:
    """Calls work through the session without the fast path, and are sent once."""
    server, printed = await run(change, http_response(INVOICE), http_response({"a": 1}))
    assert printed == ["got inv_123", "got {'a': 1}"]
    assert len(server.requests) == 2


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
async def test_a_request_that_left_is_never_reported_as_unsent(change: str) -> None:
    """A create with a key is retried; a mutation without one is not, since it may have arrived."""
    server, printed = await run(change, close, http_response(INVOICE), close)
    assert printed == ["got inv_123", "ConnectionFailedError unknown"]
    assert [request.target.rpartition("/")[2] for request in server.requests] == [
        "invoices",
        "invoices",
        "new",
    ]


async def test_a_change_noticed_only_after_a_request_has_left(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The attempt fails, counts as sent, and is the last one on the fast path."""

    async def misfit(_: object) -> Any:
        raise TypeError("read() takes 2 arguments")

    async with RawServer(http_response(INVOICE)) as server, client(server.url) as pay:
        await invoice(pay)  # the probe of the fast path
        monkeypatch.setattr(fast_path, "read_body", misfit)
        with pytest.raises(ConnectionFailedError, match="this version of aiohttp") as caught:
            await pay.with_options(retry=None).request("POST", "/api/v1/new")
        assert caught.value.sent == "yes"
        assert len(states(caught.value)) == 1
        made = await invoice(pay)
        assert [attempt.status for attempt in info(made).attempts] == [200]
    assert len(server.requests) == 3
    assert [record.levelno for record in caplog.records if "fast path" in record.message] == [
        logging.WARNING
    ]
