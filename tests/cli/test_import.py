"""Commands `invoices import` and `invoices watch`, in this process."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from paychainhq import Progress
from paychainhq.cli.progress import ProgressDisplay
from paychainhq.emulator import Emulator
from tests.cli.conftest import Command

HEAD = "Order;reference;amount;token;chain;metadata.till;expires_in"
BAD = f"""\
{HEAD}
a;o-1;10.50;USDC;eth;7;3600

b;o-2;1E+05;USDC;eth;;
c;o-3;5;USDC;doge coin;;3600s
;;;;;;
d;o-1;5;USDC;eth;;
e;o-5;5;USDC;eth;;;extra
f;;5;USDC;eth;;
g;o-7;5;USDC;eth;;
"""


@pytest.fixture
def bad(tmp_path: Path) -> Path:
    path = tmp_path / "bad.csv"
    path.write_bytes(b"\xef\xbb\xbf" + BAD.encode() + b"h;o-8;5;USDC;eth;\xe9t\xe9;\r\n")
    return path


def results(path: Path) -> dict[int, dict[str, Any]]:
    lines = path.with_name(f"{path.name}.results.jsonl").read_text().splitlines()
    found = {result["line"]: result for result in map(json.loads, lines)}
    assert len(found) == len(lines)
    return found


def test_bad_rows_are_named_and_the_good_ones_created(
    emulator: Emulator, command: Command, bad: Path
) -> None:
    """Each row has one result, and a refused one its line, its column and a correction."""
    arguments = ("invoices", "import", str(bad), "--map", "Order=description")
    checked = command(*arguments, "--dry-run")
    assert (checked.code, checked.out) == (5, "")
    assert "2 rows are valid, 6 are not" in checked.err
    assert f"{bad}:4, column amount: amount must be a plain decimal number" in checked.err
    assert f"{bad}:5, column expires_in: expires_in must be a whole number" in checked.err
    assert f"{bad}:7, column reference: reference is that of line 2" in checked.err
    assert f"{bad}:8: row has 8 cells, the header has 7" in checked.err
    assert f"{bad}:9, column reference: reference is missing" in checked.err
    assert f"{bad}:11, column metadata.till: metadata.till is not text in UTF-8" in checked.err
    assert len(command("invoices", "list").json["data"]) == 1, "nothing was sent"

    done = command(*arguments)
    assert (done.code, done.out) == (5, "")
    assert "2 invoices, 6 rows refused, 0 unknown" in done.err
    found = results(bad)
    assert {line: result["ok"] for line, result in found.items()} == {
        2: True, 4: False, 5: False, 7: False, 8: False, 9: False, 10: True, 11: False,
    }  # fmt: skip
    assert found[4]["error"]["sent"] == "no"
    assert command(*arguments).code == 5
    assert results(bad)[2]["result"]["id"] == found[2]["result"]["id"]
    assert len(command("invoices", "list").json["data"]) == 3


@pytest.mark.parametrize(
    ("head", "options", "message"),
    [
        ("reference,amuont", (), "perhaps amount?"),
        ("amount,token", (), "--map COLUMN=reference"),
        ("reference,amount", ("--map", "Sum=amount"), "there is no column 'Sum'"),
        ("reference,amount", ("--map", "amount"), "has no '='"),
        ("reference,amount", ("--set", "colour=red"), "unknown field 'colour'"),
        ("reference,amount,total", ("--map", "total=amount"), "two columns are amount"),
    ],
)
def test_wrong_columns(
    emulator: Emulator,
    command: Command,
    tmp_path: Path,
    head: str,
    options: tuple[str, ...],
    message: str,
) -> None:
    """A wrong header or mapping is an error of usage, before anything is sent."""
    path = tmp_path / "orders.csv"
    path.write_text(f"{head}\no-1,5\n")
    done = command("invoices", "import", str(path), *options)
    assert done.code == 2
    assert message in done.err
    assert list(tmp_path.iterdir()) == [path]


def test_constants_metadata_and_results_on_standard_output(
    emulator: Emulator, command: Command, tmp_path: Path
) -> None:
    """`--set` fills empty cells; the refusals of the server are results too."""
    path = tmp_path / "orders.csv"
    path.write_text('reference,token,metadata\no-1,,"{""a"":1}"\no-2,NOPE,\no-3,,[]\n')
    sets = [f"--set={pair}" for pair in ("amount=5", "chain=eth", "token=USDC", "expires_in=60")]
    ledger = tmp_path / "book.db"
    done = command(
        "invoices", "import", str(path), *sets, "--results", "-", "--ledger", str(ledger),
        "--concurrency", "2",
    )  # fmt: skip
    assert done.code == 5
    assert {line["line"]: line["ok"] for line in done.lines} == {2: True, 3: False, 4: False}
    assert ledger.exists()
    (emulated,) = [r for r in emulator.requests if "o-1" in str(r.body) or "'a'" in str(r.body)]
    assert emulated.operation == "invoices.create"


def test_a_file_that_cannot_be_written(
    emulator: Emulator, command: Command, tmp_path: Path
) -> None:
    """An unusable path is an error with a message, and nothing is sent."""
    path = tmp_path / "orders.csv"
    path.write_text("reference,amount,token,chain\no-1,5,USDC,eth\n")
    done = command("invoices", "import", str(path), "--results", str(tmp_path / "no" / "results"))
    assert done.code == 1
    assert "No such file" in done.err
    assert list(emulator.requests) == []


def test_unknown_outcomes(emulator: Emulator, command: Command, tmp_path: Path) -> None:
    """Rows whose outcome nobody knows end with 3; the next run creates each exactly once."""
    path = tmp_path / "orders.csv"
    path.write_text("reference,amount,token,chain\no-1,5,USDC,eth\n")
    emulator.fault("invoices.create", "drop", times=1000)
    lost = command("invoices", "import", str(path), "--give-up-after", "0.5")
    assert lost.code == 3
    assert "run the same command again" in lost.err
    emulator.clear_faults()
    assert command("invoices", "import", str(path)).code == 0
    assert len(command("invoices", "list").json["data"]) == 2


def test_wrong_settings_end_the_job(
    emulator: Emulator, command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A refused key, or a missing business, ends with 4."""
    path = tmp_path / "orders.csv"
    path.write_text("reference,amount,token,chain\no-1,5,USDC,eth\n")
    monkeypatch.setenv("PAYCHAIN_API_KEY", "pk_live_wrong")
    assert command("invoices", "import", str(path)).code == 4
    monkeypatch.delenv("PAYCHAIN_BUSINESS_ID")
    assert command("invoices", "import", str(path)).code == 4


def test_progress_in_lines(capsys: pytest.CaptureFixture[str]) -> None:
    """Without a terminal, progress is a line each ten seconds, with rate and time left."""
    with ProgressDisplay(100) as display:
        for elapsed in range(1, 26):
            display(Progress(elapsed, 1, 4, float(elapsed), 100))
    assert capsys.readouterr().err.splitlines() == [
        "11 of 100: 10 created, 1 failed, 1/s, 81 s left",
        "21 of 100: 20 created, 1 failed, 1/s, 75 s left",
    ]


def test_progress_as_a_bar(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A terminal has a bar, unless NO_COLOR or CI is set."""
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    monkeypatch.delenv("CI", raising=False)
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    with ProgressDisplay(100) as display:
        display(Progress(50, 0, 4, 1.0, 100))
    assert "50/100" in capsys.readouterr().err
    monkeypatch.setenv("NO_COLOR", "1")
    with ProgressDisplay(100) as display:
        display(Progress(50, 0, 4, 1.0, 100))
    assert capsys.readouterr().err == ""


def test_watch(
    emulator: Emulator, command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Changes are JSON lines, or lines of text; a state continues; unreadable ids end with 5."""
    state = str(tmp_path / "watch.json")
    late = command("invoices", "watch", "--status", "pending", "--timeout", "3", "--state", state)
    assert late.code == 1
    assert [line["current"] for line in late.lines] == ["pending"]
    emulator.pay("inv_123")
    emulator.confirm("inv_123")
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    done = command("invoices", "watch", "--state", state, "--interval", "0.1")
    assert done.code == 0
    assert "inv_123  pending -> paid" in done.out
    assert command("invoices", "watch", "inv_no", "--interval", "0.1").code == 5
    (tmp_path / "watch.json").write_text("?")
    assert command("invoices", "watch", "--state", state).code == 1
