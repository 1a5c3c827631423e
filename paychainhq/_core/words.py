"""Check of known words, such as chains and statuses: a text that resembles one gets a warning."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable
from functools import cache, lru_cache

from paychainhq._core.validators import Check, text

_LONGEST_WORD = 40


def word(known: Callable[[], Iterable[str]], **others: str) -> Check:
    """Return a check of a text that warns once of one that resembles a known word.

    Args:
        known: A function that returns the known words.
        others: Names that users know, and the known words that they stand for.
    """
    words = cache(lambda: frozenset(known()))

    def check(name: str, value: object) -> str:
        if type(value) is str and value in words():
            return value
        value = text(name, value)
        if value not in words():
            near = others.get(value.casefold()) or _nearest(value, words())
            if near is not None:
                _warn(f"{name} {value!r} is not a known one: did you mean {near!r}?")
        return value

    return check


@lru_cache(256)
def _warn(message: str) -> None:
    warnings.warn(message, UserWarning, stacklevel=2)


@lru_cache(256)
def _nearest(value: str, words: frozenset[str]) -> str | None:
    """Return the word that differs from a text by case, or by one or two letters, or None.

    Texts of four letters may differ by one, shorter ones by none: other chains have such names.
    """
    value = value.casefold()
    if len(value) > _LONGEST_WORD:
        return None
    most = min(max(len(value) - 3, 0), 2)
    distance, near = min((_distance(value, word.casefold()), str(word)) for word in words)
    return near if distance <= most else None


def _distance(one: str, other: str) -> int:
    """Return the number of letters to insert, delete or replace between two texts."""
    row = list(range(len(other) + 1))
    for i, a in enumerate(one, 1):
        diagonal, row[0] = row[0], i
        for j, b in enumerate(other, 1):
            diagonal, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, diagonal + (a != b))
    return row[-1]
