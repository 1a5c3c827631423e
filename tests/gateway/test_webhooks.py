"""Webhooks of the gateway: a proven one becomes an event; any other is one kind of error."""

from __future__ import annotations

import asyncio
import json
import pickle
import random
import time
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict
from starlette.datastructures import Headers

from paychainhq import (
    ConfigurationError,
    DecodeError,
    InvalidArgumentError,
    MissingCredentialError,
    WebhookVerificationError,
)
from paychainhq.codec import to_json
from paychainhq.gateway import Event, EventName, webhooks
from tests.gateway.samples import BY_NAME, NOTICE, PAYMENT_ID, client
from tests.security.leaks import traced
from tests.support.faces import Gateway
from tests.support.raw_server import RawServer, http_response

SECRET = "test_webhook_secret"
BODY = json.dumps({"payment": NOTICE}).encode()
EVENT, TIMESTAMP, SIGNATURE = (
    "X-PaymentService-Event",
    "X-PaymentService-Timestamp",
    "X-PaymentService-Signature",
)


def signed(body: bytes = BODY, **more: Any) -> dict[str, str]:
    return webhooks.sign(body, secret=SECRET, **more)


def parsed(body: Any = BODY, headers: Any = None, **more: Any) -> Event:
    return webhooks.parse(
        body, signed() if headers is None else headers, **{"secrets": SECRET, **more}
    )


def refused(body: Any = BODY, headers: Any = None, **more: Any) -> str:
    with pytest.raises(WebhookVerificationError) as caught:
        parsed(body, headers, **more)
    return str(caught.value)


# --- proven webhooks ---


def test_a_test_vector() -> None:
    """The signature is hex HMAC-SHA256 over timestamp, a dot, and the raw body.

    The expected value was computed without this package.
    """
    body = b'{"payment":{"id":"550e8400-e29b-41d4-a716-446655440000","status":"RECEIVED"}}'
    headers = webhooks.sign(
        body, secret="test_webhook_secret", timestamp=1706356245.9, event="payment.received"
    )
    assert headers == {
        "Content-Type": "application/json",
        "X-PaymentService-Event": "payment.received",
        "X-PaymentService-Timestamp": "1706356245",
        "X-PaymentService-Signature": (
            "be56a601b812ef82ae04293f23d056882de550b5b8187bd98774d6729df5479b"
        ),
    }
    age = time.time() - 1706356245
    event = webhooks.parse(body, headers, secrets="test_webhook_secret", max_age=age + 60)
    assert (event.event, event.payment.id, event.payment.status) == (
        "payment.received",
        PAYMENT_ID,
        "RECEIVED",
    )
    assert event.timestamp == datetime(2024, 1, 27, 11, 50, 45, tzinfo=UTC)


def test_the_documented_webhook() -> None:
    """The event's name comes from its header, and the whole payment from the body."""
    event = parsed()
    assert event.event is EventName.COMPLETED
    assert event.payment.is_paid
    assert to_json(event.payment) == NOTICE
    assert pickle.loads(pickle.dumps(event)) == event


@pytest.mark.parametrize("kind", [dict, CIMultiDict, Headers])
@pytest.mark.parametrize("spelling", [str.lower, str.upper, str])
def test_headers_of_any_kind_and_case(kind: Any, spelling: Any) -> None:
    """Header names match in any case and in any mapping type."""
    assert (
        parsed(headers=kind({spelling(name): value for name, value in signed().items()})).payment.id
        == PAYMENT_ID
    )


@pytest.mark.parametrize("name", ["payment.disputed", "", "PAYMENT.COMPLETED"])
def test_an_unknown_event_name(name: str) -> None:
    """The name is kept as a plain string."""
    event = parsed(headers={**signed(), "X-PaymentService-Event": name}).event
    assert (event, type(event)) == (name, str)


@pytest.mark.parametrize("secrets", [["new", SECRET], (SECRET, "old"), [SECRET]])
def test_several_secrets_while_one_is_being_changed(secrets: Any) -> None:
    """Any of the secrets proves a webhook."""
    assert parsed(secrets=secrets).payment.id == PAYMENT_ID


@pytest.mark.parametrize("ago", [0, 250, -250])
def test_a_recent_timestamp(ago: int) -> None:
    """Five minutes in the past or the future are accepted by default."""
    assert parsed(headers=signed(timestamp=time.time() - ago)).payment.id == PAYMENT_ID


def test_an_old_timestamp_with_a_longer_max_age() -> None:
    """A longer `max_age` accepts repeated deliveries, which keep their timestamp."""
    assert (
        parsed(headers=signed(timestamp=time.time() - 150_000), max_age=172_800).payment.id
        == PAYMENT_ID
    )


def test_an_event_name_is_not_signed() -> None:
    """A changed name verifies, so the payment's status has to decide."""
    body = json.dumps({"payment": {**NOTICE, "status": "UNDERPAID"}}).encode()
    event = parsed(body, {**signed(body, event="payment.underpaid"), EVENT: "payment.completed"})
    assert event.event is EventName.COMPLETED
    assert not event.payment.is_paid


# --- forged webhooks ---


@pytest.mark.parametrize("ago", [310, -310, 10**9])
def test_a_timestamp_outside_the_limits(ago: int) -> None:
    """A replayed webhook is refused, and so is one dated ahead."""
    assert "within 300 seconds" in refused(headers=signed(timestamp=max(time.time() - ago, 0)))


@pytest.mark.parametrize("name", [EVENT, TIMESTAMP, SIGNATURE])
@pytest.mark.parametrize("value", [None, 5, b"x"])
def test_a_header_that_is_missing_or_not_text(name: str, value: Any) -> None:
    """Each of the three headers is required once, as text."""
    headers: dict[str, Any] = {**signed(), name: value}
    if value is None:
        del headers[name]
    assert name in refused(headers=headers)
    twice = [*signed().items(), (name.lower(), signed()[name])]
    assert "twice" in refused(headers=CIMultiDict(twice))


@pytest.mark.parametrize(
    "written",
    ["", "now", "-1", "1e9", "1706356245.0", " 1706356245", "١٧٠٦٣٥٦٢٤٥", "9" * 5000, "\ud800"],
)
def test_an_invalid_timestamp(written: str) -> None:
    """Only digits are accepted, whatever the signature."""
    assert TIMESTAMP in refused(headers={**signed(), TIMESTAMP: written})


@pytest.mark.parametrize(
    "given",
    [
        "",
        "0",
        "0" * 63,
        "0" * 65,
        "g" * 64,
        "sha256=" + "0" * 57,
        "é" * 64,
        "\ud800" * 64,
        "\u0660" * 64,
    ],
)
def test_an_invalid_signature(given: str) -> None:
    """Any malformed signature raises the same error."""
    refused(headers={**signed(), SIGNATURE: given})


def test_a_changed_timestamp_secret_or_body() -> None:
    """The signature covers all three together."""
    now = int(time.time())
    refused(headers={**signed(timestamp=now), TIMESTAMP: str(now + 1)})
    refused(secrets="another")
    refused(BODY + b" ")
    refused(b"")


def test_ten_thousand_mutations() -> None:
    """One changed character in signature, timestamp or body is always a verification error."""
    randomly, headers = random.Random(4), signed()
    for number in range(10_000):
        body, changed = bytearray(BODY), dict(headers)
        place = (SIGNATURE, TIMESTAMP, None)[number % 3]
        if place is None:
            index = randomly.randrange(len(body))
            body[index] ^= randomly.randrange(1, 256)
        else:
            text, index = headers[place], randomly.randrange(len(headers[place]))
            other = chr(
                randomly.choice([randomly.randrange(32, 127), randomly.randrange(0x110000)])
            )
            mutated = (
                text[:index] + randomly.choice(["", other, other + text[index]]) + text[index + 1 :]
            )
            if mutated.lower() == text:
                continue
            changed[place] = mutated
        with pytest.raises(WebhookVerificationError):
            parsed(bytes(body), changed)


@given(
    body=st.binary(max_size=200),
    values=st.dictionaries(
        st.sampled_from([EVENT, TIMESTAMP, SIGNATURE, "x"]),
        st.text(max_size=70) | st.just("1706356245"),
    ),
)
def test_random_input_never_verifies(body: bytes, values: dict[str, str]) -> None:
    """Any input raises the same kind of error."""
    refused(body, values, max_age=10**12)


def test_no_secret_in_the_traceback() -> None:
    """Neither the secret nor the right signature appears."""
    with pytest.raises(WebhookVerificationError) as caught:
        parsed(BODY + b" ")
    assert SECRET not in traced(caught.value)
    assert signed(BODY + b" ")[SIGNATURE] not in traced(caught.value)


# --- unreadable content, and invalid arguments ---


@pytest.mark.parametrize(
    ("body", "path"),
    [
        (b"", None),
        (b"{", None),
        (b"[]", "$"),
        (b"{}", "$.payment"),
        (b'{"payment": null}', "$.payment"),
        (b'{"payment": {"id": "x"}}', "$.payment.status"),
        (b'{"payment": {"id": 5, "status": "OPEN"}}', "$.payment.id"),
    ],
)
def test_a_body_without_a_payment(body: bytes, path: str | None) -> None:
    """The webhook is proven, so a decode error keeps the body."""
    with pytest.raises(DecodeError) as caught:
        parsed(body, signed(body))
    assert caught.value.path == path
    assert (caught.value.body if path is None else caught.value.data) is not None


@pytest.mark.parametrize(
    "wrong",
    [
        {"secrets": ""},
        {"secrets": []},
        {"secrets": [SECRET, ""]},
        {"max_age": 0},
        {"max_age": None},
    ],
)
def test_invalid_settings(wrong: dict[str, Any]) -> None:
    """Invalid settings are configuration errors, and no forgery."""
    with pytest.raises(ConfigurationError):
        parsed(**wrong)


def test_a_body_that_is_not_bytes() -> None:
    """A body that was parsed and serialized again differs from the signed one."""
    with pytest.raises(InvalidArgumentError, match="raw bytes"):
        parsed(BODY.decode())


# --- with a client ---


@pytest.mark.usefixtures("face")
async def test_the_clients_own_secret() -> None:
    """`parse_webhook` is `parse` with the secret of the client, on views too."""
    async with client("http://127.0.0.1:1", webhook_secret=SECRET) as gateway:
        for each in (gateway, gateway.with_options(timeout=1)):
            assert each.parse_webhook(BODY, signed()).payment.id == PAYMENT_ID
        with pytest.raises(WebhookVerificationError):
            gateway.parse_webhook(BODY, {})
        with pytest.raises(WebhookVerificationError, match="within 10 seconds"):
            gateway.parse_webhook(BODY, signed(timestamp=time.time() - 60), max_age=10)
    async with client("http://127.0.0.1:1") as gateway:
        with pytest.raises(MissingCredentialError, match="webhook_secret"):
            gateway.parse_webhook(BODY, signed())


@pytest.mark.usefixtures("face")
async def test_the_secret_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """`WEBHOOK_SECRET` is the secret that `parse_webhook` uses."""
    monkeypatch.setenv("WEBHOOK_SECRET", SECRET)
    async with Gateway.from_env(base_url="http://127.0.0.1:1") as gateway:
        assert gateway.parse_webhook(BODY, signed()).event == "payment.completed"


async def test_reading_the_payment_of_an_event(face: str) -> None:
    """`fetch` reads the current state of the payment."""
    async with (
        RawServer(http_response(BY_NAME["payments.get"].response)) as server,
        client(server.url) as gateway,
    ):
        if face == "async":
            payment = await parsed().fetch(gateway)
        else:
            payment = await asyncio.to_thread(parsed().fetch, vars(gateway)["_blocking"])
    assert payment.status == "CONFIRMED"
    assert server.requests[0].target == f"/api/payment/{PAYMENT_ID}"
