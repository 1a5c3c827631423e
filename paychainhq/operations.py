"""Operation table of the API, read by the client, the emulator, the documentation and the tests.

Operations are from the seed documents by default; `source` names the page of the six that are not.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from paychainhq import models
from paychainhq._core import plain_json
from paychainhq._core import validators as check
from paychainhq._core.operation import Operation, Parameter
from paychainhq._core.validators import Check
from paychainhq._core.words import word

_BUSINESS = "/api/v1/businesses/{business_id}"
_PAGE: dict[str, Check] = {"page": check.positive_int, "limit": check.positive_int}
_CHAIN = word(lambda: models.Chain, ethereum="eth", bitcoin="btc", solana="sol")


def _required(test: Check) -> Parameter:
    return Parameter(test, required=True)


# --- businesses ---

BUSINESSES_GET = Operation(
    name="businesses.get", method="GET", path=_BUSINESS, response=lambda: models.Business
)
BUSINESSES_LOOKUP = Operation(
    name="businesses.lookup",
    method="GET",
    path="/api/v1/businesses/lookup/{id_or_alias}",
    response=lambda: models.Business,
)
BUSINESSES_PAYMENT_METHODS = Operation(
    name="businesses.payment_methods",
    method="GET",
    path=f"{_BUSINESS}/payment-methods",
    query={"include_inactive": check.boolean},
    response=lambda: models.Listing[models.PaymentMethod],
)
BUSINESSES_INVOICE_SETTINGS = Operation(
    name="businesses.invoice_settings",
    method="GET",
    path=f"{_BUSINESS}/settings/invoices",
    response=lambda: models.InvoiceSettings,
    source="reference/settings-compliance",
)
BUSINESSES_UPDATE_INVOICE_SETTINGS = Operation(
    name="businesses.update_invoice_settings",
    method="PATCH",
    path=f"{_BUSINESS}/settings/invoices",
    idempotency="required",
    body={
        "invoice_underpayment_tolerance_bps": check.at_most("300", check.count),
        "invoice_underpayment_tolerance_max_usd": check.at_most("100.00", check.money),
    },
    response=lambda: models.InvoiceSettings,
    source="reference/settings-compliance",
)

# --- API keys: dashboard operations, none of which has an idempotency key ---

_DESTINATIONS = check.records({"chain": _CHAIN, "address": check.text}, {"label": check.any_text})
_LIMITS = check.records(
    {
        "chain": _CHAIN,
        "network_id": check.text,
        "token": check.text,
        "max_amount": check.positive_money,
        "daily_amount": check.positive_money,
    },
    {},
)

API_KEYS_LIST = Operation(
    name="api_keys.list",
    method="GET",
    path=f"{_BUSINESS}/api-keys",
    auth="dashboard",
    response=lambda: models.Listing[models.ApiKey],
)
API_KEYS_CREATE = Operation(
    name="api_keys.create",
    method="POST",
    path=f"{_BUSINESS}/api-keys",
    auth="dashboard",
    body={"name": _required(check.text), "permissions": check.texts, "expires_in": check.days},
    response=lambda: models.CreatedApiKey,
    holds_secret=True,
)
API_KEYS_CREATE_PAYOUT = Operation(
    name="api_keys.create_payout",
    method="POST",
    path=f"{_BUSINESS}/payout-api-keys",
    auth="dashboard",
    body={
        "name": _required(check.text),
        "expires_in": check.days,
        "destination_policy": check.text,
        "destinations": _DESTINATIONS,
        "limits": _required(_LIMITS),
        "ip_allowlist": check.networks,
    },
    response=lambda: models.CreatedApiKey,
    holds_secret=True,
)
API_KEYS_CREATE_CONTRACT = Operation(
    name="api_keys.create_contract",
    method="POST",
    path=f"{_BUSINESS}/contract-api-keys",
    auth="dashboard",
    body={
        "name": _required(check.text),
        "expires_in": check.days,
        "action_ids": _required(check.some_texts),
    },
    response=lambda: models.CreatedApiKey,
    holds_secret=True,
)
API_KEYS_REVOKE = Operation(
    name="api_keys.revoke",
    method="DELETE",
    path=f"{_BUSINESS}/api-keys/{{key_id}}",
    auth="dashboard",
    needs_confirmation=True,
    response=lambda: models.Revocation,
)

# --- customers ---

CUSTOMERS_CREATE = Operation(
    name="customers.create",
    method="POST",
    path=f"{_BUSINESS}/customers",
    idempotency="recommended",
    body={"external_ref": _required(check.reference), "email": check.text},
    response=lambda: models.Customer,
)
CUSTOMERS_LIST = Operation(
    name="customers.list",
    method="GET",
    path=f"{_BUSINESS}/customers",
    query=_PAGE,
    response=lambda: models.Page[models.Customer],
)
CUSTOMERS_GET = Operation(
    name="customers.get",
    method="GET",
    path=f"{_BUSINESS}/customers/{{customer_id}}",
    response=lambda: models.Customer,
)

# --- invoices ---

INVOICES_CREATE = Operation(
    name="invoices.create",
    method="POST",
    path=f"{_BUSINESS}/invoices",
    idempotency="recommended",
    body={
        "customer_id": check.text,
        "amount": _required(check.positive_money),
        "token": _required(check.text),
        "chain": _required(_CHAIN),
        "network_id": check.text,
        "expires_in": check.positive_int,
        "description": check.any_text,
        "underpayment_tolerance_bps": check.count,
        "underpayment_tolerance_max_usd": check.money,
        "metadata": plain_json.json_object,
    },
    response=lambda: models.Invoice,
)
INVOICES_LIST = Operation(
    name="invoices.list",
    method="GET",
    path=f"{_BUSINESS}/invoices",
    query={"status": word(lambda: models.InvoiceStatus), "customer_id": check.text, **_PAGE},
    response=lambda: models.Page[models.Invoice],
)
INVOICES_GET = Operation(
    name="invoices.get",
    method="GET",
    path="/api/v1/businesses/invoices/{invoice_id}",
    response=lambda: models.Invoice,
)
INVOICES_GET_PUBLIC = Operation(
    name="invoices.get_public",
    method="GET",
    path="/api/v1/invoices/{invoice_id}",
    auth=None,
    response=lambda: models.PublicInvoice,
)
INVOICES_CANCEL = Operation(
    name="invoices.cancel",
    method="DELETE",
    path=f"{_BUSINESS}/invoices/{{invoice_id}}",
    idempotency="recommended",
    response=lambda: models.Cancellation,
)
INVOICES_UPDATE_STATUS = Operation(
    name="invoices.update_status",
    method="PATCH",
    path="/api/v1/invoices/{invoice_id}/status",
    idempotency="recommended",
    body={"status": _required(check.text)},
    needs_confirmation=True,
    response=lambda: models.Invoice,
)

# --- reference data ---

PRICES_LIST = Operation(
    name="prices.list",
    method="GET",
    path="/api/v1/prices",
    auth=None,
    response=lambda: models.Listing[models.Price],
)
PRICES_GET = Operation(
    name="prices.get",
    method="GET",
    path="/api/v1/prices/{symbol}",
    auth=None,
    response=lambda: models.Price,
)
NETWORKS_LIST = Operation(
    name="networks.list",
    method="GET",
    path="/api/v1/networks",
    auth=None,
    response=lambda: models.Listing[models.Network],
)
SUPPORTED_ASSETS_LIST = Operation(
    name="supported_assets.list",
    method="GET",
    path="/api/v1/supported-assets",
    auth=None,
    query={"include_inactive": check.boolean},
    response=lambda: models.Listing[models.PaymentMethod],
)
TOKENS_LIST = Operation(
    name="tokens.list",
    method="GET",
    path="/api/v1/tokens",
    response=lambda: models.Listing[models.Token],
)
TOKENS_LIST_BY_NETWORK = Operation(
    name="tokens.list_by_network",
    method="GET",
    path="/api/v1/tokens/networks/{network_id}",
    response=lambda: models.Listing[models.Token],
)
TOKENS_GET = Operation(
    name="tokens.get", method="GET", path="/api/v1/tokens/{symbol}", response=lambda: models.Token
)

# --- billing ---

BILLING_PROFILE = Operation(
    name="billing.profile",
    method="GET",
    path="/api/v1/billing/me",
    response=lambda: models.BillingProfile,
)
BILLING_PLANS = Operation(
    name="billing.plans",
    method="GET",
    path="/api/v1/billing/plans",
    response=lambda: models.Listing[models.Plan],
)
BILLING_CHANGE_SUBSCRIPTION = Operation(
    name="billing.change_subscription",
    method="POST",
    path="/api/v1/billing/subscription/change",
    auth="dashboard",
    idempotency="recommended",
    body={"plan_code": _required(check.text), "billing_mode": check.text, "network_id": check.text},
    needs_confirmation=True,
    response=lambda: models.SubscriptionChange,
)
BILLING_INVOICES = Operation(
    name="billing.invoices",
    method="GET",
    path="/api/v1/billing/invoices",
    query={
        "status": word(lambda: models.BillingInvoiceStatus),
        "limit": check.positive_int,
        "offset": check.count,
    },
    response=lambda: models.Page[models.BillingInvoice],
)
BILLING_USAGE = Operation(
    name="billing.usage",
    method="GET",
    path="/api/v1/billing/usage",
    response=lambda: models.BillingUsage,
)
BILLING_PAY_INVOICE = Operation(
    name="billing.pay_invoice",
    method="POST",
    path="/api/v1/billing/invoices/{invoice_id}/pay",
    idempotency="required",
    body={
        "chain": _required(_CHAIN),
        "network_id": _required(check.text),
        "tx_hash": _required(check.text),
    },
    needs_confirmation=True,
    response=lambda: models.BillingPayment,
)

# --- from other public pages ---

WITHDRAWALS_QUOTE = Operation(
    name="withdrawals.quote",
    method="GET",
    path=f"{_BUSINESS}/withdrawals/quote",
    query={
        "amount": _required(check.positive_money),
        "token": _required(check.text),
        "chain": _required(_CHAIN),
        "network_id": check.text,
        "force_sweep_all": check.boolean,
    },
    response=lambda: models.WithdrawalQuote,
    source="reference/withdrawals-treasury",
)
BALANCES_LIST = Operation(
    name="balances.list",
    method="GET",
    path=f"{_BUSINESS}/balances",
    response=lambda: models.Listing[models.Balance],
    source="workflows/reconcile-balances",
)
BALANCES_TOTAL = Operation(
    name="balances.total",
    method="GET",
    path=f"{_BUSINESS}/balances/total",
    response=lambda: models.BalanceTotal,
    source="workflows/reconcile-balances",
)
CONTRACT_INTEGRATIONS_LIST = Operation(
    name="contract_integrations.list",
    method="GET",
    path=f"{_BUSINESS}/contract-integrations",
    response=lambda: models.Listing[models.ContractIntegration],
    source="reference/contracts-automation",
)

OPERATIONS: Mapping[str, Operation[Any]] = {
    operation.name: operation
    for operation in list(globals().values())
    if isinstance(operation, Operation)
}
"""Operations by name, in the order of this file."""
