"""View of the page: filter, pages and opened objects, as its query has them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs

from paychainhq.emulator.inspector.markup import Child, Markup, element, link

_LARGEST = 10**9


@attrs.frozen
class View:
    """Query of the page.

    Attributes:
        query: The parameters as text.
    """

    query: Mapping[str, str]

    def get(self, name: str) -> str:
        return self.query.get(name, "")

    def page(self, name: str) -> int:
        """Return the number of a list's page, from 1."""
        text = self.get(name)
        return min(int(text), _LARGEST) or 1 if text.isascii() and text.isdigit() else 1

    def link(self, label: str, anchor: str, name: str = "", **changes: Any) -> Markup:
        """Return a link to this view with changed parameters; None removes one."""
        merged = {**self.query, **changes}
        kept = {name: value for name, value in merged.items() if value is not None}
        return link(label, kept, anchor, name)

    def pager(self, name: str, total: int, size: int) -> Markup:
        """Return links to the pages of a list."""
        page, pages = self.page(name), max(1, -(-total // size))

        def to(label: str, number: int) -> Child:
            if 1 <= number <= pages and number != page:
                return self.link(label, name, f"{label} {name}", **{name: number})
            return element("span", label, class_="off")

        return element(
            "p",
            to("First", 1),
            to("Newer", page - 1),
            element("span", f"page {page:,} of {pages:,}, {total:,} in all"),
            to("Older", page + 1),
            class_="pager",
        )
