"""Documented cURL commands, run with curl unchanged, and the shapes of all documented responses."""

from __future__ import annotations

import json
import shlex
import shutil
import subprocess
from typing import Any

import pytest

from paychainhq.codec import from_json, to_json
from paychainhq.emulator import Emulator
from paychainhq.emulator.handlers import HANDLERS
from paychainhq.operations import OPERATIONS
from tests.emulator.api import API_KEYS, BUSINESS, INVOICES, ORDER, Api
from tests.support.samples import DOCUMENTED, SAMPLES, Sample

needs_curl = pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")

# Fields that the sample of another list has, or no sample at all: null on some items.
MAY_BE_NULL = {"contractAddress", "expiresAt", "lastUsedAt", "payoutPolicy"}


def run_curl(emulator: Emulator, sample: Sample) -> tuple[int, Any]:
    """Run a documented command against the emulator; only the host differs."""
    assert sample.curl is not None
    command = shlex.split(
        sample.curl.replace("https://api.paychainhq.io", emulator.url).replace("\\\n", " ")
    )
    output = subprocess.run(
        [*command, "-sS", "-w", "\n%{http_code}"], capture_output=True, text=True, check=True
    ).stdout
    body, _, status = output.rpartition("\n")
    return int(status), json.loads(body)


def assert_shape(actual: Any, sample: Any, path: str = "$") -> None:
    """Assert the same fields of the same types; list items match any of the sample's."""
    if isinstance(sample, dict) and isinstance(actual, dict):
        assert actual.keys() == sample.keys(), path
        for name, value in sample.items():
            if not (actual[name] is None and name in MAY_BE_NULL):
                assert_shape(actual[name], value, f"{path}.{name}")
    elif isinstance(sample, list) and isinstance(actual, list):
        for item in actual:
            assert any(has_shape(item, documented) for documented in sample), f"{path}: {item}"
    elif sample is not None:
        # A JSON number may be whole in one response and not in another; true is not a number.
        assert isinstance(actual, (int, float) if type(sample) in (int, float) else type(sample)), (
            path
        )
        assert isinstance(actual, bool) == isinstance(sample, bool), path


def has_shape(actual: Any, sample: Any) -> bool:
    try:
        assert_shape(actual, sample)
    except AssertionError:
        return False
    return True


def assert_documented(sample: Sample, status: int, body: Any) -> None:
    """Assert a 2xx with the sample's shape, or a 401 for a dashboard operation."""
    if sample.described.auth == "dashboard":
        assert (status, body["error"]["code"]) == (401, "UNAUTHORIZED")
    else:
        assert 200 <= status < 300, body
        assert_shape(body, sample.response)


@needs_curl
@pytest.mark.parametrize("sample", DOCUMENTED, ids=lambda sample: sample.operation)
def test_a_documented_command_works_on_a_fresh_emulator(emulator: Emulator, sample: Sample) -> None:
    """The response has the documented shape; it is a 401 for a dashboard operation.

    The commands of dashboard operations carry no credential.
    """
    assert_documented(sample, *run_curl(emulator, sample))


@needs_curl
def test_all_documented_commands_work_in_order(emulator: Emulator) -> None:
    """The commands run in sequence on one emulator, with the same idempotency key."""
    assert len(DOCUMENTED) == 30
    for sample in DOCUMENTED:
        assert_documented(sample, *run_curl(emulator, sample))
    assert [request.operation for request in emulator.requests] == [
        sample.operation for sample in DOCUMENTED
    ]


@needs_curl
def test_the_documented_commands_can_be_repeated(emulator: Emulator) -> None:
    """A second run succeeds as well, and creates nothing twice."""
    for sample in (*DOCUMENTED, *DOCUMENTED):
        assert_documented(sample, *run_curl(emulator, sample))
    assert Api(emulator).count() == 2


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: sample.operation)
def test_a_response_has_the_documented_shape(api: Api, sample: Sample) -> None:
    """Each operation returns the documented shape, and the models decode it without loss."""
    path = sample.path
    if sample.operation == "withdrawals.quote":
        path += "?amount=500&token=USDC&chain=eth"
    elif sample.query:
        path += "?" + "&".join(f"{name}={value}" for name, value in sample.query.items())
    send = api.dashboard if sample.described.auth == "dashboard" else api
    response = send(sample.method, path, sample.body, key="k")
    assert response.status == 200, response.body
    assert_shape(response.json, sample.response)
    assert to_json(from_json(sample.type, response.json)) == response.json


def test_every_operation_has_a_handler() -> None:
    """The operation table and the handlers have the same names."""
    assert set(HANDLERS) == set(OPERATIONS)


def test_the_seed_data_is_that_of_the_samples(api: Api) -> None:
    """Objects of the samples have the samples' values, dates excepted."""
    by_name = {sample.operation: sample.response for sample in SAMPLES}
    assert api("GET", f"{BUSINESS}/customers/cus_123").json == by_name["customers.get"]
    assert api("GET", "/api/v1/businesses/lookup/biz_123").json == by_name["businesses.lookup"]
    assert (
        api("GET", "/api/v1/businesses/lookup/bill_acme_001").json == by_name["businesses.lookup"]
    )
    # Compared by value: 149.5 equals 149.50.
    balances = by_name["balances.list"]
    kind = OPERATIONS["balances.list"].response_type
    assert list(from_json(kind, api("GET", f"{BUSINESS}/balances").json)) == list(
        from_json(kind, balances)
    )
    assert (
        api("GET", f"{BUSINESS}/settings/invoices").json == by_name["businesses.invoice_settings"]
    )
    assert (
        api("GET", f"{BUSINESS}/contract-integrations").json
        == by_name["contract_integrations.list"]
    )
    assert api("GET", "/api/v1/tokens/USDC").json == by_name["tokens.get"]
    assert (
        api("GET", "/api/v1/billing/plans").json["plans"][:3] == by_name["billing.plans"]["plans"]
    )
    quote = api(
        "GET",
        f"{BUSINESS}/withdrawals/quote?amount=500&token=USDC&chain=eth&networkId=base-mainnet",
    ).json
    assert quote == by_name["withdrawals.quote"]


@pytest.mark.parametrize(
    ("query", "sweep", "available"),
    [
        ("amount=100&token=USDC&chain=eth", False, True),
        ("amount=100&token=USDC&chain=eth&forceSweepAll=true", True, True),
        ("amount=760.5&token=USDC&chain=eth", True, True),
        ("amount=760.51&token=USDC&chain=eth", False, False),
        ("amount=0.00000000000000000000000000000000001&token=ETH&chain=eth", False, True),
    ],
)
def test_a_quote_depends_on_the_balance(api: Api, query: str, sweep: bool, available: bool) -> None:
    """The treasury covers small amounts, sweeping covers larger ones, and the rest fail."""
    quote = api("GET", f"{BUSINESS}/withdrawals/quote?{query}").json
    assert (quote["sweepNeeded"], quote["options"][0]["available"]) == (sweep, available)


def test_a_payout_key_is_created_as_documented(api: Api) -> None:
    """The response has the requested values, and the values derived from the limits."""
    sample = next(sample for sample in SAMPLES if sample.operation == "api_keys.create_payout")
    created = api.dashboard("POST", sample.path, sample.body).json
    policy = created["policy"]
    assert policy["destinations"] == sample.body["destinations"]
    assert policy["limits"] == sample.body["limits"]
    assert (policy["allowedChains"], policy["allowedNetworkIds"]) == (
        ["sol", "eth"],
        ["sol-mainnet", "base-mainnet"],
    )
    assert created["id"] in [key["id"] for key in api.dashboard("GET", API_KEYS).json]


@pytest.mark.parametrize(
    ("body", "state"),
    [
        ({"planCode": "SCALE"}, "payment_required"),
        ({"planCode": "GROWTH", "billingMode": "prepaid_annual"}, "payment_required"),
        ({"planCode": "FREE"}, "scheduled"),
    ],
)
def test_a_plan_changes_when_it_is_paid(api: Api, body: dict[str, str], state: str) -> None:
    """An upgrade takes effect once its invoice is paid; a downgrade is scheduled."""
    change = api.dashboard("POST", "/api/v1/billing/subscription/change", body).json
    assert (change["state"], change["fromPlanCode"], change["toPlanCode"]) == (
        state,
        "GROWTH",
        body["planCode"],
    )
    before = api("GET", "/api/v1/billing/me").json
    assert before["policy"]["planCode"] == "GROWTH"
    if state == "payment_required":
        payment = {"chain": "eth", "networkId": "base-mainnet", "txHash": "0xabc"}
        api("POST", f"/api/v1/billing/invoices/{change['invoice']['id']}/pay", payment, key="p")
        policy = api("GET", "/api/v1/billing/me").json["policy"]
        assert (policy["planCode"], policy["billingMode"]) == (
            body["planCode"],
            change["billingMode"],
        )


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"planCode": "HUGE"}, "planCode"),
        ({"planCode": "GROWTH", "billingMode": "weekly"}, "billingMode"),
        ({"planCode": "SCALE", "billingMode": "prepaid_annual"}, "billingMode"),
    ],
)
def test_a_plan_must_exist(api: Api, body: dict[str, str], field: str) -> None:
    """Unknown plans and modes are refused, and annual billing for all plans but GROWTH."""
    response = api.dashboard("POST", "/api/v1/billing/subscription/change", body)
    assert (response.status, response.fields) == (400, [field])


def test_metadata_is_returned(api: Api) -> None:
    """Metadata is in the responses to a creation and a read, and in no public response."""
    metadata = {"order": "order_123", "lines": [1, None, {"ü": True}]}
    created = api("POST", INVOICES, {**ORDER, "metadata": metadata}).json
    assert created["metadata"] == api.invoice(created["id"])["metadata"] == metadata
    assert "metadata" not in api.public(created["id"])


def test_a_customers_invoice_has_the_customers_address(api: Api) -> None:
    """Addresses are permanent; without a customer, each invoice has its own."""
    customer = api("POST", f"{BUSINESS}/customers", {"externalRef": "r"}).json
    addresses = {address["chainFamily"]: address["address"] for address in customer["addresses"]}
    for chain in ("eth", "sol"):
        invoice = api(
            "POST", INVOICES, {**ORDER, "chain": chain, "customerId": customer["id"]}
        ).json
        assert (invoice["depositAddress"], invoice["customerId"]) == (
            addresses[chain],
            customer["id"],
        )
    assert len({api.invoice(api.create())["depositAddress"] for _ in range(3)}) == 3
