"""Fixtures of the command line: an emulator in the variables, and the command in this process."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import pytest

from paychainhq import PayChainHQ, RetryPolicy
from paychainhq.cli import app
from paychainhq.emulator import API_KEY, BUSINESS_ID, Emulator


class Done(NamedTuple):
    """Exit code and output of a command."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def lines(self) -> list[Any]:
        return [json.loads(line) for line in self.out.splitlines()]


Command = Callable[..., Done]


@pytest.fixture
def emulator(monkeypatch: pytest.MonkeyPatch) -> Iterator[Emulator]:
    for name in list(os.environ):
        if name.startswith(("PAYCHAIN", "SSL")) or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    with Emulator() as emulator:
        fast = RetryPolicy(first=0.001, cap=0.01)
        defaults = PayChainHQ.__init__.__kwdefaults__
        assert defaults is not None
        monkeypatch.setitem(defaults, "retry", fast)
        monkeypatch.setenv("PAYCHAIN_API_URL", emulator.url)
        monkeypatch.setenv("PAYCHAIN_API_KEY", API_KEY)
        monkeypatch.setenv("PAYCHAIN_BUSINESS_ID", BUSINESS_ID)
        yield emulator


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str]) -> Command:
    """Return the function that runs a command in this process."""

    def run(*arguments: str) -> Done:
        capsys.readouterr()
        code = app.run(arguments)
        return Done(code, *capsys.readouterr())

    return run
