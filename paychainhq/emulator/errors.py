"""Refusals: errors that the emulator returns instead of a result."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NoReturn


class RefusedError(Exception):
    """Refusal of a request, with an error envelope. The state stays unchanged."""

    def __init__(
        self, status: int, code: str, message: str, details: Sequence[Mapping[str, str]] = ()
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.details = details

    def envelope(self, request_id: str) -> dict[str, object]:
        error = {
            "code": self.code,
            "message": self.message,
            "details": list(self.details),
            "requestId": request_id,
        }
        return {"error": error}

    def as_gateway(self) -> tuple[int, dict[str, object]]:
        """Return the status and the body of the refusal in the gateway's (Laravel's) format."""
        if not self.details:
            return self.status, {"message": self.message}
        errors: dict[str, list[str]] = {}
        for detail in self.details:
            errors.setdefault(detail["field"], []).append(detail["message"])
        return 422, {"message": "The given data was invalid.", "errors": errors}


def refuse_field(field: str, message: str) -> NoReturn:
    # Assumption: the pages show `details` only as an empty array. Here, each entry names a field
    # and its problem.
    refuse_fields([{"field": field, "message": message}])


def refuse_fields(details: Sequence[Mapping[str, str]]) -> NoReturn:
    raise RefusedError(400, "VALIDATION_ERROR", "Invalid request data", details)


def not_found(what: str) -> RefusedError:
    return RefusedError(404, "NOT_FOUND", f"{what} does not exist or is not owned by the business")
