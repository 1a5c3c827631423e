"""One client in many threads, and the lifetime of the background thread."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from paychainhq import ConfigurationError, ConnectionFailedError, PayChainError
from paychainhq.emulator import API_KEY, BUSINESS_ID, Emulator
from paychainhq_sync import PayChainHQ
from tests.support.raw_server import silence
from tests.sync.support import ThreadedServer, echo


def make(url: str, **settings: Any) -> PayChainHQ:
    return PayChainHQ(
        **{
            "api_key": API_KEY,
            "business_id": BUSINESS_ID,
            "base_url": url,
            "retry": None,
            "timeout": 30,
            **settings,
        }
    )


def background_threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name == "paychainhq-sync"]


def test_eight_threads_share_a_client() -> None:
    """Each of 4000 calls in 8 threads gets its own response, within the connection limit."""
    with ThreadedServer(echo) as server, make(server.url, max_connections=4) as pay:

        def work(thread: int) -> int:
            return sum(
                pay.invoices.get(f"t{thread}n{n}").id == f"t{thread}n{n}" for n in range(500)
            )

        with ThreadPoolExecutor(8) as pool:
            assert list(pool.map(work, range(8))) == [500] * 8
        assert background_threads() == ["paychainhq-sync"]
        pay.close()
        assert background_threads() == []
        assert server.accepted <= 4


def test_the_thread_lives_as_long_as_a_client() -> None:
    """The first call starts the thread, the last client's end ends it, and a call restarts it."""
    with ThreadedServer(echo) as server:
        one, two = make(server.url), make(server.url)
        assert background_threads() == []
        one.invoices.get("a")
        two.invoices.get("b")
        assert background_threads() == ["paychainhq-sync"]
        one.close()
        one.close()
        assert two.invoices.get("c").id == "c"
        two.close()
        assert background_threads() == []
        with make(server.url) as three:
            assert three.invoices.get("d").id == "d"
        assert background_threads() == []


def test_an_unused_client_starts_no_thread() -> None:
    """Closing an unused client needs no thread either."""
    with make("http://127.0.0.1:1"):
        pass
    assert background_threads() == []


def test_a_closed_client_raises() -> None:
    """A call after `close` is a configuration error, and leaves no thread behind."""
    with ThreadedServer(echo) as server:
        pay = make(server.url)
        pay.invoices.get("a")
        pay.close()
        with pytest.raises(ConfigurationError, match="closed"):
            pay.invoices.get("b")
        assert len(server.requests) == 1
        pay.close()
        assert background_threads() == []


def test_closing_while_others_call() -> None:
    """Calls ended by another thread's `close` raise a `PayChainError`, and none hangs."""
    with ThreadedServer(silence) as server:
        pay = make(server.url)
        with ThreadPoolExecutor(4) as pool:
            calls = [pool.submit(pay.invoices.get, f"a{n}") for n in range(4)]
            server.wait_for_requests(4)
            pay.close()
            for call in calls:
                assert isinstance(call.exception(10), PayChainError)


def test_views_share_the_client() -> None:
    """A view has its own options and the client's connections; closing it closes nothing."""
    with ThreadedServer(echo) as server, make(server.url) as pay:
        view = pay.with_options(timeout=5)
        assert view.invoices.get("a").id == "a"
        view.close()
        assert pay.invoices.get("b").id == "b"
        assert view.invoices.get("c").id == "c"
        assert server.accepted == 1
        assert isinstance(view, PayChainHQ)


def test_a_connection_outlives_its_thread() -> None:
    """Calls of three threads in a row share one connection."""
    with ThreadedServer(echo) as server, make(server.url) as pay:
        for n in range(3):
            thread = threading.Thread(target=pay.invoices.get, args=(f"a{n}",))
            thread.start()
            thread.join()
        assert server.accepted == 1


def test_errors_cross_both_packages(paychain_emulator: Emulator) -> None:
    """Errors of the sync face are caught by the async package's names."""
    with make("http://127.0.0.1:1") as pay, pytest.raises(ConnectionFailedError) as caught:
        pay.networks.list()
    assert caught.value.sent == "no"
