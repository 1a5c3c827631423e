"""Methods of the client against the table: names, arguments, order, and return types."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Mapping
from typing import Any

import pytest

from paychainhq import PayChainHQ
from paychainhq._core.operation import Operation
from paychainhq.models.lists import Page
from paychainhq.operations import OPERATIONS
from paychainhq.paging import Pages

# The public surface, recorded a second time: the positional arguments of each method. `...` has
# tests of its own.
TABLE: Mapping[str, Mapping[str, str]] = {
    "businesses": {
        "get": "business_id=None",
        "lookup": "id_or_alias",
        "payment_methods": "include_inactive=None",
        "invoice_settings": "",
        "update_invoice_settings": "invoice_underpayment_tolerance_bps=None, "
        "invoice_underpayment_tolerance_max_usd=None",
    },
    "api_keys": {
        "list": "",
        "create": "name, permissions=None, expires_in=None",
        "create_payout": "name, limits, destination_policy=None, destinations=None, "
        "ip_allowlist=None, expires_in=None",
        "create_contract": "name, action_ids, expires_in=None",
        "revoke": "key_id",
    },
    "customers": {
        "create": "external_ref, email=None",
        "create_many": "requests",
        "list": "page=None, limit=None",
        "get": "customer_id",
    },
    "invoices": {
        "create": "amount, token, chain, network_id=None, customer_id=None, expires_in=None, "
        "description=None,"
        " underpayment_tolerance_bps=None, underpayment_tolerance_max_usd=None, metadata=None",
        "create_many": "requests",
        "list": "status=None, customer_id=None, page=None, limit=None",
        "get": "invoice_id",
        "get_public": "invoice_id",
        "cancel": "invoice_id",
        "update_status": "invoice_id, status",
        "wait": "invoice_id",
        "watch": "invoice_ids",
    },
    "prices": {"list": "", "get": "symbol"},
    "networks": {"list": ""},
    "supported_assets": {"list": "include_inactive=None"},
    "tokens": {"list": "", "list_by_network": "network_id", "get": "symbol"},
    "billing": {
        "profile": "",
        "plans": "",
        "change_subscription": "plan_code, billing_mode=None, network_id=None",
        "invoices": "status=None, limit=None, offset=None",
        "usage": "",
        "pay_invoice": "invoice_id, chain, network_id, tx_hash",
    },
    "withdrawals": {"quote": "amount, token, chain, network_id=None, force_sweep_all=None"},
    "balances": {"list": "", "total": ""},
    "contract_integrations": {"list": ""},
}
METHODS = [
    (f"{resource}.{method}", arguments)
    for resource, methods in TABLE.items()
    for method, arguments in methods.items()
]


def signature_of(name: str) -> inspect.Signature:
    resource, method = name.split(".")
    with_types = inspect.signature(getattr(resource_class(resource), method))
    parameters = [
        parameter for parameter in with_types.parameters.values() if parameter.name != "self"
    ]
    return with_types.replace(parameters=parameters)


def resource_class(name: str) -> type[Any]:
    resource: type[Any] = type(getattr(PayChainHQ(business_id="biz_123"), name))
    return resource


@pytest.mark.parametrize(("name", "arguments"), METHODS, ids=[name for name, _ in METHODS])
def test_signature(name: str, arguments: str) -> None:
    """Each method has the table's arguments in order; all others are keyword-only."""
    parameters = signature_of(name).parameters.values()
    positional = [
        parameter.name
        if parameter.default is parameter.empty
        else f"{parameter.name}={parameter.default}"
        for parameter in parameters
        if parameter.kind is parameter.POSITIONAL_OR_KEYWORD
    ]
    assert ", ".join(positional) == arguments
    keyword_only = {
        parameter.name for parameter in parameters if parameter.kind is parameter.KEYWORD_ONLY
    }
    assert len(positional) + len(keyword_only) == len(parameters)
    if name in OPERATIONS:
        operation = OPERATIONS[name]
        wanted = {"business_id"} & set(operation.placeholders) - {
            part.partition("=")[0] for part in positional
        }
        assert keyword_only == wanted | (
            {"idempotency_key"} if operation.idempotency != "unsupported" else set()
        )


@pytest.mark.parametrize("operation", OPERATIONS.values(), ids=OPERATIONS)
def test_return_type(operation: Operation[Any]) -> None:
    """Each method returns the operation's type; a paged list is not awaited for it."""
    resource, method = operation.name.split(".")
    function = getattr(resource_class(resource), method)
    promised, wanted = typing.get_type_hints(function)["return"], operation.response_type
    in_pages = typing.get_origin(wanted) is Page
    assert typing.get_origin(promised) is (Pages if in_pages else typing.get_origin(wanted))
    assert typing.get_args(promised) == typing.get_args(wanted)
    assert in_pages or promised == wanted
    assert inspect.iscoroutinefunction(function) is not in_pages


@pytest.mark.parametrize("resource", TABLE)
def test_no_other_methods(resource: str) -> None:
    """A resource has the methods of the table and no others."""
    assert {name for name in dir(resource_class(resource)) if not name.startswith("_")} == set(
        TABLE[resource]
    )
