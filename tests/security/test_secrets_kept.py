"""Secrets at rest: neither a ledger nor a webhook receiver shows them."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

import paychainhq_sync.webhooks
from paychainhq import (
    InvalidArgumentError,
    LedgerError,
    Next,
    Request,
    Response,
    WebhookVerificationError,
    webhooks,
)
from paychainhq.ledger import MemoryLedger, SQLiteLedger
from tests.security.leaks import (
    BEARER,
    CREATED,
    NEW_KEY,
    WEBHOOK_SECRET,
    all_forms,
    all_output,
    make,
    shown,
    traced,
)
from tests.support import faces
from tests.support.calls import CALLS, call
from tests.support.client import INVOICE
from tests.support.raw_server import RawServer, http_response
from tests.webhooks.samples import BODY

pytestmark = pytest.mark.usefixtures("face", "debugging")


async def test_a_ledger_that_fails(tmp_path: Path) -> None:
    """Neither the error before the request nor the warning after it shows a secret."""
    requests: list[Any] = [lambda pay: call(pay, "invoices.create", CALLS["invoices.create"])]
    requests.append(
        lambda pay: pay.request("POST", "/api/v1/new", auth="payout_key", idempotency_key="k")
    )
    with all_output() as said:
        async with RawServer(http_response(INVOICE)) as server:
            for number, request in enumerate(requests):
                ledger = SQLiteLedger(tmp_path / f"{number}.db")

                async def closing(
                    request: Request, send: Next, ledger: SQLiteLedger = ledger
                ) -> Response:
                    response = await send(request)
                    ledger.close()
                    return response

                async with make(server.url, idempotency=ledger, middleware=[closing]) as pay:
                    await request(pay)
                    assert len(server.requests) == number + 1
                    with pytest.raises(LedgerError) as caught:
                        await request(pay)
                    assert (
                        shown(
                            traced(caught.value)
                            + all_forms(caught.value)
                            + repr(vars(caught.value))
                        )
                        == []
                    )
    assert any("was not recorded" in text for text in said)
    assert shown("\n".join(said)) == []


async def test_a_ledger_file(tmp_path: Path) -> None:
    """The file contains responses, but no credential and no operation on API keys."""
    ledger = SQLiteLedger(tmp_path / "jobs.db")
    script = [http_response({**INVOICE, "description": "as-it-came"}), http_response(CREATED)]
    async with RawServer(*script) as server, make(server.url, idempotency=ledger) as pay:
        await call(pay, "invoices.create", CALLS["invoices.create"])
        for name in ("api_keys.create", "api_keys.create_payout", "api_keys.create_contract"):
            assert (await call(pay, name, CALLS[name])).api_key == NEW_KEY
        for path in (
            "/api/v1/businesses/biz_123/api-keys",
            "/api/v1/businesses/biz_123/payout%2dapi-keys",
        ):
            await pay.request(
                "POST",
                path,
                body={},
                auth="dashboard",
                idempotency_key=f"key of {path}".replace(" ", "-"),
            )
        written = b"".join(file.read_bytes() for file in tmp_path.iterdir())
        assert [entry.operation for entry in ledger.entries()] == ["invoices.create"]
    ledger.close()
    written += b"".join(file.read_bytes() for file in tmp_path.iterdir())
    assert b"as-it-came" in written  # the control: responses are stored here
    assert shown(written.decode("latin-1")) == []
    assert b"api_keys" not in written
    assert b"api-keys" not in written
    assert {file.stat().st_mode & 0o777 for file in tmp_path.iterdir()} == {0o600}


async def test_a_receiver_shows_no_secret() -> None:
    """Refusals and failures show neither the secret, the token nor the right signature."""
    package: Any = webhooks if faces.current == "async" else paychainhq_sync.webhooks
    receiver = package.Receiver(
        secrets=[WEBHOOK_SECRET, "old"], bearer=BEARER, max_age=300, ledger=MemoryLedger()
    )
    right = webhooks.sign(BODY, secret=WEBHOOK_SECRET, bearer=BEARER)

    def failing(event: webhooks.Event) -> None:
        raise ZeroDivisionError(event.id)

    async def failing_too(event: webhooks.Event) -> None:
        failing(event)

    receiver.on("invoice.paid")(failing_too if faces.current == "async" else failing)
    changes = {
        "X-Webhook-Signature": "0" * 64,
        "Authorization": f"Bearer {BEARER}x",
        "X-Webhook-Timestamp": "1",
    }
    wrong = [{}, *({**right, name: value} for name, value in changes.items())]
    with all_output() as said:
        for headers in [*wrong, right]:
            given = receiver.receive(BODY, headers)
            assert (await given if faces.current == "async" else given) == (
                500 if headers is right else 400
            )
    assert sum("a webhook was refused" in text for text in said) == len(wrong)
    assert any("ZeroDivisionError" in text for text in said)
    assert shown("\n".join(said) + repr(receiver)) == []
    with pytest.raises(InvalidArgumentError) as mistaken:
        given = receiver.receive(BODY.decode(), right)
        await (given if faces.current == "async" else asyncio.sleep(0))
    assert shown(traced(mistaken.value) + all_forms(mistaken.value)) == []
    for headers in wrong:
        with pytest.raises(WebhookVerificationError) as caught:
            package.parse(BODY, headers, secrets=WEBHOOK_SECRET, bearer=BEARER, max_age=300)
        assert shown(traced(caught.value) + all_forms(caught.value)) == []
        assert right["X-Webhook-Signature"] not in traced(caught.value)
