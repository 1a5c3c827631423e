"""Text and bytes with a masked repr."""

from __future__ import annotations

from typing import Any


class Secret(str):
    """Text with a masked repr, which a pickle leaves out.

    Otherwise it is an ordinary `str`: HTTP libraries send it, while tracebacks with locals, logs
    and reprs do not show it.
    """

    __slots__ = ()

    def __repr__(self) -> str:
        return "'***'"

    def __reduce__(self) -> tuple[Any, ...]:
        return (Secret, ("***",))

    def __copy__(self) -> Secret:
        return self

    def __deepcopy__(self, memo: object) -> Secret:
        return self


class SecretBytes(bytes):
    """Bytes with a masked repr, such as the body of a response with a new key."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "b'***'"

    __str__ = __repr__  # the `str()` of bytes would show them

    def __reduce__(self) -> tuple[Any, ...]:
        return (SecretBytes, (b"***",))
