"""Handlers of webhook events: what a receiver accepts, and whether a call of it belongs to the
event loop.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import TypeVar

from paychainhq.errors import ConfigurationError
from paychainhq.models.webhooks import Event

Handler = Callable[[Event], object]
"""A function of an event; an async receiver awaits its result if that is awaitable."""

H = TypeVar("H", bound=Handler)


def is_async(handler: Handler) -> bool:
    """Return whether a handler is declared `async`: as a function or method, by its `__call__`, or
    under `functools.partial`.

    A function that is not declared so may still return an awaitable: its result decides.
    """
    while isinstance(handler, functools.partial):
        handler = handler.func
    called = getattr(type(handler), "__call__", None)  # noqa: B004
    return inspect.iscoroutinefunction(handler) or inspect.iscoroutinefunction(called)


def check_handler(handler: object) -> None:
    """Raise `ConfigurationError` for an object that cannot be called, or whose call runs
    nothing.
    """
    if not callable(handler):
        raise ConfigurationError(
            f"a handler must be a function of an event, not {type(handler).__name__}"
        )
    while isinstance(handler, functools.partial):
        handler = handler.func
    if inspect.isgeneratorfunction(handler) or inspect.isasyncgenfunction(handler):
        raise ConfigurationError(
            "a handler must not be a generator (it has a `yield`): calling it runs nothing"
        )


def check_result(result: object) -> None:
    """Raise `ConfigurationError` for a result that shows that the handler has not run: a
    generator.
    """
    if inspect.isgenerator(result) or inspect.isasyncgen(result):
        raise ConfigurationError("the handler returned a generator, which runs nothing")
