"""Replaced aiohttp: mocks and instrumentation get each request, even the first of a process."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import textwrap

import pytest

from tests.support.client import INVOICE
from tests.support.raw_server import RawServer, http_response

HEAD = """
import asyncio, functools, json, os, sys, warnings
from unittest.mock import AsyncMock, MagicMock, Mock, patch
import aiohttp

warnings.simplefilter("ignore", DeprecationWarning)
URL, INVOICE = sys.argv[1], json.loads(sys.argv[2])
seen = []


class Content:
    async def readany(self):
        return json.dumps(INVOICE).encode()

    def at_eof(self):
        return True


class Reply:
    status, headers, content = 200, {}, Content()

    async def __aenter__(self):
        return self

    async def __aexit__(self, *_):
        pass

    def release(self):
        pass

    async def wait_for_close(self):
        pass


async def instead(*args, **kwargs):
    seen.append(args)
    return Reply()


def context(*args, **kwargs):
    seen.append(args)
    return Reply()


async def create():
    from paychainhq import PayChainHQ

    async with PayChainHQ(api_key="pk", business_id="biz_123", base_url=URL, retry=None, timeout=20) as pay:
        try:
            return (await pay.invoices.create("150", "USDC", "eth")).id
        finally:
            print(len(seen), pay._caller.transport._wiring.sender._destination is not None)
"""  # noqa: E501

# Each replaces aiohttp before the package is imported, and makes the first call inside. None of
# them sends anything.
MOCKS = {
    "function for _request": """
        with patch.object(aiohttp.ClientSession, "_request", instead):
            asyncio.run(create())
    """,
    "AsyncMock for _request": """
        with patch.object(aiohttp.ClientSession, "_request", AsyncMock(side_effect=instead)):
            asyncio.run(create())
    """,
    "autospec for _request": """
        with patch.object(aiohttp.ClientSession, "_request", autospec=True, side_effect=instead):
            asyncio.run(create())
    """,
    "mock for request": """
        with patch.object(aiohttp.ClientSession, "request", context):
            asyncio.run(create())
    """,
    "mock for post": """
        with patch.object(aiohttp.ClientSession, "post", MagicMock(side_effect=context)):
            asyncio.run(create())
    """,
    "autospec for post": """
        with patch.object(aiohttp.ClientSession, "post", autospec=True, side_effect=context):
            asyncio.run(create())
    """,
    "copy of the name": """
        @functools.wraps(aiohttp.ClientSession._request)
        async def wrapper(*args, **kwargs):
            return await instead(*args, **kwargs)

        del wrapper.__wrapped__
        wrapper.__code__ = wrapper.__code__.replace(
            co_filename=aiohttp.ClientSession._request.__code__.co_filename, co_qualname="ClientSession._request"
        )
        with patch.object(aiohttp.ClientSession, "_request", wrapper):
            asyncio.run(create())
    """,  # noqa: E501
    "wrapt": """
        import wrapt

        async def recorder(wrapped, instance, args, kwargs):
            return await instead(*args, **kwargs)

        wrapt.wrap_function_wrapper("aiohttp.client", "ClientSession._request", recorder)
        asyncio.run(create())
    """,
    "object proxy": """
        import wrapt

        class Proxy(wrapt.ObjectProxy):
            def __get__(self, instance, owner):
                return functools.partial(self, instance) if instance is not None else self

            def __call__(self, *args, **kwargs):
                return instead(*args, **kwargs)

        aiohttp.ClientSession._request = Proxy(aiohttp.ClientSession._request)
        asyncio.run(create())
    """,
    "subclass": """
        class Session(aiohttp.ClientSession):
            _request = instead

        with patch("aiohttp.ClientSession", Session):
            asyncio.run(create())
    """,
    "class of its own": """
        class Session:
            closed = False

            def __init__(self, connector, **_):
                self.connector = connector

            request = staticmethod(context)

            async def close(self):
                await self.connector.close()

        with patch("aiohttp.ClientSession", Session):
            asyncio.run(create())
    """,
    "connector's _create_connection": """
        from aiohttp.client_proto import ResponseHandler

        async def no_connection(*args, **kwargs):
            seen.append(args)
            raise ConnectionRefusedError

        with patch.object(aiohttp.TCPConnector, "_create_connection", no_connection):
            try:
                asyncio.run(create())
            except Exception as error:
                assert type(error).__name__ == "ConnectionFailedError", error
    """,
    "request's send": """
        async def no_send(*args, **kwargs):
            seen.append(args)
            raise aiohttp.ClientConnectionError

        with patch.object(aiohttp.ClientRequest, "send", no_send):
            try:
                asyncio.run(create())
            except Exception as error:
                assert type(error).__name__ == "ConnectionFailedError", error
    """,
    "vcrpy": """
        import tempfile, vcr
        from paychainhq import PayChainHQ

        with tempfile.TemporaryDirectory() as folder:
            cassette = os.path.join(folder, "cassette.yaml")
            with open(cassette, "w") as file:
                json.dump({"version": 1, "interactions": [{
                    "request": {"method": "POST", "uri": URL + "/api/v1/businesses/biz_123/invoices", "headers": {}, "body": ""},
                    "response": {"status": {"code": 200, "message": "OK"}, "headers": {}, "body": {"string": json.dumps(INVOICE)},
                                 "url": URL},
                }]}, file)
            with vcr.use_cassette(cassette, record_mode="none", match_on=["method", "uri"]) as played:
                asyncio.run(create())
                print(played.play_count)
    """,  # noqa: E501
    "aioresponses": """
        from aioresponses import aioresponses, core

        class Response(aiohttp.ClientResponse):
            def __init__(self, *args, **kwargs):
                super().__init__(*args, **{"stream_writer": Mock(output_size=0), **kwargs})

        core.ClientResponse = Response
        with aioresponses() as mocked:
            mocked.post(URL + "/api/v1/businesses/biz_123/invoices", payload=INVOICE, callback=lambda *a, **k: seen.append(a))
            asyncio.run(create())
    """,  # noqa: E501
}

# Each records a request, and forwards it.
RECORDERS = {
    "wrapt": """
        import wrapt

        async def recorder(wrapped, instance, args, kwargs):
            seen.append(args)
            return await wrapped(*args, **kwargs)

        wrapt.wrap_function_wrapper("aiohttp.client", "ClientSession._request", recorder)
        asyncio.run(create())
    """,
    "trace config of another": """
        init = aiohttp.ClientSession.__init__

        def instrumented(self, *args, **kwargs):
            async def started(session, context, params):
                seen.append(params.headers)

            trace = aiohttp.TraceConfig()
            trace.on_request_start.append(started)
            kwargs["trace_configs"] = [*(kwargs.get("trace_configs") or ()), trace]
            init(self, *args, **kwargs)

        aiohttp.ClientSession.__init__ = instrumented
        asyncio.run(create())
    """,
    "middleware of another": """
        init = aiohttp.ClientSession.__init__

        def instrumented(self, *args, **kwargs):
            async def record(request, handler):
                seen.append(request)
                return await handler(request)

            init(self, *args, **{**kwargs, "middlewares": (record,)})

        aiohttp.ClientSession.__init__ = instrumented
        asyncio.run(create())
    """,
    "function on the session": """
        init = aiohttp.ClientSession.__init__

        def instrumented(self, *args, **kwargs):
            init(self, *args, **kwargs)
            original = self._request

            async def record(*args, **kwargs):
                seen.append(args)
                return await original(*args, **kwargs)

            self._request = record

        aiohttp.ClientSession.__init__ = instrumented
        asyncio.run(create())
    """,
    "connect": """
        connect = aiohttp.TCPConnector.connect

        async def record(self, *args, **kwargs):
            seen.append(args)
            return await connect(self, *args, **kwargs)

        aiohttp.TCPConnector.connect = record
        asyncio.run(create())
    """,
}


async def run(program: str) -> tuple[RawServer, str]:
    """Run a program in a new process with a server; return the server and the output."""
    async with RawServer(http_response(INVOICE)) as server:
        source = HEAD + textwrap.dedent(program)
        arguments = [
            sys.executable,
            "-c",
            source,
            server.url,
            http_response(INVOICE).partition(b"\r\n\r\n")[2].decode(),
        ]
        process = await asyncio.create_subprocess_exec(
            *arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        printed, errors = await process.communicate()
        assert process.returncode == 0, errors.decode()
        return server, printed.decode().strip()


@pytest.mark.parametrize("program", MOCKS.values(), ids=MOCKS)
async def test_a_mock_is_not_bypassed(program: str) -> None:
    """A client that is the first of its process, made inside a mock, uses no real server."""
    server, printed = await run(program)
    assert server.requests == []
    assert printed.splitlines()[-1].split()[0] == "1"


@pytest.mark.parametrize("program", RECORDERS.values(), ids=RECORDERS)
async def test_a_recorder_sees_each_request(program: str) -> None:
    """Instrumentation older than the import gets the request, which is sent once."""
    server, printed = await run(program)
    assert len(server.requests) == 1
    assert printed.split()[0] == "1"


async def test_the_fast_path_is_taken_after_a_mock() -> None:
    """A mock that was active at the import keeps no later client from the fast path."""
    server, printed = await run("""
        with patch.object(aiohttp.ClientSession, "_request", instead):
            asyncio.run(create())
        asyncio.run(create())
    """)
    assert len(server.requests) == 1
    assert printed.split() == ["1", "False", "1", "True"]
