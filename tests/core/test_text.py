"""Text and numbers of any subclass: their content is sent, not the output of their methods."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from enum import Enum, IntEnum
from http import HTTPMethod
from typing import Any
from urllib.parse import unquote

import pytest

from paychainhq import DashboardSession, InvalidArgumentError, RetryPolicy, webhooks
from paychainhq._core.idempotency import key_for_reference
from paychainhq.gateway import webhooks as gateway_webhooks
from tests.support.calls import CALLS, KEYED, call, documented_response
from tests.support.client import INVOICE, client
from tests.support.faces import PayChainHQ
from tests.support.raw_server import RawServer, http_response


class Member(str, Enum):  # noqa: UP042 (its `str()` is `Member.WORD`, and its hash that of its name)
    """A word in an enum of the older form."""

    WORD = "word_1"


class Odd(str):
    """A text whose methods return other text."""

    __slots__ = ()

    def __str__(self) -> str:
        return "another"

    __repr__ = __format__ = __str__  # type: ignore[assignment]

    def encode(self, *_: Any) -> bytes:
        return b"another"

    def isascii(self) -> bool:
        return True

    def strip(self, *_: Any) -> str:
        return "another"


class Apart(str):
    """A text that is equal only to itself."""

    __slots__ = ()
    __eq__ = object.__eq__
    __hash__ = object.__hash__


class Level(IntEnum):
    FIVE = 5


class Step(int, Enum):
    FIVE = 5


class OddInt(int):
    def __str__(self) -> str:
        return "9"

    __repr__ = __str__

    def __int__(self) -> int:
        return 9

    __index__ = __trunc__ = __int__


class OddDecimal(Decimal):
    def __str__(self) -> str:
        return "9"

    def __format__(self, *_: Any) -> str:
        return "9"


WORDS = [Member.WORD, Odd("word_1"), Apart("word_1")]
FIVES = [Level.FIVE, Step.FIVE, OddInt(5)]
each_word = pytest.mark.parametrize("word", WORDS, ids=["enum", "odd", "apart"])
each_five = pytest.mark.parametrize("five", FIVES, ids=["IntEnum", "enum", "odd"])


def swapped(given: Any, word: str) -> Any:
    """Return a copy of arguments with the word in place of each free text and key of a mapping."""
    if isinstance(given, str):
        return (
            word
            if not given.replace(".", "").isdecimal() and "/" not in given
            else type(word)(given)
            if type(word) is Odd
            else given
        )
    if isinstance(given, Mapping):
        return {name: swapped(item, word) for name, item in given.items()}
    return [swapped(item, word) for item in given] if isinstance(given, list) else given


@pytest.mark.usefixtures("face")
@each_word
@pytest.mark.parametrize("name", CALLS)
async def test_text_of_every_operation(name: str, word: str) -> None:
    """Each operation sends the same path, query, body and key as for a plain text."""
    key = {"idempotency_key": word} if name in KEYED else {}
    plain = swapped(CALLS[name], "word_1") | dict.fromkeys(key, "word_1")
    sent = []
    for arguments in (plain, swapped(CALLS[name], word) | key):
        async with (
            RawServer(documented_response(name)) as server,
            PayChainHQ(
                api_key="k",
                dashboard=DashboardSession({"Cookie": "x"}),
                business_id="biz_1",
                base_url=server.url,
            ) as pay,
        ):
            await call(pay, name, arguments)
        (request,) = server.requests
        sent.append((request.target, request.body, request.headers.get("idempotency-key")))
    assert sent[0] == sent[1]


@pytest.mark.usefixtures("face")
@each_word
async def test_reference_of_a_job(word: str) -> None:
    """A reference gives the key of its content, and so one invoice."""
    request: Any = {"amount": "1", "token": word, "chain": word, "metadata": {word: [word]}}
    async with (
        RawServer(http_response(INVOICE)) as server,
        client(server.url, business_id=word) as pay,
    ):
        request["reference"] = word
        async for outcome in pay.invoices.create_many([request]):
            assert outcome.ok, outcome.error
    (sent,) = server.requests
    assert sent.headers["idempotency-key"] == key_for_reference(
        "invoices.create", "word_1", "word_1"
    )
    assert sent.json == {
        "amount": "1",
        "token": "word_1",
        "chain": "word_1",
        "metadata": {"word_1": ["word_1"]},
    }
    assert "/businesses/word_1/" in sent.target


def test_key_of_a_reference() -> None:
    """The derivation of a key uses the content."""
    for word in WORDS:
        assert key_for_reference(word, word, word) == key_for_reference(
            "word_1", "word_1", "word_1"
        )


@pytest.mark.usefixtures("face")
@each_word
async def test_text_of_a_plain_request(word: str) -> None:
    """A plain request sends the content of method, path, query, body, key and credential kind."""
    path = type("Path", (Odd,), {})("/api/v1/new")
    auth: Any = Odd("payout_key")
    async with (
        RawServer(http_response({})) as server,
        client(server.url, payout_key="pk_payout") as pay,
    ):
        await pay.request(
            HTTPMethod.PATCH,
            path,
            body={word: [word, {word: 1}]},
            query={word: word},
            auth=auth,
            idempotency_key=word,
        )
        await pay.request(Odd("POST"), path, body=word)
    first, second = server.requests
    assert (first.method, unquote(first.target)) == ("PATCH", "/api/v1/new?word_1=word_1")
    assert first.json == {"word_1": ["word_1", {"word_1": 1}]}
    assert (first.headers["idempotency-key"], first.headers["x-api-key"]) == ("word_1", "pk_payout")
    assert (second.method, second.json) == ("POST", "word_1")


@pytest.mark.usefixtures("face")
async def test_settings_of_a_client() -> None:
    """Keys, the base URL, the environment and a session's headers are their contents."""
    async with RawServer(http_response([])) as server:
        settings: dict[str, Any] = {
            "api_key": Odd("pk_1"),
            "base_url": Odd(server.url + "/api/v1"),
            "business_id": Odd("biz_1"),
            "environment": Odd("live"),
            "dashboard": DashboardSession({Odd("Cookie"): Odd("a=b"), Member.WORD: Member.WORD}),
        }
        for make in (PayChainHQ, PayChainHQ.from_env):
            async with make(**settings) as pay:
                await pay.contract_integrations.list()
                await pay.api_keys.list()
                assert "biz_1" in repr(pay)
    for first, second in (server.requests[:2], server.requests[2:]):
        assert first.headers["x-api-key"] == "pk_1"
        assert "/biz_1/" in first.target
        assert (second.headers["cookie"], second.headers["word_1"]) == ("a=b", "word_1")


@each_word
def test_secrets_of_webhooks(word: str) -> None:
    """A webhook is signed and verified with the content of its secret and its token."""
    body = b'{"id": "evt_1", "event": "invoice.paid", "data": {}}'
    headers = webhooks.sign(
        body, secret="word_1", bearer="word_1", webhook_id="word_1", timestamp=1
    )
    assert webhooks.sign(body, secret=word, bearer=word, webhook_id=word, timestamp=1) == headers
    for secrets in (word, [word], ("old", word)):
        assert webhooks.parse(body, headers, secrets=secrets, bearer=word).id == "evt_1"
    assert gateway_webhooks.sign(b"", secret=word, timestamp=1) == gateway_webhooks.sign(
        b"", secret="word_1", timestamp=1
    )


@pytest.mark.usefixtures("face")
@each_five
async def test_number_of_a_subclass(five: Any) -> None:
    """An amount, a count, and a number in metadata, a query or a body are their values."""
    async with RawServer(http_response(INVOICE)) as server, client(server.url) as pay:
        await pay.invoices.create(
            five, "USDC", "eth", expires_in=five, metadata={"n": five, "list": [five]}
        )
        await pay.request("POST", "/api/v1/new", body={"n": [five]}, query={"n": five})
    first, second = server.requests
    assert first.json == {
        "amount": "5",
        "token": "USDC",
        "chain": "eth",
        "expiresIn": 5,
        "metadata": {"list": [5], "n": 5},
    }
    assert (second.json, second.target) == ({"n": [5]}, "/api/v1/new?n=5")


@pytest.mark.usefixtures("face")
@pytest.mark.parametrize("amount", [OddDecimal("1.50"), Odd("1.50")], ids=["decimal", "text"])
async def test_amount_of_a_subclass(amount: Any) -> None:
    """An amount of a subclass of `Decimal` or `str` is its content."""
    async with RawServer(http_response(INVOICE)) as server, client(server.url) as pay:
        await pay.invoices.create(amount, "USDC", "eth", underpayment_tolerance_max_usd=amount)
    assert (
        server.requests[0].json["amount"],
        server.requests[0].json["underpaymentToleranceMaxUsd"],
    ) == ("1.50", "1.50")


@pytest.mark.usefixtures("face")
async def test_text_that_only_claims_to_be_valid() -> None:
    """Validation checks the content, and not the methods of the class."""
    async with RawServer(http_response(INVOICE)) as server, client(server.url) as pay:
        for field, bad in {"token": Odd("  "), "chain": Odd("\ud83d"), "amount": Odd("-1")}.items():
            fields: dict[str, Any] = {"amount": "1", "token": "USDC", "chain": "eth", field: bad}
            with pytest.raises(InvalidArgumentError) as caught:
                await pay.invoices.create(**fields)
            assert caught.value.argument == field
    assert server.requests == []


# --- metadata ---


@pytest.mark.usefixtures("face")
async def test_order_of_the_keys_of_metadata() -> None:
    """Metadata in another order, at any depth, is the same request for a ledger."""
    from paychainhq.ledger import MemoryLedger

    one = {"b": 1, "a": {"y": [{"q": 1, "p": 2}], "x": None}, "Ä": True}
    other = {"Ä": True, "a": {"x": None, "y": [{"p": 2, "q": 1}]}, "b": 1}
    async with (
        RawServer(http_response(INVOICE)) as server,
        client(server.url, idempotency=MemoryLedger(), retry=RetryPolicy()) as pay,
    ):
        for metadata in (one, other):
            await pay.invoices.create(
                "1", "USDC", "eth", metadata=metadata, idempotency_key="order-7"
            )
        await pay.invoices.create("1", "USDC", "eth", metadata=other, idempotency_key="order-8")
    assert len(server.requests) == 2
    assert server.requests[0].body == server.requests[1].body
    assert server.requests[0].json["metadata"] == one


@pytest.mark.usefixtures("face")
@pytest.mark.parametrize(
    "metadata",
    [
        {Apart("a"): 1, "a": 2},
        {"a": (1, 2)},
        {"a": {1}},
        {"a": b"x"},
        {"a": [{"b": {2: 1}}]},
        {"a": 10**5000},
        {"a": float("nan")},
        {"a": [float("-inf")]},
        {"a": "\ud83d"},
        {"\ud83d": 1},
    ],
    ids=lambda metadata: "huge" if metadata.get("a") == 10**5000 else ascii(metadata),
)
async def test_metadata_that_json_would_change(metadata: Any) -> None:
    """Metadata that JSON cannot represent exactly is refused by name."""
    async with RawServer(http_response(INVOICE)) as server, client(server.url) as pay:
        with pytest.raises(InvalidArgumentError) as caught:
            await pay.invoices.create("1", "USDC", "eth", metadata=metadata)
    assert caught.value.argument == "metadata"
    assert server.requests == []


@pytest.mark.usefixtures("face")
async def test_metadata_that_is_nested_too_deeply() -> None:
    """Metadata of endless depth is refused by name."""
    loop: dict[str, Any] = {}
    loop["again"] = [loop]
    async with RawServer(http_response(INVOICE)) as server, client(server.url) as pay:
        with pytest.raises(InvalidArgumentError, match="metadata"):
            await pay.invoices.create("1", "USDC", "eth", metadata=loop)
    assert server.requests == []
