"""Base of the clients: views, closing, no pickling."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Self

import attrs

if TYPE_CHECKING:
    from types import TracebackType

    from paychainhq._caller import Caller
    from paychainhq._core.statistics import Statistics

UNCHANGED: Any = object()
"""Default of a view's option that keeps the client's value."""


class BaseClient:
    """Client of any API; a subclass names the id in its repr."""

    _shows: ClassVar[str]
    _caller: Caller
    _is_view = False

    def _view(self, **options: Any) -> Self:
        view = object.__new__(type(self))
        view._caller = attrs.evolve(
            self._caller,
            **{name: value for name, value in options.items() if value is not UNCHANGED},
        )
        view._is_view = True
        return view

    def statistics(self) -> Statistics:
        """Return the counts and waits of this client and its views; nothing is sent."""
        return self._caller.transport.statistics()

    async def close(self) -> None:
        """Close the connections; a second call, or a call on a view, does nothing."""
        if not self._is_view:
            await self._caller.transport.close()

    async def __aenter__(self) -> Self:
        from paychainhq._core.event_loop import running_loop

        running_loop()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    def __repr__(self) -> str:
        name = type(self).__name__
        if "_caller" not in self.__dict__:  # in a traceback of the constructor
            return f"<{name}>"
        return (
            f"<{name} {self._caller.transport.connection.base_url} "
            f"{self._shows}={getattr(self._caller, self._shows)!r}>"
        )

    def __reduce__(self) -> str:
        name = type(self).__name__
        raise TypeError(
            f"a {name} client cannot be pickled: it holds keys and connections; create one in the "
            "process that uses it"
        )
