"""Commands of operations: output, exit codes, keys, confirmation."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from paychainhq.cli._table import ROWS
from paychainhq.emulator import PAYOUT_KEY, Emulator
from paychainhq.operations import OPERATIONS
from tests.cli.conftest import Command
from tests.support.raw_server import load_tool

CREATE = ("invoices", "create", "--amount", "19.90", "--token", "USDC", "--chain", "eth")


def test_each_operation_is_a_command(command: Command) -> None:
    """The help of each operation names its arguments."""
    assert [row.name for row in ROWS] == list(OPERATIONS)
    for row in ROWS:
        done = command(*row.name.replace("_", "-").split("."), "--help")
        assert done.code == 0
        for parameter in row.parameters:
            name = parameter.name if parameter.positional else f"--{parameter.name}"
            wanted = name.upper() if parameter.positional else name.replace("_", "-")
            assert wanted in done.out


def test_the_table_is_up_to_date(monkeypatch: pytest.MonkeyPatch) -> None:
    """The committed table is the output of its generator."""
    monkeypatch.syspath_prepend(Path(__file__).parents[2] / "tools")
    tool = load_tool("generate_cli")
    assert tool.TARGET.read_text() == tool.table()


def test_an_invoice_is_created_read_and_listed(emulator: Emulator, command: Command) -> None:
    """Results are JSON without a terminal; `--fields` selects, `--all` writes lines."""
    made = command(*CREATE, "--metadata", '{"order": 17}')
    assert (made.code, made.err) == (0, "")
    assert made.json["amount"]["display"] == "19.9"
    read = command("invoices", "get", made.json["id"], "--fields", "id,status")
    assert read.json == {"id": made.json["id"], "status": "pending"}
    listed = command("invoices", "list", "--limit", "1", "--all", "--fields", "id")
    assert {"id": made.json["id"]} in listed.lines
    assert len(command("invoices", "list").json["data"]) == len(listed.lines)
    assert command("businesses", "lookup", "biz_123", "--json").json["id"] == "biz_123"
    assert command("supported-assets", "list", "--include-inactive").code == 0


def test_text_on_a_terminal(
    emulator: Emulator, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A terminal shows one field a line, or one item a line; `--json` is JSON."""
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    shown = command("invoices", "get", "inv_123").out
    assert re.search(r"^status +pending$", shown, re.MULTILINE)
    assert re.search(r"^amount +150 USDC$", shown, re.MULTILINE)
    assert command("invoices", "list").out.startswith("inv_123  pending")
    assert command("invoices", "list", "--fields", "status").out == "pending\n"
    assert command("invoices", "get", "inv_123", "--json").json["id"] == "inv_123"


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("invoices", "get", "inv_nothing"), 1, "request id: req_"),
        ((*CREATE[:3], "1E+05", *CREATE[4:]), 1, "must be a plain decimal number"),
        (("invoices", "create"), 2, "Missing option '--amount'"),
        (("invoices", "created"), 2, "No such command"),
        ((*CREATE, "--metadata", "{"), 2, "no valid JSON"),
        (("invoices", "update-status", "inv_123", "--status", "paid"), 2, "--yes"),
        (("api-keys", "list"), 4, "PAYCHAIN_DASHBOARD_HEADERS"),
    ],
)  # fmt: skip
def test_exit_codes(
    emulator: Emulator, command: Command, arguments: tuple[str, ...], code: int, message: str
) -> None:
    """The exit code classifies the error, whose message is on standard error."""
    done = command(*arguments)
    assert (done.code, done.out) == (code, "")
    assert message in done.err


def test_the_key_of_an_unknown_outcome_is_printed(emulator: Emulator, command: Command) -> None:
    """Dropped connections end with 3; the printed key creates the invoice exactly once."""
    emulator.fault("invoices.create", "drop", times=20)
    lost = command(*CREATE)
    assert lost.code == 3
    key = re.search(r"--idempotency-key (\w+)", lost.err)
    assert key is not None
    emulator.clear_faults()
    assert command(*CREATE, "--idempotency-key", key[1]).code == 0
    assert len(command("invoices", "list", "--limit", "100").json["data"]) == 2
    emulator.fault("invoices.get", "drop", times=20)
    assert command("invoices", "get", "inv_123").code == 1


def test_keys_come_from_variables_and_files(
    emulator: Emulator, command: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A wrong or missing key ends with 4; a file replaces a variable; no output has the key."""
    monkeypatch.setenv("PAYCHAIN_API_KEY", "pk_live_wrong")
    wrong = command("invoices", "list")
    assert wrong.code == 4
    assert "pk_live_wrong" not in wrong.out + wrong.err
    monkeypatch.delenv("PAYCHAIN_API_KEY")
    missing = command("invoices", "list")
    assert missing.code == 4
    assert "PAYCHAIN_API_KEY" in missing.err
    assert command("networks", "list").code == 0, "public operations need no key"
    (tmp_path / "key").write_text("pk_live_your_business_key\n")
    monkeypatch.setenv("PAYCHAIN_API_KEY_FILE", str(tmp_path / "key"))
    assert command("invoices", "list").code == 0


def test_no_option_takes_a_secret() -> None:
    """No command has an option or an argument for a key, a token of access or a password."""
    names = {parameter.name for row in ROWS for parameter in row.parameters}
    assert not {name for name in names if re.search("secret|password|api_key|session", name)}


def test_a_new_key_is_written_to_a_file_only(
    emulator: Emulator, command: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The file is new and readable by its owner only; a failed creation leaves none."""
    monkeypatch.setenv("PAYCHAIN_DASHBOARD_HEADERS", json.dumps(dict(emulator.dashboard.headers)))
    path = tmp_path / "new-key"
    create = ("api-keys", "create", "--name", "till", "--key-file", str(path))
    done = command(*create, "--permissions", "invoices:*")
    assert (done.code, done.json["apiKey"]) == (0, "***")
    assert path.stat().st_mode & 0o777 == 0o600
    key = path.read_text()
    assert key.startswith("biz_live_")
    assert key not in done.out + done.err
    assert command(*create).code == 2
    path.unlink()
    assert command(*create, "--permissions", "*").code == 1
    assert not path.exists()
    assert command("api-keys", "revoke", done.json["id"], "--yes").code == 0
    monkeypatch.setenv("PAYCHAIN_DASHBOARD_HEADERS", "[]")
    assert command(*create).code == 4


def test_requests_without_a_model(
    emulator: Emulator, command: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """`request` sends JSON of a file, and needs --yes for a DELETE."""
    body = tmp_path / "body.json"
    body.write_text(json.dumps({"amount": "5", "token": "USDC", "chain": "eth"}))
    path = "/api/v1/businesses/biz_123/invoices"
    made = command("request", "POST", path, "--data", f"@{body}", "--idempotency-key", "k1")
    assert (made.code, made.json["status"]) == (0, "pending")
    assert command("request", "GET", "/api/v1/networks", "--auth", "none").code == 0
    assert command("request", "DELETE", f"{path}/{made.json['id']}").code == 2
    assert command("request", "DELETE", f"{path}/{made.json['id']}", "--yes").code == 0
    monkeypatch.setenv("PAYCHAIN_PAYOUT_KEY", PAYOUT_KEY)
    assert command("request", "GET", "/api/v1/nothing", "--auth", "payout_key").code == 1
    emulator.fault("*", "drop", times=20)
    lost = command("request", "POST", path, "--data", f"@{body}")
    assert lost.code == 3
    assert "no idempotency key" in lost.err


def test_completion(command: Command) -> None:
    """Each shell has a script."""
    for shell in ("bash", "zsh", "fish"):
        assert "_PAYCHAINHQ_COMPLETE" in command("completion", shell).out
