"""README's webhook receiver: run as written, served on a socket, and sent real deliveries."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from paychainhq import PayChainHQ
from paychainhq.emulator import API_KEY, BUSINESS_ID, Emulator

README = Path(__file__).parents[2] / "README.md"


def block() -> str:
    """Return the block that makes a receiver."""
    blocks = re.findall(
        r"^```python\n(.*?)^```$", README.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL
    )
    (found,) = [each for each in blocks if "Receiver(secrets=" in each]
    return str(found)


async def test_the_block_receives_a_webhook(
    paychain_emulator: Emulator,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The delivery of a paid invoice is acknowledged, and its handler has run.

    The names of the block are all that keeps its objects alive.
    """
    monkeypatch.chdir(tmp_path)
    async with PayChainHQ(
        api_key=API_KEY, business_id=BUSINESS_ID, base_url=paychain_emulator.url
    ) as pay:
        names: dict[str, Any] = {"__name__": "block", "pay": pay}
        exec(compile(block(), str(README), "exec", dont_inherit=True), names)
        runner = web.AppRunner(names["app"])
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            (secret,) = re.findall(r'secrets="(.+?)"', block())
            paychain_emulator.add_webhook(
                f"http://127.0.0.1:{runner.addresses[0][1]}/webhooks", secret=secret
            )
            invoice = await pay.invoices.create(
                amount="150", token="USDC", chain="eth", network_id="base-mainnet"
            )
            paychain_emulator.pay(invoice.id)
            paychain_emulator.confirm(invoice.id)
            async with asyncio.timeout(30):
                while f"ship {invoice.id}" not in (printed := capsys.readouterr().out):
                    assert not printed
                    await asyncio.sleep(0.02)
                while any(
                    each.status in ("pending", "sending") for each in paychain_emulator.deliveries
                ):
                    await asyncio.sleep(0.02)
        finally:
            await runner.cleanup()
        paid = [
            (each.status, each.attempts)
            for each in paychain_emulator.deliveries
            if each.event_type == "invoice.paid"
        ]
    assert paid == [("delivered", 1)]
