"""Parity of the two packages: every public name, method, argument, default and result."""

from __future__ import annotations

import ast
import importlib
import inspect
import re
from functools import cached_property
from typing import Any

import pytest

import paychainhq.gateway
import paychainhq_sync.gateway
from paychainhq import codec, models, operations
from paychainhq.emulator import API_KEY, BUSINESS_ID, Emulator
from paychainhq.gateway import operations as gateway_operations
from paychainhq.resources.base import Resource
from tests.support.samples import BY_NAME

RESOURCES = [
    f"{home}resources.{name}"
    for home, table in (("", operations.OPERATIONS), ("gateway.", gateway_operations.OPERATIONS))
    for name in sorted({name.partition(".")[0] for name in table})
]
CLIENTS = [
    (paychainhq.PayChainHQ, paychainhq_sync.PayChainHQ),
    (paychainhq.gateway.Gateway, paychainhq_sync.gateway.Gateway),
]
each_client = pytest.mark.parametrize(
    ("async_client", "sync_client"), CLIENTS, ids=["PayChainHQ", "Gateway"]
)
# Result types of the async face and their equivalents in the sync face.
RESULTS = {r"^Pages\[(.+)\]$": r"Page[\1]", r"^AsyncGenerator\[(.+), None\]$": r"Iteration[\1]"}
ONLY_ASYNC = {"__aenter__": "__enter__", "__aexit__": "__exit__"}
ASYNC_WORDS = re.compile(r"\bawait|\basync|coroutine|event loop", re.IGNORECASE)


def resource_classes(name: str) -> tuple[type, type]:
    pair = []
    for package in ("paychainhq", "paychainhq_sync"):
        module = importlib.import_module(f"{package}.{name}")
        [cls] = [
            value
            for value in vars(module).values()
            if inspect.isclass(value)
            and value.__module__ == module.__name__
            and value is not Resource
        ]
        pair.append(cls)
    return pair[0], pair[1]


def methods(cls: type) -> dict[str, Any]:
    return {
        name: value
        for name, value in members(cls).items()
        if inspect.isfunction(value) and not name.startswith("_")
    }


def members(cls: type) -> dict[str, Any]:
    """Return the attributes of a class and its own bases."""
    return {
        name: value for base in reversed(cls.__mro__[:-1]) for name, value in vars(base).items()
    }


def in_sync_terms(signature: inspect.Signature) -> inspect.Signature:
    """Return the signature that an async one must have in the sync face."""
    returns = str(signature.return_annotation)
    for pattern, replacement in RESULTS.items():
        returns = re.sub(pattern, replacement, returns)
    parameters = [
        parameter.replace(annotation=re.sub(r" \| AsyncIterable\[.+\]$", "", parameter.annotation))
        if isinstance(parameter.annotation, str)
        else parameter
        for parameter in signature.parameters.values()
    ]
    return signature.replace(parameters=parameters, return_annotation=returns)


def test_every_public_name_is_in_both() -> None:
    """Both packages export the same names and, except the clients, the same objects."""
    for theirs, ours in (
        (paychainhq, paychainhq_sync),
        (paychainhq.gateway, paychainhq_sync.gateway),
    ):
        assert theirs.__all__ == ours.__all__
        for name in theirs.__all__:
            another = name in ("PayChainHQ", "Gateway", "webhooks")
            assert (getattr(theirs, name) is getattr(ours, name)) is not another, name


@pytest.mark.parametrize(
    "name",
    ["errors", "codec", "models", "typing", "webhooks", "gateway.models", "gateway.webhooks"],
)
def test_a_module_without_io_is_shared(name: str) -> None:
    """Errors, models and the codec are the same objects, except the page and the receivers.

    `except` and `isinstance` therefore work across the packages.
    """
    ours, theirs = (
        importlib.import_module(f"paychainhq_sync.{name}"),
        importlib.import_module(f"paychainhq.{name}"),
    )
    for public in ours.__all__:
        if public == "Page":
            assert issubclass(ours.Page, theirs.Page)
        elif public == "Receiver":
            assert ours.Receiver is not theirs.Receiver
        else:
            assert getattr(ours, public) is getattr(theirs, public), public
    expected = getattr(theirs, "__all__", None) or [
        key
        for key, value in vars(theirs).items()
        if (inspect.isclass(value) or inspect.isfunction(value))
        and value.__module__ == theirs.__name__
        and key[0] != "_"
    ]
    assert set(expected) <= set(ours.__all__)


@pytest.mark.parametrize("package", ["webhooks", "gateway.webhooks"])
def test_receivers_are_alike(package: str) -> None:
    """Settings, handlers and arguments are those of the other face, in the voice of this one."""
    ours, theirs = (
        importlib.import_module(f"{face}.{package}").Receiver
        for face in ("paychainhq_sync", "paychainhq")
    )
    assert inspect.signature(ours) == inspect.signature(theirs)
    assert ours.on is theirs.on
    assert inspect.signature(ours.receive) == inspect.signature(theirs.receive)
    assert inspect.iscoroutinefunction(theirs.receive)
    assert not ASYNC_WORDS.search(ours.__doc__ or "")


def test_an_error_of_one_face_is_caught_by_the_name_of_the_other(
    paychain_emulator: Emulator,
) -> None:
    """`except paychainhq.NotFoundError` catches errors of the sync face; results are models."""
    url = paychain_emulator.url
    with paychainhq_sync.PayChainHQ(api_key=API_KEY, business_id=BUSINESS_ID, base_url=url) as pay:
        with pytest.raises(paychainhq.NotFoundError):
            pay.invoices.get("inv_unknown")
        assert isinstance(pay.invoices.get("inv_123"), models.Invoice)
        assert isinstance(pay.invoices.list(), models.Page)


@pytest.mark.parametrize("name", RESOURCES)
def test_every_method_has_the_same_signature(name: str) -> None:
    """Names, order, kinds, annotations and defaults of all arguments match, and so do results."""
    theirs, ours = resource_classes(name)
    assert list(methods(theirs)) == list(methods(ours))
    for method, function in methods(theirs).items():
        assert inspect.signature(methods(ours)[method]) == in_sync_terms(
            inspect.signature(function)
        ), method


@each_client
def test_the_client_has_the_same_members(async_client: type, sync_client: type) -> None:
    """Constructor, methods and resources have the same arguments and defaults."""
    theirs, ours = members(async_client), members(sync_client)
    for name, value in theirs.items():
        if name == "_view":
            continue
        mine = (
            ours[ONLY_ASYNC.get(name, name)]
            if inspect.isfunction(value) or not name.startswith("_")
            else None
        )
        if inspect.isfunction(value):
            assert inspect.signature(mine) == inspect.signature(value), name  # type: ignore[arg-type]
        elif isinstance(value, cached_property):
            assert isinstance(mine, cached_property)
            assert mine.__doc__ == value.__doc__
        elif isinstance(value, classmethod):
            assert inspect.signature(mine.__func__) == inspect.signature(value.__func__)  # type: ignore[union-attr]
    assert {name for name in ours if not name.startswith("_")} == {
        name for name in theirs if not name.startswith("_")
    }


@pytest.mark.parametrize("name", RESOURCES)
def test_docstrings_are_in_the_sync_voice(name: str) -> None:
    """Each class and each method is documented, without the words of async code."""
    _, ours = resource_classes(name)
    for what, documented in {name: ours, **methods(ours)}.items():
        assert documented.__doc__, what
        assert not ASYNC_WORDS.search(documented.__doc__), (
            what,
            ASYNC_WORDS.findall(documented.__doc__),
        )


@each_client
def test_the_clients_docstrings_are_in_the_sync_voice(
    async_client: type, sync_client: type
) -> None:
    """Only the middleware, which stays async, is described with the words of async code."""
    source = ast.unparse(ast.parse(inspect.getsource(sync_client)).body[0].body[0])  # type: ignore[attr-defined]
    assert [line for line in source.split("\\n") if ASYNC_WORDS.search(line)] == [
        line for line in source.split("\\n") if "middleware: Async callables" in line
    ]
    for function in methods(sync_client).values():
        assert not ASYNC_WORDS.search(function.__doc__ or "")


@pytest.mark.parametrize("operation", ["invoices.list", "customers.list", "billing.invoices"])
def test_a_page_of_this_face_is_lossless_too(operation: str) -> None:
    """`from_json` makes a page that iterates without a loop; `to_json` restores the source."""
    from paychainhq_sync.models import BillingInvoice, Customer, Invoice, Page

    item: Any = {
        "invoices.list": Invoice,
        "customers.list": Customer,
        "billing.invoices": BillingInvoice,
    }[operation]
    page = codec.from_json(Page[item], BY_NAME[operation].response)
    assert type(page) is Page
    assert [type(found) for found in page] == [item] * len(page.items)
    assert [found.items for found in page.pages()] == [page.items]
    assert codec.to_json(page) == BY_NAME[operation].response
