"""Command `python -m paychainhq.emulator`: runs the emulator until Ctrl-C or SIGTERM."""

from __future__ import annotations

import argparse
import json
import signal
import sqlite3
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from paychainhq.emulator import (
    API_KEY,
    BUSINESS_ID,
    CONTRACT_KEY,
    GATEWAY_CLIENT_ID,
    GATEWAY_CLIENT_TOKEN,
    GATEWAY_OAUTH_TOKEN,
    GATEWAY_READ_TOKEN,
    PAYOUT_KEY,
    TEST_API_KEY,
    Emulator,
)


@contextmanager
def ready_file(path: Path | None, emulator: Emulator) -> Iterator[None]:
    """Have the file in place, complete from its first moment, while the block runs."""
    if path is None:
        yield
        return
    new = path.with_name(f"{path.name}.{emulator.instance_id}")
    new.write_text(json.dumps({"url": emulator.url, "instanceId": emulator.instance_id}) + "\n")
    new.replace(path)
    try:
        yield
    finally:
        path.unlink(missing_ok=True)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m paychainhq.emulator", description="Run a local PayChainHQ."
    )
    parser.add_argument(
        "--port",
        type=int,
        default=8787,
        help="the port to listen on (default: 8787; 0 selects a free one)",
    )
    parser.add_argument(
        "--host", default="127.0.0.1", help="the address to listen on (default: 127.0.0.1)"
    )
    parser.add_argument(
        "--state", metavar="FILE", help="keep the state in this SQLite file (default: in memory)"
    )
    parser.add_argument(
        "--allow-remote", action="store_true", help="accept a --host beyond loopback"
    )
    parser.add_argument(
        "--allow-host",
        metavar="HOST",
        action="append",
        default=[],
        help="accept requests to this host too: name, or name:port",
    )
    parser.add_argument(
        "--allow-remote-webhooks",
        action="store_true",
        help="send webhooks to hosts beyond loopback, too",
    )
    parser.add_argument(
        "--rate-limit",
        type=int,
        metavar="N",
        help="refuse more than N requests per second with a 429 (default: no limit)",
    )
    parser.add_argument(
        "--latency",
        type=float,
        default=0.0,
        metavar="SECONDS",
        help="delay each request (default: 0)",
    )
    parser.add_argument(
        "--ready-file",
        metavar="FILE",
        type=Path,
        help="write URL and instance id to this file (JSON) once the emulator listens; it is "
        "removed at the end",
    )
    options = parser.parse_args(arguments)

    stop = threading.Event()
    for name in (signal.SIGINT, signal.SIGTERM):
        signal.signal(name, lambda *_: stop.set())
    try:
        settings = {
            "allow_remote": options.allow_remote,
            "allowed_hosts": options.allow_host,
            "allow_remote_webhooks": options.allow_remote_webhooks,
            "rate_limit": None if options.rate_limit is None else (options.rate_limit, 1),
            "latency": options.latency,
        }
        with (
            Emulator(options.state, options.port, options.host, **settings) as emulator,
            ready_file(options.ready_file, emulator),
        ):
            print(f"PayChainHQ emulator: {emulator.url}")
            print(f"inspector:     {emulator.url}/_emulator/")
            print(f"business id:   {BUSINESS_ID}")
            print(f"standard keys: {API_KEY}, {TEST_API_KEY}")
            print(f"payout key:    {PAYOUT_KEY}")
            print(f"contract key:  {CONTRACT_KEY}")
            for header, value in emulator.dashboard.headers.items():
                print(f"dashboard:     {header}: {value}")
            print(f"gateway:       {emulator.gateway_url}")
            print(f"  client id:   {GATEWAY_CLIENT_ID}")
            print(
                f"  tokens:      {GATEWAY_CLIENT_TOKEN}, {GATEWAY_READ_TOKEN} (reads only), "
                f"{GATEWAY_OAUTH_TOKEN} (OAuth2)"
            )
            print("Ctrl-C stops it.", flush=True)
            stop.wait()
    except (ValueError, OSError, OverflowError, sqlite3.Error) as error:
        print(f"paychainhq.emulator: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
