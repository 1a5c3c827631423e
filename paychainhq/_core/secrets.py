"""Text and bytes that do not show what they hold."""

from __future__ import annotations

from typing import Any


class Secret(str):
    """Text with a masked repr, which a pickle leaves out.

    Otherwise it is an ordinary `str`, so that HTTP libraries send it as it is, while tracebacks
    with locals, logs of dictionaries and reprs of their objects stay clean.
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
    """Bytes with a masked repr, such as the body of an answer that holds a new key."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "b'***'"

    __str__ = __repr__  # bytes have no text of their own: theirs would show all

    def __reduce__(self) -> tuple[Any, ...]:
        return (SecretBytes, (b"***",))
