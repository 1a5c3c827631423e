"""Authorization: kinds of keys, permissions, dashboard sessions, public operations."""

from __future__ import annotations

import pytest

from paychainhq.emulator import API_KEY, CONTRACT_KEY, PAYOUT_KEY, TEST_API_KEY
from paychainhq.operations import OPERATIONS
from tests.emulator.api import API_KEYS, BUSINESS, CUSTOMERS, INVOICES, ORDER, Api
from tests.support.samples import SAMPLES, Sample

STANDARD = [sample for sample in SAMPLES if sample.described.auth == "api_key"]
DASHBOARD = [sample for sample in SAMPLES if sample.described.auth == "dashboard"]
PUBLIC = [sample for sample in SAMPLES if sample.described.auth is None]

each_standard = pytest.mark.parametrize("sample", STANDARD, ids=lambda sample: sample.operation)
each_dashboard = pytest.mark.parametrize("sample", DASHBOARD, ids=lambda sample: sample.operation)
each_public = pytest.mark.parametrize("sample", PUBLIC, ids=lambda sample: sample.operation)

LIMIT = {
    "chain": "eth",
    "networkId": "base-mainnet",
    "token": "USDC",
    "maxAmount": "10",
    "dailyAmount": "50",
}


def new_key(api: Api, **fields: object) -> tuple[str, dict[str, str]]:
    """Create a standard key; return its id and the header that carries it."""
    created = api.dashboard("POST", API_KEYS, {"name": "test", **fields}).json
    return created["id"], {"x-api-key": created["apiKey"]}


def test_the_samples_cover_all_auth_modes() -> None:
    """The parametrized tests below cover every operation but the one without a sample."""
    assert len(STANDARD) + len(DASHBOARD) + len(PUBLIC) >= len(OPERATIONS) - 1
    assert len(DASHBOARD) == 6


@each_standard
@pytest.mark.parametrize(
    "headers",
    [{}, {"x-api-key": ""}, {"x-api-key": "pk_live_other"}],
    ids=["none", "empty", "unknown"],
)
def test_a_standard_operation_needs_a_known_key(
    api: Api, sample: Sample, headers: dict[str, str]
) -> None:
    """Without a key, or with an unknown one, the response is 401 UNAUTHORIZED."""
    response = api(sample.method, sample.path, sample.body, headers)
    assert (response.status, response.code) == (401, "UNAUTHORIZED")


@each_standard
@pytest.mark.parametrize("key", [PAYOUT_KEY, CONTRACT_KEY], ids=["payout", "contract"])
def test_another_kind_of_key_is_forbidden_on_a_standard_operation(
    api: Api, sample: Sample, key: str
) -> None:
    """A payout or contract key is valid, but not for standard operations."""
    response = api(sample.method, sample.path, sample.body, {"x-api-key": key})
    assert (response.status, response.code) == (403, "FORBIDDEN")


@each_dashboard
def test_a_dashboard_operation_needs_a_session(api: Api, sample: Sample) -> None:
    """The status is 401 without or with a wrong session, and 403 with an API key."""
    args = (sample.method, sample.path, sample.body)
    assert api(*args, {}).status == 401
    assert api(*args, {"x-api-key": API_KEY}).status == 403
    assert api(*args, {"X-Emulator-Dashboard-Session": "other"}).status == 401
    assert api.dashboard(*args).status == 200


@each_public
def test_a_public_operation_needs_no_credential(api: Api, sample: Sample) -> None:
    """Requests without credentials succeed."""
    assert api(sample.method, sample.path, headers={}).status == 200


def test_both_default_keys_work(api: Api) -> None:
    """One standard key looks live, and the other does not."""
    assert [
        api("GET", BUSINESS, headers={"x-api-key": key}).status for key in (API_KEY, TEST_API_KEY)
    ] == [200, 200]
    assert "_live_" not in TEST_API_KEY


@pytest.mark.parametrize(
    "path", ["/api/v1/businesses/biz_other", "/api/v1/businesses/biz_other/invoices/inv_123"]
)
def test_another_business_is_not_found(api: Api, path: str) -> None:
    """A key has access to its own business only."""
    response = api("GET" if path.endswith("other") else "DELETE", path)
    assert (response.status, response.code) == (404, "NOT_FOUND")


@pytest.mark.parametrize(
    ("permissions", "allowed", "forbidden"),
    [
        (
            ["invoices:*"],
            [("GET", INVOICES), ("POST", INVOICES)],
            [("GET", CUSTOMERS), ("GET", BUSINESS)],
        ),
        (
            ["invoices:read"],
            [("GET", INVOICES)],
            [("POST", INVOICES), ("DELETE", f"{INVOICES}/inv_123")],
        ),
        (
            ["customers:*", "business:read"],
            [("GET", CUSTOMERS), ("GET", BUSINESS)],
            [("GET", INVOICES)],
        ),
        (["payments:read"], [("GET", f"{BUSINESS}/balances")], [("GET", INVOICES)]),
        ([], [("GET", "/api/v1/prices")], [("GET", "/api/v1/tokens"), ("GET", INVOICES)]),
    ],
    ids=lambda value: ",".join(value) if value and isinstance(value[0], str) else None,
)
def test_permissions_limit_a_key(
    api: Api,
    permissions: list[str],
    allowed: list[tuple[str, str]],
    forbidden: list[tuple[str, str]],
) -> None:
    """Each operation needs a permission; a family's wildcard covers its members."""
    _, headers = new_key(api, permissions=permissions)
    assert [api(method, path, ORDER, headers).status for method, path in allowed] == [200] * len(
        allowed
    )
    assert [api(method, path, ORDER, headers).code for method, path in forbidden] == [
        "FORBIDDEN"
    ] * len(forbidden)


def test_a_created_key_works_until_it_is_revoked(api: Api) -> None:
    """Revocation holds from the next request on, and cannot be repeated."""
    key_id, headers = new_key(api)
    assert api("POST", INVOICES, ORDER, headers).status == 200
    assert api.dashboard("DELETE", f"{API_KEYS}/{key_id}").json == {"ok": True}
    assert api("GET", INVOICES, headers=headers).status == 401
    assert api.dashboard("DELETE", f"{API_KEYS}/{key_id}").status == 404
    assert api.dashboard("DELETE", f"{API_KEYS}/key_unknown").status == 404


def test_a_created_key_ends_with_its_lifetime(api: Api) -> None:
    """`expiresIn` is days: after them the key is unknown, and is no longer listed."""
    key_id, headers = new_key(api, expiresIn=2)
    api.emulator.advance(2 * 86_400 - 60)
    assert api("GET", INVOICES, headers=headers).status == 200
    api.emulator.advance(60)
    assert api("GET", INVOICES, headers=headers).status == 401
    assert key_id not in [key["id"] for key in api.dashboard("GET", API_KEYS).json]


@pytest.mark.parametrize("kind", ["payout-api-keys", "contract-api-keys"])
def test_created_keys_of_other_kinds_are_known_and_forbidden(api: Api, kind: str) -> None:
    """A created payout or contract key is valid, but not for standard operations."""
    body = {"name": "x", "limits": [LIMIT], "destinationPolicy": "any", "actionIds": ["a"]}
    created = api.dashboard("POST", f"{BUSINESS}/{kind}", body).json
    assert created["apiKey"].startswith("biz_live_")
    assert api("GET", BUSINESS, headers={"x-api-key": created["apiKey"]}).status == 403


@pytest.mark.parametrize(
    "scope",
    [
        "*",
        "apiKeys:*",
        "payments:*",
        "payouts:create",
        "payouts:read",
        "payouts:*",
        "contracts:sign",
        "contracts:*",
    ],
)
def test_a_standard_key_may_not_have_a_high_risk_scope(api: Api, scope: str) -> None:
    """The documented scopes are refused with the documented code, alone or among others."""
    response = api.dashboard("POST", API_KEYS, {"name": "x", "permissions": ["invoices:*", scope]})
    assert (response.status, response.code) == (400, "HIGH_RISK_SCOPE_NOT_ALLOWED")
    assert scope in response.json["error"]["details"][0]["message"]


def test_the_key_list_shows_no_key(api: Api) -> None:
    """The list has standard and payout keys, but no contract keys and no secrets."""
    key_id, headers = new_key(api, name="fresh")
    contract = api.dashboard(
        "POST", f"{BUSINESS}/contract-api-keys", {"name": "x", "actionIds": ["a"]}
    ).json
    listed = api.dashboard("GET", API_KEYS)
    assert {key_id, "key_123", "key_payout_123"} <= {key["id"] for key in listed.json}
    assert contract["id"] not in listed.body.decode()
    assert not any(
        key.encode() in listed.body for key in (headers["x-api-key"], API_KEY, PAYOUT_KEY)
    )


def test_last_use_is_shown_in_the_key_list(api: Api) -> None:
    """The time is None for a key that was never used."""
    key_id, headers = new_key(api)

    def last_used() -> object:
        return next(
            key["lastUsedAt"] for key in api.dashboard("GET", API_KEYS).json if key["id"] == key_id
        )

    assert last_used() is None
    api("GET", BUSINESS, headers=headers)
    assert last_used() is not None


def test_an_allowlist_needs_destinations(api: Api) -> None:
    """The default destination policy is an allowlist, which must not be empty."""
    response = api.dashboard(
        "POST", f"{BUSINESS}/payout-api-keys", {"name": "x", "limits": [LIMIT]}
    )
    assert (response.status, response.fields) == (400, ["destinations"])
    response = api.dashboard(
        "POST",
        f"{BUSINESS}/payout-api-keys",
        {"name": "x", "limits": [LIMIT], "destinationPolicy": "some"},
    )
    assert (response.status, response.fields) == (400, ["destinationPolicy"])
