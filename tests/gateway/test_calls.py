"""Calls of the gateway's client: retries, waits, views, settings, secrets."""

from __future__ import annotations

import asyncio
import logging
import pickle
import re
from collections.abc import Callable
from pathlib import Path
from socket import socket
from typing import Any

import pytest

from paychainhq import (
    ConfigurationError,
    ConnectionFailedError,
    Next,
    NotFoundError,
    PayChainError,
    RateLimit,
    Request,
    Response,
    WaitTimeoutError,
)
from paychainhq.gateway import PaymentStatus
from paychainhq.gateway.client import GatewaySettings
from tests.gateway.samples import (
    BY_NAME,
    CLIENT_ID,
    CLIENT_TOKEN,
    OAUTH_TOKEN,
    PAYMENT,
    PAYMENT_ID,
    client,
    sample_call,
)
from tests.security.leaks import all_forms, all_output, traced
from tests.support.client import HASTY, QUICK
from tests.support.clocks import skipping_clock
from tests.support.faces import Gateway
from tests.support.raw_server import (
    Behaviour,
    RawServer,
    close,
    cut,
    http_response,
    reset,
    silence,
)

pytestmark = pytest.mark.usefixtures("face")

MUTATIONS = [name for name, sample in BY_NAME.items() if sample.line.startswith("POST")]
READS = [name for name in BY_NAME if name not in MUTATIONS]
AMBIGUOUS: dict[str, Behaviour] = {
    "close": close,
    "reset": reset,
    "silence": silence,
    "cut": cut(http_response({"data": {"checkoutUrl": "https://x/y"}})),
    "429": http_response({"message": "Too Many Attempts."}, 429),
    "500": http_response({"message": "Server Error"}, 500),
    "503": http_response(b"", 503),
}


def paid_as(status: str) -> bytes:
    return http_response({"data": {**PAYMENT, "status": status}})


# --- retries ---


@pytest.mark.parametrize("operation", MUTATIONS)
@pytest.mark.parametrize("failure", AMBIGUOUS.values(), ids=AMBIGUOUS)
async def test_a_request_that_may_have_been_executed_is_not_retried(
    operation: str, failure: Behaviour
) -> None:
    """Without an idempotency key, an ambiguous failure is left to the caller."""
    retry = HASTY if failure is silence else QUICK
    async with RawServer(failure) as server, client(server.url, retry=retry) as gateway:
        with pytest.raises(PayChainError) as caught:
            await sample_call(gateway, operation)
    assert len(server.requests) == len(caught.value.attempts) == 1
    assert caught.value.sent in ("yes", "unknown")
    assert caught.value.idempotency_key is None
    assert "idempotency-key" not in server.requests[0].headers


@pytest.mark.parametrize("operation", MUTATIONS)
async def test_a_request_that_never_left_is_retried(operation: str) -> None:
    """A refused connection rules out any effect."""
    with socket() as bound:  # it does not listen, and no other test can get its port
        bound.bind(("127.0.0.1", 0))
        async with client(f"http://127.0.0.1:{bound.getsockname()[1]}") as gateway:
            with pytest.raises(ConnectionFailedError) as caught:
                await sample_call(gateway, operation)
    assert (len(caught.value.attempts), caught.value.sent) == (QUICK.attempts, "no")


@pytest.mark.parametrize("operation", READS)
async def test_reads_are_retried(operation: str) -> None:
    """Reads have no effect."""
    script: list[Behaviour] = [
        close,
        http_response(b"", 503),
        http_response({"message": "x"}, 500),
        http_response(BY_NAME[operation].response),
    ]
    async with RawServer(*script) as server, client(server.url) as gateway:
        await sample_call(gateway, operation)
    assert len(server.requests) == 4


# --- waiting ---


@pytest.mark.parametrize("end", ["RECEIVED", "CONFIRMED", "CANCELLED", "ERROR", "REFUND"])
async def test_a_wait_ends_with_a_terminal_status(end: str) -> None:
    """Each read is one request; the wait continues through outages and unknown statuses."""
    script: list[Behaviour] = [paid_as(status) for status in ("OPEN", "FOUND", "UNDERPAID", "NEW")]
    async with (
        RawServer(*script, close, paid_as(end)) as server,
        client(server.url, retry=None) as gateway,
    ):
        payment = await gateway.payments.wait(PAYMENT_ID, interval=0.001, timeout=60)
    assert payment.status == end
    assert payment.is_paid is (end in ("RECEIVED", "CONFIRMED"))
    assert [request.target for request in server.requests] == [f"/api/payment/{PAYMENT_ID}"] * 6


@pytest.mark.async_only("it fakes the clock of the loop")
async def test_a_wait_beyond_the_timeout() -> None:
    """The error has the payment as of the last read."""
    too_long = pytest.raises(
        WaitTimeoutError, match=f"payment {PAYMENT_ID} did not.*last seen UNDERPAID"
    )
    async with RawServer(paid_as("UNDERPAID")) as server, client(server.url) as gateway:
        with too_long as caught, skipping_clock() as clock:
            await gateway.payments.wait(PAYMENT_ID, timeout=60, interval=40)
        assert 40 < sum(clock.waits) <= 60
    assert caught.value.payment is not None
    assert caught.value.payment.status is PaymentStatus.UNDERPAID
    assert len(server.requests) == 2
    assert pickle.loads(pickle.dumps(caught.value)).payment == caught.value.payment


async def test_a_wait_without_a_successful_read() -> None:
    """The error reports that no read succeeded."""
    async with RawServer(close) as server, client(server.url, retry=None) as gateway:
        with pytest.raises(WaitTimeoutError, match="no read succeeded") as caught:
            await gateway.payments.wait(PAYMENT_ID, timeout=0)
    assert caught.value.payment is None


async def test_a_wait_for_an_unknown_payment() -> None:
    """A definite error ends the wait."""
    async with (
        RawServer(http_response({"message": "Not found."}, 404)) as server,
        client(server.url) as gateway,
    ):
        with pytest.raises(NotFoundError):
            await gateway.payments.wait(PAYMENT_ID)
    assert len(server.requests) == 1


@pytest.mark.parametrize("wrong", [{"timeout": -1}, {"interval": 0}, {"timeout": "1"}])
async def test_a_wait_with_invalid_times(wrong: dict[str, Any]) -> None:
    """The times are checked before anything is sent."""
    async with client("http://127.0.0.1:1") as gateway:
        with pytest.raises(ConfigurationError, match=next(iter(wrong))):
            await gateway.payments.wait(PAYMENT_ID, **wrong)


# --- the client ---


async def test_views() -> None:
    """A view has other options and the same connections.

    Closing it does nothing, and closing the client twice is allowed.
    """
    async with (
        RawServer(
            http_response(b"", 503), http_response(BY_NAME["payments.get"].response)
        ) as server,
        client(server.url) as gateway,
    ):
        view = gateway.with_options(retry=None, timeout=5)
        with pytest.raises(PayChainError) as caught:
            await view.payments.get(PAYMENT_ID)
        await view.close()
        assert len(caught.value.attempts) == 1
        await gateway.payments.get(PAYMENT_ID)
        assert server.accepted == 1
        await gateway.close()
        with pytest.raises(ConfigurationError, match="closed"):
            await gateway.payments.get(PAYMENT_ID)


async def test_middleware_and_limits() -> None:
    """Middleware and limits work as in the other client; no middleware sees a token."""
    seen: list[Request] = []

    async def keep(request: Request, send: Next) -> Response:
        seen.append(request)
        return await send(request)

    settings = {"middleware": [keep], "rate_limit": RateLimit(1000), "max_connections": 1}
    async with (
        RawServer(http_response(BY_NAME["payments.get"].response)) as server,
        client(server.url, **settings) as gateway,
    ):
        await gateway.payments.get(PAYMENT_ID)
    assert [request.operation.name for request in seen] == ["payments.get"]
    assert CLIENT_TOKEN not in repr(seen[0].headers)


async def test_from_env(monkeypatch: pytest.MonkeyPatch) -> None:
    """The three documented variables are read; arguments take precedence over them."""
    for name, value in {"CLIENT_ID": "id_of_env", "CLIENT_TOKEN": "token_of_env"}.items():
        monkeypatch.setenv(f"PAYMENT_{name}", value)
    monkeypatch.setenv("WEBHOOK_SECRET", "secret_of_env")
    async with RawServer(http_response(BY_NAME["payments.create"].response)) as server:
        cases: list[GatewaySettings] = [{}, {"client_token": "given", "client_id": "id_given"}]
        for given in cases:
            async with Gateway.from_env(base_url=server.url, **given) as gateway:
                await gateway.payments.create(1, "USD", "r", "l")
                assert (given.get("client_id") or "id_of_env") in repr(gateway)
    sent = [
        (request.headers["authorization"], request.json["clientId"]) for request in server.requests
    ]
    assert sent == [("Bearer token_of_env", "id_of_env"), ("Bearer given", "id_given")]
    with pytest.raises(TypeError, match="base_url"):
        Gateway.from_env()  # type: ignore[call-arg]


async def test_mounted_files(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Each variable has a variant for a file."""
    for name in ("PAYMENT_CLIENT_ID", "PAYMENT_CLIENT_TOKEN"):
        (tmp_path / name).write_text(f"of_{name}\n")
        monkeypatch.setenv(f"{name}_FILE", str(tmp_path / name))
    async with (
        RawServer(http_response(BY_NAME["payments.create"].response)) as server,
        Gateway.from_env(base_url=server.url) as gateway,
    ):
        await gateway.payments.create(1, "USD", "r", "l")
    (request,) = server.requests
    assert request.headers["authorization"] == "Bearer of_PAYMENT_CLIENT_TOKEN"
    assert request.json["clientId"] == "of_PAYMENT_CLIENT_ID"


async def test_empty_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Variables that are unset or empty have no effect."""
    for name in ("PAYMENT_CLIENT_ID", "PAYMENT_CLIENT_TOKEN", "WEBHOOK_SECRET"):
        monkeypatch.setenv(name, "")
    async with Gateway.from_env(base_url="http://127.0.0.1:1") as gateway:
        with pytest.raises(ConfigurationError, match="client_token"):
            await gateway.payments.get(PAYMENT_ID)


# --- secrets ---

SECRETS = {
    "client_token": "tokenALPHA",
    "oauth_token": "tokenBRAVO",
    "webhook_secret": "secretCHARLIE",
}
NEW_SECRET = "secretDELTA"
_THREAD = re.compile(r".*/(?:asyncio/threads|concurrent/futures/thread)\.py:")
FAILURES: dict[str, Behaviour] = {
    **AMBIGUOUS,
    "422": http_response({"message": "no", "errors": {"name": ["no"]}}, 422),
    "html": http_response(b"<"),
}


def assert_hidden(text: str) -> None:
    """Assert that a text contains no secret.

    Frames of the thread in which a test calls the blocking face are ignored.
    """
    text = "\n".join(
        line
        for line in text.split("\n")
        if not re.match(r".*/(?:asyncio/threads|concurrent/futures/thread)\.py:", line)
    )
    assert [secret for secret in (*SECRETS.values(), NEW_SECRET) if secret in text] == []


@pytest.mark.parametrize("failure", FAILURES.values(), ids=FAILURES)
async def test_no_secret_shows(failure: Behaviour) -> None:
    """Errors, tracebacks with locals, logs and reprs contain no secret."""
    calls: list[Callable[[Gateway], Any]] = [
        lambda gateway: gateway.payments.get(PAYMENT_ID),
        lambda gateway: gateway.applications.create("abc", NEW_SECRET),
        lambda gateway: gateway.applications.create("ab", NEW_SECRET),
        lambda gateway: gateway.applications.create("abc", NEW_SECRET, currency_whitelist="x"),
    ]
    with all_output() as logs:
        logging.getLogger("paychainhq").setLevel(logging.DEBUG)
        async with (
            RawServer(failure) as server,
            client(server.url, **SECRETS, timeout=2) as gateway,
        ):
            ends = await asyncio.gather(*(make(gateway) for make in calls), return_exceptions=True)
            for error in ends:
                assert isinstance(error, PayChainError)
                assert_hidden(traced(error) + all_forms(error))
            assert_hidden(repr(gateway) + repr(gateway.with_options(timeout=1)))
            with pytest.raises(TypeError, match="a Gateway client cannot be pickled"):
                pickle.dumps(gateway)
    assert_hidden("\n".join(logs))


@pytest.mark.parametrize(
    "settings",
    [{"timeout": 0}, {"proxy": "x"}, {"scopes": 5}, {"base_url": "https://me:passwordECHO@x"}],
)
def test_no_secret_shows_if_the_constructor_fails(settings: dict[str, Any]) -> None:
    """The constructor's own frames conceal secrets too."""
    with pytest.raises(ConfigurationError) as caught:
        Gateway(**{"base_url": "https://x", **SECRETS, **settings})
    assert_hidden(traced(caught.value))
    assert "passwordECHO" not in traced(caught.value)


async def test_repr() -> None:
    """The repr has the address and the client id."""
    async with client("http://127.0.0.1:1/api", oauth_token=OAUTH_TOKEN) as gateway:
        assert repr(gateway) == f"<Gateway http://127.0.0.1:1 client_id={CLIENT_ID!r}>"
