"""Every exception that leaves this package, in one tree under `PayChainError`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, Self, TypedDict, Unpack

if TYPE_CHECKING:
    from paychainhq._attempts import Attempt, Sent
    from paychainhq.gateway.models import Payment
    from paychainhq.models import Invoice


_SHOWN_DETAILS = 500


def printable(text: str) -> str:
    """Escape each character that no line of a log should hold: of a server's text, line breaks,
    terminal codes, half emoji.
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


class Facts(TypedDict, total=False):
    """Facts that an error may carry; the classes below document them."""

    operation: str | None
    sent: Sent
    idempotency_key: str | None
    request_id: str | None
    attempts: tuple[Attempt, ...]
    advice: str
    argument: str | None
    path: str | None
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


class PayChainError(Exception):
    """Root of all errors of this package.

    `args` holds the message and the facts that JSON can carry, so that a task queue that rebuilds
    an error from its `args` (Celery and taskiq do) restores the facts as well.

    Attributes:
        message: The problem, without the facts below.
        operation: The operation's name, such as `"invoices.create"`, or None.
        sent: `"no"` if the request provably never left, `"yes"` if the server took it, `"unknown"`
            if neither is known.
        idempotency_key: The key that the request carried; ask again with it, and nothing happens
            twice.
        request_id: The server's id of the exchange, for its support.
        attempts: What became of each attempt, oldest first.
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
        for known in restored:  # the second of `args`; a queue may have replaced it by its text
            if isinstance(known, Mapping):
                self.__dict__.update(
                    (name, fact) for name, fact in known.items() if hasattr(type(self), name)
                )
        self.add(**facts)

    def add(self, **facts: Unpack[Facts]) -> Self:
        """Add facts to the error, and return it."""
        self.__dict__.update(facts)
        return self

    @property
    def args(self) -> tuple[Any, ...]:  # type: ignore[override] # computed, because facts are added after construction
        """The message, and a dict of the facts that are plain JSON scalars."""
        facts = {
            name: fact
            for name, fact in vars(self).items()
            if isinstance(fact, (str, int, float)) and name != "message"
        }
        return (self.message, facts | {"sent": self.sent})

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


# --- before anything is sent ---


class ConfigurationError(PayChainError):
    """Settings, or a use of the client, that cannot work."""

    sent: Sent = "no"


class MissingCredentialError(ConfigurationError):
    """The operation needs a key that the client was not given; `argument` names it."""

    argument: str | None = None


class InvalidArgumentError(ConfigurationError, ValueError):  # pyright: ignore[reportIncompatibleVariableOverride] (`args`)
    """Argument that cannot be meant as given; `argument` names it."""

    argument: str | None = None


# --- what never became an answer of the API ---


class ConnectionFailedError(PayChainError):
    """No answer came: the connection could not be made, or was lost (`sent` says which)."""


class UntrustedServerError(ConnectionFailedError):
    """Server whose certificate could not be verified: nothing was sent, and the call is not
    repeated.
    """

    sent: Sent = "no"
    advice = "Check base_url, this machine's clock, and the certificates that it trusts."


class RequestTimeoutError(PayChainError):
    """The deadline of the call passed before an answer came."""


class DecodeError(PayChainError):
    """The server answered, and the answer does not say what it should; it is kept, and is never
    asked for again by itself.

    Attributes:
        path: Where the answer is wrong, such as `"$.amount.raw"`; None if it is no JSON at all.
        status: The HTTP status.
        data: The parsed answer, if it is JSON.
        body: The raw answer, if it is not (its first 64 KiB).
    """

    sent: Sent = "yes"
    path: str | None = None
    status: int | None = None
    data: Any = None
    body: bytes | None = None
    advice = "The server has handled the request: its answer is in this error's `data` or `body`."


class LedgerError(PayChainError):
    """Ledger that could not record the intent, so nothing was sent."""

    sent: Sent = "no"


class OutcomeUnknownError(PayChainError):
    """A request from long ago was never answered, and is too old to be sent again by itself."""

    sent: Sent = "unknown"


class WaitTimeoutError(PayChainError):
    """The invoice (or the gateway's payment) did not come to its end in time; `invoice` (or
    `payment`) is as it was last seen.
    """

    invoice: Invoice | None = None
    payment: Payment | None = None


class WebhookVerificationError(PayChainError):
    """Webhook that is not proven to be from the API: answer it with 400, and do nothing else."""

    sent: Sent = "no"


# --- answers of the API that are errors ---


class APIError(PayChainError):
    """The server answered with an error.

    Attributes:
        status: The HTTP status.
        code: The API's own code, such as `"VALIDATION_ERROR"`; codes are added over time, so any
            text may come.
        details: What the answer's `details` held, as parsed JSON.
        fields: What is wrong with which field, by its name on the wire; empty if the answer does
            not say so in the gateway's way.
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
            return f"{headline} (details that are nested too deeply to be shown)"


class BadRequestError(APIError):
    """400: the body, the query or the state of the business does not allow this."""

    advice = "Mend the request before sending it again."


class AuthenticationError(APIError):
    """401: the key or session is missing, wrong or revoked."""

    advice = "Check the key, and that it is of this environment."


class PermissionDeniedError(APIError):
    """403: this key, or this kind of key, may not do that."""

    advice = "Check the kind of key, its permissions and its policy."


class NotFoundError(APIError):
    """404: it does not exist, or another business owns it."""

    advice = "Check the id and the environment."


class ConflictError(APIError):
    """409: the request conflicts with what is there."""

    advice = "Read the resource before asking again."


class IdempotencyKeyMismatchError(ConflictError):
    """Idempotency key that was used before with another body.

    Attributes:
        known: The result that the ledger has for the key, as the operation returns it (plain JSON
            from `request`), or None.
    """

    known: Any = None
    advice = "Use one idempotency key for one business action."


class IdempotencyInProgressError(ConflictError):
    """A request with this key is still being handled."""

    advice = "Ask again with the same key, or read the resource."


class DuplicateRequestError(ConflictError):
    """The server takes this for a repeat of a create that it has already accepted."""

    advice = "It has been created: find it by your reference before asking again."


class RateLimitError(APIError):
    """429: too many requests; `retry_after` is what the server asked for, in seconds, or None."""

    retry_after: float | None = None
    advice = "Wait before asking again, and ask less often."


class ServerError(APIError):
    """5xx: the server failed; `retry_after` as in `RateLimitError`."""

    retry_after: float | None = None
    advice = (
        "Ask again later, with the same idempotency key; without one, look first whether it "
        "was done."
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
# What the codes mean where the status does not say it: an error envelope that came with a 200.
_CODE_STATUS = {
    "VALIDATION_ERROR": 400,
    "UNAUTHORIZED": 401,
    "FORBIDDEN": 403,
    "NOT_FOUND": 404,
    "CONFLICT": 409,
    "RATE_LIMIT_EXCEEDED": 429,
}


def api_error_class(status: int, code: str | None) -> type[APIError]:
    """Return the class of error that an answer with this status and code is."""
    if code in _BY_CODE:
        return _BY_CODE[code]
    if status < 400:
        status = _CODE_STATUS.get(code or "", status)
    if status >= 500:
        return ServerError
    return _BY_STATUS.get(status, APIError)
