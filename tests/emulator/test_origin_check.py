"""Access from web pages in a browser on the same machine, which the emulator refuses."""

from __future__ import annotations

import http.client
import json

import pytest

from paychainhq.emulator import API_KEY, Emulator
from tests.emulator.api import BUSINESS, INVOICES, ORDER, Api, ApiResponse
from tests.emulator.test_process import running_command

JSON = {"Content-Type": "application/json"}
WEBHOOK = {"url": "http://127.0.0.1:9/", "secret": "s"}
FAULT = {"operation": "*", "kind": "503"}


def send(
    emulator: Emulator, method: str, path: str, headers: dict[str, str], body: object = None
) -> ApiResponse:
    """Send a request with exactly these headers (and `Content-Length`)."""
    connection = http.client.HTTPConnection("127.0.0.1", port_of(emulator), timeout=30)
    data = json.dumps(body).encode() if body is not None else b""
    connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
    for name, value in headers.items():
        connection.putheader(name, value)
    if data or method != "GET":
        connection.putheader("Content-Length", str(len(data)))
    connection.endheaders(data)
    received = connection.getresponse()
    response = ApiResponse(received.status, dict(received.headers), received.read())
    connection.close()
    return response


def port_of(emulator: Emulator) -> int:
    return int(emulator.url.rpartition(":")[2])


def untouched(emulator: Emulator) -> None:
    """Assert that no request has reached the emulator's state, its faults or its log."""
    assert (emulator.requests, emulator.deliveries, Api(emulator).count()) == ((), (), 1)


@pytest.mark.parametrize(
    "host",
    [
        "attacker.example",
        "attacker.example:{port}",
        "127.0.0.1.attacker.example:{port}",
        "localhost.attacker.example:{port}",
        "xlocalhost:{port}",
        "localhost:1",
        "127.0.0.1",
        "192.0.2.1:{port}",
        "[::2]:{port}",
        "0.0.0.0:{port}",
        "",
        "{port}",
        "localhost:{port}:{port}",
        "localhost:{port}, attacker.example",
        "user@localhost:{port}",
    ],
)
def test_a_foreign_host_is_refused(emulator: Emulator, host: str) -> None:
    """Neither a read nor a control request with another host name is executed.

    After DNS rebinding, a browser sends the host name of the page.
    """
    headers = {"Host": host.format(port=port_of(emulator))}
    for method, path, body in (
        ("GET", INVOICES, None),
        ("GET", "/_emulator/requests", None),
        ("POST", "/_emulator/fault", FAULT),
    ):
        response = send(emulator, method, path, {**headers, **JSON, "x-api-key": API_KEY}, body)
        assert (response.status, response.code) == (403, "FORBIDDEN")
        assert "allow-host" in response.json["error"]["message"]
    untouched(emulator)


@pytest.mark.parametrize(
    "host", ["127.0.0.1:{port}", "localhost:{port}", "LocalHost:{port}", "[::1]:{port}"]
)
def test_names_of_loopback_are_accepted(emulator: Emulator, host: str) -> None:
    """Each name of loopback is accepted with the emulator's port."""
    headers = {"Host": host.format(port=port_of(emulator)), "x-api-key": API_KEY}
    assert send(emulator, "GET", INVOICES, headers).status == 200


@pytest.mark.parametrize(
    "origin",
    [
        "http://attacker.example",
        "https://{own}",
        "http://localhost:3000",
        "http://127.0.0.1",
        "null",
        "",
        "http://{own}.attacker.example",
    ],
)
def test_a_foreign_origin_is_refused(emulator: Emulator, origin: str) -> None:
    """Pages of other sites or ports, and of none, are refused even without a preflight."""
    own = emulator.url.removeprefix("http://")
    headers = {"Host": own, "Origin": origin.format(own=own)}
    for kind in (
        {},
        JSON,
        {"Content-Type": "text/plain"},
        {"Content-Type": "application/x-www-form-urlencoded"},
    ):
        for path, body in (
            ("/_emulator/add_webhook", WEBHOOK),
            ("/_emulator/fault", FAULT),
            (INVOICES, ORDER),
        ):
            response = send(emulator, "POST", path, {**headers, **kind, "x-api-key": API_KEY}, body)
            assert (response.status, response.code) == (403, "FORBIDDEN")
    assert send(emulator, "GET", "/api/v1/prices", headers).status == 403
    assert (
        send(
            emulator, "OPTIONS", INVOICES, {**headers, "Access-Control-Request-Method": "POST"}
        ).status
        == 403
    )
    untouched(emulator)


def test_the_emulators_own_origin_is_accepted(emulator: Emulator) -> None:
    """A page of the emulator itself may send control requests."""
    own = emulator.url.removeprefix("http://")
    headers = {"Host": own, "Origin": emulator.url, **JSON}
    assert (
        send(emulator, "POST", "/_emulator/pay", headers, {"invoiceId": "inv_123"}).json["status"]
        == "confirming"
    )


@pytest.mark.parametrize(
    "kind",
    [
        None,
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data",
        "text/plain; application/json",
    ],
)
def test_a_control_request_is_json(emulator: Emulator, kind: str | None) -> None:
    """A request that a form can send is refused, also from a browser that sends no `Origin`."""
    headers = {
        "Host": emulator.url.removeprefix("http://"),
        **({} if kind is None else {"Content-Type": kind}),
    }
    for name, body in (
        ("add_webhook", WEBHOOK),
        ("fault", FAULT),
        ("pay", {"invoiceId": "inv_123"}),
        ("advance", {"seconds": 9}),
    ):
        response = send(emulator, "POST", f"/_emulator/{name}", headers, body)
        assert (response.status, response.code) == (403, "FORBIDDEN")
        assert "application/json" in response.json["error"]["message"]
    untouched(emulator)
    assert send(emulator, "GET", "/_emulator/requests", headers).status == 200


def test_json_with_a_charset_is_json(emulator: Emulator) -> None:
    """Parameters of the content type do not matter."""
    headers = {
        "Host": emulator.url.removeprefix("http://"),
        "Content-Type": "Application/JSON; charset=utf-8",
    }
    assert send(emulator, "POST", "/_emulator/advance", headers, {"seconds": 1}).status == 200


def test_the_gateway_refuses_a_foreign_host(emulator: Emulator) -> None:
    """The refusal has the gateway's error format."""
    response = send(emulator, "GET", "/gateway/api/v1/payments", {"Host": "attacker.example"})
    assert response.status == 403
    assert "allow-host" in response.json["message"]


def test_an_allowed_host() -> None:
    """An allowed name is accepted with any port, or only with its own if it has one."""
    with Emulator(allowed_hosts=["emulator", "Paychain.test:9000"]) as emulator:
        for host, status in {
            "emulator": 200,
            "emulator:8787": 200,
            "EMULATOR:1": 200,
            "paychain.test:9000": 200,
            "paychain.test:9001": 403,
            "paychain.test": 403,
            "emulator.attacker.example": 403,
        }.items():
            assert (
                send(
                    emulator, "GET", f"{BUSINESS}/customers", {"Host": host, "x-api-key": API_KEY}
                ).status
                == status
            )


def test_a_remote_emulator_accepts_the_address_of_the_connection() -> None:
    """An address cannot be rebound; a name must be allowed."""
    with Emulator(host="0.0.0.0", allow_remote=True) as emulator:
        port = port_of(emulator)
        for host, status in {
            f"127.0.0.1:{port}": 200,
            f"0.0.0.0:{port}": 200,
            f"machine.example:{port}": 403,
        }.items():
            assert send(emulator, "GET", "/api/v1/prices", {"Host": host}).status == status


def test_the_command_allows_hosts() -> None:
    """`--allow-host` may be given several times."""
    with running_command("--allow-host", "emulator", "--allow-host", "paychain:80") as (_, url, _):
        port = int(url.rpartition(":")[2])
        for host, status in (("emulator", 200), ("paychain", 200), ("other", 403)):
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
            connection.request("GET", "/api/v1/prices", headers={"Host": host})
            assert connection.getresponse().status == status
            connection.close()
