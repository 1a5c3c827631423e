"""Commands `doctor`, `ledger`, `listen`, `trigger` and `emulator`."""

from __future__ import annotations

import email.utils
import json
import signal
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from paychainhq import webhooks
from paychainhq._http.connection import _default_tls
from paychainhq.emulator import WEBHOOK_SECRET, Emulator
from paychainhq.ledger import PostgresLedger
from tests.cli.conftest import Command
from tests.cli.test_processes import start
from tests.support.postgres import Database

DATA = Path(__file__).parents[1] / "data"
NOWHERE = ("--emulator", "http://127.0.0.1:1")


@contextmanager
def application(
    certificate: Path | None = None, date: str | None = None
) -> Iterator[tuple[str, list[tuple[dict[str, str], bytes]]]]:
    """Run a server that records webhooks; yield its URL and what it has received."""
    received: list[tuple[dict[str, str], bytes]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            received.append((dict(self.headers.items()), body))
            self.respond(b"")

        def do_GET(self) -> None:
            self.respond(b'{"data": []}')

        def respond(self, body: bytes) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def date_time_string(self, timestamp: float | None = None) -> str:
            return date or super().date_time_string(timestamp)

        def log_message(self, format: str, *args: Any) -> None: ...

    class Server(HTTPServer):
        def handle_error(self, request: Any, client_address: Any) -> None: ...

    with Server(("127.0.0.1", 0), Handler) as server:
        scheme = "http"
        if certificate is not None:
            context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            context.load_cert_chain(certificate)
            server.socket = context.wrap_socket(server.socket, server_side=True)
            scheme = "https"
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield f"{scheme}://localhost:{server.server_port}", received
        finally:
            server.shutdown()
            thread.join()


# --- doctor ---


def failures(command: Command, *options: str) -> tuple[int, dict[str, str]]:
    done = command("doctor", *options)
    found = {line["check"]: line["text"] for line in done.lines if line["state"] != "ok"}
    return done.code, found


def test_a_sound_machine(emulator: Emulator, command: Command) -> None:
    """All checks pass, and the business is named; no key is shown."""
    code, found = failures(command)
    assert (code, found) == (0, {})
    shown = command("doctor", "--json").out
    assert "it belongs to" in shown
    assert "pk_live_your_business_key" not in shown


def test_wrong_settings(
    emulator: Emulator, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A wrong key, a key of the other environment, a misspelling and an unused proxy are found."""
    monkeypatch.setenv("PAYCHAIN_API_KEY", "pk_live_wrong")
    code, found = failures(command)
    assert (code, list(found)) == (1, ["key"])
    monkeypatch.setenv("PAYCHAIN_API_KEY", "pk_test_wrong")
    monkeypatch.setenv("PAYCHAIN_API_URL", "https://api.example.com")
    monkeypatch.setenv("PAYCHAINHQ_BUSINESS", "biz_123")
    monkeypatch.setenv("HTTPS_PROXY", "http://user:secret@proxy:1")
    monkeypatch.setenv("SSLKEYLOGFILE", "/nowhere")
    monkeypatch.delenv("PAYCHAIN_BUSINESS_ID")
    code, found = failures(command, "--offline")
    assert code == 1
    assert found["settings"].startswith("PAYCHAIN_BUSINESS_ID is not set")
    assert "the environment is live" in found["environment"]
    assert found["variables"].endswith("perhaps PAYCHAIN_BUSINESS_ID")
    assert "trust_env=True" in found["proxy"]
    assert "secret" not in found["proxy"]
    assert "SSLKEYLOGFILE" in found["tls"]
    monkeypatch.setenv("PAYCHAIN_API_KEY", " pk_test_wrong")
    monkeypatch.setenv("PAYCHAIN_PAYOUT_KEY_FILE", "/nowhere/at/all")
    monkeypatch.setenv("PAYCHAIN_API_URL", "ftp://x")
    code, found = failures(command)
    assert code == 1
    assert "http or https" in found["base url"]


@pytest.fixture
def own_certificates() -> Iterator[None]:
    """Forget the process's default TLS context, which is created from the environment once."""
    _default_tls.cache_clear()
    yield
    _default_tls.cache_clear()


def test_an_expired_certificate(
    emulator: Emulator,
    command: Command,
    monkeypatch: pytest.MonkeyPatch,
    own_certificates: None,
) -> None:
    """The failure of the verification is shown; so is a refused connection."""
    monkeypatch.setenv("SSL_CERT_FILE", str(DATA / "expired.pem"))
    with application(DATA / "expired.pem") as (url, _):
        monkeypatch.setenv("PAYCHAIN_API_URL", url)
        code, found = failures(command)
    assert code == 1
    assert found["tls"] == "the certificate of localhost: certificate has expired"
    code, found = failures(command)
    assert code == 1
    assert "refused" in found["connection"]
    monkeypatch.setenv("SSL_CERT_FILE", str(DATA / "localhost.pem"))
    with application(DATA / "localhost.pem") as (url, _):
        monkeypatch.setenv("PAYCHAIN_API_URL", url)
        assert '"tls","state":"ok","text":"TLSv1.3' in command("doctor").out


def test_a_wrong_clock(
    emulator: Emulator, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A difference of ten minutes from the server's time is a failure."""
    late = email.utils.formatdate(time.time() - 600, usegmt=True)
    with application(date=late) as (url, _):
        monkeypatch.setenv("PAYCHAIN_API_URL", url)
        code, found = failures(command)
    assert code == 1
    assert "s from the server" in found["clock"]


# --- the ledger ---


def test_ledger(emulator: Emulator, command: Command, tmp_path: Path) -> None:
    """Entries are shown without bodies; an unfinished one ends with 3, and can be forgotten."""
    path = tmp_path / "orders.csv"
    path.write_text("reference,amount,token,chain\no-1,5,USDC,eth\no-2,5,USDC,eth\n")
    ledger = f"{path}.ledger.db"
    emulator.fault("invoices.create", "drop", times=1000)
    assert command("invoices", "import", str(path), "--give-up-after", "0").code == 3
    emulator.clear_faults()
    unfinished = command("ledger", "unfinished", ledger)
    assert unfinished.code == 3
    entry = unfinished.lines[0]
    assert (entry["operation"], entry["state"]) == ("invoices.create", "unfinished")
    forget = ("ledger", "forget", ledger, entry["operation"], entry["key"])
    assert command(*forget).code == 2
    assert command(*forget, "--yes").code == 0
    assert command(*forget, "--yes").code == 1
    assert command("invoices", "import", str(path)).code == 0
    assert command("ledger", "unfinished", ledger).code == 0
    shown = command("ledger", "show", ledger, "--state", "finished").lines
    assert [entry["status"] for entry in shown] == [200, 200]
    assert command("ledger", "compact", ledger, "--older-than", "30x").code == 2
    assert "0 entries" in command("ledger", "compact", ledger, "--older-than", "30d").err
    assert command("ledger", "show", str(path)).code == 1


def test_the_tables_of_a_postgres_ledger(
    postgres: Database, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`migrate` creates the tables, also a second time; the connection string is in a variable."""
    schema = postgres.schema(migrated=False)
    monkeypatch.delenv("DATABASE_URL", raising=False)
    assert command("ledger", "migrate").code == 4
    assert "CREATE TABLE" in command("ledger", "migrate", "--sql").out
    monkeypatch.setenv("DATABASE_URL", postgres.dsn)
    for _ in range(2):
        assert command("ledger", "migrate", "--schema", schema).code == 0
    with PostgresLedger(postgres.dsn, schema=schema) as ledger:
        assert list(ledger.entries()) == []
    monkeypatch.setenv("DATABASE_URL", f"{postgres.dsn} user=nobody password=hunter2")
    refused = command("ledger", "migrate", "--schema", schema)
    assert refused.code == 1
    assert "hunter2" not in refused.err


# --- the emulator's tools ---


def test_listen_and_trigger(emulator: Emulator, command: Command) -> None:
    """Signed bytes reach the application unchanged; a signal removes the endpoint."""
    with application() as (url, received):
        listen = ("listen", "--forward-to", url, "--json", "--emulator", emulator.url)
        with start(emulator.url, *listen) as process:
            assert process.stderr is not None
            assert process.stdout is not None
            assert process.stderr.readline() == "Ready.\n"
            to = ("--emulator", emulator.url)
            done = command("trigger", "invoice.paid", "--set", "amount=20", *to)
            assert (done.code, done.json["status"]) == (0, "paid")
            shown = [json.loads(process.stdout.readline()) for _ in range(2)]
            process.send_signal(signal.SIGTERM)
            process.communicate(timeout=60)
            assert process.returncode == 130
        assert {line["responseStatus"] for line in shown} == {200}
        events = [
            webhooks.parse(body, headers, secrets=WEBHOOK_SECRET) for headers, body in received
        ]
        assert done.json["invoice"] in {event.invoice_id for event in events}
        count = len(received)
        done = command("trigger", "invoice.cancelled", "--invoice", "inv_123", *to)
        assert (done.code, done.json["status"]) == (0, "cancelled")
        assert [d for d in emulator.deliveries if d.status in ("pending", "retrying")] == []
        assert len(received) == count


def test_trigger_without_an_emulator(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """`--to` posts one event, signed with the secret of the variable."""
    monkeypatch.setenv("PAYCHAIN_WEBHOOK_SECRET", "of-the-application")
    for event in ("invoice.partially_paid", "invoice.overpaid", "invoice.expired"):
        with application() as (url, received):
            done = command("trigger", event, "--to", url, "--set", "metadata.order=17")
        assert (done.code, done.json["responseStatus"]) == (0, 200)
        ((headers, body),) = received
        parsed = webhooks.parse(body, headers, secrets="of-the-application")
        assert parsed.invoice_id == done.json["invoice"]


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("trigger", "invoice.paid", "--set", "colour=red"), 2, "no field 'colour'"),
        (("trigger", "invoice.paid", "--invoice", "x", "--set", "amount=1"), 2, "leave out"),
        (("trigger", "invoice.paid", "--to", "http://127.0.0.1:1/"), 1, "127.0.0.1:1"),
        (("trigger", "invoice.paid", "--invoice", "x", *NOWHERE), 1, "paychainhq emulator"),
        (("listen", "--forward-to", "http://x/", *NOWHERE), 1, "paychainhq emulator"),
        (("emulator", "--port", "x"), 2, "invalid int value"),
        (("emulator", "--host", "0.0.0.0"), 1, "allow"),
    ],
)  # fmt: skip
def test_errors_of_the_tools(
    command: Command, arguments: tuple[str, ...], code: int, message: str
) -> None:
    """Each error has a message and no traceback."""
    done = command(*arguments)
    assert done.code == code
    assert message in done.err


def test_refused_controls(emulator: Emulator, command: Command) -> None:
    """The emulator's own refusal is the message."""
    to = ("--emulator", emulator.url)
    done = command("listen", "--forward-to", "http://example.com/", *to)
    assert done.code == 1
    assert "not loopback" in done.err
    assert command("trigger", "invoice.paid", "--invoice", "inv_no", *to).code == 1
