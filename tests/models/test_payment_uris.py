"""Payment URIs: exact amounts, the right recipient, and no guesses."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any

import attrs
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from paychainhq import InvalidArgumentError
from paychainhq.emulator import API_KEY, BUSINESS_ID, Emulator
from paychainhq.models import Amount, Invoice, PublicInvoice, SupportedToken, Token
from tests.support.faces import PayChainHQ

ETH_ADDRESS = "0x" + "aB" * 20
USDC = "0x833589fCD6EDb6E08f4c7C32D4f71b54bdA02913"
SOL_ADDRESS = "8gRLe6GiQx2jo9mQFcbwy34u2W4zD2rN5q4mmD8iP2Mp"
MINT = "EPjFWdd5AufqSSqeM2qN1xzybapC8G4wEGGkZwyTDt1v"
BTC_ADDRESS = "bc1q0123456789abcdef0123456789abcdef01234"
ADDRESSES = {"eth": ETH_ADDRESS, "sol": SOL_ADDRESS, "btc": BTC_ADDRESS}


def invoice(
    amount: str, symbol: str, chain: str, network_id: str | None, decimals: int | None, **more: Any
) -> Invoice:
    value = Amount(
        display=Decimal(amount),
        decimals=decimals,
        symbol=symbol,
        chain=chain,
        network_id=network_id,
    )
    fields = {"deposit_address": ADDRESSES.get(chain), **more}
    return Invoice(id="inv_1", status="pending", amount=value, **fields)


def token(symbol: str, contract: str | None, decimals: int | None, **more: Any) -> Token:
    return Token(symbol=symbol, contract_address=contract, decimals=decimals or 0, **more)


KNOWN: list[tuple[Invoice, Token | SupportedToken | None, str]] = [
    (
        invoice("0.00000001", "BTC", "btc", "btc-mainnet", 8),
        None,
        f"bitcoin:{BTC_ADDRESS}?amount=0.00000001",
    ),
    (
        invoice("24.50", "USDC", "eth", "base-mainnet", 6),
        token("USDC", USDC, 6, network_id="base-mainnet"),
        f"ethereum:{USDC}@8453/transfer?address={ETH_ADDRESS}&uint256=24500000",
    ),
    (
        invoice("1000000", "ETH", "evm", "base-sepolia", 18, deposit_address=ETH_ADDRESS),
        None,
        f"ethereum:{ETH_ADDRESS}@84532?value=1000000000000000000000000",
    ),
    (
        invoice("0.1", "BNB", "eth", "bnb-mainnet", None),
        None,
        f"ethereum:{ETH_ADDRESS}@56?value=100000000000000000",
    ),
    (
        invoice("0.5", "SOL", "sol", "sol-mainnet", 9),
        token("SOL", None, 9),
        f"solana:{SOL_ADDRESS}?amount=0.5",
    ),
    (
        invoice("24.50", "USDC", "sol", "sol-mainnet", None),
        SupportedToken(symbol="USDC", contract_address=MINT, decimals=6),
        f"solana:{SOL_ADDRESS}?amount=24.50&spl-token={MINT}",
    ),
]


@pytest.mark.parametrize(("payable", "coin", "uri"), KNOWN, ids=[uri[:12] for *_, uri in KNOWN])
def test_a_uri(payable: Invoice, coin: Token | SupportedToken | None, uri: str) -> None:
    """The URI has the form of its standard, for an invoice and for its public view."""
    assert payable.payment_uri(coin) == uri
    public = PublicInvoice(
        id="inv_1",
        status="pending",
        amount=payable.amount,
        deposit_address=payable.deposit_address,
    )
    assert public.payment_uri(coin) == uri


def test_the_missing_part() -> None:
    """Another amount replaces the invoice's own."""
    payable, _, _ = KNOWN[0]
    assert payable.payment_uri(amount="0.25").endswith("?amount=0.25")
    assert payable.payment_uri(amount=Decimal("1E+2")).endswith("?amount=100")
    for wrong in ("0", "-1", "1e2", 0.5, True):
        with pytest.raises(InvalidArgumentError, match="amount"):
            payable.payment_uri(amount=wrong)  # type: ignore[arg-type]


def test_a_network_of_the_caller() -> None:
    """A chain id makes the contracts of an unknown network payable, never its coin."""
    payable = invoice("1", "DAI", "eth", "polygon-mainnet", 18)
    dai = token("DAI", USDC, 18)
    assert payable.payment_uri(dai, chain_id=137).startswith(f"ethereum:{USDC}@137/transfer")
    with pytest.raises(InvalidArgumentError, match="pass its chain_id"):
        payable.payment_uri(dai)
    with pytest.raises(InvalidArgumentError, match="contract"):
        invoice("1", "ETH", "eth", "polygon-mainnet", 18).payment_uri(chain_id=137)


REFUSED: dict[str, tuple[Invoice, dict[str, Any]]] = {
    "contract": (invoice("1", "USDC", "eth", "base-mainnet", 6), {}),
    "contract (list)": (
        invoice("1", "USDC", "eth", "base-mainnet", 6),
        {"token": token("USDC", None, 6)},
    ),
    "not in USDT": (
        invoice("1", "USDC", "eth", "base-mainnet", 6),
        {"token": token("USDT", USDC, 6)},
    ),
    "of bnb-mainnet, not of base-mainnet": (
        invoice("1", "USDC", "eth", "base-mainnet", 6),
        {"token": token("USDC", USDC, 6, network_id="bnb-mainnet")},
    ),
    "contradictory": (
        invoice("1", "USDC", "eth", "base-mainnet", 6),
        {"token": token("USDC", USDC, 18)},
    ),
    "has no contract": (
        invoice("1", "ETH", "eth", "base-mainnet", 18),
        {"token": token("ETH", USDC, 18)},
    ),
    "decimals of DAI are not known": (
        invoice("1", "DAI", "eth", "base-mainnet", None),
        {"token": SupportedToken(symbol="DAI", contract_address=USDC)},
    ),
    "more than 6 decimal places": (
        invoice("0.0000001", "USDC", "eth", "base-mainnet", 6),
        {"token": token("USDC", USDC, 6)},
    ),
    "not an address": (
        invoice("1", "ETH", "eth", "base-mainnet", 18, deposit_address=None),
        {},
    ),
    "not an address of the chain btc": (
        invoice("1", "BTC", "btc", "btc-mainnet", 8, deposit_address="bc1q?amount=9&x=1"),
        {},
    ),
    "not an address of the chain eth": (
        invoice("1", "USDC", "eth", "base-mainnet", 6),
        {"token": token("USDC", "0x12", 6)},
    ),
    "network btc-testnet": (invoice("1", "BTC", "btc", "btc-testnet", 8), {}),
    "network None": (invoice("1", "BTC", "btc", None, 8), {"chain_id": 1}),
    "network sol-devnet": (invoice("1", "SOL", "sol", "sol-devnet", 9), {"chain_id": 1}),
    "not a network of the chain eth": (
        invoice("1", "SOL", "eth", "sol-mainnet", 9),
        {"chain_id": 1},
    ),
    "not a network of the chain sol": (invoice("1", "ETH", "sol", "base-mainnet", 9), {}),
    "chain tron": (invoice("1", "TRX", "tron", "tron-mainnet", 6), {"chain_id": 1}),
    "chain id of this network is 8453": (
        invoice("1", "ETH", "eth", "base-mainnet", 18),
        {"chain_id": 1},
    ),
    "int of 1 or more": (invoice("1", "ETH", "eth", "base-mainnet", 18), {"chain_id": True}),
    "more than zero": (invoice("0", "ETH", "eth", "base-mainnet", 18), {}),
}


@pytest.mark.parametrize("reason", REFUSED)
def test_no_part_is_guessed(reason: str) -> None:
    """The error names the missing or contradictory part."""
    payable, arguments = REFUSED[reason]
    with pytest.raises(InvalidArgumentError, match=re.escape(reason.partition(" (")[0])) as raised:
        payable.payment_uri(**arguments)
    assert raised.value.sent == "no"


RAW = st.integers(min_value=1, max_value=10**40)


@given(RAW, st.integers(min_value=0, max_value=30))
def test_every_amount_is_exact(raw: int, decimals: int) -> None:
    """The number in the URI is the raw amount, in units and in smallest units, without exponent."""
    digits = str(raw).rjust(decimals + 1, "0")
    text = f"{digits[: len(digits) - decimals]}.{digits[len(digits) - decimals :]}".rstrip(".")
    display = Decimal(text)
    coin = token("X", USDC, decimals)
    uri = invoice(text, "X", "eth", "base-mainnet", decimals).payment_uri(coin)
    assert uri.rpartition("=")[2] == str(raw)
    mint = attrs.evolve(coin, contract_address=MINT)
    uri = invoice(text, "X", "sol", "sol-mainnet", decimals).payment_uri(mint)
    shown = re.fullmatch(r"solana:\w+\?amount=([0-9]+(?:\.[0-9]+)?)&spl-token=\w+", uri)
    assert shown is not None
    assert Decimal(shown[1]) == display


@given(st.text(max_size=60))
def test_an_address_never_changes_the_uri(text: str) -> None:
    """Text that is not an address of its chain is refused: it could carry parameters."""
    assume(not re.fullmatch("[A-Za-z0-9]+", text))
    for payable, coin, _ in KNOWN:
        with pytest.raises(InvalidArgumentError):
            attrs.evolve(payable, deposit_address=text).payment_uri(coin)


@pytest.mark.usefixtures("face")
async def test_invoices_of_the_api() -> None:
    """Each network and token of the API has a URI, in both faces."""
    schemes = []
    with Emulator() as emulator:
        async with PayChainHQ(
            api_key=API_KEY, business_id=BUSINESS_ID, base_url=emulator.url
        ) as pay:
            for network in await pay.networks.list():
                for coin in network.supported_tokens:
                    made = await pay.invoices.create(
                        "1.5", coin.symbol, network.chain, network_id=network.network_id
                    )
                    uri = made.payment_uri(coin)
                    assert str(made.deposit_address) in uri
                    assert uri == (await pay.invoices.get(made.id)).payment_uri(coin)
                    assert uri == (await pay.invoices.get_public(made.id)).payment_uri(coin)
                    schemes.append(uri.partition(":")[0])
    assert sorted(set(schemes)) == ["bitcoin", "ethereum", "solana"]
