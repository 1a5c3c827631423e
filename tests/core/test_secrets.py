"""Secrets of created keys are concealed."""

from __future__ import annotations

import json
import pickle
import traceback
from collections.abc import Callable
from typing import Any

import attrs
import pytest

from paychainhq import models
from paychainhq.codec import decode, from_json, to_json
from paychainhq.errors import DecodeError
from tests.support.samples import BY_NAME

each_created_key = pytest.mark.parametrize(
    "name", ["api_keys.create", "api_keys.create_payout", "api_keys.create_contract"]
)

SECRETS = [
    "biz_live_1234567890abcdef",
    "biz_live_payout_1234567890abcdef",
    "biz_live_contract_1234567890abcdef",
]


BREAKS: list[Callable[[Any], Any]] = [
    lambda data: {**data, "id": None},
    lambda data: {**data, "createdAt": "yesterday"},
    lambda data: {**data, "apiKey": [data["apiKey"]]},
    lambda data: {**data, "apiKey": {"value": data["apiKey"]}},
    lambda data: {"data": data},
    lambda data: [data],
]


def assert_hidden(value: object) -> None:
    for secret in SECRETS:
        assert secret not in repr(value)
        assert secret not in str(value)
        for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1):
            assert secret.encode() not in pickle.dumps(value, protocol)


@each_created_key
def test_the_secret_of_a_new_key_is_available_and_concealed(name: str) -> None:
    """A new key is in the result and its JSON, and not in its repr, its text or its pickle."""
    data = BY_NAME[name].response
    for key in (
        from_json(models.CreatedApiKey, data),
        decode(models.CreatedApiKey, json.dumps(data).encode()),
    ):
        assert key.api_key == data["apiKey"]
        assert to_json(key) == data
        assert json.loads(json.dumps(to_json(key))) == data
        assert_hidden(key)
        assert_hidden(attrs.evolve(key, name="other"))
        assert_hidden(key._source)
        assert_hidden(to_json(key))


@each_created_key
@pytest.mark.parametrize("break_it", BREAKS)
def test_a_refused_response_conceals_the_secret(name: str, break_it: Callable[[Any], Any]) -> None:
    """The error of a malformed response keeps the secret as data, and does not show it."""
    data = break_it(BY_NAME[name].response)
    with pytest.raises(DecodeError) as parsed:
        from_json(models.CreatedApiKey, data)
    with pytest.raises(DecodeError) as body:
        decode(models.CreatedApiKey, json.dumps(data).encode())
    for error in (parsed.value, body.value):
        assert error.data == data
        assert_hidden(error)
        assert_hidden(error.data)


def test_a_traceback_with_locals_conceals_the_secret() -> None:
    """The frames of the decoder hold the new key in concealed form only."""
    try:
        from_json(models.CreatedApiKey, {**BY_NAME["api_keys.create"].response, "id": None})
    except DecodeError as error:
        frames = traceback.TracebackException.from_exception(error, capture_locals=True)
    assert SECRETS[0] not in "".join(frames.format())
