"""Exit from the emulator's block while webhooks are in progress."""

from __future__ import annotations

import asyncio
import socket
import threading

import pytest

from paychainhq.emulator import Emulator
from paychainhq.emulator.endpoints import add_endpoint
from paychainhq.emulator.outbox import Outbox
from paychainhq.emulator.state import State


@pytest.mark.parametrize("turns", range(6))
async def test_the_outbox_is_woken_up_and_cancelled_at_once(turns: int) -> None:
    """The outbox ends even if it is woken up as it is cancelled, or a few loop turns earlier."""
    state = State(None)
    with state.transaction():
        add_endpoint(state, "http://127.0.0.1:9/", "s")
    outbox = Outbox(state)
    for _ in range(20):
        task = asyncio.create_task(outbox.run())
        for _ in range(10):
            await asyncio.sleep(0)
        outbox.wake()
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        done, _ = await asyncio.wait([task], timeout=30)
        assert done == {task}


@pytest.mark.parametrize("hangs_up", [False, True], ids=["silent", "hung up"])
def test_an_exit_with_deliveries_in_progress(hangs_up: bool) -> None:
    """Each of many emulators exits at once while webhooks are sent, retried and awaited."""
    with socket.create_server(("127.0.0.1", 0), backlog=256) as listening:
        url = f"http://127.0.0.1:{listening.getsockname()[1]}/"
        accepting = threading.Thread(target=hang_up, args=(listening, hangs_up), daemon=True)
        accepting.start()
        for number in range(60):
            emulator = Emulator()
            with emulator:
                emulator.add_webhook(url, secret="s", copies=1 + number % 5)
                emulator.pay("inv_123")
                if number % 2:
                    emulator.confirm("inv_123")
                for _ in range(number % 4):
                    assert emulator.deliveries
                leaving = threading.Thread(
                    target=emulator.__exit__, args=(None, None, None), daemon=True
                )
                leaving.start()
                leaving.join(30)
                assert not leaving.is_alive()
        listening.shutdown(socket.SHUT_RDWR)
        accepting.join()


def hang_up(listening: socket.socket, at_once: bool) -> None:
    """Accept connections until the socket closes, and close each of them at once if requested."""
    callers = []
    while True:
        try:
            caller, _ = listening.accept()
        except OSError:
            break
        if at_once:
            caller.close()
        callers.append(caller)
    for caller in callers:
        caller.close()
