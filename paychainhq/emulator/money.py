"""Exact amounts: conversion between display and smallest units, tolerance, percentages."""

from __future__ import annotations

from fractions import Fraction

from paychainhq.emulator.state import Row


def to_raw(amount: str, decimals: int) -> int:
    """Convert a display amount into the smallest unit.

    Raises:
        ValueError: The amount has more decimal places than the token.
    """
    whole, _, places = amount.partition(".")
    places = places.rstrip("0")
    if len(places) > decimals:
        raise ValueError(f"has more than {decimals} decimal places: {amount}")
    return int(whole + places.ljust(decimals, "0"))


def display(raw: int, decimals: int) -> str:
    """Format a raw amount in display units, exactly and without trailing zeros."""
    digits = str(raw).rjust(decimals + 1, "0")
    whole, places = digits[: len(digits) - decimals], digits[len(digits) - decimals :].rstrip("0")
    return f"{whole}.{places}" if places else whole


def tolerance_raw(raw: int, decimals: int, bps: int, max_usd: str, price_usd: str) -> int:
    """Return the largest accepted shortfall: `bps` of the amount up to `max_usd`, rounded down."""
    cap = Fraction(max_usd) / Fraction(price_usd) * 10**decimals
    return min(raw * bps // 10_000, int(cap))


def percent(part: int, whole: int) -> str:
    """Format a percentage such as `"99.83"`, rounded down: a partial amount never becomes 100."""
    hundredths = part * 10_000 // whole
    return f"{hundredths // 100}.{hundredths % 100:02d}"


def json_number(value: Fraction) -> int | float:
    """Return an amount as a JSON number, exact within the 15 digits of a float.

    One response writes money as JSON numbers.
    """
    return int(value) if value.denominator == 1 else float(value)


def amount(invoice: Row, raw: int) -> dict[str, object]:
    """Return an amount of an invoice's token in the documents' format."""
    return {
        "raw": str(raw),
        "decimals": invoice["decimals"],
        "display": display(raw, invoice["decimals"]),
        "symbol": invoice["token"],
        "chain": invoice["chain"],
        "networkId": invoice["network_id"],
    }
