"""HTML elements whose text and attributes are always escaped."""

from __future__ import annotations

import html
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from urllib.parse import urlencode

from paychainhq.emulator.state import iso

_VOID = frozenset({"input", "link", "meta"})


class Markup(str):
    """Finished HTML, which is not escaped again."""

    __slots__ = ()


Child = str | int | None | Markup | Iterable["Child"]


def element(tag: str, *children: Child, **attributes: str | int | bool | None) -> Markup:
    """Return an element; `class_` and `data_key` are written `class` and `data-key`.

    An attribute that is True has no value, one that is False or None is left out.
    """
    written = "".join(
        f" {name.rstrip('_').replace('_', '-')}"
        + ("" if value is True else f'="{html.escape(str(value))}"')
        for name, value in attributes.items()
        if value is not None and value is not False
    )
    end = "" if tag in _VOID else f"</{tag}>"
    return Markup(f"<{tag}{written}>{_inner(children)}{end}")


def _inner(children: Iterable[Child]) -> str:
    return "".join(
        ""
        if child is None
        else child
        if isinstance(child, Markup)
        else html.escape(str(child))
        if isinstance(child, (str, int))
        else _inner(child)
        for child in children
    )


Steps = Sequence[tuple[str, Mapping[str, object]]]
"""Controls with their bodies, which a button sends one after the other."""


def button(label: str, *steps: tuple[str, Mapping[str, object]], name: str = "") -> Markup:
    """Return a button that sends controls; `name` completes the label for screen readers."""
    return element(
        "button",
        label,
        type="button",
        class_="js-only",
        data_do=json.dumps(steps),
        aria_label=f"{label} {name}" if name else None,
    )


def moment(milliseconds: int | None, kind: str = "at") -> Markup:
    """Return a time of the day, or one that the script shows relative to now: `since`, `until`."""
    text = iso(milliseconds)
    if text is None:
        return element("span", "-")
    shown = text[11:23] if kind == "at" else f"{text[:10]} {text[11:19]}"
    return element("time", shown, datetime=text, **{f"data_{kind}": milliseconds})


def table(
    name: str,
    columns: Sequence[str],
    rows: Sequence[tuple[str, Sequence[Child]]],
    slots: int,
) -> Markup:
    """Return a table with a fixed number of rows, so that nothing moves while rows arrive.

    Args:
        name: The name for screen readers.
        columns: The headings; one that begins with `-` is hidden on narrow screens.
        rows: The key of each row, and its cells.
        slots: The least number of rows; missing ones are empty.
    """
    classes = ["wide" if column.startswith("-") else None for column in columns]
    head = [
        element("th", column.lstrip("-"), scope="col", class_=class_)
        for column, class_ in zip(columns, classes, strict=True)
    ]
    body = [
        element(
            "tr",
            [
                element("td", cell, class_=class_)
                for cell, class_ in zip(cells, classes, strict=True)
            ],
            data_key=key,
        )
        for key, cells in rows
    ]
    empty = element("tr", element("td"))
    body += [empty] * (slots - len(rows))
    return element(
        "table",
        element("thead", element("tr", head)),
        element("tbody", body),
        aria_label=name,
        class_=f"of-{name.rsplit(maxsplit=1)[-1]}",
    )


def heading(tag: str, text: str, name: str) -> Markup:
    """Return the heading of a list, with room for the number of rows that it does not show yet."""
    newer = element("span", id=f"{name}-newer", class_="newer", aria_live="polite")
    return element(tag, text, " ", newer, id=None if tag == "h2" else name)


def part(name: str, *children: Child) -> Markup:
    """Return a part of the page that the script replaces by its newer state."""
    return element("div", children, data_part=name)


def field(
    form: str, label: str, name: str, *children: Child, tag: str = "input", **attributes: Any
) -> Markup:
    """Return a labelled field of a form."""
    field_id = f"{form}-{name}"
    control = element(tag, children, id=field_id, name=name, **attributes)
    return element("span", element("label", label, for_=field_id), " ", control, class_="field")


def pairs(items: Mapping[str, Child]) -> Markup:
    return element(
        "dl", [(element("dt", name), element("dd", value)) for name, value in items.items()]
    )


def link(label: str, query: Mapping[str, Any], anchor: str, name: str = "") -> Markup:
    """Return a link to another view of the page."""
    target = f"?{urlencode(query)}#{anchor}"
    return element("a", label, href=target, data_view=True, aria_label=name or None)
