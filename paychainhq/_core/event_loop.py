"""Event loop of the caller, or an error that names the alternatives."""

from __future__ import annotations

import asyncio

from paychainhq.errors import ConfigurationError


def running_loop() -> asyncio.AbstractEventLoop:
    """Return the running event loop; raises `ConfigurationError` without one, as under trio."""
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        raise no_loop() from None


def no_loop() -> ConfigurationError:
    return ConfigurationError(
        "no asyncio event loop is running: use this client under asyncio (the default backend of "
        "anyio), or paychainhq_sync, under trio in trio.to_thread.run_sync"
    )
