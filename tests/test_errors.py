"""Errors: one tree, all facts as attributes, and a text that helps a person."""

from __future__ import annotations

import json
import pickle
import traceback
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from celery import Celery

import paychainhq
from paychainhq import (
    APIError,
    Attempt,
    AuthenticationError,
    BadRequestError,
    ConfigurationError,
    ConflictError,
    ConnectionFailedError,
    DecodeError,
    DuplicateRequestError,
    IdempotencyInProgressError,
    IdempotencyKeyMismatchError,
    InvalidArgumentError,
    LedgerError,
    MissingCredentialError,
    NotFoundError,
    OutcomeUnknownError,
    PayChainError,
    PayChainHQ,
    PermissionDeniedError,
    ProxyAuthenticationError,
    RateLimitError,
    RequestTimeoutError,
    ServerError,
    UntrustedServerError,
    WaitTimeoutError,
    WebhookVerificationError,
    errors,
)
from paychainhq._attempts import Sent
from paychainhq.codec import from_json
from paychainhq.models import Invoice
from tests.support.client import INVOICE, QUICK, client, error_body, invoice
from tests.support.raw_server import Behaviour, RawServer, close, cut, http_response, silence

PARENTS: dict[type[PayChainError], type[Exception]] = {
    PayChainError: Exception,
    ConfigurationError: PayChainError,
    MissingCredentialError: ConfigurationError,
    InvalidArgumentError: ConfigurationError,
    ConnectionFailedError: PayChainError,
    UntrustedServerError: ConnectionFailedError,
    ProxyAuthenticationError: ConnectionFailedError,
    RequestTimeoutError: PayChainError,
    DecodeError: PayChainError,
    LedgerError: PayChainError,
    OutcomeUnknownError: PayChainError,
    WaitTimeoutError: PayChainError,
    WebhookVerificationError: PayChainError,
    APIError: PayChainError,
    BadRequestError: APIError,
    AuthenticationError: APIError,
    PermissionDeniedError: APIError,
    NotFoundError: APIError,
    ConflictError: APIError,
    IdempotencyKeyMismatchError: ConflictError,
    IdempotencyInProgressError: ConflictError,
    DuplicateRequestError: ConflictError,
    RateLimitError: APIError,
    ServerError: APIError,
}
each_class = pytest.mark.parametrize("kind", PARENTS, ids=lambda kind: kind.__name__)

ATTEMPTS = (Attempt(None, "timed out", "unknown", 0.5), Attempt(503, None, "yes", 0.25))
FACTS: dict[str, Any] = {
    "operation": "invoices.create",
    "sent": "unknown",
    "idempotency_key": "order-7",
    "request_id": "req_1",
    "attempts": ATTEMPTS,
}
MORE: dict[type[PayChainError], dict[str, Any]] = {
    MissingCredentialError: {"argument": "api_key"},
    InvalidArgumentError: {"argument": "amount"},
    DecodeError: {"path": "$.amount.raw", "status": 200, "data": {"a": [1]}, "body": b"raw"},
    WaitTimeoutError: {"invoice": from_json(Invoice, INVOICE)},
    APIError: {"status": 418, "code": "TEAPOT", "details": [{"a": 1}]},
    RateLimitError: {"retry_after": 1.5},
    ServerError: {"retry_after": None},
}


def full(kind: type[PayChainError]) -> PayChainError:
    """Return an error with every fact of its class."""
    facts = dict(FACTS)
    for parent in reversed(kind.__mro__):
        facts |= MORE.get(parent, {})
    return kind("what went wrong", **facts)


def test_tree() -> None:
    """The tree is the promised one, and the package exports every class of it."""
    found = {
        kind
        for kind in vars(errors).values()
        if isinstance(kind, type) and issubclass(kind, Exception)
    }
    assert found == set(PARENTS)
    for kind, parent in PARENTS.items():
        assert kind.__bases__[0] is parent
        assert getattr(paychainhq, kind.__name__) is kind
    assert issubclass(InvalidArgumentError, ValueError)


@each_class
def test_pickle(kind: type[PayChainError]) -> None:
    """An unpickled error has all its facts."""
    error = full(kind)
    for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1):
        copy = pickle.loads(pickle.dumps(error, protocol))
        assert type(copy) is kind
        assert vars(copy) == vars(error)
        assert (str(copy), copy.args) == (str(error), error.args)


@each_class
def test_text(kind: type[PayChainError]) -> None:
    """The text has the attempted operation, the failure, the ids, and the advice."""
    text = str(full(kind))
    for part in (
        "invoices.create",
        "what went wrong",
        "timed out, 503",
        "sent: unknown",
        "req_1",
        "order-7",
        kind.advice,
    ):
        assert part in text
    if issubclass(kind, APIError):
        assert "418 TEAPOT what went wrong" in text
        assert kind is APIError or kind is ConflictError or kind.advice


def through_json(error: PayChainError) -> PayChainError:
    """Rebuild an error as task queues do: from its class and args, which went through JSON."""
    return type(error)(*json.loads(json.dumps(error.args)))


def through_celery(error: PayChainError) -> PayChainError:
    backend = Celery("tests", backend="cache+memory://", set_as_current=False).backend
    stored = json.loads(json.dumps(backend.prepare_exception(error, serializer="json")))
    rebuilt: PayChainError = backend.exception_to_python(stored)
    return rebuilt


@each_class
@pytest.mark.parametrize("queue", [through_json, through_celery])
@pytest.mark.parametrize("sent", ["no", "yes", "unknown"])
def test_an_error_that_a_task_queue_rebuilds_has_its_facts(
    kind: type[PayChainError], queue: Callable[[PayChainError], PayChainError], sent: Sent
) -> None:
    """The rebuilt error has the message and every fact that JSON can hold, with key and `sent`."""
    error = full(kind)
    error.sent = sent
    rebuilt = queue(error)
    assert type(rebuilt) is kind
    assert rebuilt.args == error.args
    for name in (
        "message",
        "operation",
        "sent",
        "idempotency_key",
        "request_id",
        "status",
        "code",
        "argument",
        "retry_after",
        "path",
    ):
        assert getattr(rebuilt, name, None) == getattr(error, name, None), name


@each_class
def test_garbled_facts_from_a_task_queue_are_left_out(kind: type[PayChainError]) -> None:
    """Arguments replaced by their text, and unknown names, change nothing."""
    assert vars(kind("lost", "{'sent': 'no'}")) == vars(kind("lost"))
    assert vars(kind("lost", {"nonsense": 1})) == vars(kind("lost"))


async def test_a_timeout_rebuilt_by_a_task_queue_still_warns() -> None:
    """A timeout keeps `sent` and its key through JSON."""
    async with RawServer(silence) as server, client(server.url, timeout=3, retry=None) as pay:
        with pytest.raises(RequestTimeoutError) as caught:
            await invoice(pay, idempotency_key="order-7")
    rebuilt = through_json(caught.value)
    assert (rebuilt.sent, rebuilt.idempotency_key, rebuilt.operation) == (
        "unknown",
        "order-7",
        "invoices.create",
    )
    assert "sent: unknown; idempotency key: order-7" in str(rebuilt)


@each_class
def test_bare(kind: type[PayChainError]) -> None:
    """An error without facts has its text only, and `sent` is that of its class or "unknown"."""
    error = kind("what went wrong")
    assert str(error).startswith("what went wrong")
    assert "None" not in str(error)
    never_sent = (
        ConfigurationError,
        UntrustedServerError,
        ProxyAuthenticationError,
        LedgerError,
        WebhookVerificationError,
    )
    wanted = (
        "yes"
        if issubclass(kind, (APIError, DecodeError))
        else "no"
        if issubclass(kind, never_sent)
        else "unknown"
    )
    assert error.sent == wanted


# --- no exceptions of other libraries ---

FAILURES: dict[str, Behaviour] = {
    "lost": close,
    "cut": cut(http_response(INVOICE)),
    "silence": silence,
    "nonsense": b"nonsense\r\n\r\n",
    "html": http_response(b"<html>"),
    "wrong": http_response({**INVOICE, "amount": 5}),
    "400": http_response(error_body("X"), 400),
    "bad gzip": http_response(b"x", headers={"Content-Encoding": "gzip"}),
}


def chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def assert_ours_alone(error: PayChainError) -> None:
    assert [type(link).__module__ for link in chain(error)] == ["paychainhq.errors"]
    assert not [
        frame for frame in traceback.extract_tb(error.__traceback__) if "aiohttp" in frame.filename
    ]


@pytest.mark.parametrize("retry", [None, QUICK])
@pytest.mark.parametrize("failure", FAILURES.values(), ids=FAILURES)
async def test_no_foreign_exception(failure: Behaviour, retry: Any) -> None:
    """No exception of another library is raised or chained."""
    async with RawServer(failure) as server, client(server.url, retry=retry, timeout=0.5) as pay:
        for call in (
            invoice(pay),
            pay.request("POST", "/api/v1/new", body={}, idempotency_key="k"),
        ):
            try:
                await call
            except PayChainError as error:
                assert_ours_alone(error)


async def test_no_foreign_exception_without_a_server() -> None:
    """No exception of another library is raised without a server, host or proxy."""
    for settings in (
        {},
        {"url": "http://no-such-host.localhost:1"},
        {"proxy": "http://127.0.0.1:1"},
    ):
        async with client(**{"url": "http://127.0.0.1:1", **settings}) as pay:
            with pytest.raises(ConnectionFailedError) as caught:
                await invoice(pay)
            assert_ours_alone(caught.value)
            assert caught.value.sent == "no"


@pytest.mark.parametrize(
    "make",
    [
        lambda: PayChainHQ(base_url="https://host:port"),
        lambda: PayChainHQ(base_url="https://[::1"),
        lambda: PayChainHQ(proxy="http://host:99999"),
        lambda: PayChainHQ(proxy="http://[::1"),
        lambda: PayChainHQ(proxy=5),  # type: ignore[arg-type]
        lambda: PayChainHQ(api_key="a\nb"),
        lambda: PayChainHQ(retry=5),  # type: ignore[arg-type]
        lambda: PayChainHQ(ssl=False),  # type: ignore[arg-type]
        lambda: PayChainHQ(max_connections=0),
        lambda: PayChainHQ(business_id="a/b"),
        lambda: PayChainHQ(rate_limit=5),  # type: ignore[arg-type]
        lambda: PayChainHQ(middleware=5),  # type: ignore[arg-type]
        lambda: PayChainHQ(dashboard={"Cookie": "x"}),  # type: ignore[arg-type]
        lambda: PayChainHQ(session="x"),  # type: ignore[arg-type]
    ],
)
def test_no_foreign_exception_from_the_constructor(make: Callable[[], PayChainHQ]) -> None:
    """An invalid setting is a ConfigurationError at once."""
    with pytest.raises(ConfigurationError) as caught:
        make()
    assert_ours_alone(caught.value)
    assert caught.value.sent == "no"
