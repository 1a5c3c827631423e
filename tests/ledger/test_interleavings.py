"""All interleavings of three clients with one key, against a server that crashes and refuses.

Responses are lost or late as well. The clients follow the rules of a ledger only, so the result
holds for every ledger that follows the table.
"""

from __future__ import annotations

import asyncio
import itertools
import sys
from collections.abc import Iterator
from typing import Any, Literal

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from paychainhq.ledger import Answer, Entry, Intent, SQLiteLedger, rules
from paychainhq.ledger.contract.parts import CREATE
from paychainhq.ledger.rules import change_of, changed

KEY = "order-7"
DONE, REFUSED, MISMATCH = Answer(201, None, b""), Answer(401, None, b""), Answer(409, None, b"")

Where = Literal["idle", "began", "in flight", "answered", "ended"]


@attrs.frozen(cache_hash=True)
class Client:
    """A program that makes one call, and may be started again after it has ended.

    Attributes:
        body: The fingerprint of its request.
        credential: The key of its request.
        runs: The number of starts that are left.
        where: Its progress.
        may_refuse: Whether a refusal is definite, since no earlier attempt can have been received.
        reply: The response in transit, or None.
    """

    body: str
    credential: str
    runs: int
    where: Where = "idle"
    may_refuse: bool = False
    reply: Answer | None = None


@attrs.frozen(cache_hash=True)
class World:
    """Clients, the entry of the ledger, and the server.

    Attributes:
        clients: The clients.
        entry: The entry of the key.
        orders: Credential and body of each order that the server has made for the key.
        strays: Body and credential of each abandoned request that may still reach the server.
    """

    clients: tuple[Client, ...]
    entry: Entry | None = None
    orders: frozenset[tuple[str, str]] = frozenset()
    strays: frozenset[tuple[str, str]] = frozenset()


LedgerCall = tuple[Intent, Answer | None]
Step = tuple[LedgerCall | None, World]
"""The call of the ledger, if any, and the world afterwards."""


def served(world: World, body: str, credential: str) -> Iterator[tuple[World, Answer]]:
    """Yield the server's possible responses: a refusal, or the one of its record of the key."""
    known = dict(world.orders).get(credential)
    yield world, REFUSED  # a revoked credential, independent of the past
    if known is None:
        yield attrs.evolve(world, orders=world.orders | {(credential, body)}), DONE
    else:
        yield world, DONE if known == body else MISMATCH


def moved(world: World, number: int, **changes: Any) -> World:
    """Return the world with one client changed."""
    clients = list(world.clients)
    clients[number] = attrs.evolve(clients[number], **changes)
    return attrs.evolve(world, clients=tuple(clients))


def following(world: World) -> Iterator[Step]:
    """Yield each step that one client, or a stray request, can take next."""
    for number, client in enumerate(world.clients):
        intent = Intent(CREATE, KEY, client.body, client.credential, f"{number}.{client.runs}")
        ended = moved(world, number, where="ended", reply=None, may_refuse=False)
        if client.where == "idle":
            found = world.entry
            is_new = found is None or found.state == "refused"
            goes_on = is_new or change_of(found, intent) == "take_over"
            after = moved(world, number, where="began", may_refuse=is_new) if goes_on else ended
            yield (intent, None), attrs.evolve(after, entry=changed(found, intent, None, 0.0))
        elif client.where == "began":
            yield None, moved(world, number, where="in flight")
            yield None, ended  # a crash before it is sent
        elif client.where == "in flight":
            for after, reply in served(world, client.body, client.credential):
                yield None, moved(after, number, where="answered", reply=reply)
            strays = world.strays | {(client.body, client.credential)}
            yield None, attrs.evolve(ended, strays=strays)  # a crash
            again = moved(world, number, where="began", may_refuse=False)
            yield (
                None,
                attrs.evolve(again, strays=strays),
            )  # a lost connection, after which the call retries
        elif client.where == "answered":
            if records(client):
                yield (
                    (intent, client.reply),
                    attrs.evolve(ended, entry=changed(world.entry, intent, client.reply, 0.0)),
                )
            yield None, ended  # a crash before it is recorded, or a lost response
        elif client.runs > 1:
            yield None, moved(world, number, where="idle", runs=client.runs - 1)
    for body, credential in world.strays:
        for after, _ in served(world, body, credential):
            yield None, attrs.evolve(after, strays=world.strays - {(body, credential)})


def records(client: Client) -> bool:
    """Return whether a client records its response: a success, or a definite refusal."""
    return client.reply is DONE or (client.reply is REFUSED and client.may_refuse)


def problem(before: World, after: World) -> str:
    """Return the rule that a step breaks, or nothing."""
    entry = after.entry
    if len(after.orders) > 1:
        return "the order was made twice"
    if before.entry is not None and before.entry.state == "finished" and entry != before.entry:
        return "a finished entry was lost or replaced"
    if (
        entry is not None
        and entry.state == "finished"
        and entry.fingerprint not in dict(after.orders).values()
    ):
        return "an entry is finished without its order"
    if entry is not None and entry.state == "refused" and (after.orders or after.strays):
        return "an entry is refused, and its order may have been made"
    for one, other in zip(before.clients, after.clients, strict=True):
        found = before.entry
        if (
            one.where == "idle"
            and other.where == "began"
            and found is not None
            and found.state == "unfinished"
        ):
            if found.credential != one.credential:
                return "an unfinished entry was sent under another credential"
            if found.fingerprint != one.body:
                return "an unfinished entry was sent with another body"
    return ""


def explore(start: World) -> int:
    """Explore every world that follows from one; return their number."""
    seen, waiting = {start}, [start]
    while waiting:
        world = waiting.pop()
        for _, after in following(world):
            if after not in seen:
                wrong = problem(world, after)
                assert not wrong, (wrong, world, after)
                seen.add(after)
                waiting.append(after)
    return len(seen)


def start(bodies: tuple[str, ...], credentials: tuple[str, ...], runs: tuple[int, ...]) -> World:
    return World(tuple(Client(*given) for given in zip(bodies, credentials, runs, strict=True)))


# Bodies and credentials of the three clients: one permutation of each is enough, since the clients
# differ in nothing else.
BODIES = [("f", "f", "f"), ("f", "f", "g"), ("f", "g", "f"), ("f", "g", "g")]
CREDENTIALS = [("c", "c", "c"), ("c", "c", "d")]
SCENES = list(itertools.product(BODIES, CREDENTIALS))


def test_all_interleavings() -> None:
    """In any order of events, no order is made twice, and no finished entry is lost or replaced.

    Bounds: three clients that make one call each under one key, the first of which is started again
    once after it has ended; two bodies and two credentials, in eight scenes. At each step a client
    may crash, and a request or a response be lost; a lost request may still reach the server at any
    later time, and a call retries a lost request any number of times. The server refuses a request
    at any time, or goes by its own record of the key, which belongs to the credential. These are
    21,566 worlds.
    """
    counts = [explore(start(bodies, credentials, (2, 1, 1))) for bodies, credentials in SCENES]
    assert sum(counts) == 21_566


@pytest.mark.parametrize(
    ("row", "broken", "found"),
    [
        (("finished", "refusal_other"), ("refused", "answer"), "lost or replaced"),
        (("unfinished", "refusal_other"), ("refused", "answer"), "may have been made"),
        (("unfinished", "begin_other"), ("unfinished", "take_over"), "another"),
    ],
)
def test_a_broken_rule_is_found(
    row: Any, broken: Any, found: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Control: with one row of the table changed, some interleaving does harm."""
    monkeypatch.setattr(rules, "RULES", {**rules.RULES, row: broken})
    assert any(found in text for text in problems_found())


def test_a_client_that_records_any_refusal_is_found(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Control: a refusal does not settle an earlier attempt that may have been received."""
    monkeypatch.setattr(
        sys.modules[__name__], "records", lambda client: client.reply in (DONE, REFUSED)
    )
    assert any("may have been made" in text for text in problems_found())


def problems_found() -> list[str]:
    problems = []
    for bodies, credentials in SCENES:
        try:
            explore(start(bodies, credentials, (1, 1, 1)))
        except AssertionError as error:
            problems.append(str(error))
    return problems


@given(scene=st.sampled_from(SCENES), choices=st.lists(st.integers(0, 10**6), max_size=40))
@settings(max_examples=60, deadline=None)
def test_a_file_has_the_entries_of_the_model(
    scene: Any, choices: list[int], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """An SQLite ledger has the model's entry along sampled paths; each client starts twice."""

    async def walk(ledger: SQLiteLedger) -> None:
        bodies, credentials = scene
        world = start(bodies, credentials, (2, 2, 2))
        for choice in choices:
            steps = list(following(world))
            if not steps:
                break
            call, after = steps[choice % len(steps)]
            assert problem(world, after) == ""
            if call is not None:
                intent, answer = call
                if answer is None:
                    found = await ledger.begin(intent)
                    known = (
                        None
                        if world.entry is None or world.entry.state == "refused"
                        else world.entry
                    )
                    assert timeless(found) == timeless(known)
                else:
                    await ledger.finish(intent, answer)
            assert [timeless(entry) for entry in ledger.entries()] == [timeless(after.entry)] * (
                after.entry is not None
            )
            world = after

    with SQLiteLedger(tmp_path_factory.mktemp("walk") / "ledger.db") as ledger:
        asyncio.run(walk(ledger))


def timeless(entry: Entry | None) -> Entry | None:
    return entry and attrs.evolve(entry, started_at=0.0)
