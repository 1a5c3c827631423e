"""What the clients have in common: views, an end, and that they cannot be pickled."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Self

import attrs

if TYPE_CHECKING:
    from types import TracebackType

    from paychainhq.calls import Caller

UNCHANGED: Any = object()
"""The default of an option of a view that is to be as it was."""


class BaseClient:
    """A client, whatever it is a client of; its class says which id of the caller's its repr shows."""

    _shows: ClassVar[str]
    _caller: Caller
    _is_view = False

    def _view(self, **options: Any) -> Self:
        view = object.__new__(type(self))
        view._caller = attrs.evolve(self._caller, **{name: value for name, value in options.items() if value is not UNCHANGED})
        view._is_view = True
        return view

    async def close(self) -> None:
        """Close the connections; it may be called twice, and does nothing on a view."""
        if not self._is_view:
            await self._caller.transport.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    def __repr__(self) -> str:
        name = type(self).__name__
        if "_caller" not in self.__dict__:  # in a traceback of the constructor
            return f"<{name}>"
        return f"<{name} {self._caller.transport.route.base_url} {self._shows}={getattr(self._caller, self._shows)!r}>"

    def __reduce__(self) -> str:
        name = type(self).__name__
        raise TypeError(f"a {name} client cannot be pickled: it holds keys and connections; make one where it is needed")
