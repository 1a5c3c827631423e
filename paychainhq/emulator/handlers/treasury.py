"""Balances and withdrawal quotes. The emulator executes no withdrawals, so balances only grow."""

from __future__ import annotations

from fractions import Fraction

from paychainhq.emulator import catalog, money
from paychainhq.emulator.errors import refuse_field
from paychainhq.emulator.handlers.call import Call
from paychainhq.emulator.state import iso

# Assumption: the figures of the documents' sample are the balance before the first invoice is paid.
_OPENING = {("eth", "base-mainnet", "USDC"): 149_750_000}
_RESERVED = {("eth", "base-mainnet", "USDC"): 250_000}
_TREASURY_USD = Fraction("220")
_AVAILABLE_USD = Fraction("760.5")
_ADDRESSES = 8
_COST_USD = Fraction("2.34")
_SWEEPS = 3


def balances(call: Call) -> object:
    """Return the opening balances plus the amounts of settled invoices."""
    totals = dict(_OPENING)
    rows = call.state.all(
        "SELECT chain, network_id, invoices.token, decimals, amount, count(*) AS number FROM "
        "invoices JOIN payments ON invoice_id = invoices.id"
        " WHERE status IN ('paid', 'overpaid') AND payments.token = invoices.token"
        " GROUP BY chain, network_id, invoices.token, decimals, amount"
    )
    for row in rows:
        asset = (row["chain"], row["network_id"], row["token"])
        raw = row["number"] * money.to_raw(row["amount"], row["decimals"])
        totals[asset] = totals.get(asset, 0) + raw
    return {
        "data": [
            {
                "chain": chain,
                "networkId": network_id,
                "token": token,
                "available": money.display(raw, catalog.DECIMALS[token]),
                "withdrawable": money.display(
                    raw - _RESERVED.get((chain, network_id, token), 0), catalog.DECIMALS[token]
                ),
            }
            for (chain, network_id, token), raw in totals.items()
        ]
    }


def total(call: Call) -> object:
    row = call.state.get(
        "SELECT count(*) AS open, min(expires_at) AS next FROM invoices WHERE status IN "
        "('pending', 'confirming', 'partially_paid')"
    )
    return {
        "openInvoiceCount": row["open"],
        "inFlightWithdrawalCount": 0,
        "nextOpenInvoiceExpiryAt": iso(row["next"]),
    }


def quote(call: Call) -> object:
    """Quote a withdrawal from a treasury that never changes."""
    token, chain = call.query["token"], call.query["chain"]
    network = catalog.find_network(token, chain, call.query.get("networkId"))
    if network is None:
        refuse_field("token", f"{token} cannot be withdrawn on {chain}")
    requested = Fraction(call.query["amount"]) * Fraction(catalog.PRICES[token])
    feasible = requested <= _AVAILABLE_USD
    sweep = feasible and (requested > _TREASURY_USD or call.query.get("forceSweepAll", False))
    return {
        "requestedAmountUSD": money.json_number(requested),
        "token": token,
        "chain": chain,
        "networkId": network.id,
        "treasuryBalanceUSD": money.json_number(_TREASURY_USD),
        "totalAvailableUSD": money.json_number(_AVAILABLE_USD),
        "addressesWithFunds": _ADDRESSES,
        "sweepNeeded": sweep,
        "recommended": "exact" if feasible else "none",
        "message": _message(feasible, sweep),
        "options": [
            {
                "type": "exact_withdrawal",
                "label": "Withdraw Exact Amount",
                "payoutUSD": money.json_number(requested),
                "sweepCount": _SWEEPS if sweep else 0,
                "totalCostUSD": money.json_number(_COST_USD),
                "feePercent": money.json_number(round(_COST_USD / requested * 100, 2)),
                "available": feasible,
            }
        ],
    }


def _message(feasible: bool, sweep: bool) -> str:
    if not feasible:
        return "Cannot fulfill withdrawal"
    return (
        f"Withdrawal feasible. Will sweep {_SWEEPS} address(es) first."
        if sweep
        else "Withdrawal feasible."
    )
