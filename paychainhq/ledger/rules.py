"""Rules of an entry: a table from states and events to changes.

`begin` is an event with the entry's fingerprint and credential, `success` (a 2xx) one with its
fingerprint, and `refusal` (any other definite answer) one with its fingerprint and attempt. The
events that end in `_other` differ from the entry in one of these.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal

import attrs

from paychainhq.ledger.base import Answer, Entry, Intent, State

Event = Literal["begin", "begin_other", "success", "success_other", "refusal", "refusal_other"]
Change = Literal["none", "start", "take_over", "answer"]

RULES: Mapping[tuple[State | None, Event], tuple[State | None, Change]] = MappingProxyType(
    {
        (None, "begin"): ("unfinished", "start"),
        (None, "success"): (None, "none"),
        (None, "refusal"): (None, "none"),
        ("unfinished", "begin"): ("unfinished", "take_over"),
        ("unfinished", "begin_other"): ("unfinished", "none"),
        ("unfinished", "success"): ("finished", "answer"),
        ("unfinished", "success_other"): ("unfinished", "none"),
        ("unfinished", "refusal"): ("refused", "answer"),
        ("unfinished", "refusal_other"): ("unfinished", "none"),
        ("refused", "begin"): ("unfinished", "start"),
        ("refused", "begin_other"): ("unfinished", "start"),
        ("refused", "success"): ("finished", "answer"),
        ("refused", "success_other"): ("refused", "none"),
        ("refused", "refusal"): ("refused", "none"),
        ("refused", "refusal_other"): ("refused", "none"),
        ("finished", "begin"): ("finished", "none"),
        ("finished", "begin_other"): ("finished", "none"),
        ("finished", "success"): ("finished", "none"),
        ("finished", "success_other"): ("finished", "none"),
        ("finished", "refusal"): ("finished", "none"),
        ("finished", "refusal_other"): ("finished", "none"),
    }
)
"""New state and change, by the state of an entry (None without an entry) and an event."""


def event_of(entry: Entry | None, intent: Intent, answer: Answer | None = None) -> Event:
    """Return the event of an intent, or of the answer to one, for an entry."""
    same_body = entry is None or entry.fingerprint == intent.fingerprint
    if answer is None:
        return (
            "begin"
            if entry is None or (same_body and entry.credential == intent.credential)
            else "begin_other"
        )
    if answer.state == "finished":
        return "success" if same_body else "success_other"
    return (
        "refusal"
        if entry is None or (same_body and entry.attempt == intent.attempt)
        else "refusal_other"
    )


def change_of(entry: Entry | None, intent: Intent, answer: Answer | None = None) -> Change:
    """Return the change of an entry by an intent, or by the answer to one."""
    return RULES[None if entry is None else entry.state, event_of(entry, intent, answer)][1]


def changed(entry: Entry | None, intent: Intent, answer: Answer | None, now: float) -> Entry | None:
    """Return the entry after an intent, or after the answer to one.

    Args:
        entry: The entry before, or None.
        intent: The intent.
        answer: The answer to it, or None.
        now: The time in seconds since 1970.
    """
    change = change_of(entry, intent, answer)
    if change == "start":
        return Entry(
            intent.operation,
            intent.key,
            intent.fingerprint,
            now,
            None,
            intent.credential,
            intent.attempt,
        )
    if entry is not None and change == "take_over":
        return attrs.evolve(entry, attempt=intent.attempt)
    if entry is not None and change == "answer":
        return attrs.evolve(entry, answer=answer)
    return entry
