"""Handlers of webhook events: validation, and detection of async ones."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import TypeVar

from paychainhq.errors import ConfigurationError

E = TypeVar("E")

Handler = Callable[[E], object]
"""Function of an event. An async receiver awaits its result if that is awaitable."""


def is_async(handler: Handler[E]) -> bool:
    """Return whether a handler is an `async` function, method, `__call__`, or a partial of one.

    Any other function may still return an awaitable: its result decides.
    """
    while isinstance(handler, functools.partial):
        handler = handler.func
    called = getattr(type(handler), "__call__", None)  # noqa: B004
    return inspect.iscoroutinefunction(handler) or inspect.iscoroutinefunction(called)


def check_handler(handler: object) -> None:
    """Raise `ConfigurationError` for an object that is not callable, or is a generator."""
    if not callable(handler):
        raise ConfigurationError(
            f"a handler must be a function of an event, not {type(handler).__name__}"
        )
    while isinstance(handler, functools.partial):
        handler = handler.func
    if inspect.isgeneratorfunction(handler) or inspect.isasyncgenfunction(handler):
        raise ConfigurationError(
            "a handler must not be a generator (with a `yield`): a call does not run its code"
        )


def check_result(result: object) -> None:
    """Raise `ConfigurationError` for a generator: its handler has not run."""
    if inspect.isgenerator(result) or inspect.isasyncgen(result):
        raise ConfigurationError("the handler returned a generator, so that its code did not run")
