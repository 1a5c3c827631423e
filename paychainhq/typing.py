"""Names for annotations in your own code."""

from __future__ import annotations

from paychainhq._core.credentials import Auth
from paychainhq._core.validators import Money
from paychainhq._http.messages import Middleware, Next
from paychainhq._jobs.requests import CustomerRequestDict, InvoiceRequestDict
from paychainhq.client import ClientSettings
from paychainhq.ledger import Ledger
from paychainhq.models.chains import AnyChain
from paychainhq.models.invoices import AnyStatus
from paychainhq.models.webhooks import AnyEvent
from paychainhq.paging import Pages
from paychainhq.webhooks.api_receiver import ReceiverSettings
from paychainhq.webhooks.signatures import Headers

__all__ = [
    "AnyChain",
    "AnyEvent",
    "AnyStatus",
    "Auth",
    "ClientSettings",
    "CustomerRequestDict",
    "Headers",
    "InvoiceRequestDict",
    "Ledger",
    "Middleware",
    "Money",
    "Next",
    "Pages",
    "ReceiverSettings",
]
