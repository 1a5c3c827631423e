"""Process of the emulator: class, command, fixture, and a state file that survives a kill."""

from __future__ import annotations

import asyncio
import gc
import itertools
import json
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from http.client import HTTPException
from pathlib import Path

import aiohttp
import pytest

from paychainhq._core.credentials import DashboardSession
from paychainhq.emulator import API_KEY, BUSINESS_ID, Emulator
from tests.emulator.api import API_KEYS, INVOICES, ORDER, Api, ApiResponse

COMMAND = [sys.executable, "-W", "error", "-m", "paychainhq.emulator"]


@contextmanager
def running_command(*arguments: str) -> Iterator[tuple[subprocess.Popen[str], str, str]]:
    """Run the command on a free port; yield the process, its URL and its output so far."""
    command = [*COMMAND, "--port", "0", *arguments]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        try:
            printed = list(
                itertools.takewhile(lambda line: not line.startswith("Ctrl-C"), process.stdout)
            )
            yield process, printed[0].split()[-1], "".join(printed)
        finally:
            process.kill()


def send(url: str, method: str, path: str, body: object = None, key: str = "k") -> ApiResponse:
    data = None if body is None else json.dumps(body).encode()
    headers = {"x-api-key": API_KEY, "Idempotency-Key": key, "Content-Type": "application/json"}
    with urllib.request.urlopen(
        urllib.request.Request(url + path, data, headers, method=method), timeout=30
    ) as response:
        return ApiResponse(response.status, dict(response.headers), response.read())


# --- the class ---


def test_exit_stops_thread_and_port() -> None:
    """After exit there is no thread, and the port is free at once."""
    threads = threading.active_count()
    with Emulator() as emulator:
        assert threading.active_count() == threads + 1
        port = int(emulator.url.rpartition(":")[2])
    gc.collect()
    assert threading.active_count() == threads
    with pytest.raises(ConnectionRefusedError), socket.create_connection(("127.0.0.1", port)):
        pass
    with Emulator(port=port) as emulator:
        assert emulator.url.endswith(f":{port}")


def test_exit_closes_open_connections() -> None:
    """A client with an open connection does not delay the exit."""
    with (
        Emulator() as emulator,
        socket.create_connection(("127.0.0.1", int(emulator.url.rpartition(":")[2]))) as client,
    ):
        client.sendall(f"GET /api/v1/prices HTTP/1.1\r\nHost: {emulator.url[7:]}\r\n\r\n".encode())
        assert client.recv(10) == b"HTTP/1.1 2"
        emulator.__exit__(None, None, None)
        while client.recv(10_000):
            pass


def test_a_connection_during_the_exit_is_closed(
    recwarn: pytest.WarningsRecorder,
) -> None:
    """The client is disconnected, and no socket is left for the garbage collector."""
    unraisable: list[object] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "unraisablehook", unraisable.append)
        for _ in range(20):
            with Emulator() as emulator, ThreadPoolExecutor() as executor:
                connected = threading.Event()
                callers = executor.submit(connect_until_refused, emulator.url, connected)
                connected.wait()
                emulator.__exit__(None, None, None)
            for caller in callers.result():
                caller.close()
        gc.collect()
    assert not unraisable
    assert not list(recwarn)


def connect_until_refused(url: str, connected: threading.Event) -> list[socket.socket]:
    callers: list[socket.socket] = []
    with suppress(OSError):
        while True:
            # A full backlog drops connections: only the first is waited for.
            seconds = 0.1 if callers else 30
            address = ("127.0.0.1", int(url.rpartition(":")[2]))
            callers.append(socket.create_connection(address, timeout=seconds))
            connected.set()
    return callers


async def test_async_context_manager() -> None:
    """`async with` is equivalent, and does not block the caller's loop."""
    async with Emulator() as emulator, aiohttp.ClientSession() as session:
        async with session.get(f"{emulator.url}/api/v1/invoices/inv_123") as response:
            assert (await response.json())["status"] == "pending"
        await asyncio.gather(*(asyncio.to_thread(emulator.advance, 1) for _ in range(5)))
        assert emulator.pay("inv_123") == "confirming"


def test_a_stopped_emulator_can_run_again() -> None:
    """Each run has a new state; two concurrent runs need two emulators."""
    emulator = Emulator()
    for _ in range(2):
        with emulator:
            assert Api(emulator).count() == 1
            Api(emulator).create()
            with pytest.raises(RuntimeError, match="already running"):
                emulator.__enter__()


def test_emulators_run_side_by_side() -> None:
    """Each has its own port and state."""
    with Emulator() as one, Emulator() as other:
        Api(one).create()
        assert (one.url != other.url, Api(one).count(), Api(other).count()) == (True, 2, 1)


def test_a_stopped_emulator_raises() -> None:
    """Controls raise an error before the start."""
    with pytest.raises(RuntimeError, match="not running"):
        Emulator().pay("inv_123")


def test_the_dashboard_session_suits_the_client() -> None:
    """`PayChainHQ(dashboard=...)` and the emulator accept the session."""
    with Emulator() as emulator:
        assert isinstance(emulator.dashboard, DashboardSession)
        assert Api(emulator).dashboard("GET", API_KEYS).status == 200


@pytest.mark.parametrize("host", ["0.0.0.0", "192.0.2.1", "example.com", "::"])
def test_loopback_is_the_default(host: str) -> None:
    """Other addresses require an explicit option."""
    with pytest.raises(ValueError, match="not loopback"):
        Emulator(host=host)
    Emulator(host=host, allow_remote=True)


@pytest.mark.parametrize("host", ["localhost", "::1", "127.0.0.2"])
def test_other_names_of_loopback_are_accepted(host: str) -> None:
    """The URL holds the given name, in brackets if it has colons."""
    try:
        socket.create_server(
            (host, 0), family=socket.AF_INET6 if ":" in host else socket.AF_INET
        ).close()
    except OSError:
        pytest.skip(f"this machine has no {host}")
    with Emulator(host=host) as emulator:
        assert f"//[{host}]:" in emulator.url if ":" in host else f"//{host}:" in emulator.url
        assert Api(emulator).count() == 1


def test_a_taken_port_is_an_error() -> None:
    """Entering the context fails, and leaves no thread."""
    threads = threading.active_count()
    with Emulator() as emulator:
        port = int(emulator.url.rpartition(":")[2])
        with pytest.raises(OSError, match=str(port)):
            Emulator(port=port).__enter__()
        with pytest.raises(OverflowError):
            Emulator(port=99_999).__enter__()
        assert threading.active_count() == threads + 1


# --- the state ---


def test_a_state_file_is_continued(tmp_path: Path) -> None:
    """Invoices, payments, keys, stored responses and the clock are unchanged."""
    file = tmp_path / "state.db"
    with Emulator(file) as emulator:
        api = Api(emulator)
        created = api("POST", INVOICES, ORDER, key="k1")
        key = api.dashboard("POST", API_KEYS, {"name": "n"}).json["apiKey"]
        emulator.pay("inv_123", "1")
        emulator.advance(86_400 * 2)
    with Emulator(str(file)) as emulator:
        api = Api(emulator)
        assert api("POST", INVOICES, ORDER, key="k1").body == created.body
        assert api("GET", INVOICES, headers={"x-api-key": key}).json["pagination"]["total"] == 2
        assert api.invoice("inv_123")["status"] == "confirming"
        assert api.invoice(created.json["id"])["status"] == "expired"


def test_a_state_file_contains_no_key(tmp_path: Path) -> None:
    """Only digests of keys are stored."""
    with Emulator(str(tmp_path / "state.db")) as emulator:
        key = Api(emulator).dashboard("POST", API_KEYS, {"name": "n"}).json["apiKey"]
    content = b"".join(file.read_bytes() for file in tmp_path.iterdir())
    assert key.encode() not in content
    assert API_KEY.encode() not in content


def test_a_file_that_is_not_a_state_is_refused(tmp_path: Path) -> None:
    """The file is unchanged."""
    other = tmp_path / "other.txt"
    other.write_text("not a database, and long enough to tell" * 100)
    with pytest.raises(sqlite3.DatabaseError):
        Emulator(str(other)).__enter__()
    assert other.read_text().startswith("not a database")


def test_a_state_of_another_version_is_refused(tmp_path: Path) -> None:
    """The error names the remedy."""
    file = str(tmp_path / "state.db")
    with Emulator(file):
        pass
    database = sqlite3.connect(file)
    database.execute("PRAGMA user_version = 99")
    database.close()
    with pytest.raises(ValueError, match="delete it"):
        Emulator(file).__enter__()


def test_a_killed_process_neither_loses_nor_repeats_an_invoice(tmp_path: Path) -> None:
    """Each key has exactly one invoice after repeated kills during requests."""
    state = str(tmp_path / "state.db")
    seen: dict[str, set[str]] = {f"k{i}": set() for i in range(150)}
    for seconds in (0.02, 0.05, 0.1):
        with running_command("--state", state) as (process, url, _):
            killer = threading.Timer(seconds, process.kill)
            killer.start()
            # Only a lost connection ends these requests.
            with pytest.raises((urllib.error.URLError, ConnectionError, HTTPException)):
                for key in itertools.cycle(seen):
                    seen[key].add(send(url, "POST", INVOICES, ORDER, key).json["id"])
            killer.join()
    assert any(seen.values())
    with running_command("--state", state) as (_, url, _):
        for key, ids in seen.items():
            ids.add(send(url, "POST", INVOICES, ORDER, key).json["id"])
        total = send(url, "GET", INVOICES).json["pagination"]["total"]
    assert {len(ids) for ids in seen.values()} == {1}
    assert total == len(seen) + 1


# --- the command ---


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "Ctrl-C"])
def test_the_command_runs_until_a_signal(number: signal.Signals) -> None:
    """The command prints address and credentials, serves requests, and exits with 0."""
    with running_command() as (process, url, printed):
        assert send(url, "GET", INVOICES).json["pagination"]["total"] == 1
        process.send_signal(number)
        _, errors = process.communicate(timeout=30)
    assert (process.returncode, errors) == (0, "")
    assert BUSINESS_ID in printed
    assert API_KEY in printed


def test_the_command_refuses_to_listen_beyond_loopback() -> None:
    """The command prints the reason, and exits with 1."""
    result = subprocess.run(
        [*COMMAND, "--host", "0.0.0.0"], capture_output=True, text=True, timeout=30, check=False
    )
    assert result.returncode == 1
    assert "not loopback" in result.stderr
    assert "Traceback" not in result.stderr


def test_the_command_listens_beyond_loopback_on_request() -> None:
    """The command prints the given address."""
    with running_command("--host", "0.0.0.0", "--allow-remote") as (_, url, _):
        assert url.startswith("http://0.0.0.0:")


@pytest.mark.parametrize("problem", ["port", "number", "state"])
def test_the_command_prints_why_it_cannot_start(problem: str, tmp_path: Path) -> None:
    """The output is one line, without a traceback."""
    (tmp_path / "other.txt").write_text("not a database, and long enough to tell" * 100)
    with Emulator() as emulator:
        arguments = {
            "port": ["--port", emulator.url.rpartition(":")[2]],
            "number": ["--port", "99999"],
            "state": ["--port", "0", "--state", str(tmp_path / "other.txt")],
        }
        result = subprocess.run(
            [*COMMAND, *arguments[problem]], capture_output=True, text=True, timeout=30, check=False
        )
    assert result.returncode == 1
    assert result.stderr.startswith("paychainhq.emulator: ")
    assert result.stderr.count("\n") == 1


# --- the package ---


def test_the_import_loads_no_server() -> None:
    """Neither the package nor the pytest plugin imports the server before its first use."""
    code = (
        "import sys, paychainhq.emulator, paychainhq.emulator.pytest_plugin as plugin\n"
        "print([name for name in ('aiohttp', 'sqlite3', 'paychainhq.emulator.emulator', "
        "'paychainhq.models') if name in sys.modules])"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=True
    )
    assert result.stdout.strip() == "[]"


def test_the_names_of_the_package() -> None:
    """The names in `__all__` can be imported, and no others."""
    import paychainhq.emulator as package

    for name in package.__all__:
        assert getattr(package, name) is not None
    with pytest.raises(AttributeError, match="nothing"):
        _ = package.nothing


def test_the_fixture_provides_a_running_emulator(tmp_path: Path) -> None:
    """The fixture works in a synchronous test of another suite without naming the plugin."""
    (tmp_path / "test_theirs.py").write_text(
        "def test_it(paychain_emulator):\n"
        "    assert paychain_emulator.url.startswith('http://127.0.0.1:')\n"
        "    assert paychain_emulator.pay('inv_123') == 'confirming'\n"
    )
    (tmp_path / "pytest.ini").write_text(
        "[pytest]\n"
    )  # otherwise pytest would search the parent folders for settings
    others = ["-p", "no:cacheprovider", "-p", "no:asyncio", "--rootdir", str(tmp_path)]
    command = [sys.executable, "-W", "error", "-m", "pytest", *others, str(tmp_path)]
    result = subprocess.run(
        command, capture_output=True, text=True, timeout=60, check=False, cwd=tmp_path
    )
    assert result.returncode == 0, result.stdout + result.stderr
