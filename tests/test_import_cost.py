"""Imports: the client's name is cheap, and its first call loads nothing that blocks a loop."""

from __future__ import annotations

import subprocess
import sys

HEAVY = [
    "aiohttp",
    "anyio",
    "cattrs",
    "orjson",
    "psycopg",
    "asyncio",
    "ssl",
    "paychainhq._http.sender",
    "paychainhq.gateway",
    "paychainhq.models.invoices",
    "paychainhq.emulator.server",
]


def loaded(*lines: str) -> set[str]:
    """Return the heavy modules that a fresh interpreter has loaded after these lines."""
    script = "\n".join(
        [*lines, "import sys", f"print(*[name for name in {HEAVY} if name in sys.modules])"]
    )
    return set(
        subprocess.run(
            [sys.executable, "-c", script], check=True, capture_output=True, text=True
        ).stdout.split()
    )


def test_control() -> None:
    """Control: an imported module is found."""
    assert "orjson" in loaded("import orjson")


def test_name() -> None:
    """Importing the client's name loads neither the transport nor the models nor the emulator."""
    assert loaded("from paychainhq import PayChainHQ, RetryPolicy, errors") == set()


def test_constructor() -> None:
    """The constructor loads the transport, so that the first call does not block a loop."""
    assert {"aiohttp", "ssl", "paychainhq._http.sender"} <= loaded(
        "from paychainhq import PayChainHQ", "PayChainHQ()"
    )


def test_gateway() -> None:
    """The gateway is loaded only when it is used, and loads no invoices."""
    assert "paychainhq.gateway" not in loaded(
        "import paychainhq_sync", "paychainhq_sync.PayChainHQ().close()"
    )
    of_gateway = loaded("from paychainhq.gateway import Gateway", "Gateway(base_url='https://x')")
    assert {"paychainhq.gateway", "paychainhq._http.sender"} <= of_gateway
    of_webhooks = loaded(
        "from paychainhq.gateway.webhooks import Receiver",
        "from paychainhq_sync.gateway.webhooks import Receiver",
    )
    assert "paychainhq.models.invoices" not in of_gateway | of_webhooks


def test_anyio() -> None:
    """Only the async receivers of webhooks load anyio."""
    others = ["import paychainhq_sync.webhooks, paychainhq.webhooks, paychainhq.emulator.emulator"]
    others += [
        "import paychainhq, paychainhq_sync, paychainhq.gateway.webhooks",
        "import paychainhq_sync.gateway.webhooks",
        "paychainhq_sync.PayChainHQ().close()",
    ]
    assert "anyio" not in loaded(*others)
    for package in ("paychainhq.webhooks", "paychainhq.gateway.webhooks"):
        assert "anyio" in loaded(f"from {package} import Receiver")


def test_cattrs() -> None:
    """Only the codec loads cattrs: neither a package's name nor the emulator nor the plugin."""
    others = ["from paychainhq import PayChainHQ, InvoiceRequest", "import paychainhq_sync"]
    others += ["import paychainhq.emulator, paychainhq.emulator.pytest_plugin"]
    assert "cattrs" not in loaded(*others)
    assert "cattrs" in loaded("import paychainhq.codec")


def test_psycopg() -> None:
    """Only a `PostgresLedger` loads psycopg."""
    others = ["import paychainhq, paychainhq_sync.ledger, paychainhq.webhooks"]
    others += ["from paychainhq.ledger import PostgresLedger, Claims", "PostgresLedger.migration()"]
    assert "psycopg" not in loaded(*others)
    assert "psycopg" in loaded(*others, "PostgresLedger('')")


def test_emulator_and_plugin() -> None:
    """The emulator's package and the pytest plugin load nothing heavy before their use."""
    assert loaded("import paychainhq.emulator") == set()
    assert loaded("import paychainhq.emulator.pytest_plugin") <= {"asyncio", "ssl"}
