"""Patched clocks in users' tests: decoding works, even for the first time in a fresh process."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap

import pytest

from tests.support.samples import DOCUMENTED

DECODE = """
def decode_all():
    import json
    from paychainhq import codec
    from tests.support.samples import SAMPLES
    for sample in SAMPLES:
        assert codec.to_json(codec.decode(sample.type, json.dumps(sample.response).encode())) == sample.response, sample.operation

def check_types():
    from paychainhq import codec, models
    data = {"id": "a", "status": "pending", "amount": "1.5", "expiresAt": "2026-03-15T13:00:00.000Z"}
    invoice = codec.from_json(models.Invoice, data)
    assert type(invoice.expires_at) is REAL[0], type(invoice.expires_at)
    assert type(invoice.amount.display) is REAL[1]
    return invoice
"""  # noqa: E501

FREEZE = "with freezegun.freeze_time('2026-01-01'):"
TRAVEL = "with time_machine.travel('2026-01-01T00:00:00Z', tick=False):"


def run(program: str) -> None:
    """Run a program in a process of its own."""
    start = "import datetime, decimal\nREAL = [datetime.datetime, decimal.Decimal]\n"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", start + DECODE + textwrap.dedent(program)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(("module", "frozen"), [("freezegun", FREEZE), ("time_machine", TRAVEL)])
@pytest.mark.parametrize("imported", ["before", "within"])
@pytest.mark.parametrize("decoded", ["within", "after"])
def test_first_decoding_at_a_frozen_time(
    module: str, frozen: str, imported: str, decoded: str
) -> None:
    """Results are right, and of Python's types, for any place of import and first decoding."""
    load = "from paychainhq import codec, models"
    run(
        f"""
        import {module}
        {load if imported == "before" else ""}
        {frozen}
            {load if imported == "within" else "pass"}
            {"decode_all()" if decoded == "within" else "pass"}
            {"invoice = check_types()" if decoded == "within" else "pass"}
            {"assert invoice.effective_status() == 'pending'" if decoded == "within" else "pass"}
        decode_all()
        assert check_types().effective_status() == 'expired'
        """
    )


@pytest.mark.parametrize(
    "stand_in", ["type('Fixed', (datetime.datetime,), {})", "unittest.mock.MagicMock()", "None"]
)
def test_first_decoding_with_a_patched_name(stand_in: str) -> None:
    """Results are right also if a test replaced a name in a model's module."""
    run(
        f"""
        import unittest.mock
        import paychainhq.models.invoices, paychainhq.models.prices, paychainhq.models.balances
        fixed = {stand_in}
        for module in (paychainhq.models.invoices, paychainhq.models.prices, paychainhq.models.balances):
            for name in {{"datetime", "Decimal"}} & set(vars(module)):
                setattr(module, name, fixed)
        decode_all()
        check_types()
        """  # noqa: E501
    )


@pytest.mark.parametrize("kind", ["async", "sync"])
def test_first_call_at_a_frozen_time(kind: str) -> None:
    """A call at a frozen time returns its result."""
    body = json.dumps(
        next(sample.response for sample in DOCUMENTED if sample.operation == "invoices.create")
    )
    make = {
        "async": """
            async def main():
                async with paychainhq.PayChainHQ(api_key="k", business_id="b", base_url=url) as pay:
                    return await pay.invoices.create("150", "USDC", "eth")
            with freezegun.freeze_time("2026-01-01", real_asyncio=True):
                invoice = asyncio.run(main())
        """,
        "sync": """
            with freezegun.freeze_time("2026-01-01", real_asyncio=True):
                with paychainhq_sync.PayChainHQ(api_key="k", business_id="b", base_url=url) as pay:
                    invoice = pay.invoices.create("150", "USDC", "eth")
        """,
    }[kind]
    run(
        f"""
import asyncio, http.server, threading, freezegun, paychainhq, paychainhq_sync

class Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        body = {body!r}.encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *args): pass

server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
threading.Thread(target=server.serve_forever, daemon=True).start()
url = f"http://127.0.0.1:{{server.server_port}}"
{textwrap.dedent(make)}
assert type(invoice.expires_at) is REAL[0]
server.shutdown()
server.server_close()
"""
    )
