"""Inspector at `/_emulator/` over HTTP: content, escaping, headers and access."""

from __future__ import annotations

import json
import re
import subprocess
from html.parser import HTMLParser
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paychainhq.emulator import API_KEY, Emulator
from paychainhq.emulator.inspector.markup import element
from paychainhq.emulator.inspector.requests import mask_secrets
from tests.emulator.api import API_KEYS, CUSTOMERS, INVOICES, ORDER, Api
from tests.emulator.test_origin_check import JSON, send
from tests.emulator.test_webhooks import SECRET, Endpoint, all_delivered, endpoint, settled

__all__ = ["endpoint"]

PAGE = "/_emulator/"
FILES = {
    PAGE: "text/html",
    f"{PAGE}inspector.js": "text/javascript",
    f"{PAGE}inspector.css": "text/css",
    f"{PAGE}icon.svg": "image/svg+xml",
}
HOSTILE = "</td><script>alert(1)</script><img src=x onerror='alert(2)'>\"' \u202e"


class Reader(HTMLParser):
    """Parser of a page: its tags, its attributes, and its text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs

    def handle_data(self, data: str) -> None:
        self.text += data


def read(api: Api, query: str = "") -> Reader:
    response = api("GET", PAGE + query, headers={})
    assert response.status == 200
    return Reader(response.body.decode())


@pytest.mark.parametrize("path", FILES)
def test_the_page_and_its_files(api: Api, path: str) -> None:
    """Each has a strict policy, its type, and no permission for other origins."""
    response = api("GET", path, headers={})
    assert (response.status, response.headers["Content-Type"]) == (
        200,
        f"{FILES[path]}; charset=utf-8",
    )
    policy = response.headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self';")
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert [name for name in response.headers if name.lower().startswith("access-control")] == []
    assert re.findall(rb"https?://(?!www\.w3\.org/2000/svg)", response.body) == []
    assert api("POST", path, {}, headers={}).status == 404


@pytest.mark.parametrize("path", [*FILES, "/_emulator", "/_emulator/events"])
@pytest.mark.parametrize(
    "headers", [{"Host": "attacker.example"}, {"Origin": "http://attacker.example"}]
)
def test_foreign_pages_are_refused(emulator: Emulator, path: str, headers: dict[str, str]) -> None:
    """Neither a foreign host nor a foreign origin reads anything."""
    own = {"Host": emulator.url.removeprefix("http://")}
    for method in ("GET", "OPTIONS"):
        response = send(emulator, method, path, {**own, **headers, **JSON})
        assert (response.status, response.code) == (403, "FORBIDDEN")


def test_reading_the_page_is_no_request(emulator: Emulator, api: Api) -> None:
    """The page consumes no fault, and is not in the log."""
    emulator.fault("*", 503)
    emulator.set_rate_limit(1, 3600)
    read(api)
    assert emulator.requests == ()


def test_everything_is_on_the_page(emulator: Emulator, api: Api, endpoint: Endpoint) -> None:
    """The page shows invoices, requests, webhooks, faults, clock and accounts."""
    emulator.add_webhook(endpoint.url, secret=SECRET)
    created = api.create(metadata={"order": "7"})
    api("POST", INVOICES, ORDER, key="order-8")
    api("POST", INVOICES, ORDER, key="order-8")
    emulator.pay(created)
    settled(emulator, all_delivered(1))
    emulator.fault("invoices.list", "429:1", times=3)
    emulator.advance(3600)
    emulator.set_latency(0.001)
    emulator.set_rate_limit(400)
    text = read(api).text
    for shown in (
        *(created, "confirming", '{"order": "7"}', "inv_123"),
        *("invoices.create", "key_emulator ***", "order-8", "stored"),
        *(endpoint.url, "invoice.confirming", "delivered", "1 of 6"),
        *("invoices.list", "429:1", "at most 400 requests in 1 s, latency 0.001 s"),
        *("3,600 s ahead", "key_payout_123", "customer_001", "149.75", "bill_inv_123"),
    ):
        assert shown in text
    assert SECRET not in text
    assert API_KEY not in text


def test_an_invoice_that_has_expired_meanwhile(emulator: Emulator, api: Api) -> None:
    """The page shows the current status, also without a request to the API."""
    created = api.create(expiresIn=60)
    emulator.advance(100)
    assert f"{created}expired" in read(api, "?status=expired").text


def test_opened_objects(emulator: Emulator, api: Api, endpoint: Endpoint) -> None:
    """An invoice, a request and a delivery show their details."""
    emulator.add_webhook(endpoint.url, secret=SECRET, bearer="agreed")
    emulator.pay("inv_123", "5", "ETH")
    emulator.pay("inv_123", "1.5")
    emulator.trigger("invoice.paid")
    first, *_ = settled(emulator, all_delivered(2))
    api("POST", f"{INVOICES}?a=1", ORDER, key="k")
    request = emulator.requests[-1]
    text = read(api, f"?invoice=inv_123&request={request.request_id}&delivery={first.id}").text
    signature = next(
        received.headers["X-Webhook-Signature"]
        for received in endpoint.received
        if received.headers["X-Webhook-ID"] == first.id
    )
    for shown in (
        "5 ETH, 1.5 USDC",
        "x-request-id: req_",
        '"depositAddress"',
        signature,
        first.body,
    ):
        assert shown in text
    assert "agreed" not in text
    assert "Invoice inv_unknown" not in read(api, "?invoice=inv_unknown&request=x&delivery=y").text


def test_the_command_repeats_the_request(emulator: Emulator, api: Api) -> None:
    """The command has the same body and idempotency key, and its key from the environment."""
    body = {**ORDER, "metadata": {"note": "it's $HOME `id`\n\u00e9"}}
    created = api("POST", f"{INVOICES}", body, key="it's").json["id"]
    text = read(api, f"?request={emulator.requests[-1].request_id}").text
    command = next(line for line in text.splitlines() if "curl -X" in line)
    command = command[command.index("curl -X") :].partition("Copy")[0]
    assert API_KEY not in command
    assert re.search(r'-H "[Xx]-[Aa]pi-[Kk]ey: \$PAYCHAIN_API_KEY"', command)
    arguments = ["sh", "-c", f'set -- {command[len("curl ") :]}; printf "%s\\n" "$@"']
    done = subprocess.run(
        arguments,
        env={"PAYCHAIN_API_KEY": API_KEY},
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    )
    sent = done.stdout.splitlines()
    headers = dict(line.split(": ", 1) for word, line in pairwise(sent) if word == "-H")
    path = sent[2].removeprefix(emulator.url)
    response = api(sent[1], path, sent[-1].encode(), headers)
    assert response.json["id"] == created


def test_new_keys_are_masked(emulator: Emulator, api: Api) -> None:
    """The response that creates a key does not show it."""
    created = api.dashboard("POST", API_KEYS, {"name": "n"}).json["apiKey"]
    emulator.fault("*", "bad_json")
    cut = api.dashboard("POST", API_KEYS, {"name": "m"})
    assert cut.status == 200
    for request in emulator.requests:
        text = read(api, f"?request={request.request_id}").text
        assert '"apiKey":"***"' in text
        assert created not in text
        assert "emulator-dashboard-session" not in text


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ('{"apiKey": "a\\"b", "x": "y"}', '{"apiKey": "***", "x": "y"}'),
        ('{"secret":"abc', '{"secret":"***"'),
        ('{"name": "apiKey"}', '{"name": "apiKey"}'),
    ],
)
def test_masks(text: str, masked: str) -> None:
    """Escaped quotes and cut texts are covered."""
    assert mask_secrets(text) == masked


def test_hostile_texts_are_text(emulator: Emulator, api: Api) -> None:
    """Metadata, references, paths, names of faults and parameters create no element."""
    plain = sorted(set(read(api).tags))
    api.create(metadata={"<b>": HOSTILE})
    api("POST", CUSTOMERS, {"externalRef": "<i>x</i>", "email": "a@example.com"}, key="c")
    api("POST", "/api/<script>alert(3)</script>?<u>=<u>", {"lone": f"\ud800 {HOSTILE}"})
    emulator.add_webhook("http://127.0.0.1:9/?<script>", secret=SECRET)
    emulator.trigger("<script>alert(4)</script>")
    opened = "&".join(
        [
            f"request={emulator.requests[-1].request_id}",
            f"invoice={api('GET', INVOICES).json['data'][0]['id']}",
            f"delivery={emulator.deliveries[0].id}",
            "status=",
            "x=%22%3E%3Cscript%3Ealert(5)%3C/script%3E",
        ]
    )
    page = read(api, f"?{opened}")
    assert set(page.tags) - set(plain) <= {"article", "dl", "dt", "dd", "h4", "pre"}
    assert "alert(1)" in page.text
    assert "curl -X POST '" in page.text
    assert [name for name, _ in page.attributes if name.startswith("on")] == []
    hrefs = [value or "" for name, value in page.attributes if name == "href"]
    assert [href for href in hrefs if not re.match(r"[?#]|icon|inspector", href)] == []
    assert read(api, "?invoices=%00&requests=-1&deliveries=99999999999999999999&status=%27%22<x>")


@given(st.text(), st.text())
def test_markup_is_escaped(text: str, value: str) -> None:
    """Any text and any value of an attribute end up without markup of their own."""
    markup = element("p", text, title=value)
    assert re.fullmatch(r'<p title="[^"<>]*">[^<>]*</p>', markup)


class _Everything:
    """Names of the controls that the buttons and forms of a page send."""

    def __init__(self, page: Reader) -> None:
        sent: list[Any] = [
            json.loads(value or "") for name, value in page.attributes if name == "data-do"
        ]
        self.names = {step[0] for steps in sent for step in steps} | {
            value for name, value in page.attributes if name == "data-control"
        }


def test_every_control_has_its_place_on_the_page(emulator: Emulator, api: Api) -> None:
    """Each control of the documented API is a button or a form."""
    from paychainhq.emulator.control import ACTIONS

    endpoint_id = emulator.add_webhook("http://127.0.0.1:9/", secret=SECRET)
    emulator.add_webhook("http://127.0.0.1:9/", secret=SECRET)
    emulator.hold_webhook(endpoint_id)
    emulator.trigger("invoice.paid")
    names = _Everything(read(api, "?invoice=inv_123")).names
    assert names == {name for name in ACTIONS if not name.endswith("_gateway")}
