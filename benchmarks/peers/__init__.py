"""Peers: clients that do the same work, each in its usual way.

A peer is a function of a `Target` that returns an async context manager. Its value is either a
call, a coroutine function or a plain one, which creates one invoice, or a `Job`, which creates
many.
"""

from __future__ import annotations

import importlib
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager

import attrs

from benchmarks.work import Target


@attrs.frozen
class Job:
    """Work with its own concurrency: `run(count, concurrency)`."""

    run: Callable[[int, int], Awaitable[None]]


Work = Callable[[], Awaitable[object]] | Callable[[], object] | Job

PEERS = {
    "aiohttp": "aiohttp_by_hand:opened",
    "aiohttp.get": "aiohttp_by_hand:reading",
    "create": "paychainhq_async:create",
    "create+noop": "paychainhq_async:create_with_noop",
    "create+traceparent": "paychainhq_async:create_with_traceparent",
    "create+otel-idle": "telemetry:without_sdk",
    "create+otel-unsampled": "telemetry:not_sampled",
    "create+otel-metrics": "telemetry:metrics",
    "create+otel-spans": "telemetry:spans",
    "create+otel": "telemetry:spans_and_metrics",
    "aiohttp+otel": "telemetry:aiohttp",
    "get": "paychainhq_async:get",
    "create_many": "paychainhq_async:create_many",
    "create_many+sqlite": "paychainhq_async:create_many_with_ledger",
    "paychainhq_sync": "paychainhq_blocking:opened",
    "bare": "bare_protocol:opened",
    "httpx": "httpx_client:opened",
    "openai": "openai_client:opened",
    "requests": "requests_session:opened",
    "stripe": "stripe_client:opened",
}


def peer(name: str) -> Callable[[Target], AbstractAsyncContextManager[Work]]:
    """Return a peer by name."""
    module, _, function = PEERS[name].partition(":")
    opened: Callable[[Target], AbstractAsyncContextManager[Work]] = getattr(
        importlib.import_module(f"benchmarks.peers.{module}"), function
    )
    return opened
