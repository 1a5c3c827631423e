"""Receivers in aiohttp, Starlette, FastAPI, Django and Flask, each on a real socket."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import (
    AbstractAsyncContextManager,
    AsyncExitStack,
    asynccontextmanager,
    contextmanager,
)
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, make_server

import aiohttp
import pytest
import uvicorn
from aiohttp import web
from fastapi import APIRouter, FastAPI
from flask import Blueprint, Flask
from flask import request as flask_request
from starlette.applications import Starlette
from starlette.endpoints import HTTPEndpoint
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount, Route

import paychainhq_sync.webhooks
from paychainhq.ledger import MemoryLedger, SQLiteLedger
from paychainhq.webhooks import Event, Receiver
from tests.webhooks.samples import BODY, SECRET, signed, webhook

# --- applications as users write them, mounted in each way that the framework documents ---


def starlette_route(receiver: Receiver) -> Any:
    return Starlette(routes=[Route("/webhooks", receiver.starlette, methods=["POST"])])


def starlette_add_route(receiver: Receiver) -> Any:
    app = Starlette()
    app.router.add_route("/webhooks", receiver.starlette, methods=["POST"])
    return app


def starlette_mount(receiver: Receiver) -> Any:
    return Starlette(
        routes=[Mount("/webhooks", routes=[Route("/", receiver.starlette, methods=["POST"])])]
    )


def starlette_class(receiver: Receiver) -> Any:
    class Webhooks(HTTPEndpoint):
        async def post(self, request: Request) -> Response:
            return await receiver.starlette(request)

    return Starlette(routes=[Route("/webhooks", Webhooks)])


def fastapi_add_route(receiver: Receiver) -> Any:
    app = FastAPI()
    app.add_route("/webhooks", receiver.starlette, methods=["POST"])
    return app


def fastapi_post(receiver: Receiver) -> Any:
    app = FastAPI()
    app.post("/webhooks")(receiver.starlette)
    return app


def fastapi_add_api_route(receiver: Receiver) -> Any:
    app = FastAPI()
    app.add_api_route("/webhooks", receiver.starlette, methods=["POST"], include_in_schema=False)
    return app


def fastapi_router(receiver: Receiver) -> Any:
    app, router = FastAPI(), APIRouter(prefix="/webhooks")
    router.post("")(receiver.starlette)
    app.include_router(router)
    return app


def fastapi_routes(receiver: Receiver) -> Any:
    return FastAPI(routes=[Route("/webhooks", receiver.starlette, methods=["POST"])])


def fastapi_own_endpoint(receiver: Receiver) -> Any:
    app = FastAPI()

    @app.post("/webhooks")
    async def webhooks(request: Request) -> Response:
        return await receiver.starlette(request)

    return app


def aiohttp_add_post(receiver: Receiver) -> Any:
    app = web.Application()
    app.router.add_post("/webhooks", receiver.aiohttp)
    return app


def aiohttp_add_route(receiver: Receiver) -> Any:
    app = web.Application()
    app.router.add_route("POST", "/webhooks", receiver.aiohttp)
    return app


def aiohttp_routes(receiver: Receiver) -> Any:
    app = web.Application()
    app.add_routes([web.post("/webhooks", receiver.aiohttp)])
    return app


def aiohttp_table(receiver: Receiver) -> Any:
    app, table = web.Application(), web.RouteTableDef()
    table.post("/webhooks")(receiver.aiohttp)
    app.add_routes(table)
    return app


def aiohttp_view(receiver: Receiver) -> Any:
    class Webhooks(web.View):
        async def post(self) -> web.Response:
            return await receiver.aiohttp(self.request)

    app = web.Application()
    app.router.add_view("/webhooks", Webhooks)
    return app


def aiohttp_subapp(receiver: Receiver) -> Any:
    app, inner = web.Application(), web.Application()
    inner.router.add_post("", receiver.aiohttp)
    app.add_subapp("/webhooks", inner)
    return app


def flask_add_url_rule(receiver: paychainhq_sync.webhooks.Receiver) -> Any:
    app = Flask("shop")
    app.add_url_rule("/webhooks", view_func=receiver.flask, methods=["POST"])
    return app


def flask_route(receiver: paychainhq_sync.webhooks.Receiver) -> Any:
    app = Flask("shop")
    app.route("/webhooks", methods=["POST"])(receiver.flask)
    return app


def flask_post(receiver: paychainhq_sync.webhooks.Receiver) -> Any:
    app = Flask("shop")
    app.post("/webhooks")(receiver.flask)
    return app


def flask_blueprint(receiver: paychainhq_sync.webhooks.Receiver) -> Any:
    app, blueprint = Flask("shop"), Blueprint("hooks", "shop")
    blueprint.post("/webhooks")(receiver.flask)
    app.register_blueprint(blueprint)
    return app


def django(receiver: paychainhq_sync.webhooks.Receiver, pattern: str = "path") -> Any:
    from django import urls
    from django.conf import settings
    from django.core.wsgi import get_wsgi_application
    from django.urls import path, re_path

    own = ModuleType("tests_webhooks_urls")
    patterns = [
        re_path("^webhooks$", receiver.django)
        if pattern == "re_path"
        else path("webhooks", receiver.django, name="webhooks")
    ]
    own.urlpatterns = [path("", urls.include(patterns))] if pattern == "include" else patterns  # type: ignore[attr-defined]
    sys.modules[own.__name__] = own
    if not settings.configured:
        middleware = ["django.middleware.csrf.CsrfViewMiddleware"]  # refuses views not exempt
        settings.configure(ALLOWED_HOSTS=["127.0.0.1"], SECRET_KEY="x", MIDDLEWARE=middleware)
    settings.ROOT_URLCONF = own.__name__
    urls.clear_url_caches()
    return get_wsgi_application()


ASYNC = [
    *[starlette_route, starlette_add_route, starlette_mount, starlette_class],
    *[
        fastapi_add_route,
        fastapi_post,
        fastapi_add_api_route,
        fastapi_router,
        fastapi_routes,
        fastapi_own_endpoint,
    ],
    *[
        aiohttp_add_post,
        aiohttp_add_route,
        aiohttp_routes,
        aiohttp_table,
        aiohttp_view,
        aiohttp_subapp,
    ],
]
BLOCKING = [
    *[flask_add_url_rule, flask_route, flask_post, flask_blueprint],
    *[django, partial(django, pattern="re_path"), partial(django, pattern="include")],
]


# --- servers ---


@asynccontextmanager
async def aiohttp_server(app: web.Application) -> AsyncIterator[str]:
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/webhooks"
    finally:
        await runner.cleanup()


@asynccontextmanager
async def asgi_server(app: Any) -> AsyncIterator[str]:
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_config=None, lifespan="off"))
    config = server.config
    config.load()
    server.lifespan = config.lifespan_class(config)
    await server.startup()
    try:
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}/webhooks"
    finally:
        await server.shutdown()


class Quiet(WSGIRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def wsgi_server(app: Any) -> Iterator[str]:
    with make_server("127.0.0.1", 0, app, handler_class=Quiet) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/webhooks"
        finally:
            server.shutdown()
            thread.join()


# --- tests ---


async def story(url: str, seen: list[str]) -> None:
    """Deliver bad, unhandled, handled, repeated and failing webhooks, and compare each status."""

    async def post(body: bytes, headers: dict[str, str]) -> int:
        async with session.post(url, data=body, headers=headers) as response:
            return response.status

    async with aiohttp.ClientSession() as session:
        assert await post(BODY, {}) == 400
        assert await post(BODY, signed(BODY + b" ")) == 400
        assert await post(b"", {}) == 400
        assert (
            await post(webhook("evt_1", "test.event"), signed(webhook("evt_1", "test.event")))
            == 200
        )
        assert seen == []
        assert [await post(BODY, signed(BODY)) for _ in range(2)] == [200, 200]
        lower = {name.lower(): value for name, value in signed(webhook("evt_fails")).items()}
        assert [await post(webhook("evt_fails"), lower) for _ in range(3)] == [500, 200, 200]
        assert seen == ["evt_2b3f1fa0", "evt_fails", "evt_fails"]
        async with session.get(url) as response:
            assert response.status == 405


def failing_once(seen: list[str]) -> Callable[[Event], None]:
    def handle(event: Event) -> None:
        seen.append(event.id)
        if event.id == "evt_fails" and seen.count(event.id) == 1:
            raise ValueError("not this time")

    return handle


def serving(app: Any) -> AbstractAsyncContextManager[str]:
    return aiohttp_server(app) if isinstance(app, web.Application) else asgi_server(app)


@pytest.mark.parametrize("app", ASYNC)
@pytest.mark.parametrize("kind", ["async", "plain"])
async def test_an_async_application(
    app: Callable[[Receiver], Any], kind: str, tmp_path: Path
) -> None:
    """One line of routing is enough, for async and for plain handlers."""
    seen: list[str] = []
    handle = failing_once(seen)

    async def paid(event: Event) -> None:
        await asyncio.sleep(0)
        handle(event)

    with SQLiteLedger(tmp_path / "ledger.db") as ledger:
        receiver = Receiver(secrets=SECRET, ledger=ledger)
        receiver.on("invoice.paid")(paid if kind == "async" else handle)
        async with serving(app(receiver)) as url:
            await story(f"{url}/" if app is starlette_mount else url, seen)


@pytest.mark.parametrize("app", BLOCKING)
async def test_a_blocking_application(app: Callable[[Any], Any], tmp_path: Path) -> None:
    """One line of routing is enough in WSGI frameworks; no CSRF token is required."""
    seen: list[str] = []
    with SQLiteLedger(tmp_path / "ledger.db") as ledger:
        receiver = paychainhq_sync.webhooks.Receiver(secrets=SECRET, ledger=ledger)
        receiver.on("invoice.paid")(failing_once(seen))
        with wsgi_server(app(receiver)) as url:
            await story(url, seen)


async def test_the_schema_of_fastapi() -> None:
    """The endpoint has no parameters and no response model."""
    app = fastapi_post(Receiver(secrets=SECRET, ledger=MemoryLedger()))
    (operation,) = app.openapi()["paths"]["/webhooks"].values()
    assert "parameters" not in operation
    assert "requestBody" not in operation
    assert set(operation["responses"]) == {"200"}


def test_a_receiver_without_starlette(monkeypatch: pytest.MonkeyPatch) -> None:
    """The receiver lacks that endpoint, and the error names the missing package."""
    receiver = Receiver(secrets=SECRET, ledger=MemoryLedger())
    assert hasattr(receiver, "starlette")
    monkeypatch.setitem(sys.modules, "starlette.requests", None)
    assert not hasattr(receiver, "starlette")
    with pytest.raises(AttributeError, match="requires Starlette"):
        receiver.starlette


# --- body read before ---


def aiohttp_read(receiver: Receiver) -> Any:
    @web.middleware
    async def reading(request: web.Request, handler: Any) -> web.StreamResponse:
        await request.content.read()
        response: web.StreamResponse = await handler(request)
        return response

    app = web.Application(middlewares=[reading])
    app.router.add_post("/webhooks", receiver.aiohttp)
    return app


def flask_read(receiver: paychainhq_sync.webhooks.Receiver) -> Any:
    app = flask_add_url_rule(receiver)
    app.before_request(lambda: len(flask_request.get_data(cache=False)) and None)
    return app


def flask_stream(receiver: paychainhq_sync.webhooks.Receiver) -> Any:
    app = flask_add_url_rule(receiver)
    app.before_request(lambda: len(flask_request.stream.read()) and None)
    return app


@pytest.mark.parametrize("app", [aiohttp_read, flask_read, flask_stream])
async def test_a_body_that_was_read_before(
    app: Callable[[Any], Any], caplog: pytest.LogCaptureFixture
) -> None:
    """The log says that the body was read before, and does not blame the signature."""
    async with AsyncExitStack() as stack:
        if app is aiohttp_read:
            url = await stack.enter_async_context(
                serving(app(Receiver(secrets=SECRET, ledger=MemoryLedger())))
            )
        else:
            receiver = paychainhq_sync.webhooks.Receiver(secrets=SECRET, ledger=MemoryLedger())
            url = stack.enter_context(wsgi_server(app(receiver)))
        session = await stack.enter_async_context(aiohttp.ClientSession())
        async with session.post(url, data=BODY, headers=signed(BODY)) as response:
            assert response.status == 400
    assert "has read it before" in caplog.text
