"""Payment URIs, which a wallet opens with recipient, token and amount filled in.

Source: BIP 21 (Bitcoin), EIP-681 (networks of the Ethereum family), the specification of Solana
Pay.
"""

from __future__ import annotations

import re
from decimal import Decimal
from fractions import Fraction
from typing import NoReturn

import attrs

from paychainhq.errors import InvalidArgumentError
from paychainhq.models.chains import Chain, SupportedToken
from paychainhq.models.tokens import Token


@attrs.frozen
class _Network:
    """Public network: its own coin with its decimals, and its EIP-155 chain id if it has one."""

    coin: str
    decimals: int
    chain_id: int | None = None


# Assumption: no document gives chain ids. These are the public networks that the names of the
# documents suggest. A test network of Solana is not here: its URIs would be paid on the main one.
_NETWORKS = {
    "btc-mainnet": _Network("BTC", 8),
    "sol-mainnet": _Network("SOL", 9),
    "base-mainnet": _Network("ETH", 18, 8453),
    "bnb-mainnet": _Network("BNB", 18, 56),
    "base-sepolia": _Network("ETH", 18, 84532),
}
_EVM = (Chain.ETH, "evm")  # another public page has the second name
_ADDRESSES = {
    Chain.BTC: re.compile(r"[A-Za-z0-9]{14,90}"),
    Chain.SOL: re.compile(r"[1-9A-HJ-NP-Za-km-z]{32,44}"),
    Chain.ETH: re.compile(r"0x[0-9A-Fa-f]{40}"),
}


@attrs.frozen(kw_only=True)
class Payable:
    """Facts of an invoice that its payment URI consists of."""

    address: str | None
    chain: str | None
    network_id: str | None
    symbol: str | None
    decimals: int | None
    display: Decimal


def payment_uri(
    payable: Payable, token: Token | SupportedToken | None, chain_id: int | None
) -> str:
    """Return the URI, or raise `InvalidArgumentError` if any part of it would be a guess."""
    chain = Chain.ETH if payable.chain in _EVM else payable.chain
    network = _NETWORKS.get(payable.network_id or "")
    if chain is None or chain not in _ADDRESSES:
        _refuse("chain", f"there is no payment URI for the chain {payable.chain}")
    if network is None and (chain != Chain.ETH or chain_id is None):
        hint = ": pass its chain_id" if chain == Chain.ETH else ""
        _refuse("network_id", f"the network {payable.network_id} is not known{hint}")
    if network is not None and (network.chain_id is None) is (chain == Chain.ETH):
        _refuse("network_id", f"{payable.network_id} is not a network of the chain {chain}")
    address = _address(chain, "deposit_address", payable.address)
    contract, decimals = _token(payable, token, network)
    if contract is not None:
        contract = _address(chain, "token", contract)
    shown, raw = _amount(payable.display, decimals)
    if chain != Chain.ETH:
        scheme = "bitcoin" if chain == Chain.BTC else "solana"
        mint = "" if contract is None else f"&spl-token={contract}"
        return f"{scheme}:{address}?amount={shown}{mint}"
    number = _chain_id(chain_id, network)
    if contract is None:
        return f"ethereum:{address}@{number}?value={raw}"
    return f"ethereum:{contract}@{number}/transfer?address={address}&uint256={raw}"


def _token(
    payable: Payable, token: Token | SupportedToken | None, network: _Network | None
) -> tuple[str | None, int]:
    """Return the contract of the invoice's token, None for the network's coin, and its decimals."""
    symbol = payable.symbol
    if token is not None and token.symbol != symbol:
        _refuse("token", f"the invoice is in {symbol}, not in {token.symbol}")
    given = token.network_id if isinstance(token, Token) else None
    if given not in (None, payable.network_id):
        _refuse("token", f"the token is the one of {given}, not of {payable.network_id}")
    contract = None if token is None else token.contract_address
    is_coin = network is not None and network.coin == symbol
    if contract is None and not is_coin:
        _refuse("token", f"{symbol} is paid through a contract: pass the token with its contract")
    if contract is not None and is_coin:
        _refuse("token", f"{symbol} is the coin of {payable.network_id}, which has no contract")
    known = [
        decimals
        for decimals in (
            payable.decimals,
            None if token is None else token.decimals,
            network.decimals if network is not None and is_coin else None,
        )
        if decimals is not None
    ]
    if not known:
        _refuse("token", f"the decimals of {symbol} are not known: pass the token")
    if len(set(known)) > 1:
        _refuse("token", f"the decimals of {symbol} are contradictory: {known}")
    return contract, known[0]


def _amount(display: Decimal, decimals: int) -> tuple[str, int]:
    """Return an amount in display units without an exponent, and in the smallest unit."""
    raw = Fraction(display) * 10**decimals
    if raw <= 0:
        _refuse("amount", f"the amount must be more than zero, not {display:f}")
    if raw.denominator != 1:
        _refuse("amount", f"{display:f} has more than {decimals} decimal places")
    return f"{display:f}", int(raw)


def _chain_id(given: int | None, network: _Network | None) -> int:
    known = None if network is None else network.chain_id
    if given is None:
        assert known is not None  # otherwise the network was refused
        return known
    if isinstance(given, bool) or not isinstance(given, int) or given < 1:
        _refuse("chain_id", f"chain_id must be an int of 1 or more, not {given!r}")
    if known not in (None, given):
        _refuse("chain_id", f"the chain id of this network is {known}, not {given}")
    return given


def _address(chain: str, argument: str, address: str | None) -> str:
    if address is None or not _ADDRESSES[Chain(chain)].fullmatch(address):
        _refuse(argument, f"{address!r} is not an address of the chain {chain}")
    return address


def _refuse(argument: str, message: str) -> NoReturn:
    raise InvalidArgumentError(f"no payment URI: {message}", argument=argument)
