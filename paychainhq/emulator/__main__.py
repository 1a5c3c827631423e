"""Command `python -m paychainhq.emulator`: runs the emulator until Ctrl-C or SIGTERM."""

from __future__ import annotations

import argparse
import signal
import sqlite3
import sys
import threading
from collections.abc import Sequence

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
    options = parser.parse_args(arguments)

    stop = threading.Event()
    for name in (signal.SIGINT, signal.SIGTERM):
        signal.signal(name, lambda *_: stop.set())
    try:
        settings = {"allow_remote": options.allow_remote, "allowed_hosts": options.allow_host}
        with Emulator(options.state, options.port, options.host, **settings) as emulator:
            print(f"PayChainHQ emulator: {emulator.url}")
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
