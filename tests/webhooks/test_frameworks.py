"""Receivers in real applications: aiohttp, Starlette, FastAPI, Django and Flask, each on a real socket."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, make_server

import aiohttp
import pytest
import uvicorn
from aiohttp import web
from fastapi import FastAPI
from flask import Flask
from starlette.applications import Starlette
from starlette.routing import Route

import paychainhq_sync.webhooks
from paychainhq.ledger import SQLiteLedger
from paychainhq.webhooks import Event, Receiver
from tests.webhooks.samples import BODY, SECRET, signed, webhook

# --- the applications, as a user would write them ---


def starlette(receiver: Receiver) -> Any:
    return Starlette(routes=[Route("/webhooks", receiver.starlette, methods=["POST"])])


def fastapi(receiver: Receiver) -> Any:
    app = FastAPI()
    app.add_route("/webhooks", receiver.starlette, methods=["POST"])
    return app


def flask(receiver: paychainhq_sync.webhooks.Receiver) -> Any:
    app = Flask("shop")
    app.add_url_rule("/webhooks", view_func=receiver.flask, methods=["POST"])
    return app


def django(receiver: paychainhq_sync.webhooks.Receiver) -> Any:
    from django.conf import settings
    from django.core.wsgi import get_wsgi_application
    from django.urls import path

    urls = ModuleType("tests_webhooks_urls")
    urls.urlpatterns = [path("webhooks", receiver.django)]  # type: ignore[attr-defined]
    sys.modules[urls.__name__] = urls
    if not settings.configured:
        middleware = ["django.middleware.csrf.CsrfViewMiddleware"]  # it refuses what is not exempt
        settings.configure(ALLOWED_HOSTS=["127.0.0.1"], SECRET_KEY="x", MIDDLEWARE=middleware)
    settings.ROOT_URLCONF = urls.__name__
    return get_wsgi_application()


# --- their servers ---


@asynccontextmanager
async def aiohttp_server(receiver: Receiver) -> AsyncIterator[str]:
    app = web.Application()
    app.router.add_post("/webhooks", receiver.aiohttp)
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


# --- what each must do ---


async def story(url: str, seen: list[str]) -> None:
    """Refused, acknowledged without a handler, handled, repeated, failed, handled at last; and nothing but POST."""

    async def post(body: bytes, headers: dict[str, str]) -> int:
        async with session.post(url, data=body, headers=headers) as response:
            return response.status

    async with aiohttp.ClientSession() as session:
        assert await post(BODY, {}) == 400
        assert await post(BODY, signed(BODY + b" ")) == 400
        assert await post(b"", {}) == 400
        assert await post(webhook("evt_1", "test.event"), signed(webhook("evt_1", "test.event"))) == 200
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


@pytest.mark.parametrize("framework", ["aiohttp", "starlette", "fastapi"])
async def test_an_async_application(framework: str, tmp_path: Path) -> None:
    """A line of routing is all that an application needs."""
    seen: list[str] = []
    handle = failing_once(seen)
    with SQLiteLedger(tmp_path / "ledger.db") as ledger:
        receiver = Receiver(secrets=SECRET, ledger=ledger)

        @receiver.on("invoice.paid")
        async def paid(event: Event) -> None:
            await asyncio.sleep(0)
            handle(event)

        apps = {"starlette": starlette, "fastapi": fastapi}
        serving = asgi_server(apps[framework](receiver)) if framework in apps else aiohttp_server(receiver)
        async with serving as url:
            await story(url, seen)


@pytest.mark.parametrize("app", [flask, django])
async def test_a_blocking_application(app: Callable[[Any], Any], tmp_path: Path) -> None:
    """The same with plain functions; no CSRF token is asked for."""
    seen: list[str] = []
    with SQLiteLedger(tmp_path / "ledger.db") as ledger:
        receiver = paychainhq_sync.webhooks.Receiver(secrets=SECRET, ledger=ledger)
        receiver.on("invoice.paid")(failing_once(seen))
        with wsgi_server(app(receiver)) as url:
            await story(url, seen)
