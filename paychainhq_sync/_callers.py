"""Check of the calling thread: a blocking call stops an event loop in its thread."""

from __future__ import annotations

import asyncio
import builtins
import sys
import warnings
from types import CodeType

from paychainhq.errors import ConfigurationError

_warned: set[tuple[CodeType, int]] = set()


def check_caller(background: asyncio.AbstractEventLoop | None) -> None:
    """Raise for a call in the background thread, and warn of one that blocks another loop.

    Args:
        background: The background loop, or None before its creation.

    Raises:
        ConfigurationError: The call is in the thread of the background loop.
    """
    loop = asyncio._get_running_loop()
    if loop is None:
        return
    frame, level, instead = sys._getframe(1), 2, ""
    while (
        frame.f_back is not None
        and (name := frame.f_globals.get("__name__", "")).partition(".")[0] == "paychainhq_sync"
    ):
        instead = _async_name(name, frame.f_code.co_name)
        frame, level = frame.f_back, level + 1
    if loop is background:
        raise ConfigurationError(
            f"this call would wait for itself: on the background loop, use paychainhq's {instead}"
        )
    # In a notebook, every cell runs in a loop, and blocking it is intended.
    site = (frame.f_code, frame.f_lineno)
    if site not in _warned and not hasattr(builtins, "__IPYTHON__"):
        _warned.add(site)
        message = (
            f"paychainhq_sync blocks the event loop of this thread: use paychainhq's {instead}"
        )
        warnings.warn(message, RuntimeWarning, stacklevel=level)


def _async_name(name: str, method: str) -> str:
    """Return the async code for a method of this package."""
    module, client = name.rpartition(".")[2], "gateway" if ".gateway." in name else "pay"
    if method == "__exit__":
        return "`async with`"
    if module == "_iteration":
        return "`async for`"
    return (
        f"`await {client}.{method}(...)`"
        if module in ("_base_client", "client")
        else f"`await {client}.{module}.{method}(...)`"
    )
