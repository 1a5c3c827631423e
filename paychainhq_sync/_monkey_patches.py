"""Check for the monkey patches of gevent and eventlet."""

from __future__ import annotations

import sys

from paychainhq.errors import ConfigurationError

# The parts of the standard library that the background thread and its callers use.
_MODULES = ("threading", "_thread", "queue", "socket", "select", "selectors")
_PARTS = ("thread", "socket", "select")


def check_unpatched() -> None:
    """Raise `ConfigurationError` if gevent or eventlet has replaced threads or sockets.

    With replaced threads, the background loop would run in the thread of its callers, and locks
    would not hold between threads.
    """
    gevent, eventlet = sys.modules.get("gevent.monkey"), sys.modules.get("eventlet.patcher")
    if gevent is not None and any(map(gevent.is_module_patched, _MODULES)):
        name, patch = "gevent", "gevent.monkey"
    elif eventlet is not None and any(map(eventlet.is_monkey_patched, _PARTS)):
        name, patch = "eventlet", "eventlet.monkey_patch"
    else:
        return
    raise ConfigurationError(
        f"{name} has replaced threads or sockets in this process ({patch}), and paychainhq_sync "
        "requires those of the operating system: use workers that are threads or processes "
        "(gunicorn: gthread; Celery: --pool threads or prefork; uWSGI: without gevent), or a "
        f"process without {patch} for the calls; the webhook receiver works here"
    )
