"""Values of the API. Each name loads only the module of its domain, on first use."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from paychainhq.models.api_keys import (
        ApiKey,
        CreatedApiKey,
        Destination,
        DestinationPolicy,
        KeyKind,
        KeyPolicy,
        PayoutLimit,
        Revocation,
    )
    from paychainhq.models.balances import Balance, BalanceTotal
    from paychainhq.models.base import Model
    from paychainhq.models.billing import (
        BillingBusiness,
        BillingCycle,
        BillingInvoice,
        BillingInvoiceStatus,
        BillingMode,
        BillingPayment,
        BillingPolicy,
        BillingProfile,
        BillingUsage,
        LinkedPayoutUsage,
        PaymentInstructions,
        Plan,
        PlanCode,
        Subscription,
        SubscriptionChange,
    )
    from paychainhq.models.businesses import Business, InvoiceSettings
    from paychainhq.models.chains import Chain, SupportedToken
    from paychainhq.models.contract_integrations import ContractIntegration, ContractOperation
    from paychainhq.models.customers import Customer, CustomerAddress
    from paychainhq.models.invoices import (
        Amount,
        Cancellation,
        Invoice,
        InvoiceStatus,
        PaymentProgress,
        PaymentSummary,
        ProviderRegistration,
        PublicInvoice,
    )
    from paychainhq.models.lists import Listing, Page, Pagination
    from paychainhq.models.networks import Network
    from paychainhq.models.prices import Price
    from paychainhq.models.supported_assets import PaymentMethod
    from paychainhq.models.tokens import Token
    from paychainhq.models.webhooks import Event, EventData, EventName
    from paychainhq.models.withdrawals import WithdrawalOption, WithdrawalQuote
else:

    def __getattr__(name: str) -> object:
        if name not in _MODULE_OF:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = getattr(importlib.import_module(f"{__name__}.{_MODULE_OF[name]}"), name)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return __all__


_MODULE_OF = {
    name: module
    for module, names in {
        "api_keys": "ApiKey CreatedApiKey Destination DestinationPolicy KeyKind KeyPolicy "
        "PayoutLimit Revocation",
        "balances": "Balance BalanceTotal",
        "base": "Model",
        "billing": "BillingBusiness BillingCycle BillingInvoice BillingInvoiceStatus BillingMode "
        "BillingPayment BillingPolicy"
        " BillingProfile BillingUsage LinkedPayoutUsage PaymentInstructions Plan PlanCode "
        "Subscription SubscriptionChange",
        "businesses": "Business InvoiceSettings",
        "chains": "Chain SupportedToken",
        "contract_integrations": "ContractIntegration ContractOperation",
        "customers": "Customer CustomerAddress",
        "invoices": "Amount Cancellation Invoice InvoiceStatus PaymentProgress PaymentSummary "
        "ProviderRegistration PublicInvoice",
        "lists": "Listing Page Pagination",
        "networks": "Network",
        "prices": "Price",
        "supported_assets": "PaymentMethod",
        "tokens": "Token",
        "webhooks": "Event EventData EventName",
        "withdrawals": "WithdrawalOption WithdrawalQuote",
    }.items()
    for name in names.split()
}

__all__ = [
    "Amount",
    "ApiKey",
    "Balance",
    "BalanceTotal",
    "BillingBusiness",
    "BillingCycle",
    "BillingInvoice",
    "BillingInvoiceStatus",
    "BillingMode",
    "BillingPayment",
    "BillingPolicy",
    "BillingProfile",
    "BillingUsage",
    "Business",
    "Cancellation",
    "Chain",
    "ContractIntegration",
    "ContractOperation",
    "CreatedApiKey",
    "Customer",
    "CustomerAddress",
    "Destination",
    "DestinationPolicy",
    "Event",
    "EventData",
    "EventName",
    "Invoice",
    "InvoiceSettings",
    "InvoiceStatus",
    "KeyKind",
    "KeyPolicy",
    "LinkedPayoutUsage",
    "Listing",
    "Model",
    "Network",
    "Page",
    "Pagination",
    "PaymentInstructions",
    "PaymentMethod",
    "PaymentProgress",
    "PaymentSummary",
    "PayoutLimit",
    "Plan",
    "PlanCode",
    "Price",
    "ProviderRegistration",
    "PublicInvoice",
    "Revocation",
    "Subscription",
    "SubscriptionChange",
    "SupportedToken",
    "Token",
    "WithdrawalOption",
    "WithdrawalQuote",
]
