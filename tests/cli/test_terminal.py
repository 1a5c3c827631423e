"""Behaviour on a terminal: prompts, confirmations, help; and the keyring."""

from __future__ import annotations

import subprocess
import sys
from types import SimpleNamespace
from typing import Any

import pytest

from paychainhq import cli
from paychainhq.cli import calls
from paychainhq.emulator import API_KEY, Emulator
from tests.cli.conftest import Command

OVERRIDE = ("invoices", "update-status", "inv_123", "--status", "paid")


def use_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have standard input and the messages on a terminal."""
    monkeypatch.setattr("sys.stdin", SimpleNamespace(isatty=lambda: True))
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)


def test_help_and_version(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """The help lists all groups and commands; `main` exits with the command's code."""
    monkeypatch.setenv("NO_COLOR", "1")
    assert "doctor" in command("--help").out
    assert "import" in command("invoices", "--help").out
    assert command("completion", "--help").code == 0
    monkeypatch.setattr("sys.argv", ["paychainhq", "--version"])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 0


def test_a_hidden_prompt(
    emulator: Emulator, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A missing key is prompted for, hidden; an empty text is none."""
    monkeypatch.delenv("PAYCHAIN_API_KEY")
    use_terminal(monkeypatch)
    monkeypatch.setattr("getpass.getpass", lambda _: API_KEY)
    done = command("invoices", "list")
    assert done.code == 0
    assert API_KEY not in done.out + done.err
    monkeypatch.setattr("getpass.getpass", lambda _: "")
    assert command("invoices", "list").code == 4


def test_the_keyring(emulator: Emulator, command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """A key in the keyring is used if no variable has one; a keyring that fails is none."""
    monkeypatch.delenv("PAYCHAIN_API_KEY")
    stored = {("paychainhq", "PAYCHAIN_API_KEY"): API_KEY}
    keyring: Any = SimpleNamespace(get_password=lambda *names: stored.get(names))
    monkeypatch.setitem(sys.modules, "keyring", keyring)
    assert command("invoices", "list").code == 0
    assert "the keyring" in command("doctor").out
    keyring.get_password = lambda *_: 1 / 0
    assert command("invoices", "list").code == 4


def test_a_confirmation(
    emulator: Emulator, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a yes, nothing is sent."""
    use_terminal(monkeypatch)
    monkeypatch.setattr("click.confirm", lambda *_, **__: False)
    assert command(*OVERRIDE).code == 1
    assert command("request", "DELETE", "/api/v1/x").code == 1
    assert list(emulator.requests) == []
    monkeypatch.setattr("click.confirm", lambda *_, **__: True)
    assert command(*OVERRIDE).code == 0


def test_ctrl_c_at_a_prompt(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """An interrupt outside of a job ends with 130, too."""

    def interrupt(_: object) -> bool:
        raise KeyboardInterrupt

    monkeypatch.setattr(calls, "confirmed", interrupt)
    done = command(*OVERRIDE)
    assert (done.code, done.out, done.err.strip()) == (130, "", "Interrupted.")


def test_a_closed_output() -> None:
    """A reader that has gone ends the command without a traceback."""
    script = f"{sys.executable} -W error -m paychainhq.cli --help | true; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(
        ["bash", "-c", f"trap '' PIPE; {script}"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode in (0, 1), "the output may fit into the pipe before it closes"
    assert done.stderr == ""
