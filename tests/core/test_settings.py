"""Settings that cannot work: a `ConfigurationError` of the constructor, never a later error."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta, timezone, tzinfo
from decimal import Decimal
from typing import Any

import pytest

from paychainhq import ConfigurationError, InvalidArgumentError, RateLimit, RetryPolicy
from paychainhq.codec import from_json
from paychainhq.models import Invoice
from tests.support.calls import HUGE
from tests.support.client import KEY, client
from tests.support.faces import PayChainHQ
from tests.support.raw_server import RawServer, http_response

LARGE = 10**400  # beyond a float; HUGE is beyond Python's limit of printing

BAD_URLS = [
    "http://[::1]evil.com",
    "http://[::1]:80evil.com",
    "http://[::1].evil.com/api/v1",
    "http://[::1",
    "http://::1]",
    "http://[]",
    "https://[1:2]",
    "https://[zz::1]",
    "https://host:",
    "https://host:99999",
    "https://host:-1",
    "https://a..b",
    "https://.example.com",
    "https://" + "a" * 64 + ".com",
    "https://a,b",
    "https://a;b",
    "https://a'b",
    "https://…",
    "https://host:" + "9" * 5000,
]


@pytest.mark.usefixtures("face")
@pytest.mark.parametrize("url", BAD_URLS, ids=lambda url: ascii(url)[:40])
def test_base_url_without_a_host(url: str) -> None:
    """A base URL with an impossible host is refused."""
    for make in (PayChainHQ, PayChainHQ.from_env):
        with pytest.raises(
            ConfigurationError, match="base_url must be an http or https URL with a host"
        ):
            make(base_url=url, api_key=KEY, business_id="biz_1")


@pytest.mark.usefixtures("face")
@pytest.mark.parametrize(
    "url",
    [
        "https://ä.com",
        "https://xn--4ca.com",
        "https://my_host",
        "https://host.",
        "https://[2001:db8::1]:8443",
        "https://1.2.3.4:1",
    ],
)
def test_base_url_with_a_host(url: str) -> None:
    """Names of any script, addresses and ports are accepted."""
    assert url in repr(PayChainHQ(base_url=url))


NUMBERS: list[tuple[str, Callable[[Any], object]]] = [
    ("rate", RateLimit),
    ("per", lambda value: RateLimit(1, per=value)),
    ("burst", lambda value: RateLimit(1, burst=value)),
    ("attempts", lambda value: RetryPolicy(attempts=value)),
    ("attempt_timeout", lambda value: RetryPolicy(attempt_timeout=value)),
    ("first", lambda value: RetryPolicy(first=value)),
    ("cap", lambda value: RetryPolicy(cap=value)),
    ("timeout", lambda value: PayChainHQ(timeout=value)),
    ("max_connections", lambda value: PayChainHQ(max_connections=value)),
]


@pytest.mark.usefixtures("face")
@pytest.mark.parametrize(("name", "make"), NUMBERS, ids=[name for name, _ in NUMBERS])
def test_number_that_is_too_large(name: str, make: Callable[[Any], object]) -> None:
    """A number beyond any float or counter is refused by name, whatever its length."""
    for value in (
        LARGE,
        -LARGE,
        HUGE,
        -HUGE,
        float("inf"),
        float("nan"),
        Decimal(1),
        "1",
        True,
        None if name != "burst" else "x",
    ):
        with pytest.raises(ConfigurationError, match=f"{name} must be") as caught:
            make(value)
        assert len(str(caught.value)) < 200


@pytest.mark.usefixtures("face")
async def test_timeout_of_a_wait_that_is_too_large() -> None:
    """A number of seconds of a call has the same bound."""
    async with RawServer(http_response({})) as server, client(server.url) as pay:
        for value in (LARGE, HUGE):
            with pytest.raises(ConfigurationError, match="timeout must be a number of seconds"):
                await pay.invoices.wait("inv_1", timeout=value)
            with pytest.raises(ConfigurationError, match="timeout must be a number of seconds"):
                pay.with_options(timeout=value)
    assert server.requests == []


@pytest.mark.usefixtures("face")
@pytest.mark.parametrize(
    "environment",
    ["staging", None, 5, HUGE, b"live"],
    ids=["staging", "None", "5", "huge", "bytes"],
)
def test_environment_that_does_not_exist(environment: Any) -> None:
    """Any other environment is refused."""
    with pytest.raises(ConfigurationError, match='environment must be "live" or "sandbox"'):
        PayChainHQ(environment=environment)


class Nowhere(tzinfo):
    """A time zone without an offset."""

    def utcoffset(self, _: datetime | None) -> timedelta | None:
        return None

    dst = utcoffset

    def tzname(self, _: datetime | None) -> str:
        return "nowhere"


@pytest.mark.parametrize(
    "now",
    [
        datetime.fromisoformat("2026-01-01"),
        datetime.fromisoformat("2026-01-01").replace(tzinfo=Nowhere()),
        date(2026, 1, 1),
        1.5,
        "2026",
    ],
    ids=str,
)
def test_effective_status_at_a_time_without_a_zone(now: Any) -> None:
    """A naive time is refused by name, also where the invoice has no expiry."""
    for more in ({"expiresAt": "2026-03-15T13:00:00Z"}, {}):
        found = from_json(Invoice, {"id": "a", "status": "pending", "amount": "1", **more})
        with pytest.raises(InvalidArgumentError) as caught:
            found.effective_status(now)
        assert caught.value.argument == "now"


def test_effective_status_at_an_aware_time() -> None:
    """A time in any zone is compared as an instant."""
    found = from_json(
        Invoice,
        {"id": "a", "status": "pending", "amount": "1", "expiresAt": "2026-03-15T13:00:00Z"},
    )
    assert found.effective_status(datetime(2026, 3, 15, 12, tzinfo=UTC)) == "pending"
    assert (
        found.effective_status(datetime(2026, 3, 15, 12, tzinfo=timezone(timedelta(hours=-2))))
        == "expired"
    )
