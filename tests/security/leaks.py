"""Search for secrets wherever a program may show them, and a client with known secrets."""

from __future__ import annotations

import asyncio
import base64
import logging
import pickle
import traceback
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from paychainhq import DashboardSession, PayChainError, RetryPolicy, telemetry
from tests.support.client import CREATED_KEY
from tests.support.faces import Gateway, PayChainHQ
from tests.support.recorder import Recorder

API_KEY = "pk_test_secretALPHA"
PAYOUT_KEY = "pk_test_secretBRAVO"
CONTRACT_KEY = "pk_test_secretCHARLIE"
SESSION = "session=secretDELTA"
PASSWORD = "secretECHO"
NEW_KEY = "biz_secretFOXTROT"
WEBHOOK_SECRET = "whsec_secretGOLF"
BEARER = "secretHOTEL"
CLIENT_TOKEN = "12|tokenINDIA"
OAUTH_TOKEN = "tokenJULIETT"
BASIC = base64.b64encode(f"me:{PASSWORD}".encode()).decode()
SECRETS = [
    API_KEY,
    PAYOUT_KEY,
    CONTRACT_KEY,
    SESSION,
    PASSWORD,
    NEW_KEY,
    WEBHOOK_SECRET,
    BEARER,
    CLIENT_TOKEN,
    OAUTH_TOKEN,
    BASIC,
]
KEYS: dict[str, Any] = {
    "api_key": API_KEY,
    "payout_key": PAYOUT_KEY,
    "contract_key": CONTRACT_KEY,
    "business_id": "biz_123",
}
CREATED = {**CREATED_KEY, "apiKey": NEW_KEY}
# Files of the threads in which the tests call the blocking client.
THREADS = (str(Path("concurrent", "futures", "thread.py")), str(Path("asyncio", "threads.py")))
TESTS = str(Path(__file__).parents[1])


def make(url: str, **settings: Any) -> PayChainHQ:
    """Return a client of the current face with every kind of secret but a proxy's password."""
    session = DashboardSession({"Cookie": SESSION, "X-Step-Up": SESSION})
    retry = RetryPolicy(first=0.001, cap=0.002)
    return PayChainHQ(
        **{**KEYS, "dashboard": session, "base_url": url, "retry": retry, "timeout": 60, **settings}
    )


def make_gateway(url: str, **settings: Any) -> Gateway:
    """Return a client of the gateway of the current face, with each kind of secret."""
    secrets = {
        "client_token": CLIENT_TOKEN,
        "oauth_token": OAUTH_TOKEN,
        "webhook_secret": WEBHOOK_SECRET,
    }
    retry = RetryPolicy(first=0.001, cap=0.002)
    return Gateway(
        **{**secrets, "client_id": "c", "base_url": url, "retry": retry, "timeout": 60, **settings}
    )


def shown(text: str) -> list[str]:
    """Return the secrets that a text contains."""
    return [secret for secret in SECRETS if secret in text]


def all_forms(value: Any) -> str:
    """Return the repr, the text and the pickles of a value."""
    pickles = [
        pickle.dumps(value, protocol).decode("latin-1") for protocol in (0, pickle.HIGHEST_PROTOCOL)
    ]
    return "\n".join([repr(value), str(value), *pickles])


def traced(error: BaseException) -> str:
    """Return the tracebacks of an error and its causes, with the locals of each frame.

    Frames of the tests themselves are left out. Contexts and members of groups are included.
    """
    texts, links = [], [error]
    for link in links:
        texts += [repr(link), str(link), *map(str, getattr(link, "__notes__", ()))]
        for frame in traceback.TracebackException.from_exception(link, capture_locals=True).stack:
            if not frame.filename.startswith(TESTS) and not frame.filename.endswith(THREADS):
                texts.append(f"{frame.filename}:{frame.lineno} {frame.line} {frame.locals}")
        of_group = link.exceptions if isinstance(link, BaseExceptionGroup) else ()
        links += [
            other
            for other in (link.__cause__, link.__context__, *of_group)
            if other is not None and other not in links
        ]
    return "\n".join(texts)


@contextmanager
def all_output() -> Iterator[list[str]]:
    """Collect every log record with its extras and traceback, every warning, and all of telemetry.

    The running loop is put into debug mode.
    """
    texts: list[str] = []

    class Keep(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            texts.append(f"{record.getMessage()} {record.args!r} {vars(record)!r}")
            if record.exc_info and record.exc_info[1] is not None:
                texts.append(traced(record.exc_info[1]))

    with suppress(RuntimeError):
        asyncio.get_running_loop().set_debug(True)
    root, handler = logging.getLogger(), Keep()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    recorder = Recorder()
    before = telemetry.install(recorder)
    try:
        with warnings.catch_warnings(record=True, action="always") as caught:
            yield texts
    finally:
        root.removeHandler(handler)
        root.setLevel(level)
        telemetry.install(before)
    texts += [f"{seen.what} {seen.facts!r} {seen.ended!r}" for seen in recorder.seen]
    texts += [f"{origin} {statistics()!r}" for origin, statistics in recorder.clients]
    texts += [f"{warning.message} {warning.source!r}" for warning in caught]


async def failed(pay: PayChainHQ) -> list[PayChainError]:
    """Return the errors of one call with each credential, all at the same time."""
    ends = await asyncio.gather(
        pay.businesses.get(),
        pay.request("POST", "/api/v1/new", body={}, auth="payout_key", idempotency_key="k"),
        pay.request("POST", "/api/v1/new", body={}, auth="contract_key"),
        pay.api_keys.create("x", ["business:read"]),
        return_exceptions=True,
    )
    errors = [end for end in ends if isinstance(end, PayChainError)]
    assert len(errors) >= 2
    assert not [end for end in ends if isinstance(end, BaseException) and end not in errors]
    return errors
