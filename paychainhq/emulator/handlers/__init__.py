"""Operations, one function each: takes a `Call`, returns the JSON of the response.

Each runs inside one transaction.
"""

from __future__ import annotations

from collections.abc import Mapping

from paychainhq.emulator.handlers import (
    api_keys,
    billing,
    businesses,
    customers,
    invoices,
    reference,
    treasury,
)
from paychainhq.emulator.handlers.call import Handler

HANDLERS: Mapping[str, Handler] = {
    "businesses.get": businesses.get,
    "businesses.lookup": businesses.lookup,
    "businesses.payment_methods": businesses.payment_methods,
    "businesses.invoice_settings": businesses.invoice_settings,
    "businesses.update_invoice_settings": businesses.update_invoice_settings,
    "api_keys.list": api_keys.list_,
    "api_keys.create": api_keys.create,
    "api_keys.create_payout": api_keys.create_payout,
    "api_keys.create_contract": api_keys.create_contract,
    "api_keys.revoke": api_keys.revoke,
    "customers.create": customers.create,
    "customers.list": customers.list_,
    "customers.get": customers.get,
    "invoices.create": invoices.create,
    "invoices.list": invoices.list_,
    "invoices.get": invoices.get,
    "invoices.get_public": invoices.get_public,
    "invoices.cancel": invoices.cancel,
    "invoices.update_status": invoices.update_status,
    "prices.list": reference.list_prices,
    "prices.get": reference.get_price,
    "networks.list": reference.list_networks,
    "supported_assets.list": reference.list_supported_assets,
    "tokens.list": reference.list_tokens,
    "tokens.list_by_network": reference.list_tokens_by_network,
    "tokens.get": reference.get_token,
    "billing.profile": billing.profile,
    "billing.plans": billing.plans,
    "billing.change_subscription": billing.change_subscription,
    "billing.invoices": billing.invoices,
    "billing.usage": billing.usage,
    "billing.pay_invoice": billing.pay_invoice,
    "withdrawals.quote": treasury.quote,
    "balances.list": treasury.balances,
    "balances.total": treasury.total,
    "contract_integrations.list": reference.list_contract_integrations,
}
