"""Pages, filters and their defaults."""

from __future__ import annotations

from typing import Any

import pytest

from tests.emulator.api import BUSINESS, CUSTOMERS, INVOICES, Api

BILLING = "/api/v1/billing/invoices"


def ids(response: Any) -> list[str]:
    return [row["id"] for row in response.json["data"]]


def test_a_fresh_list_is_one_page(api: Api) -> None:
    """The defaults are page 1 and limit 20."""
    assert api("GET", INVOICES).json["pagination"] == {
        "page": 1,
        "limit": 20,
        "total": 1,
        "totalPages": 1,
        "hasMore": False,
    }


@pytest.mark.parametrize("path", [INVOICES, CUSTOMERS], ids=["invoices", "customers"])
def test_pages_hold_everything_once_newest_first(api: Api, path: str) -> None:
    """All pages together hold each item once, and only the last has no next one."""
    body = {"amount": "1", "token": "USDC", "chain": "eth", "externalRef": "r"}
    made = [api("POST", path, body).json["id"] for _ in range(6)]
    pages = [api("GET", f"{path}?page={page}&limit=3") for page in (1, 2, 3)]
    assert [item for page in pages for item in ids(page)] == [
        *reversed(made),
        "inv_123" if path == INVOICES else "cus_123",
    ]
    assert [page.json["pagination"] for page in pages] == [
        {"page": page, "limit": 3, "total": 7, "totalPages": 3, "hasMore": page < 3}
        for page in (1, 2, 3)
    ]


def test_a_page_beyond_the_end_is_empty(api: Api) -> None:
    """The response is an empty page without a next one, and not an error."""
    response = api("GET", f"{INVOICES}?page=9007199254740992&limit=100")
    assert (response.json["data"], response.json["pagination"]["hasMore"]) == ([], False)


def test_an_empty_list_has_no_pages(api: Api) -> None:
    """Without a match there are zero pages, and no next page."""
    pagination = api("GET", f"{INVOICES}?status=failed").json["pagination"]
    assert pagination == {"page": 1, "limit": 20, "total": 0, "totalPages": 0, "hasMore": False}


def test_a_page_has_at_most_100_items(api: Api) -> None:
    """A larger limit is reduced, and the response shows the reduced one."""
    for _ in range(101):
        api.create()
    response = api("GET", f"{INVOICES}?limit=5000")
    assert (
        len(ids(response)),
        response.json["pagination"]["limit"],
        response.json["pagination"]["totalPages"],
    ) == (100, 100, 2)


@pytest.mark.parametrize("path", [INVOICES, CUSTOMERS, BILLING])
@pytest.mark.parametrize(
    "value", ["0", "-1", "1.5", "x", "", "%C2%B2", "99999999999999999999999999"]
)
def test_a_limit_must_be_a_positive_number(api: Api, path: str, value: str) -> None:
    """An invalid value is a 400 that names the field."""
    response = api("GET", f"{path}?limit={value}")
    assert (response.status, response.code, response.fields) == (400, "VALIDATION_ERROR", ["limit"])


def test_invoices_are_filtered_by_status(api: Api) -> None:
    """The filter compares the raw status, for any value."""
    paid = api.create()
    api.emulator.pay(paid)
    api.emulator.confirm(paid)
    assert ids(api("GET", f"{INVOICES}?status=paid")) == [paid]
    assert ids(api("GET", f"{INVOICES}?status=pending")) == ["inv_123"]
    assert ids(api("GET", f"{INVOICES}?status=nonsense")) == []


def test_invoices_are_filtered_by_customer(api: Api) -> None:
    """The filter works alone and with a status; without it, all invoices are listed."""
    customer = api("POST", CUSTOMERS, {"externalRef": "5"}).json["id"]
    mine, nobodys = api.create(customerId=customer), api.create()
    assert ids(api("GET", f"{INVOICES}?customerId={customer}")) == [mine]
    assert ids(api("GET", f"{INVOICES}?customerId={customer}&status=paid")) == []
    assert ids(api("GET", f"{INVOICES}?customerId=cus_unknown")) == []
    assert ids(api("GET", INVOICES)) == [nobodys, mine, "inv_123"]


def test_a_filter_may_look_like_a_number(api: Api) -> None:
    """Text stays text: an id of digits is not parsed as an integer."""
    assert api("GET", f"{INVOICES}?customerId=123&status=true").status == 200


def test_billing_invoices_use_an_offset(api: Api) -> None:
    """Billing invoices have limit, offset and status, and no pagination object."""
    for _ in range(2):
        api.dashboard("POST", "/api/v1/billing/subscription/change", {"planCode": "SCALE"})
    everything = ids(api("GET", BILLING))
    assert (len(everything), everything[-1]) == (3, "bill_inv_123")
    assert ids(api("GET", f"{BILLING}?limit=1&offset=1")) == everything[1:2]
    assert ids(api("GET", f"{BILLING}?offset=3")) == []
    assert ids(api("GET", f"{BILLING}?status=open")) == ["bill_inv_123"]
    assert api("GET", BILLING).json.keys() == {"data"}


@pytest.mark.parametrize("path", ["/api/v1/supported-assets", f"{BUSINESS}/payment-methods"])
def test_inactive_rails_are_shown_on_request(api: Api, path: str) -> None:
    """Inactive rails are omitted by default, and the count is that of the listed items."""

    def statuses(query: str) -> set[str]:
        response = api("GET", path + query).json
        assert response["count"] == len(response["paymentMethods"])
        return {method["status"] for method in response["paymentMethods"]}

    assert statuses("") == statuses("?includeInactive=false") == {"active"}
    assert statuses("?includeInactive=true") == {"active", "inactive"}
    assert api("GET", f"{path}?includeInactive=yes").fields == ["includeInactive"]


def test_reference_data_fits_together(api: Api) -> None:
    """Each active token of each network is listed, has a price, and can be invoiced there."""
    tokens = api("GET", "/api/v1/tokens").json["data"]
    on_networks = [
        (token["symbol"], network["networkId"])
        for network in api("GET", "/api/v1/networks").json["data"]
        for token in network["supportedTokens"]
    ]
    assert on_networks == [(token["symbol"], token["networkId"]) for token in tokens]
    for token in tokens:
        assert token in api("GET", f"/api/v1/tokens/networks/{token['networkId']}").json["data"]
        assert api("GET", f"/api/v1/prices/{token['symbol']}").status == 200
        assert api.create(token=token["symbol"], chain=token["chain"], networkId=token["networkId"])


def test_an_omitted_network_is_the_first_of_its_chain(api: Api) -> None:
    """The token restricts the choice to the chain's networks that have it."""
    networks = [
        api.invoice(api.create(token=token, chain=chain))["amount"]["networkId"]
        for token, chain in [("USDC", "eth"), ("ETH", "eth"), ("USDC", "sol"), ("BTC", "btc")]
    ]
    assert networks == ["base-mainnet", "base-mainnet", "sol-mainnet", "btc-mainnet"]
