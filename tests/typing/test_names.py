"""Names for annotations agree with what they describe, in both faces."""

from __future__ import annotations

import inspect
from enum import StrEnum
from typing import Any, get_args

import attrs
import pytest

import paychainhq.gateway
import paychainhq.typing as names
import paychainhq.webhooks
import paychainhq_sync.gateway
import paychainhq_sync.typing as sync_names
import paychainhq_sync.webhooks
from paychainhq import CustomerRequest, InvoiceRequest
from paychainhq.gateway import PaymentStatus
from paychainhq.gateway.client import GatewaySettings
from paychainhq.gateway.models import AnyPaymentStatus
from paychainhq.models import Chain, EventName, InvoiceStatus


def test_the_names_are_those_of_both_faces() -> None:
    """Each name is listed in order, and is the same object in both packages."""
    assert names.__all__ == sorted(names.__all__) == sync_names.__all__
    assert [getattr(names, name) for name in names.__all__] == [
        getattr(sync_names, name) for name in names.__all__
    ]


@pytest.mark.parametrize(
    ("alias", "enum"),
    [
        (names.AnyChain, Chain),
        (names.AnyStatus, InvoiceStatus),
        (names.AnyEvent, EventName),
        (AnyPaymentStatus, PaymentStatus),
    ],
)
def test_known_words(alias: Any, enum: type[StrEnum]) -> None:
    """The known words of an argument are the members of its enum, and any other text is valid."""
    known, other = get_args(alias)
    assert get_args(known) == tuple(member.value for member in enum)
    assert other is str


@pytest.mark.parametrize(
    ("mapping", "request_type"),
    [
        (names.InvoiceRequestDict, InvoiceRequest),
        (names.CustomerRequestDict, CustomerRequest),
    ],
)
def test_mappings_of_requests(mapping: Any, request_type: type[Any]) -> None:
    """A mapping has the names of its class, with the same ones required, all keyword-only."""
    fields = attrs.fields(request_type)
    assert set(mapping.__annotations__) == {field.name for field in fields}
    assert mapping.__required_keys__ == {
        field.name for field in fields if field.default is attrs.NOTHING
    }
    assert all(field.kw_only for field in fields)
    with pytest.raises(TypeError, match="positional"):
        request_type("1", reference="r")


@pytest.mark.parametrize(
    ("client", "settings"),
    [
        (paychainhq.PayChainHQ, names.ClientSettings),
        (paychainhq_sync.PayChainHQ, names.ClientSettings),
        (paychainhq.gateway.Gateway, GatewaySettings),
        (paychainhq_sync.gateway.Gateway, GatewaySettings),
        (paychainhq.webhooks.Receiver, names.ReceiverSettings),
        (paychainhq_sync.webhooks.Receiver, names.ReceiverSettings),
    ],
)
def test_settings(client: Any, settings: Any) -> None:
    """The settings of `from_env` are the other arguments of the constructor, with their types."""
    given = inspect.signature(client.from_env).parameters
    wanted = inspect.signature(client).parameters
    assert {
        name: annotation.__forward_arg__ for name, annotation in settings.__annotations__.items()
    } == {name: parameter.annotation for name, parameter in wanted.items() if name not in given}
    assert given["settings"].annotation == f"Unpack[{settings.__name__}]"
    assert settings.__required_keys__ == frozenset()
