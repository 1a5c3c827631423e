"""Secrets in refused settings: no error shows them."""

from __future__ import annotations

import pickle
from typing import Any

import pytest

from paychainhq import (
    ConfigurationError,
    DashboardSession,
    PayChainError,
)
from tests.security.leaks import (
    API_KEY,
    CONTRACT_KEY,
    KEYS,
    PASSWORD,
    PAYOUT_KEY,
    SESSION,
    all_forms,
    make,
    shown,
    traced,
)
from tests.support import faces
from tests.support.faces import PayChainHQ

pytestmark = pytest.mark.usefixtures("face")


@pytest.mark.parametrize(
    "settings",
    [
        {"api_key": API_KEY + "\n"},
        {"payout_key": " " + PAYOUT_KEY},
        {"contract_key": CONTRACT_KEY + "\x00"},
        {"dashboard": {"Cookie": SESSION}},
        {"base_url": f"https://me:{PASSWORD}@api.example.com"},
        {"base_url": "http://api.example.com"},
        {"proxy": f"ftp://me:{PASSWORD}@proxy"},
        {"proxy": f"http://me:{PASSWORD}@proxy:99999"},
        {"proxy": f"http://me:{PASSWORD}@proxy.example.com", "base_url": "http://127.0.0.1:1"},
        {
            "environment": "sandbox",
            "base_url": "https://api.example.com",
            "api_key": "pk_live_" + API_KEY,
        },
        {"timeout": 0},
        {"ssl": False},
    ],
)
def test_an_error_of_the_constructor_shows_no_secret(settings: dict[str, Any]) -> None:
    """Neither the wrong secret nor the others are shown."""
    for maker in (PayChainHQ, PayChainHQ.from_env):
        with pytest.raises(ConfigurationError) as caught:
            maker(**{**KEYS, **settings})
        assert shown(traced(caught.value) + all_forms(caught.value)) == []


@pytest.mark.async_only("it makes no client")
def test_an_error_of_a_dashboard_session_shows_no_secret() -> None:
    """None of its headers is shown."""
    with pytest.raises(ConfigurationError) as caught:
        DashboardSession({"X-Other": SESSION, "Cookie": SESSION + "\n"})
    assert shown(traced(caught.value) + all_forms(caught.value)) == []


def test_an_error_about_the_environment_shows_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    """The values of the environment's variables are not shown."""
    monkeypatch.setenv("PAYCHAIN_API_KEY", API_KEY + "\n")
    monkeypatch.setenv("PAYCHAIN_PAYOUT_KEY", PAYOUT_KEY)
    monkeypatch.setenv("PAYCHAIN_BUSINESS_ID", "biz_123")
    with pytest.raises(ConfigurationError) as caught:
        PayChainHQ.from_env()
    assert shown(traced(caught.value) + all_forms(caught.value)) == []
    monkeypatch.setenv("https_proxy", f"ftp://me:{PASSWORD}@proxy")
    with pytest.raises(ConfigurationError) as caught:
        PayChainHQ(trust_env=True)
    assert shown(traced(caught.value) + all_forms(caught.value)) == []


async def test_an_error_about_a_missing_credential_shows_no_other() -> None:
    """The error about a missing key shows none of the keys that are set."""
    async with make("http://127.0.0.1:1", api_key=None) as pay:
        with pytest.raises(PayChainError, match="api_key") as caught:
            await pay.businesses.get()
    assert shown(traced(caught.value) + all_forms(caught.value) + repr(vars(caught.value))) == []


@pytest.mark.async_only("it pickles a client of each face itself")
@pytest.mark.parametrize("face_of_client", faces.FACES)
def test_a_client_is_not_pickled(monkeypatch: pytest.MonkeyPatch, face_of_client: str) -> None:
    """The error gives the reason; a session is pickled without its headers' values."""
    monkeypatch.setattr(faces, "current", face_of_client)
    pay: Any = make("http://127.0.0.1:1")
    with pytest.raises(TypeError, match="holds keys and connections"):
        pickle.dumps(pay._blocking if face_of_client == "sync" else pay)
    assert shown(all_forms(DashboardSession({"Cookie": SESSION}))) == []
