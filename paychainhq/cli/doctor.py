"""Command `doctor`: checks of variables, keys, network, TLS and clock."""

from __future__ import annotations

import os
import platform
import socket
import ssl
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from difflib import get_close_matches
from email.utils import parsedate_to_datetime
from importlib.metadata import PackageNotFoundError, version
from typing import Literal
from urllib.parse import SplitResult, urlsplit

import attrs
import click

from paychainhq._core.settings import (
    VARIABLES,
    WEBHOOK_VARIABLES,
    is_loopback_url,
    resolve_base_url,
    variable_value,
)
from paychainhq.cli import output
from paychainhq.cli.exit_codes import ExitCode
from paychainhq.cli.running import run
from paychainhq.cli.settings import DASHBOARD, open_client, stored
from paychainhq.errors import AuthenticationError, PayChainError

State = Literal["ok", "warning", "failure"]
_COLOURS = {"ok": "green", "warning": "yellow", "failure": "red"}
_PACKAGES = ("paychainhq", "aiohttp", "anyio", "attrs", "cattrs", "orjson", "uvloop")
_KEYS = {name for name, setting in VARIABLES.items() if setting.endswith("_key")}
_KNOWN = {*VARIABLES, *WEBHOOK_VARIABLES, DASHBOARD, "PAYCHAIN_EMULATOR_URL"}
_WAIT = 5.0
_SOON_DAYS = 14
_DAY = 86_400
# Webhooks are refused, and signed requests may be, beyond some minutes.
_SKEW_WARNING, _SKEW_FAILURE = 5, 120


@attrs.frozen
class Check:
    """Result of a check."""

    check: str
    state: State
    text: str


@click.command("doctor")
@click.option("--json", "as_json", is_flag=True, help="A JSON line for each check.")
@click.option("--offline", is_flag=True, help="Only checks of this machine.")
def _doctor(as_json: bool, offline: bool) -> int:
    """Check variables, keys, network, TLS and clock; no key is shown.

    Exit code 1: a check has failed.
    """
    failed = False
    for check in _checks(offline=offline):
        failed |= check.state == "failure"
        if as_json or not sys.stdout.isatty():
            output.write_json(attrs.asdict(check))
        else:
            state = click.style(f"{check.state:>7}", fg=_COLOURS[check.state])
            click.echo(f"{state}  {check.check:<12} {check.text}")
    return ExitCode.FAILED if failed else ExitCode.OK


def _checks(*, offline: bool) -> Iterator[Check]:
    yield _versions()
    yield from _variables()
    yield from _keys()
    yield from _proxies()
    for name in ("SSL_CERT_FILE", "SSL_CERT_DIR"):
        if os.environ.get(name):
            yield Check("tls", "ok", f"{name} names the trusted certificates")
    if os.environ.get("SSLKEYLOGFILE"):
        yield Check("tls", "warning", "SSLKEYLOGFILE is set: programs write secrets of TLS there")
    try:
        url = resolve_base_url(
            variable_value("PAYCHAIN_ENVIRONMENT") or "live",
            variable_value("PAYCHAIN_API_URL"),
            allow_insecure_http=False,
        )
    except PayChainError as error:
        yield Check("base url", "failure", str(error))
        return
    yield Check("base url", "ok", url)
    yield from _environment(url)
    if offline:
        return
    connection = list(_connection(urlsplit(url)))
    yield from connection
    if all(check.state != "failure" for check in connection):
        yield from _calls()


def _versions() -> Check:
    found = [f"Python {platform.python_version()}", ssl.OPENSSL_VERSION]
    for name in _PACKAGES:
        with suppress(PackageNotFoundError):
            found.append(f"{name} {version(name)}")
    return Check("versions", "ok", ", ".join(found))


def _variables() -> Iterator[Check]:
    """Yield the variables that nothing reads: names with a misspelling."""
    known = _KNOWN | {f"{name}_FILE" for name in _KNOWN}
    unknown = [name for name in os.environ if name.startswith("PAYCHAIN") and name not in known]
    for name in sorted(unknown):
        close = get_close_matches(name, sorted(known), 1, 0.5)
        advice = f": perhaps {close[0]}" if close else ""
        yield Check("variables", "warning", f"{name} is set, but nothing reads it{advice}")
    if not unknown:
        yield Check("variables", "ok", "each variable PAYCHAIN_* has a known name")


def _keys() -> Iterator[Check]:
    for name in (*VARIABLES, *WEBHOOK_VARIABLES):
        required = name in ("PAYCHAIN_API_KEY", "PAYCHAIN_BUSINESS_ID")
        try:
            value, source = variable_value(name), "the variable or its file"
        except PayChainError as error:
            yield Check("settings", "failure", str(error))
            continue
        if value is None and name in _KEYS:
            value, source = stored(name), "the keyring"
        if value is None:
            if required:
                yield Check("settings", "failure", f"{name} is not set, nor {name}_FILE")
        elif value.strip() != value or not value.isprintable():
            yield Check("settings", "failure", f"{name} has white space or unprintable characters")
        else:
            yield Check("settings", "ok", f"{name} is from {source}")


def _environment(url: str) -> Iterator[Check]:
    """Yield the keys that are marked for the other environment."""
    environment = variable_value("PAYCHAIN_ENVIRONMENT") or "live"
    wrong = "_live_" if environment == "sandbox" else "_test_"
    for name in sorted(_KEYS):
        value: str | None = None
        with suppress(PayChainError):  # reported by `_keys`
            value = variable_value(name)
        if wrong in (value or "") and not is_loopback_url(url):
            text = f"{name} has {wrong!r} in it, but the environment is {environment}"
            yield Check("environment", "failure", text)


def _proxies() -> Iterator[Check]:
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"):
        if os.environ.get(name):
            text = f"{name} is set, but not used: a client takes it only with trust_env=True"
            yield Check("proxy", "warning", text)


def _connection(url: SplitResult) -> Iterator[Check]:
    host, secure = url.hostname or "", url.scheme == "https"
    port = url.port or (443 if secure else 80)
    try:
        with socket.create_connection((host, port), _WAIT) as plain:
            yield Check("connection", "ok", f"{host} port {port} accepts connections")
            if secure:
                context = ssl.create_default_context()
                with context.wrap_socket(plain, server_hostname=host) as tls:
                    yield _certificate(tls)
    except ssl.SSLCertVerificationError as error:
        yield Check("tls", "failure", f"the certificate of {host}: {error.verify_message}")
    except OSError as error:
        yield Check("connection", "failure", f"{host} port {port}: {error.strerror or error}")


def _certificate(tls: ssl.SSLSocket) -> Check:
    ends = ssl.cert_time_to_seconds(str((tls.getpeercert() or {})["notAfter"]))
    days = (ends - time.time()) / _DAY
    state: State = "ok" if days > _SOON_DAYS else "warning"
    return Check("tls", state, f"{tls.version()}, the certificate is valid for {days:.0f} days")


def _calls() -> Iterator[Check]:
    """Yield the checks of a public call, of the clock, and of the key."""
    checks: list[Check] = []

    async def job() -> int:
        async with open_client(None, needs_business=False) as client:
            pay = client.with_options(retry=None, timeout=10)
            try:
                networks = await pay.networks.list()
                checks.append(Check("public call", "ok", f"{len(networks)} networks"))
                date = networks.response.headers.get("Date") if networks.response else None
                if date:
                    checks.append(_clock(date))
            except PayChainError as error:
                checks.append(Check("public call", "failure", str(error)))
                return ExitCode.FAILED
            if variable_value("PAYCHAIN_API_KEY") or stored("PAYCHAIN_API_KEY"):
                try:
                    business = await pay.businesses.get()
                    checks.append(Check("key", "ok", f"it belongs to {business.name}"))
                except AuthenticationError:
                    text = "the server refuses it: check it, and its environment"
                    checks.append(Check("key", "failure", text))
                except PayChainError as error:
                    checks.append(Check("key", "failure", str(error)))
        return ExitCode.OK

    run(job)
    return iter(checks)


def _clock(date: str) -> Check:
    skew = time.time() - parsedate_to_datetime(date).timestamp()
    state: State = "ok"
    if abs(skew) > _SKEW_WARNING:
        state = "failure" if abs(skew) > _SKEW_FAILURE else "warning"
    return Check("clock", state, f"this machine is {skew:+.0f} s from the server")


COMMANDS = {"doctor": _doctor}
