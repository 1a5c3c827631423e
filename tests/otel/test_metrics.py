"""Metrics: their attributes, their names for Prometheus, and the dashboard that queries them."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.sdk.metrics import MeterProvider
from prometheus_client import CollectorRegistry, generate_latest

from paychainhq.emulator import Emulator
from paychainhq.ledger import MemoryLedger
from paychainhq.ledger.base import Intent
from paychainhq.otel import OpenTelemetry
from tests.otel.recorded import Recorded
from tests.otel.test_webhooks import deliver
from tests.support.client import INVOICE, PRICES, client, error_body, invoice
from tests.support.raw_server import RawServer, http_response
from tests.webhooks.samples import signed, webhook

DOCS = Path(__file__).parents[2] / "docs"
LIMITED = http_response(error_body("RATE_LIMIT_EXCEEDED"), 429, {"Retry-After": "0"})
SUFFIX = re.compile(r"_(bucket|count|sum|total)$")


async def unfinished(key: str) -> MemoryLedger:
    """Return a ledger with an unfinished entry."""
    ledger = MemoryLedger()
    await ledger.begin(Intent("invoices.create", key, "fingerprint", "credential", "attempt"))
    return ledger


@pytest.fixture
async def exported(paychain_emulator: Emulator) -> str:
    """Return the metrics in the format of Prometheus, after something of everything."""
    registry = CollectorRegistry()
    meters = MeterProvider([PrometheusMetricReader(registry=registry)], shutdown_on_exit=False)
    ledger = await unfinished("order-0")
    telemetry = OpenTelemetry(meter_provider=meters, ledger=ledger)
    body = webhook()
    await deliver(Recorded(), telemetry, (body, signed(body)))
    async with (
        RawServer(LIMITED, http_response(INVOICE)) as server,
        client(server.url, telemetry=telemetry, idempotency=ledger) as pay,
        client(paychain_emulator.url, telemetry=telemetry) as other,
    ):
        for _ in range(2):
            await invoice(pay, idempotency_key="order-1")
        id_ = (await invoice(other)).id
        async with other.invoices.watch([id_], interval=0.01) as watch:
            await anext(watch)
            paychain_emulator.pay(id_)
            paychain_emulator.confirm(id_)
            await anext(watch)
        text = generate_latest(registry).decode()
    meters.shutdown()
    return text


async def test_attributes_of_requests() -> None:
    """The duration of attempts has the attributes of the conventions, and the template."""
    recorded = Recorded()
    async with (
        RawServer(LIMITED, http_response(PRICES)) as server,
        client(server.url, telemetry=recorded.telemetry) as pay,
    ):
        await pay.prices.list()
    address = urlsplit(server.url)
    common = {
        "http.request.method": "GET",
        "server.address": address.hostname,
        "server.port": address.port,
        "url.template": "/api/v1/prices",
    }
    metrics = recorded.metrics()
    assert metrics["http.client.request.duration"] == [
        ({**common, "http.response.status_code": 429, "error.type": "429"}, 1),
        ({**common, "http.response.status_code": 200}, 1),
    ]
    assert metrics["paychainhq.client.call.duration"] == [
        ({"paychainhq.operation": "prices.list"}, 1)
    ]


async def test_many_calls_between_two_collections() -> None:
    """Each of many calls is counted once, whenever the metrics are collected."""
    recorded = Recorded()
    async with (
        RawServer(http_response(PRICES)) as server,
        client(server.url, telemetry=recorded.telemetry) as pay,
    ):
        for total in (100, 130):
            for _ in range(total - len(recorded.named("prices.list"))):
                await pay.prices.list()
            metrics = recorded.metrics()
            assert [count for _, count in metrics["http.client.request.duration"]] == [total]
            assert [count for _, count in metrics["paychainhq.client.call.duration"]] == [total]


async def test_gauges_of_clients() -> None:
    """The gauges of several clients of a server are added up; a closed client has none."""
    recorded, again = Recorded(), None
    async with RawServer(LIMITED, http_response(PRICES)) as server:
        again = OpenTelemetry(meter_provider=recorded.meters)
        async with (
            client(server.url, telemetry=recorded.telemetry) as pay,
            client(server.url, telemetry=again) as other,
        ):
            await pay.prices.list()
            await other.prices.list()
            metrics = recorded.metrics()
        address = urlsplit(server.url)
        common: Any = {"server.address": address.hostname, "server.port": address.port}
        assert metrics["paychainhq.client.in_flight"] == [(common, 0)]
        assert metrics["paychainhq.watch.behind"] == [(common, 0)]
        assert metrics["paychainhq.client.retry_budget"] == [(common, pytest.approx(99.1))]
        ((attributes, rate),) = metrics["paychainhq.client.pace"]
        assert attributes == {**common, "paychainhq.operation": "prices.list"}
        assert rate > 0
        assert "paychainhq.client.in_flight" not in recorded.metrics()


async def test_gauges_of_a_ledger(monkeypatch: pytest.MonkeyPatch) -> None:
    """Unfinished entries of a ledger are counted, with the age of the oldest."""
    recorded = Recorded()
    assert "paychainhq.ledger.entries" not in recorded.metrics()
    recorded = Recorded(ledger=await unfinished("order-1"))
    later = time.time() + 7200
    monkeypatch.setattr(time, "time", lambda: later)
    metrics = recorded.metrics()
    assert metrics["paychainhq.ledger.entries"] == [
        ({"paychainhq.ledger.state": "unfinished"}, 1),
        ({"paychainhq.ledger.state": "refused"}, 0),
    ]
    ((_, age),) = metrics["paychainhq.ledger.oldest_unfinished.age"]
    assert age == pytest.approx(7200, abs=60)


def queries() -> list[str]:
    """Return the queries of the dashboard and of the alerts."""
    dashboard = json.loads((DOCS / "dashboards" / "paychainhq.json").read_text(encoding="utf-8"))
    found = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    found += [variable["query"]["query"] for variable in dashboard["templating"]["list"][1:]]
    alerts = (DOCS / "dashboards" / "alerts.yml").read_text(encoding="utf-8")
    return found + re.findall(r"expr: (?:>-\n)?(.*?)\n +(?:for|annotations):", alerts, re.DOTALL)


async def test_the_dashboard_queries_metrics_that_exist(exported: str) -> None:
    """Each metric and each label in the queries of the dashboard and the alerts is exported."""
    names = set(re.findall(r"^(\w+)[{ ]", exported, re.MULTILINE))
    labels = set(re.findall(r"(\w+)=\"", exported)) | {"le", "job"}
    found = queries()
    assert len(found) > 25
    text = " ".join(found)
    groups = re.findall(r"by \(([\w, ]+)\)", text)
    used = {*re.findall(r"(\w+)(?:=~|!=|=)\"", text), *", ".join(groups).split(", ")}
    assert used - labels == set()
    queried = set(re.findall(r"\b(?:paychainhq|http)_\w+", text)) - used
    assert queried - names == set()


async def test_the_dashboard_shows_every_metric(exported: str) -> None:
    """Each metric of the package is in a query of the dashboard, and in the page."""
    text = " ".join(queries())
    families = set(re.findall(r"^# TYPE (\w+)", exported, re.MULTILINE)) - {"target_info"}
    ours = {SUFFIX.sub("", name) for name in families if not name.endswith("_created")}
    assert len(ours) >= 13
    assert {name for name in ours if name not in text} == set()
