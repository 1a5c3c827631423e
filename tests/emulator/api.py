"""Plain HTTP client for the tests of the emulator, independent of the package's own client."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Mapping
from typing import Any

import attrs

from paychainhq.emulator import API_KEY, Emulator

BUSINESS = "/api/v1/businesses/biz_123"
INVOICES = f"{BUSINESS}/invoices"
CUSTOMERS = f"{BUSINESS}/customers"
API_KEYS = f"{BUSINESS}/api-keys"
ORDER: Mapping[str, Any] = {"amount": "150", "token": "USDC", "chain": "eth"}


@attrs.frozen
class ApiResponse:
    """HTTP response of the emulator."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def code(self) -> str:
        """Return the code in the error envelope."""
        return str(self.json["error"]["code"])

    @property
    def fields(self) -> list[str]:
        """Return the fields named by the error's details."""
        return [detail["field"] for detail in self.json["error"]["details"]]


@attrs.frozen
class Api:
    """Sender of requests to one emulator, with the standard key unless other headers are given."""

    emulator: Emulator

    def __call__(
        self,
        method: str,
        path: str,
        body: object = None,
        headers: Mapping[str, str] | None = None,
        key: str | None = None,
    ) -> ApiResponse:
        """Send one request; `body` is JSON, or raw bytes; `key` is an idempotency key."""
        data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        headers = {"x-api-key": API_KEY} if headers is None else headers
        sent = {
            "Content-Type": "application/json",
            **headers,
            **({"Idempotency-Key": key} if key else {}),
        }
        request = urllib.request.Request(self.emulator.url + path, data, sent, method=method)
        try:
            with urllib.request.urlopen(request, timeout=30) as response:
                return ApiResponse(response.status, dict(response.headers), response.read())
        except urllib.error.HTTPError as error:
            with error:
                return ApiResponse(error.code, dict(error.headers), error.read())

    def dashboard(
        self, method: str, path: str, body: object = None, key: str | None = None
    ) -> ApiResponse:
        """Send one request with a dashboard session."""
        return self(method, path, body, self.emulator.dashboard.headers, key)

    def create(self, **fields: object) -> str:
        """Create an invoice of 150 USDC, with the given fields changed, and return its id."""
        response = self("POST", INVOICES, {**ORDER, **fields})
        assert response.status == 200, response.body
        return str(response.json["id"])

    def invoice(self, invoice_id: str) -> Any:
        return self("GET", f"/api/v1/businesses/invoices/{invoice_id}").json

    def public(self, invoice_id: str) -> Any:
        return self("GET", f"/api/v1/invoices/{invoice_id}").json

    def count(self) -> int:
        """Return the number of invoices."""
        return int(self("GET", INVOICES).json["pagination"]["total"])


def until_received(emulator: Emulator, requests: int) -> None:
    """Block until the emulator has received this many requests."""
    while len(emulator.requests) < requests:
        pass
