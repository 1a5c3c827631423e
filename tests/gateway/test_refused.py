"""Invalid arguments and settings, refused before anything is sent."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from paychainhq import ConfigurationError, InvalidArgumentError, MissingCredentialError
from tests.gateway.samples import BY_NAME, SAMPLES, client, sample_call
from tests.support.calls import HUGE, short
from tests.support.faces import Gateway
from tests.support.raw_server import RawServer, http_response

pytestmark = pytest.mark.usefixtures("face")

BANK = {"bank_name": "B", "bank_code": "C", "bank_account_number": "N", "bank_account_holder": "H"}


async def refused(
    operation: str, changes: dict[str, Any], argument: str, **settings: Any
) -> ConfigurationError:
    """Assert that a call is refused before anything is sent, and return the error.

    The error names the operation and the argument.
    """
    async with (
        RawServer(http_response(BY_NAME[operation].response)) as server,
        client(server.url, **settings) as gateway,
    ):
        with pytest.raises(ConfigurationError) as caught:
            await sample_call(gateway, operation, **changes)
    assert server.requests == []
    assert server.accepted == 0
    error = caught.value
    assert isinstance(error, (InvalidArgumentError, MissingCredentialError))
    assert (error.operation, error.argument, error.sent) == (operation, argument, "no")
    assert operation in str(error)
    return error


@pytest.mark.parametrize(
    "amount", [10.0, 100.5, Decimal(100), "10000", "100.00", True, None, [1]], ids=short
)
async def test_an_amount_that_is_not_an_int(amount: Any) -> None:
    """A float, a decimal or a text is refused, because it might be in major units."""
    error = await refused("payments.create", {"amount": amount}, "amount")
    assert amount is None or "minor units" in str(error)


@pytest.mark.parametrize("amount", [0, -1, 2**53 + 1, HUGE], ids=short)
async def test_an_amount_out_of_range(amount: int) -> None:
    """Zero and negative amounts are invalid, as are amounts beyond exact JSON numbers."""
    await refused("payments.create", {"amount": amount}, "amount")


@pytest.mark.parametrize("name", ["currency_code", "reference", "reference_label"])
@pytest.mark.parametrize("value", ["", " ", None, 5, "\ud800"], ids=short)
async def test_required_text(name: str, value: Any) -> None:
    """Required fields of a payment are texts that are not empty."""
    await refused("payments.create", {name: value}, name)


@pytest.mark.parametrize(
    "name",
    [
        "client_id",
        "site_id",
        "redirect_url",
        "blockchain_slug",
        "product_id",
        "settlement_currency_code",
    ],
)
async def test_optional_text(name: str) -> None:
    """Optional fields must be texts too."""
    await refused("payments.create", {name: 5}, name)


@pytest.mark.parametrize(
    "moment",
    [
        datetime.fromisoformat("2026-03-15"),
        "2026-03-15T12:00:00",
        "tomorrow",
        "",
        1773576000,
        datetime(2026, 3, 15, tzinfo=UTC).date(),
    ],
    ids=short,
)
async def test_an_expiry_without_a_zone(moment: Any) -> None:
    """A time without a zone is ambiguous."""
    await refused("payments.create", {"expires_at": moment}, "expires_at")


async def test_a_missing_client_id() -> None:
    """A payment needs an application or a site, from the client or the call."""
    await refused("payments.create", {}, "client_id", client_id=None)


@pytest.mark.parametrize("operation", ["payments.get", "payments.instructions", "payments.methods"])
@pytest.mark.parametrize("payment_id", ["", "..", "a/b", "a?b", "a%2fb", "a b", None, 5], ids=short)
async def test_an_id_that_would_change_the_path(operation: str, payment_id: Any) -> None:
    """An id becomes one segment of the path and nothing else."""
    await refused(operation, {"payment_id": payment_id}, "payment_id")


@pytest.mark.parametrize(
    ("operation", "argument"),
    [
        ("payments.instructions", "provider"),
        ("payments.instructions", "method"),
        ("applications.get", "application_id"),
    ],
)
async def test_other_parts_of_a_path(operation: str, argument: str) -> None:
    """Other path arguments have the same rule."""
    await refused(operation, {argument: "../.."}, argument)


@pytest.mark.parametrize("name", ["ab", "", "x" * 256, None, 5], ids=short)
async def test_the_name_of_an_application(name: Any) -> None:
    """The name of an application has 3 to 255 characters."""
    await refused("applications.create", {"name": name}, "name")


async def test_names_at_the_bounds() -> None:
    """Names of 3 and of 255 characters are valid, with any characters."""
    async with (
        RawServer(http_response(BY_NAME["applications.create"].response)) as server,
        client(server.url) as gateway,
    ):
        for name in ("abc", "äöü", "x" * 255):
            await sample_call(gateway, "applications.create", name=name)
    assert [request.json["name"] for request in server.requests] == ["abc", "äöü", "x" * 255]


@pytest.mark.parametrize(
    ("changes", "argument"),
    [
        ({"secret": ""}, "secret"),
        ({"secret": None}, "secret"),
        ({"secret": b"bytes"}, "secret"),
        ({"url": 5}, "url"),
        ({"callback_url": ""}, "callback_url"),
        ({"currency_whitelist": "BTC"}, "currency_whitelist"),
        ({"currency_whitelist": ["BTC", ""]}, "currency_whitelist[1]"),
        ({"allow_underpay": 1}, "allow_underpay"),
        ({"allow_overpay": "yes"}, "allow_overpay"),
    ],
    ids=short,
)
async def test_an_invalid_application(changes: dict[str, Any], argument: str) -> None:
    """Each field has its documented type."""
    await refused("applications.create", changes, argument)


@pytest.mark.parametrize(
    ("changes", "argument"),
    [
        ({"blockchain_address": None}, "blockchain_address"),
        (BANK, "blockchain_address"),
        ({"bank_name": "B"}, "blockchain_address"),
        *[({"blockchain_address": None, **BANK, missing: None}, missing) for missing in BANK],
        ({"blockchain_address": None, "bank_code": "C"}, "bank_name"),
        ({"blockchain_address": ""}, "blockchain_address"),
        ({"blockchain_address": None, **BANK, "bank_account_holder": " "}, "bank_account_holder"),
        ({"payment_id": ""}, "payment_id"),
        ({"payment_id": None}, "payment_id"),
    ],
    ids=short,
)
async def test_a_refund_to_no_or_two_destinations(changes: dict[str, Any], argument: str) -> None:
    """A refund needs either an address or complete bank fields."""
    await refused("refunds.create", changes, argument)


@pytest.mark.parametrize(
    "operation", [sample.name for sample in SAMPLES if not sample.name.startswith("payments.")]
)
async def test_a_client_token_is_the_wrong_kind(operation: str) -> None:
    """Applications and refunds require an OAuth2 token, regardless of the client token's scopes."""
    for scopes in (None, ["*"]):
        error = await refused(operation, {}, "oauth_token", oauth_token=None, scopes=scopes)
        assert "a client token does not suffice" in str(error)


@pytest.mark.parametrize(
    "operation", [sample.name for sample in SAMPLES if sample.name.startswith("payments.")]
)
async def test_a_missing_token(operation: str) -> None:
    """Without any token, the error for payments names the client token."""
    await refused(operation, {}, "client_token", oauth_token=None, client_token=None)


@pytest.mark.parametrize(
    ("operation", "scopes"),
    [
        ("payments.create", []),
        ("payments.create", ["payments.get", "payments.user-instructions.get"]),
        ("payments.get", ["payments.create"]),
        ("payments.instructions", ("payments.get",)),
        ("payments.create", ("payments", "payments.*", "Payments.create")),
    ],
    ids=short,
)
async def test_a_scope_that_the_token_lacks(operation: str, scopes: Any) -> None:
    """With `scopes` given, a missing scope is an error, even if another token is present."""
    error = await refused(operation, {}, "scopes", scopes=scopes)
    assert "a client token with the scope payments." in str(error)


# --- settings ---


@pytest.mark.parametrize("kind", ["client_token", "oauth_token"])
@pytest.mark.parametrize("token", ["", "a\nb", " secret", b"secret", 5], ids=short)
def test_a_token_that_is_not_a_valid_header(kind: str, token: Any) -> None:
    """The constructor names the argument and not the token."""
    with pytest.raises(ConfigurationError, match=kind) as caught:
        Gateway(base_url="https://api.yourdomain.com", **{kind: token})
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("secret", ["", b"secret", 5], ids=short)
def test_an_invalid_webhook_secret(secret: Any) -> None:
    """The constructor refuses the secret, before the first webhook arrives."""
    with pytest.raises(ConfigurationError, match="webhook secret"):
        Gateway(base_url="https://api.yourdomain.com", webhook_secret=secret)


@pytest.mark.parametrize("scopes", ["payments.create", [1], 5], ids=short)
def test_invalid_scopes(scopes: Any) -> None:
    """A text is not a collection of scopes."""
    with pytest.raises(ConfigurationError, match="scopes"):
        Gateway(base_url="https://api.yourdomain.com", scopes=scopes)


@pytest.mark.parametrize(
    ("url", "text"),
    [
        ("http://api.yourdomain.com", "plain http"),
        ("https://user:password@api.yourdomain.com", "no user name"),
        ("api.yourdomain.com", "http or https"),
        ("https://api.yourdomain.com/?x=1", "such as /api"),
        (None, "must be a string"),
    ],
)
def test_a_base_url_that_endangers_tokens(url: Any, text: str) -> None:
    """The other client refuses the same URLs."""
    with pytest.raises(ConfigurationError, match=text):
        Gateway(base_url=url)


@pytest.mark.parametrize(
    "settings",
    [
        {"timeout": 0},
        {"retry": 3},
        {"rate_limit": 5},
        {"middleware": [1]},
        {"max_connections": 0},
        {"proxy": "x"},
        {"client_id": 5},
        {"client_id": ""},
    ],
    ids=short,
)
def test_other_settings(settings: dict[str, Any]) -> None:
    """Settings of both clients are checked in both."""
    with pytest.raises(ConfigurationError, match=next(iter(settings))):
        Gateway(base_url="https://api.yourdomain.com", **settings)
