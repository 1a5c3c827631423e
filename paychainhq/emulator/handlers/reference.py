"""Prices, networks, assets, tokens, contract integrations: read-only data."""

from __future__ import annotations

from paychainhq.emulator import catalog
from paychainhq.emulator.catalog import NETWORKS, PRICES, Network
from paychainhq.emulator.errors import not_found
from paychainhq.emulator.handlers.call import Call
from paychainhq.emulator.state import iso

_MINIMUMS = {"minimumDepositUsd": "1.00", "dustThresholdUsd": "0.25"}


def list_prices(call: Call) -> object:
    return {"data": [_price(symbol) for symbol in PRICES]}


def get_price(call: Call) -> object:
    symbol = call.path["symbol"]
    if symbol not in PRICES:
        raise not_found("token")
    return {**_price(symbol), "pricedAt": iso(call.state.now()), "ttlMs": 30_000}


def list_networks(call: Call) -> object:
    return {"data": [_network(network) for network in NETWORKS.values() if network.active]}


def list_supported_assets(call: Call) -> object:
    methods = payment_methods(call)
    return {"count": len(methods), "paymentMethods": methods}


def payment_methods(call: Call) -> list[dict[str, object]]:
    """Return the deposit rails, inactive ones on request only."""
    return [
        _payment_method(network)
        for network in NETWORKS.values()
        if network.active or call.query.get("includeInactive")
    ]


def list_tokens(call: Call) -> object:
    return {
        "data": [
            _token(symbol, network)
            for network in NETWORKS.values()
            if network.active
            for symbol in network.tokens
        ]
    }


def list_tokens_by_network(call: Call) -> object:
    network = NETWORKS.get(call.path["network_id"])
    if network is None:
        raise not_found("network")
    return {"data": [_token(symbol, network) for symbol in network.tokens]}


def get_token(call: Call) -> object:
    """Return one token.

    Assumption: the token on the first network that has it, since the response holds one network.
    """
    symbol = call.path["symbol"]
    for network in NETWORKS.values():
        if symbol in network.tokens:
            return {**_token(symbol, network), "contractAddress": network.tokens[symbol]}
    raise not_found("token")


def list_contract_integrations(call: Call) -> object:
    return {"data": [catalog.CONTRACT_INTEGRATION]}


def _price(symbol: str) -> dict[str, object]:
    return {"symbol": symbol, "usd": PRICES[symbol], "source": "emulator", "stale": False}


def _network(network: Network) -> dict[str, object]:
    return {
        "networkId": network.id,
        "name": network.name,
        "chain": network.chain,
        "type": network.type.upper(),
        "isActive": network.active,
        "depositEnabled": network.active,
        **_MINIMUMS,
        "supportedTokens": _rail_tokens(network),
    }


def _payment_method(network: Network) -> dict[str, object]:
    return {
        "networkId": network.id,
        "networkName": network.name,
        "displayName": network.name,
        "chain": network.chain,
        "chainFamily": network.chain,
        "networkType": network.type,
        "status": "active" if network.active else "inactive",
        "depositEnabled": network.active,
        "customerPermanentAddresses": network.chain != "btc",
        "requiredConfirmations": catalog.REQUIRED_CONFIRMATIONS,
        **_MINIMUMS,
        "tokens": _rail_tokens(network),
    }


def _rail_tokens(network: Network) -> list[dict[str, object]]:
    return [
        {
            "symbol": symbol,
            "name": catalog.TOKEN_NAMES[symbol],
            "contractAddress": contract,
            "decimals": catalog.DECIMALS[symbol],
            "depositEnabled": network.active,
        }
        for symbol, contract in network.tokens.items()
    ]


def _token(symbol: str, network: Network) -> dict[str, object]:
    return {
        "symbol": symbol,
        "name": catalog.TOKEN_NAMES[symbol],
        "chain": network.chain,
        "networkId": network.id,
        "decimals": catalog.DECIMALS[symbol],
        "isActive": network.active,
    }
