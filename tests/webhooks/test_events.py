"""Parsing: a proven webhook becomes an event; any other raises one kind of error."""

from __future__ import annotations

import asyncio
import json
import pickle
import random
import time
import traceback
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from multidict import CIMultiDict
from starlette.datastructures import Headers
from werkzeug.datastructures import Headers as FlaskHeaders

import paychainhq_sync.webhooks
from paychainhq import (
    ConfigurationError,
    DecodeError,
    InvalidArgumentError,
    WebhookVerificationError,
    codec,
    webhooks,
)
from paychainhq.emulator import API_KEY, BUSINESS_ID, Emulator
from paychainhq.gateway import webhooks as gateway_webhooks
from paychainhq.ledger import MemoryLedger
from tests.security.leaks import traced
from tests.support.faces import PayChainHQ
from tests.webhooks.samples import BODY, PAID, SECRET, signed, webhook


def changed(name: str, value: Any) -> dict[str, Any]:
    """Return the headers of the sample with one of them replaced, or (None) removed."""
    headers: dict[str, Any] = {**signed(BODY), name: value}
    return (
        headers
        if value is not None
        else {key: item for key, item in headers.items() if key != name}
    )


# --- proven webhooks ---


def test_the_documented_webhook_becomes_an_event() -> None:
    """Its fields are typed, and none is lost."""
    event = webhooks.parse(BODY, signed(BODY), secrets=SECRET)
    assert (event.id, event.event) == ("evt_2b3f1fa0", webhooks.EventName.INVOICE_PAID)
    assert event.timestamp == datetime(2026, 3, 14, 13, 46, 4, 903000, UTC)
    assert (event.invoice_id, event.withdrawal_id) == ("inv_123", None)
    assert event.data.paid_amount is not None
    assert event.data.paid_amount.display == Decimal("149.75")
    assert (
        event.data.tolerance_raw,
        event.data.shortfall_raw,
        event.data.settled_by_tolerance,
    ) == (500_000, 250_000, True)
    assert codec.to_json(event) == PAID
    assert pickle.loads(pickle.dumps(event)) == event


def test_an_unknown_event_is_kept_whole() -> None:
    """Neither an unknown name nor unknown fields are an error."""
    body = webhook(
        "evt_9", "withdrawal.blocked", withdrawalId="wd_1", reason="limits", of={"some": 1}
    )
    event = webhooks.parse(body, signed(body), secrets=SECRET)
    assert (event.event, event.withdrawal_id, event.invoice_id) == (
        "withdrawal.blocked",
        "wd_1",
        None,
    )
    assert event.data.extra == {"reason": "limits", "of": {"some": 1}}


def test_the_signature_is_the_plain_hmac_of_the_body() -> None:
    """The signature equals that of test case 2 of RFC 4231."""
    headers = webhooks.sign(
        b"what do ya want for nothing?",
        secret="Jefe",
        timestamp=1706356245.5,
        webhook_id="wh_7",
        attempt=3,
    )
    assert headers == {
        "Content-Type": "application/json",
        "X-Webhook-Signature": "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
        "X-Webhook-Signature-Alg": "HMAC-SHA256",
        "X-Webhook-Timestamp": "1706356245",
        "X-Webhook-ID": "wh_7",
        "X-Webhook-Attempt": "3",
    }


@pytest.mark.parametrize("kind", [dict, CIMultiDict, Headers, FlaskHeaders])
@pytest.mark.parametrize("spelling", [str.lower, str.upper, str.title, str])
def test_headers_of_any_kind_and_case(
    kind: Callable[[dict[str, str]], Any], spelling: Callable[[str], str]
) -> None:
    """Header names match in any case and in any mapping type."""
    headers = {spelling(name): value for name, value in signed(BODY).items()}
    assert webhooks.parse(BODY, kind(headers), secrets=SECRET).id == "evt_2b3f1fa0"


@pytest.mark.parametrize("body", [BODY, bytearray(BODY), memoryview(BODY)])
def test_any_raw_bytes(body: Any) -> None:
    """Any bytes-like body and a signature in capital letters are accepted."""
    headers = signed(BODY)
    headers["X-Webhook-Signature"] = headers["X-Webhook-Signature"].upper()
    assert webhooks.parse(body, headers, secrets=SECRET).id == "evt_2b3f1fa0"


@pytest.mark.parametrize("secrets", [["new", SECRET], (SECRET, "old"), [SECRET]])
def test_several_secrets_while_one_is_being_changed(secrets: Any) -> None:
    """Any of the secrets proves a webhook, at any position."""
    assert webhooks.parse(BODY, signed(BODY), secrets=secrets).id == "evt_2b3f1fa0"


def test_the_bearer_token_is_checked_if_one_is_set() -> None:
    """Without the setting, a token in the headers is ignored."""
    headers = signed(BODY, bearer="agreed")
    assert webhooks.parse(BODY, headers, secrets=SECRET, bearer="agreed").id == "evt_2b3f1fa0"
    assert webhooks.parse(BODY, headers, secrets=SECRET).id == "evt_2b3f1fa0"
    for wrong in (
        "Bearer other",
        "Bearer ",
        "agreed",
        "Basic agreed",
        "Bearer agreed agreed",
        "Bearer agreé",
    ):
        with pytest.raises(WebhookVerificationError):
            webhooks.parse(
                BODY, {**headers, "Authorization": wrong}, secrets=SECRET, bearer="agreed"
            )
    with pytest.raises(WebhookVerificationError, match="Authorization"):
        webhooks.parse(BODY, signed(BODY), secrets=SECRET, bearer="agreed")


# --- age ---


def written(at: float) -> list[str]:
    moment = datetime.fromtimestamp(at, UTC)
    return [
        str(int(at)),
        f"{at:.3f}",
        str(int(at * 1000)),
        moment.isoformat(),
        moment.strftime("%Y-%m-%dT%H:%M:%SZ"),
    ]


@pytest.mark.parametrize("ago", [0, 250, -250])
def test_a_recent_timestamp_in_any_form(ago: float) -> None:
    """Seconds, milliseconds and ISO 8601 are accepted."""
    for text in written(time.time() - ago):
        assert (
            webhooks.parse(
                BODY, changed("X-Webhook-Timestamp", text), secrets=SECRET, max_age=300
            ).id
            == "evt_2b3f1fa0"
        )


@pytest.mark.parametrize("ago", [310, -310, 10**9])
def test_an_old_timestamp_and_one_of_the_future(ago: float) -> None:
    """Both are refused if `max_age` is set, and ignored otherwise."""
    for text in written(time.time() - ago):
        headers = changed("X-Webhook-Timestamp", text)
        with pytest.raises(WebhookVerificationError, match="300 seconds"):
            webhooks.parse(BODY, headers, secrets=SECRET, max_age=300)
        assert webhooks.parse(BODY, headers, secrets=SECRET).id == "evt_2b3f1fa0"


@pytest.mark.parametrize(
    "text",
    [
        None,
        "",
        "soon",
        "٣",
        "1.2.3",
        "-5",
        "1e5",
        "nan",
        "2026-03-14",
        "9" * 400,
        "2026-13-01T00:00:00Z",
    ],
)
def test_an_invalid_timestamp(text: str | None) -> None:
    """A missing or malformed timestamp is refused if `max_age` is set."""
    with pytest.raises(WebhookVerificationError):
        webhooks.parse(BODY, changed("X-Webhook-Timestamp", text), secrets=SECRET, max_age=300)


# --- forged webhooks ---

RIGHT = signed(BODY)["X-Webhook-Signature"]


NONE = [
    *[
        None,
        "",
        " ",
        "x",
        RIGHT[:-1],
        RIGHT + "0",
        RIGHT[:32],
        f" {RIGHT}",
        f"{RIGHT}\n",
        f"sha256={RIGHT}",
        "g" * 64,
        "é" * 64,
    ],
    *["\u0660" * 64, "0" * 64, "a" * 100_000, RIGHT.encode(), 7, [RIGHT], "\udc80" * 64],
]


@pytest.mark.parametrize("given", NONE)
def test_an_invalid_signature(given: Any) -> None:
    """A missing, malformed, short or foreign signature always raises the same error."""
    with pytest.raises(WebhookVerificationError) as caught:
        webhooks.parse(BODY, changed("X-Webhook-Signature", given), secrets=SECRET)
    assert RIGHT not in str(caught.value)


def test_two_signatures_are_refused() -> None:
    """Two readers might each take another one of them."""
    headers = {**signed(BODY), "x-webhook-signature": RIGHT}
    with pytest.raises(WebhookVerificationError, match="twice"):
        webhooks.parse(BODY, headers, secrets=SECRET)


def test_another_secret_proves_nothing() -> None:
    """A longer or shorter version of the right secret is refused as well."""
    for secret in ("other", SECRET[:-1], SECRET + "x"):
        with pytest.raises(WebhookVerificationError):
            webhooks.parse(BODY, signed(BODY), secrets=secret)


def test_ten_thousand_mutations() -> None:
    """One change to the signature, a header or the body is always a verification error."""
    chance = random.Random(11)
    pieces = ["", " ", "0", "f", "F", "\x00", "é", "\n", "X", "=", "\ud800", RIGHT]

    def mutated(text: str) -> str:
        at = chance.randrange(len(text) + 1)
        return chance.choice(
            [
                text[:at] + chance.choice(pieces) + text[at + chance.randrange(3) :],
                text[:at],
                text[at:],
                text + text,
                text[:at]
                + "".join(chance.choices("0123456789abcdef", k=chance.randrange(1, 5)))
                + text[at + 4 :],
            ]
        )

    refused = 0
    while refused < 10_000:
        headers, body = signed(BODY), BODY
        kind = chance.choice(["signature", "name", "body"])
        if kind == "signature":
            headers["X-Webhook-Signature"] = mutated(RIGHT)
        elif kind == "name":
            headers[mutated("X-Webhook-Signature")] = headers.pop("X-Webhook-Signature")
        else:
            at = chance.randrange(len(BODY))
            body = chance.choice(
                [
                    BODY[:at]
                    + chance.randbytes(chance.randrange(1, 4))
                    + BODY[at + chance.randrange(4) :],
                    BODY[:at],
                    BODY + b" ",
                    json.dumps(json.loads(BODY), separators=(",", ":")).encode(),
                    BODY[:at] + bytes([BODY[at] ^ 1 << chance.randrange(8)]) + BODY[at + 1 :],
                ]
            )
        same = {name.lower(): value.lower() for name, value in headers.items()}.get(
            "x-webhook-signature"
        ) == RIGHT
        if same and body == BODY:
            continue  # the mutation changed nothing
        with pytest.raises(WebhookVerificationError):
            webhooks.parse(body, headers, secrets=SECRET)
        refused += 1


# --- invalid arguments, and unreadable content ---


@pytest.mark.parametrize(
    "secrets", ["", [], (), ["x", ""], None, 7, b"bytes", [b"bytes"], [None], {"a": "b"}]
)
def test_invalid_secrets(secrets: Any) -> None:
    """An invalid setting is a configuration error, and no forgery."""
    with pytest.raises(ConfigurationError, match="secret"):
        webhooks.parse(BODY, signed(BODY), secrets=secrets)


AROUND = [
    "{}\n",
    "{}\r\n",
    " {}",
    "{}\t",
    "\n{}",
    "\u00a0{}",
    "{}\u2028",
    "\ufeff{}",
    "\ufeff{}\n",
    "{}\x00",
    "{}\u200b",
    "a\n{}",
]
QUOTED = ['"{}"', "'{}'", "`{}`", "\u201c{}\u201d"]


@pytest.mark.parametrize("around", [*AROUND, *QUOTED])
def test_a_secret_with_something_around_it(around: str) -> None:
    """Whitespace or quotes around a secret are refused wherever a secret is given.

    A file, a variable or a form has added them, and every webhook would be refused.
    """
    secret = around.format(SECRET)
    ledger = MemoryLedger()
    uses: list[Callable[[], object]] = [
        *[
            lambda given=given: webhooks.parse(BODY, signed(BODY), secrets=given)
            for given in (secret, [SECRET, secret], (secret,))
        ],
        lambda: webhooks.sign(BODY, secret=secret),
        lambda: webhooks.Receiver(secrets=secret, ledger=ledger),
        lambda: paychainhq_sync.webhooks.Receiver(secrets=[secret], ledger=ledger),
        lambda: gateway_webhooks.parse(BODY, {}, secrets=secret),
        lambda: gateway_webhooks.sign(BODY, secret=secret),
    ]
    for use in uses:
        with pytest.raises(ConfigurationError, match="pass the secret alone") as caught:
            use()
        assert SECRET not in traced(caught.value)


@pytest.mark.parametrize("secret", ["s", "'", "a b", "it's", '"a', "\u00e9\u4e2d", "whsec_+/=="])
def test_a_secret_of_unusual_characters(secret: str) -> None:
    """Any printable secret is accepted, because the format of secrets is undocumented."""
    assert (
        webhooks.parse(BODY, webhooks.sign(BODY, secret=secret), secrets=secret).id
        == "evt_2b3f1fa0"
    )


@pytest.mark.parametrize(
    "wrong",
    [
        {"secrets": [SECRET, ""]},
        {"secrets": SECRET.encode()},
        {"bearer": "a\nb"},
        {"bearer": b"token"},
    ],
)
def test_a_refused_setting_shows_no_secret(wrong: dict[str, Any]) -> None:
    """The error shows neither the wrong secret nor its neighbours."""
    settings: dict[str, Any] = {"secrets": [SECRET], "bearer": "token-9", **wrong}
    uses: list[Callable[[], object]] = [
        lambda: webhooks.parse(BODY, signed(BODY), **settings),
        lambda: webhooks.Receiver(ledger=MemoryLedger(), **settings),
        lambda: paychainhq_sync.webhooks.Receiver(ledger=MemoryLedger(), **settings),
    ]
    for use in uses:
        with pytest.raises(ConfigurationError) as caught:
            use()
        shown = traced(caught.value)
        assert not [
            secret for secret in (SECRET, "token-9", "b'token'", "a\\nb") if secret in shown
        ]


@pytest.mark.parametrize("body", [BODY.decode(), PAID, None, list(BODY), 7])
def test_a_body_that_is_not_raw(body: Any) -> None:
    """Parsed bodies are refused, with a message that asks for the raw bytes."""
    for module in (webhooks, gateway_webhooks):
        with pytest.raises(
            InvalidArgumentError, match=r"raw bytes.*before anything parses it"
        ) as caught:
            module.parse(body, signed(BODY), secrets=SECRET)
        assert caught.value.argument == "body"


@pytest.mark.parametrize(
    "headers",
    [None, 7, "X-Webhook-Signature: 1", ["x"], [("a", "b", "c")], [1, 2], b"raw", object()],
)
def test_invalid_headers(headers: Any) -> None:
    """The error names the argument, also when a receiver raises it."""
    blocking = paychainhq_sync.webhooks.Receiver(secrets=SECRET, ledger=MemoryLedger())
    uses: list[Callable[[], object]] = [
        lambda: webhooks.parse(BODY, headers, secrets=SECRET),
        lambda: gateway_webhooks.parse(BODY, headers, secrets=SECRET),
        lambda: blocking.receive(BODY, headers),
        lambda: asyncio.run(
            webhooks.Receiver(secrets=SECRET, ledger=MemoryLedger()).receive(BODY, headers)
        ),
    ]
    for use in uses:
        with pytest.raises(InvalidArgumentError, match="headers must be") as caught:
            use()
        assert caught.value.argument == "headers"


def test_headers_as_pairs() -> None:
    """Pairs are accepted, also the raw ones of an ASGI scope; a duplicate is still refused."""
    pairs = list(signed(BODY).items())
    raw = [(name.lower().encode(), value.encode()) for name, value in pairs]
    for given in (pairs, tuple(pairs), iter(pairs), [list(pair) for pair in pairs], raw, iter(raw)):
        assert webhooks.parse(BODY, given, secrets=SECRET).id == "evt_2b3f1fa0"  # type: ignore[arg-type]
    with pytest.raises(WebhookVerificationError, match="twice"):
        webhooks.parse(BODY, [*pairs, pairs[1]], secrets=SECRET)


@pytest.mark.parametrize("name", ["Content-Length", "content-length", "CONTENT-LENGTH"])
def test_a_body_that_was_read_before(name: str) -> None:
    """The error says that the body was read before if the headers announce one."""
    for module in (webhooks, gateway_webhooks):
        for announced in ({name: "614"}, {"Transfer-Encoding": "chunked"}):
            with pytest.raises(WebhookVerificationError, match="has read it before"):
                module.parse(b"", {**signed(BODY), **announced}, secrets=SECRET)
        with pytest.raises(WebhookVerificationError) as caught:
            module.parse(b"", {**signed(BODY), name: "0"}, secrets=SECRET)
        assert "read it before" not in str(caught.value)


@pytest.mark.parametrize(
    ("body", "path"),
    [
        (b"", None),
        (b"no json", None),
        (b"[]", "$"),
        (b'{"event": "invoice.paid", "data": {}}', "$.id"),
        (b'{"id": "e", "event": 7, "data": {}}', "$.event"),
        (b'{"id": "e", "event": "invoice.paid", "data": null}', "$.data"),
        (webhook(amount={"raw": 1.5, "display": "1"}), "$.data.amount.raw"),
        (webhook(toleranceRaw=True), "$.data.toleranceRaw"),
    ],
)
def test_a_proven_webhook_with_unexpected_content(body: bytes, path: str | None) -> None:
    """A decode error names the path and keeps the content; it is no verification error."""
    with pytest.raises(DecodeError) as caught:
        webhooks.parse(body, signed(body), secrets=SECRET)
    assert caught.value.path == path
    assert (caught.value.body if path is None else caught.value.data) is not None
    assert caught.value.sent == "no"
    assert "response" not in str(caught.value)
    assert "request" not in str(caught.value)
    assert "sent again" in str(pickle.loads(pickle.dumps(caught.value)))


def test_no_frame_shows_a_secret() -> None:
    """Frames with their variables show neither the secret, the token nor the right signature."""
    for headers in (signed(b"other", bearer="token-9"), signed(BODY, bearer="token-8")):
        try:
            webhooks.parse(
                BODY, headers, secrets=["hidden-1", SECRET], bearer="token-9", max_age=300
            )
        except WebhookVerificationError as error:
            shown = traceback.TracebackException.from_exception(error, capture_locals=True)
            ours = "".join(
                "".join(frame.locals.values()) for frame in shown.stack[1:] if frame.locals
            )
            assert ours
            assert not [secret for secret in ("hidden-1", SECRET, "token-9") if secret in ours]
        else:
            pytest.fail("it must not verify")


# --- the invoice of an event ---


@pytest.mark.usefixtures("face")
async def test_the_invoice_is_read_as_it_is_now(paychain_emulator: Emulator) -> None:
    """`fetch` returns the current state of the invoice, whatever the event says."""
    event = webhooks.parse(BODY, signed(BODY), secrets=SECRET)
    async with PayChainHQ(
        api_key=API_KEY, business_id=BUSINESS_ID, base_url=paychain_emulator.url
    ) as pay:
        invoice = await event.fetch(pay)
        about_none = codec.from_json(
            webhooks.Event, {"id": "e", "event": "withdrawal.sent", "data": {"withdrawalId": "w"}}
        )
        with pytest.raises(InvalidArgumentError, match="no invoice"):
            await event_fetch(about_none, pay)
    assert (event.data.status, invoice.id, invoice.status) == ("paid", "inv_123", "pending")


async def event_fetch(event: webhooks.Event, pay: PayChainHQ) -> None:
    await event.fetch(pay)
