"""Reference data: networks, tokens, prices, plans and the contract integration of the documents.

Assumption: all rows but the samples' own (USDC on Base, the first three plans, the counter program)
are invented, or from the vendor's pricing page. Prices never change, and a token has the same
decimals on every network.
"""

from __future__ import annotations

import attrs

REQUIRED_CONFIRMATIONS = 12

PRICES = {
    "USDC": "1.000000000000000000",
    "ETH": "3200.000000000000000000",
    "SOL": "160.000000000000000000",
    "BTC": "90000.000000000000000000",
}
GATEWAY_CURRENCIES = ["BTC", "ETH", "USDT"]
TOKEN_NAMES = {"USDC": "USD Coin", "ETH": "Ether", "SOL": "Solana", "BTC": "Bitcoin"}
DECIMALS = {"USDC": 6, "ETH": 18, "SOL": 9, "BTC": 8}


@attrs.frozen
class Network:
    """Network, and the tokens on it with their contract addresses (None for a chain's own coin)."""

    id: str
    name: str
    chain: str
    type: str
    tokens: dict[str, str | None]
    active: bool = True


NETWORKS = {
    network.id: network
    for network in (
        Network(
            "base-mainnet",
            "Base Mainnet",
            "eth",
            "mainnet",
            {"USDC": "0x833589fCD6EDb6E08f4c7C32D4f71b54bdA02913", "ETH": None},
        ),
        Network(
            "bnb-mainnet",
            "BNB Smart Chain",
            "eth",
            "mainnet",
            {"USDC": "0x8AC76a51cc950d9822D68b83fE1Ad97B32Cd580d"},
        ),
        Network(
            "sol-mainnet",
            "Solana Mainnet",
            "sol",
            "mainnet",
            {"USDC": "EPjFWdd5AufqSSqeM2qN1xzybapC8G4wEGGkZwyTDt1v", "SOL": None},
        ),
        Network("btc-mainnet", "Bitcoin Mainnet", "btc", "mainnet", {"BTC": None}),
        Network(
            "base-sepolia",
            "Base Sepolia",
            "eth",
            "testnet",
            {"USDC": "0x036CbD53842c5426634e7929541eC2318f3dCF7e"},
            active=False,
        ),
    )
}


def find_network(token: str, chain: str, network_id: str | None) -> Network | None:
    """Return the active network of an asset: the named one, or the chain's first."""
    for network in NETWORKS.values():
        if (
            network.active
            and network.chain == chain
            and token in network.tokens
            and network_id in (None, network.id)
        ):
            return network
    return None


PLANS: dict[str, dict[str, object]] = {
    "FREE": {
        "code": "FREE",
        "name": "Free",
        "tier": "FREE",
        "monthlyBaseFeeUsd": "0.000000000000",
        "annualEligible": False,
        "annualBaseFeeUsd": None,
        "annualDiscountPercent": None,
        "invoiceFeeRate": "0.0095000000",
        "payoutApiWithdrawalQuota": 0,
    },
    "STARTUP": {
        "code": "STARTUP",
        "name": "Startup",
        "tier": "STARTUP",
        "monthlyBaseFeeUsd": "19.000000000000",
        "invoiceFeeRate": "0.0070000000",
        "payoutApiWithdrawalQuota": 100,
    },
    "GROWTH": {
        "code": "GROWTH",
        "name": "Growth",
        "tier": "GROWTH",
        "monthlyBaseFeeUsd": "99.000000000000",
        "annualEligible": False,
        "annualBaseFeeUsd": None,
        "annualDiscountPercent": None,
        "introMonthlyFeeUsd": None,
        "introCycles": 0,
        "invoiceFeeRate": "0.0055000000",
        "payoutApiWithdrawalQuota": 1000,
    },
    "SCALE": {
        "code": "SCALE",
        "name": "Scale",
        "tier": "SCALE",
        "monthlyBaseFeeUsd": "499.000000000000",
        "invoiceFeeRate": "0.0035000000",
        "payoutApiWithdrawalQuota": 10000,
    },
}
# The documents contradict each other: the sample of plans marks GROWTH as not annual, every other
# page marks only GROWTH as annual.
ANNUAL_FEES = {"GROWTH": "1069.200000000000"}

CONTRACT_INTEGRATION: dict[str, object] = {
    "id": "int_123",
    "businessId": "biz_123",
    "name": "Counter program",
    "chain": "sol",
    "interfaceType": "anchor_idl",
    "networkId": "sol-devnet",
    "contractAddress": "11111111111111111111111111111111",
    "programId": "11111111111111111111111111111111",
    "abiHash": "idl_hash_123",
    "status": "active",
    "turnkeySmartContractInterfaceId": None,
    "turnkeyLastSyncedAt": None,
    "turnkeySyncError": None,
    "availableWriteOperations": [
        {
            "operationKind": "solana_instruction",
            "name": "increment",
            "signature": "increment",
            "selector": "0102030405060708",
            "stateMutability": "nonpayable",
            "inputs": [{"name": "amount", "type": "u32"}],
            "outputs": [],
        }
    ],
    "availableQueryOperations": [
        {
            "operationKind": "solana_account_query",
            "name": "counterAccount",
            "signature": "account:counterAccount",
            "selector": "0807060504030201",
            "stateMutability": "view",
            "inputs": [{"name": "address", "type": "pubkey"}],
            "outputs": [{"name": "count", "type": "u32"}],
        }
    ],
}

CONTRACT_POLICY: dict[str, object] = {
    "allowedNetworkIds": ["bnb-mainnet"],
    "allowedContractAddresses": ["0x00000000000000000000000000000000000000aa"],
    "allowedFunctionSignatures": ["buyTokens(uint256)", "sellTokens(uint256)"],
}
