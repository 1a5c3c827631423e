"""Benchmarks: their parts work, and their report follows from the measurements."""

from __future__ import annotations

import asyncio
import io
import socket
import ssl
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import orjson
import pytest

from benchmarks import comparison, decoding, imports, measure, memory, parts, polling, server, work
from benchmarks.bars import BARS, Bar
from benchmarks.figures import figures
from benchmarks.peers import PEERS
from benchmarks.report import report
from benchmarks.slices import Spread

BAR = Bar("Time", "creating: create / aiohttp @16", bar=1.1, aim=0.9)


@pytest.fixture(scope="module")
def targets() -> Iterator[tuple[work.Target, work.Target]]:
    with server.running(open_invoices=250) as found:
        yield found


# --- the server ---


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "TLS"])
def test_server_reads_requests_in_pieces(
    targets: tuple[work.Target, work.Target], *, tls: bool
) -> None:
    """A request may come in pieces, with the next one right behind it; each gets a response."""
    body = b'{"amount":"1"}'
    post = b"POST %b HTTP/1.1\r\nContent-Type: a\r\ncontent-length: %d\r\n\r\n%b" % (
        work.INVOICES.encode(),
        len(body),
        body,
    )
    get = b"GET /api/v1/businesses/invoices/inv_7 HTTP/1.1\r\n\r\n"
    address = urlsplit(targets[tls].url)
    with socket.create_connection((address.hostname, address.port)) as raw:
        context = ssl.create_default_context(cafile=targets[1].cafile)
        connection = context.wrap_socket(raw, server_hostname="localhost") if tls else raw
        with connection, connection.makefile("rb") as responses:
            for piece in (post[:20], post[20:-4], post[-4:] + get):
                connection.sendall(piece)
            found = [read_response(responses) for _ in range(2)]
    assert found == [work.ANSWER, work.READ | {"id": "inv_7"}]


def read_response(responses: io.BufferedReader) -> object:
    """Read one response from a stream."""
    length = 0
    while (line := responses.readline()) != b"\r\n":
        if line.startswith(b"Content-Length: "):
            length = int(line[16:])
    return orjson.loads(responses.read(length))


async def test_server_pages(targets: tuple[work.Target, work.Target]) -> None:
    """The list has all open invoices once, in pages of at most 100, and no other invoice."""
    from benchmarks.peers.paychainhq_async import client

    async with client(targets[0]) as pay:
        assert [invoice.id async for invoice in pay.invoices.list(status="pending", limit=100)] == [
            f"inv_{n}" for n in range(250)
        ]
        page = await pay.invoices.list(status="confirming", limit=1000)
    assert page.items == ()
    assert page.pagination is not None
    assert (page.pagination.limit, page.pagination.has_more) == (100, False)


# --- measurements ---


def test_clients_are_measured() -> None:
    """Each client has a cost and a speed in each round, and single calls have latencies."""
    found = measure.measured(
        ["aiohttp", "create", "create_many", "bare"],
        concurrencies=[2],
        rounds=3,
        seconds=0.01,
        timed=True,
    )
    assert set(found) == {"2"}
    assert set(found["2"]) == {"aiohttp", "create", "create_many", "bare"}
    for series in found["2"].values():
        assert len(series["cpu_us"]) == len(series["per_second"]) == 3
        assert min(series["cpu_us"]) > 0
    assert set(found["2"]["create"]["latency_ms"]) == {"50", "90", "99"}
    assert "latency_ms" not in found["2"]["create_many"]
    assert "create_many " in measure.table(found, "aiohttp")


def test_over_tls_and_uvloop() -> None:
    """The same clients run over TLS and on uvloop."""
    found = measure.measured(
        ["aiohttp", "create", "bare"],
        concurrencies=[2],
        rounds=1,
        seconds=0.01,
        tls=True,
        uvloop=True,
    )
    assert set(found["2"]) == {"aiohttp", "create", "bare"}


def test_the_sync_face_is_measured() -> None:
    """A blocking client is called in the measuring thread."""
    found = measure.measured(["paychainhq_sync"], concurrencies=[1], rounds=1, seconds=0.01)
    assert min(found["1"]["paychainhq_sync"]["cpu_us"]) > 0


def test_a_client_that_is_not_installed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A client that cannot be imported is left out, with a message."""
    monkeypatch.setitem(PEERS, "missing", "no_such_module:opened")
    found = measure.measured(["aiohttp", "missing"], concurrencies=[1], rounds=1, seconds=0.01)
    assert set(found["1"]) == {"aiohttp"}
    assert "missing is left out: No module named" in capsys.readouterr().err


def test_decoding_and_imports_are_measured() -> None:
    """Each sample and each statement has a cost in each round."""
    for costs in decoding.measured(rounds=2, seconds=0.001).values():
        assert [len(costs[way]) for way in ("orjson", "decoded")] == [2, 2]
    assert {
        name: len(costs) for name, costs in imports.measured(rounds=1).items()
    } == dict.fromkeys(imports.STATEMENTS, 1)


async def test_a_long_job_is_sampled(targets: tuple[work.Target, work.Target]) -> None:
    """A job reports its memory and times at intervals, up to its last request."""
    samples = await memory.measured(targets[0], 60, sample_every=20)
    assert [sample["done"] for sample in samples] == [20, 40, 60]
    assert samples[0]["rss_mib"] > 1
    assert samples[0]["elapsed_s"] <= samples[-1]["elapsed_s"]


async def test_a_long_job_with_a_ledger(
    targets: tuple[work.Target, work.Target], tmp_path: Path
) -> None:
    """A job with a ledger leaves its file behind."""
    samples = await memory.measured(targets[0], 40, sample_every=20, ledger=tmp_path / "jobs.db")
    assert len(samples) == 2
    assert (tmp_path / "jobs.db").stat().st_size > 0


def test_polling_is_measured(targets: tuple[work.Target, work.Target]) -> None:
    """Passes over all open invoices by list and by reads are measured, and a watch of them."""
    from benchmarks.peers.paychainhq_async import client

    with asyncio.Runner() as runner:
        pay = client(targets[0])
        found = polling.compared(runner, pay, 250, rounds=2)
        runner.run(pay.close())
        watched = runner.run(polling.watched(targets[0], 250, seconds=0.1))
    assert {way: len(costs) for way, costs in found.items()} == {"list": 2, "reads": 2}
    assert watched["sweeps"] > 0 or watched["reads"] > 0
    assert watched["pages"] < 6  # the paid history would be 25 more


@pytest.mark.parametrize("form", ["long", "short"])
def test_parts_have_the_arguments_of_their_modules(
    form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every part names existing modules and clients, in both forms."""
    commands: list[list[str]] = []

    class Done:
        stdout = '{"found": 1}'

    def note(command: list[str], **_: object) -> Done:
        commands.append(command)
        return Done()

    monkeypatch.setattr("subprocess.run", note)
    assert [part.run(short=form == "short") for part in parts.PARTS] == [{"found": 1}] * len(
        parts.PARTS
    )
    for python, _, module, *arguments in commands:
        assert python == sys.executable
        assert (Path(parts.__file__).parent / f"{module.removeprefix('benchmarks.')}.py").exists()
        if module == "benchmarks.measure":
            assert set(arguments[: arguments.index("--json")]) <= set(PEERS)


# --- evaluation ---

FOUND = {
    "creating": {
        "16": {
            "aiohttp": {"cpu_us": [100.0, 110.0, 100.0], "per_second": [9000, 9000, 9000]},
            "create": {"cpu_us": [120.0, 132.0, 121.0], "per_second": [8000, 8000, 8000]},
            "bare": {"cpu_us": [15.0, 15.0, 15.0], "per_second": [60000, 60000, 60000]},
        }
    },
    "memory": [
        {"done": n * 1000, "rss_mib": 40.0 + n, "elapsed_s": float(n), "cpu_s": float(n)}
        for n in range(1, 101)
    ],
}


def test_ratios_are_taken_round_by_round() -> None:
    """A figure is the median of the ratios of adjacent slices."""
    assert figures(FOUND)[BAR.figure].median == pytest.approx(1.2)


def test_a_long_job_is_judged_from_its_10000th_request() -> None:
    """Growth counts from the 10,000th request on; the last tenth is compared with the first."""
    found = figures(FOUND)
    assert found["memory: MiB from the 10,000th to the last"].median == 90
    assert found["memory: last tenth / first, by elapsed"].median == 1


@pytest.mark.parametrize(
    ("median", "at_least", "verdict"),
    [
        (0.9, False, "aim reached"),
        (1.1, False, "bar met"),
        (1.32, False, "MISSED by 20%"),
        (0.55, True, "MISSED by 50%"),
        (1.2, True, "aim reached"),
    ],
)
def test_verdicts(median: float, at_least: bool, verdict: str) -> None:
    """A figure reaches the aim, meets the bar, or misses it by an amount, in either direction."""
    bar = Bar("Time", "x", bar=1.1, aim=1.15 if at_least else 0.9, at_least=at_least)
    assert bar.verdict(Spread(median, median, median)) == verdict


def test_every_bar_has_a_figure_in_the_long_form() -> None:
    """Every bar has a figure that is measured."""
    series = {"cpu_us": [1.0, 1.0], "per_second": [1, 1]}
    creating = ["aiohttp", "create", "create_many", "create_many+sqlite", "stripe", "openai"]
    group = {number: dict.fromkeys(creating, series) for number in ("16", "64")}
    found = figures(
        {
            **dict.fromkeys(["creating", "uvloop", "tls", "others"], group),
            "telemetry": {"16": dict.fromkeys(parts.TELEMETRY, series)},
            "blocking": {"1": dict.fromkeys(["requests", "paychainhq_sync"], series)},
            "decoding": {"page": {"orjson": [1.0], "decoded": [4.0]}},
            "imports": {name: [1.0] for name in imports.STATEMENTS},
            "polling": {
                "passes": {"10000": {"list": [1.0], "reads": [9.0]}},
                "watched": {
                    count: {"sweeps": 2.0, "pages": 100.0, "cpu_us": 1.0, "bytes": 100.0}
                    for count in ("10000", "100000")
                },
            },
            "memory": FOUND["memory"],
        }
    )
    assert {bar.figure for bar in BARS} <= set(found)


def test_the_comparison_reports_changes() -> None:
    """A clearly higher cost is a regression, a lower one is none, and noise is neither."""
    before = dict.fromkeys(["slower", "faster", "same", "wide"], Spread(0.99, 1.0, 1.01)) | {
        "stripe / create @16": Spread(3.9, 4.0, 4.1)
    }
    now = {
        "slower": Spread(1.19, 1.2, 1.21),
        "faster": Spread(0.79, 0.8, 0.81),
        "same": Spread(1.011, 1.02, 1.03),
        "wide": Spread(1.0, 1.2, 1.4),
        "stripe / create @16": Spread(2.9, 3.0, 3.1),
        "new": Spread(1.0, 2.0, 3.0),
    }
    moved = {change.figure: change.worse for change in comparison.changes(before, now)}
    assert moved == {"slower": True, "faster": False, "stripe / create @16": True}


def test_nothing_committed() -> None:
    """Without committed results the comparison is empty."""
    assert comparison.committed("benchmarks/results/no-such-file.json") is None


def test_the_report() -> None:
    """The report has bars with verdicts, figures of clients, changes, and the server's state."""
    found = figures(FOUND)
    run = {"date": "2026-11-21", "form": "short", "machine": {"python": "3.11.7"}}
    before = {**found, BAR.figure: Spread(0.99, 1.0, 1.01)}
    text = report(run, FOUND, found, comparison.changes(before, found), ["cpu.svg"])
    assert (
        "| `invoices.create`, 16 at once | 1.1 | 0.9 | 1.2 | 1.2 to 1.21 | MISSED by 9% |" in text
    )
    assert "| not measured |" in text
    assert f"- **worse**: {BAR.figure}: 1.000 → 1.200" in text
    assert "| create | 16 | 8,000 | 13% | 97% |" in text
    assert "![cpu.svg](cpu.svg)" in text
    assert "no committed results" in report(run, FOUND, found, None, [])
