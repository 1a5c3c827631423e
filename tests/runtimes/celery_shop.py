"""Celery application, as a user writes it: `celery -A tests.runtimes.celery_shop worker`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from celery import Celery

from paychainhq_sync import PayChainHQ, codec
from paychainhq_sync.models import Invoice

FOLDER = Path(os.environ["SHOP_FOLDER"])

app = Celery("shop", backend=f"tests.runtimes.celery_files:Backend+file://{FOLDER}/results")
app.conf.broker_transport = "tests.runtimes.celery_files:Transport"
app.conf.broker_transport_options = {
    "polling_interval": 0.02,
    "control_folder": f"{FOLDER}/control",
    "data_folder_in": f"{FOLDER}/queue",
}

pay = PayChainHQ.from_env(retry=None)  # before the fork of a prefork worker


@app.task
def ship(data: dict[str, Any]) -> dict[str, Any]:
    """Read an invoice from a message, and return it as it is now."""
    invoice = codec.from_json(Invoice, data)
    assert invoice.to_dict() == data
    now: dict[str, Any] = pay.invoices.get(invoice.id).to_dict()
    return now


@app.task
def create(token: str, key: str) -> str:
    return pay.invoices.create("5", token, "eth", idempotency_key=key).id
