"""Exceptions of this package: one tree under `PayChainError`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, Self, TypedDict, Unpack

import attrs

from paychainhq._data import Data

if TYPE_CHECKING:
    from paychainhq._attempts import Attempt, Sent
    from paychainhq.gateway.models import Payment
    from paychainhq.models import Invoice


_SHOWN_DETAILS = 500


def printable(text: str) -> str:
    """Escape the characters of a server's text that are unsafe in a line of a log.

    These are line breaks, terminal codes and halves of surrogate pairs.
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


class Facts(TypedDict, total=False):
    """Facts of an error, documented by the classes that have them."""

    operation: str | None
    sent: Sent
    idempotency_key: str | None
    request_id: str | None
    attempts: tuple[Attempt, ...]
    advice: str
    argument: str | None
    path: str | None
    problems: tuple[str, ...]
    status: int | None
    data: Any
    body: bytes | None
    code: str | None
    details: Any
    fields: Mapping[str, Sequence[str]]
    retry_after: float | None
    known: Any
    invoice: Invoice | None
    payment: Payment | None


class PayChainError(Exception, Data):
    """Root of all errors of this package.

    `args` holds the message and the facts that are plain JSON, so that task queues that rebuild an
    error from its `args` (Celery, taskiq) restore the facts too.

    Attributes:
        message: The problem, without the facts below.
        operation: The operation's name, such as `"invoices.create"`, or None.
        sent: `"no"` if the request was provably not sent, `"yes"` if the server received it,
            `"unknown"` if neither is known.
        idempotency_key: The idempotency key of the request; a repeat with this key has no second
            effect.
        request_id: The server's id of the call, for its support.
        attempts: The attempts, oldest first.
    """

    message: str
    operation: str | None = None
    sent: Sent = "unknown"
    idempotency_key: str | None = None
    request_id: str | None = None
    attempts: tuple[Attempt, ...] = ()
    advice: ClassVar[str] = ""

    def __init__(self, message: str, *restored: object, **facts: Unpack[Facts]) -> None:
        super().__init__(message)
        self.message = message
        for known in restored:  # the second of `args`; a queue may pass its text instead
            if isinstance(known, Mapping):
                self.__dict__.update(
                    (name, tuple(fact) if isinstance(fact, list) else fact)  # JSON has no tuples
                    for name, fact in known.items()
                    if hasattr(type(self), name)
                )
        self.add(**facts)

    def add(self, **facts: Unpack[Facts]) -> Self:
        """Add facts to the error, and return it."""
        self.__dict__.update(facts)
        return self

    @property
    def args(self) -> tuple[Any, ...]:  # type: ignore[override] # computed, because facts are added later
        """Return the message, and a dict of the facts that are plain JSON scalars, or problems."""
        facts = {
            name: fact
            for name, fact in vars(self).items()
            if name == "problems" or (isinstance(fact, (str, int, float)) and name != "message")
        }
        return (self.message, facts | {"sent": self.sent})

    def to_dict(self) -> dict[str, Any]:
        """Return the type, the message, and the facts that the error has, in plain JSON types.

        The response itself (`details`, `data`, `body`) is not included: it may hold anything.
        """
        facts = {
            "operation": self.operation,
            "sent": self.sent,
            "idempotencyKey": self.idempotency_key,
            "requestId": self.request_id,
            "status": getattr(self, "status", None),
            "code": getattr(self, "code", None),
            "attempts": [attrs.asdict(attempt) for attempt in self.attempts] or None,
        }
        known = {name: fact for name, fact in facts.items() if fact is not None}
        return {"type": type(self).__name__, "message": self.message, **known}

    def _headline(self) -> str:
        return self.message

    def __str__(self) -> str:
        headline = self._headline()
        if self.operation and not headline.startswith(self.operation):
            headline = f"{self.operation}: {headline}"
        facts = []
        if self.attempts:
            facts.append(f"attempts: {', '.join(map(str, self.attempts))}")
        if self.attempts or self.__dict__.get("sent", "no") != "no":
            facts.append(f"sent: {self.sent}")
        if self.request_id:
            facts.append(f"request id: {self.request_id}")
        if self.idempotency_key:
            facts.append(f"idempotency key: {self.idempotency_key}")
        text = f"{headline} [{'; '.join(facts)}]" if facts else headline
        return printable(f"{text} {self.advice}" if self.advice else text)


# --- errors before an attempt ---


class ConfigurationError(PayChainError):
    """Invalid settings, or an invalid use of the client."""

    sent: Sent = "no"


class MissingCredentialError(ConfigurationError):
    """Credential that the operation requires and the client does not have; `argument` names it."""

    argument: str | None = None


class InvalidArgumentError(ConfigurationError, ValueError):  # pyright: ignore[reportIncompatibleVariableOverride] (`args`)
    """Invalid argument; `argument` names it."""

    argument: str | None = None


# --- errors without a valid response ---


class ConnectionFailedError(PayChainError):
    """Connection that could not be opened (`sent` is `"no"`), or was lost before the response."""


class UntrustedServerError(ConnectionFailedError):
    """Server whose certificate is not verified: nothing was sent, and the call is not retried."""

    sent: Sent = "no"
    advice = "Check base_url, the clock of this machine, and its trusted certificates."


class ProxyAuthenticationError(ConnectionFailedError):
    """Proxy that refuses its password with a 407: nothing was sent, and the call is not retried."""

    sent: Sent = "no"
    advice = "Check the user name and the password of the proxy."


class RequestTimeoutError(PayChainError):
    """Deadline of the call that passed before a response arrived."""


class DecodeError(PayChainError):
    """Response that is not as documented; the call is not retried.

    Attributes:
        path: The first invalid part of the response, such as `"$.amount.raw"`; None if the
            response is not JSON.
        problems: Each problem with its path, such as `"is missing @ $.id"`, in the order of the
            fields; empty if the response is not JSON.
        status: The HTTP status.
        data: The parsed response, if it is JSON.
        body: The first 64 KiB of the response, if it is not JSON.
    """

    sent: Sent = "yes"
    path: str | None = None
    problems: tuple[str, ...] = ()
    status: int | None = None
    data: Any = None
    body: bytes | None = None
    advice = "The server has handled the request; `data` or `body` of this error is the response."


class LedgerError(PayChainError):
    """Failure of the ledger to record the intent; nothing was sent."""

    sent: Sent = "no"


class OutcomeUnknownError(PayChainError):
    """Earlier request without a response, not sent again since it might take effect twice."""

    sent: Sent = "unknown"


class WaitTimeoutError(PayChainError):
    """Wait that ended before a terminal status.

    Attributes:
        invoice: The invoice as last read, or None.
        payment: The gateway's payment as last read, or None.
    """

    invoice: Invoice | None = None
    payment: Payment | None = None


class WebhookVerificationError(PayChainError):
    """Webhook that is not verified as the API's: respond with 400, and ignore it."""

    sent: Sent = "no"


# --- error responses of the API ---


class APIError(PayChainError):
    """Error response of the server.

    Attributes:
        status: The HTTP status.
        code: The API's code, such as `"VALIDATION_ERROR"`; any text, since codes are added over
            time.
        details: The `details` of the response, as parsed JSON.
        fields: The problems of each field, by its name on the wire; empty if the response does not
            list them as the gateway does.
    """

    sent: Sent = "yes"
    status: int | None = None
    code: str | None = None
    details: Any = None
    fields: Mapping[str, Sequence[str]] = MappingProxyType({})

    def _headline(self) -> str:
        headline = " ".join(str(part) for part in (self.status, self.code, self.message) if part)
        try:
            details = self.details or self.fields
            return f"{headline} {str(details)[:_SHOWN_DETAILS]}" if details else headline
        except RecursionError:
            return f"{headline} (details omitted: nested too deeply)"


class BadRequestError(APIError):
    """400 or 422: the body, the query or the state of the business does not permit the request."""

    advice = "Correct the request before you send it again."


class AuthenticationError(APIError):
    """401: the key or session is missing, wrong or revoked."""

    advice = "Check the key, and that it belongs to this environment."


class PermissionDeniedError(APIError):
    """403: the key, or this kind of key, does not permit the operation."""

    advice = "Check the kind of key, its permissions and its policy."


class NotFoundError(APIError):
    """404: the resource does not exist, or belongs to another business."""

    advice = "Check the id and the environment."


class ConflictError(APIError):
    """409: the request conflicts with the current state."""

    advice = "Read the resource before you repeat the request."


class IdempotencyKeyMismatchError(ConflictError):
    """Idempotency key of an earlier request with another body.

    Attributes:
        known: The result of that request in the ledger, as the operation returns it (plain JSON
            from `request`), or None.
    """

    known: Any = None
    advice = "Use one idempotency key for one business action."


class IdempotencyInProgressError(ConflictError):
    """Request with this idempotency key that is still in progress."""

    advice = "Repeat the request with the same key, or read the resource."


class DuplicateRequestError(ConflictError):
    """Request that the server regards as a repeat of an accepted one."""

    advice = "The resource exists: find it by your reference before you repeat the request."


class RateLimitError(APIError):
    """429: too many requests; `retry_after` is the requested wait in seconds, or None."""

    retry_after: float | None = None
    advice = "Wait before the next request, and send fewer."


class ServerError(APIError):
    """5xx: the server failed; `retry_after` as in `RateLimitError`."""

    retry_after: float | None = None
    advice = (
        "Repeat the request later with the same idempotency key; without a key, check first "
        "whether it took effect."
    )


_BY_CODE: dict[str, type[APIError]] = {
    "IDEMPOTENCY_KEY_MISMATCH": IdempotencyKeyMismatchError,
    "IDEMPOTENCY_REQUEST_IN_PROGRESS": IdempotencyInProgressError,
    "DUPLICATE_REQUEST": DuplicateRequestError,
}
_BY_STATUS: dict[int, type[APIError]] = {
    400: BadRequestError,
    401: AuthenticationError,
    403: PermissionDeniedError,
    404: NotFoundError,
    409: ConflictError,
    422: BadRequestError,
    429: RateLimitError,
}
# The statuses of codes, for an error envelope in a response with status 200.
_CODE_STATUS = {
    "VALIDATION_ERROR": 400,
    "UNAUTHORIZED": 401,
    "FORBIDDEN": 403,
    "NOT_FOUND": 404,
    "CONFLICT": 409,
    "RATE_LIMIT_EXCEEDED": 429,
}


def api_error_class(status: int, code: str | None) -> type[APIError]:
    """Return the error class of a response with this status and code."""
    if code in _BY_CODE:
        return _BY_CODE[code]
    if status < 400:
        status = _CODE_STATUS.get(code or "", status)
    if status >= 500:
        return ServerError
    return _BY_STATUS.get(status, APIError)
