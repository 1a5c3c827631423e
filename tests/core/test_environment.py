"""Settings from environment variables and mounted files, for clients and webhook receivers."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

import paychainhq_sync.webhooks
from paychainhq import ConfigurationError, RequestTimeoutError, webhooks
from paychainhq.ledger import MemoryLedger
from tests.security.leaks import all_forms, traced
from tests.support.faces import PayChainHQ
from tests.support.raw_server import RawServer, http_response, silence
from tests.webhooks.samples import BODY, SECRET, signed

pytestmark = pytest.mark.usefixtures("face")

NAMES = ["API_URL", "API_KEY", "BUSINESS_ID", "PAYOUT_KEY", "CONTRACT_KEY", "ENVIRONMENT"]
HIDDEN = "secretINDIA"


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Return the environment, without variables of the package."""
    for name in [*NAMES, "TIMEOUT", "WEBHOOK_SECRET"]:
        for variable in (f"PAYCHAIN_{name}", f"PAYCHAIN_{name}_FILE"):
            monkeypatch.delenv(variable, raising=False)
    return monkeypatch


def refused(make: Any, *args: Any, **settings: Any) -> str:
    """Return the message of a refusal that shows no value, in no frame."""
    with pytest.raises(ConfigurationError) as caught:
        make(*args, **settings)
    assert HIDDEN not in traced(caught.value) + all_forms(caught.value)
    assert caught.value.__context__ is None
    return str(caught.value)


# --- what is missing ---


@pytest.mark.parametrize(
    ("given", "missing"),
    [
        ({}, ["API_KEY", "BUSINESS_ID"]),
        ({"API_KEY": "", "BUSINESS_ID": ""}, ["API_KEY", "BUSINESS_ID"]),
        ({"API_KEY": "k", "PAYOUT_KEY": "p"}, ["BUSINESS_ID"]),
        ({"BUSINESS_ID": "b"}, ["API_KEY"]),
        ({"ENVIRONMENT": "sandbox"}, ["API_URL", "API_KEY", "BUSINESS_ID"]),
        ({"ENVIRONMENT": "sandbox", "API_KEY": "k", "BUSINESS_ID": "b"}, ["API_URL"]),
    ],
)
def test_each_missing_variable_is_named_at_once(
    given: dict[str, str], missing: list[str], environment: pytest.MonkeyPatch
) -> None:
    """The error of `from_env` lists all required variables that are not set, and no other."""
    for name, value in given.items():
        environment.setenv(f"PAYCHAIN_{name}", value)
    message = refused(PayChainHQ.from_env, timeout=5)
    listed = ", ".join(f"PAYCHAIN_{name}" for name in missing)
    assert f"not set in the environment: {listed}. " in message
    assert ("api_key=..." in message) == ("API_KEY" in missing)


def test_arguments_count_as_set(environment: pytest.MonkeyPatch) -> None:
    """A given argument replaces a variable, also None, for a client without it."""
    assert "biz_1" in repr(PayChainHQ.from_env(api_key="k", business_id="biz_1"))
    assert "None" in repr(PayChainHQ.from_env(api_key=None, business_id=None))
    environment.setenv("PAYCHAIN_API_KEY", HIDDEN)
    assert "BUSINESS_ID" in refused(PayChainHQ.from_env)
    environment.setenv("PAYCHAIN_BUSINESS_ID_FILE", "/nowhere")
    environment.setenv("PAYCHAIN_TIMEOUT", "never")
    assert "biz_1" in repr(PayChainHQ.from_env(business_id="biz_1", timeout=5))


@pytest.mark.parametrize("module", [webhooks, paychainhq_sync.webhooks])
@pytest.mark.async_only("makes no client")
def test_a_receiver_without_its_variable(module: Any) -> None:
    """The error of a receiver names its variable."""
    message = refused(module.Receiver.from_env, ledger=MemoryLedger())
    assert "not set in the environment: PAYCHAIN_WEBHOOK_SECRET. " in message
    assert "secrets=..." in message


# --- files ---


async def test_mounted_files(environment: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Each variable has a variant for a file, whose final line break is no part of the value."""
    async with RawServer(http_response([])) as server:
        values = [server.url, HIDDEN, "biz_of_file", "payout", "contract", "sandbox", "30"]
        for name, value, end in zip(
            [*NAMES, "TIMEOUT"], values, ["", "\n", "\r\n", "", "\n", "\n", "\n"], strict=True
        ):
            (tmp_path / name).write_bytes((value + end).encode())
            environment.setenv(f"PAYCHAIN_{name}_FILE", str(tmp_path / name))
        async with PayChainHQ.from_env() as pay:
            for auth in ("api_key", "payout_key", "contract_key"):
                await pay.request("GET", "/api/v1/new", auth=auth)
            assert "biz_of_file" in repr(pay)
            assert HIDDEN not in repr(pay)
    assert [request.headers["x-api-key"] for request in server.requests] == [
        HIDDEN,
        "payout",
        "contract",
    ]


async def test_a_variable_precedes_its_file(
    environment: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The order is argument, variable, file; an empty variable counts as not set."""
    (tmp_path / "key").write_text("of_file\n")
    environment.setenv("PAYCHAIN_API_KEY_FILE", str(tmp_path / "key"))
    environment.setenv("PAYCHAIN_BUSINESS_ID", "biz_1")
    async with RawServer(http_response([])) as server:
        environment.setenv("PAYCHAIN_API_URL", server.url)
        for variable, given in (
            ("", {}),
            ("of_variable", {}),
            ("of_variable", {"api_key": "of_argument"}),
        ):
            environment.setenv("PAYCHAIN_API_KEY", variable)
            settings: Any = given
            async with PayChainHQ.from_env(**settings) as pay:
                await pay.contract_integrations.list()
    keys = [request.headers["x-api-key"] for request in server.requests]
    assert keys == ["of_file", "of_variable", "of_argument"]


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (None, "cannot be read: No such file or directory"),
        (b"", "is empty"),
        (b"\n", "is empty"),
        (HIDDEN.encode() + b"\xff", "is not text in UTF-8"),
    ],
)
def test_an_unusable_file(
    content: bytes | None, problem: str, environment: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The error names the variable, and shows neither the content nor the path."""
    path = tmp_path / HIDDEN  # a key that was set under the wrong name
    if content is not None:
        path.write_bytes(content)
    environment.setenv("PAYCHAIN_API_KEY_FILE", str(path))
    message = refused(PayChainHQ.from_env, business_id="biz_1")
    assert message == f"the file that PAYCHAIN_API_KEY_FILE names {problem}"


@pytest.mark.parametrize("content", [f"{HIDDEN}\n\n", f" {HIDDEN}", f"\ufeff{HIDDEN}"])
def test_a_file_with_more_than_the_secret(
    content: str, environment: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Only one final line break is dropped; anything else around a secret is refused."""
    (tmp_path / "secret").write_text(content, encoding="utf-8")
    for name in ("API_KEY", "WEBHOOK_SECRET"):
        environment.setenv(f"PAYCHAIN_{name}_FILE", str(tmp_path / "secret"))
    with pytest.raises(ConfigurationError, match="api_key must be"):
        PayChainHQ.from_env(business_id="biz_1")
    for module in (webhooks, paychainhq_sync.webhooks):
        with pytest.raises(ConfigurationError, match="pass the secret alone") as caught:
            module.Receiver.from_env(ledger=MemoryLedger())
        assert HIDDEN not in traced(caught.value) + all_forms(caught.value)


# --- the deadline ---


async def test_the_deadline(environment: pytest.MonkeyPatch) -> None:
    """`PAYCHAIN_TIMEOUT` is the deadline in seconds."""
    environment.setenv("PAYCHAIN_TIMEOUT", "0.5")
    async with (
        RawServer(silence) as server,
        PayChainHQ.from_env(base_url=server.url, api_key="k", business_id="b", retry=None) as pay,
    ):
        began = time.monotonic()
        with pytest.raises(RequestTimeoutError):
            await pay.prices.list()
        assert time.monotonic() - began < 30  # the default is a minute


@pytest.mark.parametrize("value", [HIDDEN, "0", "-1", "inf", "nan", "1e999", "5s", "0x10"])
def test_an_invalid_deadline(value: str, environment: pytest.MonkeyPatch) -> None:
    """The error names the variable, and does not show its value."""
    environment.setenv("PAYCHAIN_TIMEOUT", value)
    message = refused(PayChainHQ.from_env, api_key="k", business_id="b")
    assert message == "PAYCHAIN_TIMEOUT must be a number of seconds, more than 0"


# --- receivers ---


@pytest.mark.parametrize("source", ["variable", "file", "argument"])
@pytest.mark.async_only("makes no client")
async def test_the_secret_of_a_receiver(
    source: str, environment: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Both receivers take the secret from its variable, its file or the argument."""
    (tmp_path / "secret").write_text(SECRET + "\n")
    environment.setenv("PAYCHAIN_WEBHOOK_SECRET_FILE", str(tmp_path / "secret"))
    if source != "file":
        environment.setenv("PAYCHAIN_WEBHOOK_SECRET", SECRET if source == "variable" else "other")
    given: Any = {"secrets": ["new", SECRET]} if source == "argument" else {}
    receiver = webhooks.Receiver.from_env(ledger=MemoryLedger(), **given)
    assert await receiver.receive(BODY, signed(BODY)) == 200
    blocking = paychainhq_sync.webhooks.Receiver.from_env(ledger=MemoryLedger(), **given)
    assert blocking.receive(BODY, signed(BODY)) == 200
    assert blocking.receive(b"{}", signed(BODY)) == 400
    assert SECRET not in repr(vars(receiver)) + repr(vars(blocking))


@pytest.mark.async_only("makes no client")
def test_the_settings_of_a_receiver() -> None:
    """The other settings are those of the constructor."""
    refused_settings: list[dict[str, Any]] = [
        {"lease": 1},
        {"max_age": 0},
        {"bearer": HIDDEN + "\n"},
    ]
    for settings in refused_settings:
        refused(webhooks.Receiver.from_env, ledger=MemoryLedger(), secrets=HIDDEN, **settings)
    with pytest.raises(TypeError):
        webhooks.Receiver.from_env(ledger=MemoryLedger(), secrets=SECRET, colour="red")  # type: ignore[call-arg]
