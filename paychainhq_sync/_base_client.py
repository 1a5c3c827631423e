"""Base of the blocking clients: closing, and no pickling."""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, Self, TypeVar

import paychainhq._base_client
from paychainhq_sync._engine import close

if TYPE_CHECKING:
    from types import TracebackType

    from paychainhq._core.statistics import Statistics

C = TypeVar("C", bound=paychainhq._base_client.BaseClient)


class BaseClient(Generic[C]):
    """Blocking client around an async one."""

    _async: C

    def statistics(self) -> Statistics:
        """Return the counts and waits of this client and its views; nothing is sent."""
        return self._async.statistics()

    def close(self) -> None:
        """Close the connections. Closing twice is harmless; a view does nothing."""
        close(self._async)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return repr(self._async) if "_async" in self.__dict__ else f"<{type(self).__name__}>"

    def __reduce__(self) -> str:
        return self._async.__reduce__()
