"""Exact amounts: between what people write and the smallest unit of a token, and how much may be missing."""

from __future__ import annotations

from fractions import Fraction

from paychainhq.emulator.state import Row


def to_raw(amount: str, decimals: int) -> int:
    """Turn a display amount into the smallest unit; ValueError if the token does not have that many decimal places."""
    whole, _, places = amount.partition(".")
    places = places.rstrip("0")
    if len(places) > decimals:
        raise ValueError(f"has more than {decimals} decimal places: {amount}")
    return int(whole + places.ljust(decimals, "0"))


def display(raw: int, decimals: int) -> str:
    """Write a raw amount in display units, as short as it can be said exactly."""
    digits = str(raw).rjust(decimals + 1, "0")
    whole, places = digits[: len(digits) - decimals], digits[len(digits) - decimals :].rstrip("0")
    return f"{whole}.{places}" if places else whole


def tolerance_raw(raw: int, decimals: int, bps: int, max_usd: str, price_usd: str) -> int:
    """The largest shortfall that still settles: `bps` of the amount, but no more than `max_usd`; rounded down."""
    cap = Fraction(max_usd) / Fraction(price_usd) * 10**decimals
    return min(raw * bps // 10_000, int(cap))


def percent(part: int, whole: int) -> str:
    """`"99.83"`: rounded down, so that what is not all is never shown as 100."""
    hundredths = part * 10_000 // whole
    return f"{hundredths // 100}.{hundredths % 100:02d}"


def json_number(value: Fraction) -> int | float:
    """A number for the one answer that writes money as JSON numbers, which are exact as far as a float's 15 digits go."""
    return int(value) if value.denominator == 1 else float(value)


def amount(invoice: Row, raw: int) -> dict[str, object]:
    """An amount of an invoice's token, as the documents write it."""
    return {
        "raw": str(raw),
        "decimals": invoice["decimals"],
        "display": display(raw, invoice["decimals"]),
        "symbol": invoice["token"],
        "chain": invoice["chain"],
        "networkId": invoice["network_id"],
    }
