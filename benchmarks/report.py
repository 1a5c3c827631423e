"""Report: bars, all figures, and changes since the last committed run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from benchmarks.bars import BARS
from benchmarks.comparison import Change
from benchmarks.slices import Spread, spread

_GROUPS = {
    "creating": "Creating an invoice, default event loop",
    "uvloop": "Creating an invoice, both sides on uvloop",
    "tls": "Creating an invoice over TLS",
    "malloc": "Creating an invoice with glibc's default allocator settings",
    "others": "Other clients",
}

_ABOUT = """\
Figures are CPU of the client process per request, user and system, all threads, as a ratio to the
other side in the same process and the same run: the median of the slices, and their quartiles.
`docs/benchmarks.md` describes the method."""


def report(
    results: dict[str, Any],
    parts: dict[str, Any],
    figures: Mapping[str, Spread],
    changed: Sequence[Change] | None,
    plots: Iterable[str],
) -> str:
    """Return the report in Markdown.

    Args:
        results: The run: its date, its form, the `machine` that it ran on.
        parts: The results of the parts.
        figures: The figures.
        changed: The changes since the last committed run, or None if there is none.
        plots: The files of the plots.
    """
    machine = results["machine"]
    sections = [
        "# Benchmarks",
        f"{results['date']}, {results['form']} form. "
        + ", ".join(f"{name} {value}" for name, value in machine.items())
        + ".",
        _ABOUT,
        "## Bars",
        _reached(figures),
        "## Since the last committed run",
        _changed(changed),
        *(
            f"## {title}\n\n{_creating(group, parts[group], figures)}"
            for group, title in _GROUPS.items()
            if group in parts
        ),
        *_server(parts),
        *_latency(parts),
        "## Other figures",
        _table(
            ["figure", "median", "quartiles"],
            ([name, *_cells(value)] for name, value in figures.items() if " @" not in name),
        ),
        *(f"![{name}]({name})" for name in plots),
    ]
    return "\n\n".join(sections) + "\n"


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    return "\n".join("| " + " | ".join(row) + " |" for row in [heads, ["---"] * len(heads), *rows])


def _cells(figure: Spread | None) -> tuple[str, str]:
    if figure is None:
        return "", ""
    return (
        f"{figure.median:.4g}",
        "" if figure.low == figure.high else f"{figure.low:.3g} to {figure.high:.3g}",
    )


def _reached(figures: Mapping[str, Spread]) -> str:
    rows = []
    for bar in BARS:
        word = "at least " if bar.at_least else ""
        figure = figures.get(bar.figure)
        rows.append(
            [
                bar.measure,
                f"{word}{bar.bar:g}",
                f"{bar.aim:g}",
                *_cells(figure),
                bar.verdict(figure),
            ]
        )
    return _table(["measure", "bar", "aim", "figure", "quartiles", ""], rows)


def _changed(changed: Sequence[Change] | None) -> str:
    if changed is None:
        return "There are no committed results to compare with."
    if not changed:
        return "No figure has changed by more than the spread."
    return "\n".join(
        f"- {'**worse**' if change.worse else 'better'}: {change}" for change in changed
    )


def _creating(group: str, found: dict[str, Any], figures: Mapping[str, Spread]) -> str:
    """Format one group: a line for each client, a column for each concurrency."""
    numbers = sorted(found, key=int)
    rows = []
    for name in next(iter(found.values())):
        cells = []
        for number in numbers:
            figure = figures[f"{group}: {name} / aiohttp @{number}"]
            cost = spread(found[number][name]["cpu_us"]).median
            cells.append(
                f"{figure.median:.2f} ({figure.low:.2f} to {figure.high:.2f}), {cost:.0f} us"
            )
        rows.append([name, *cells])
    return _table(
        ["ratio to hand-written aiohttp", *(f"{number} at once" for number in numbers)], rows
    )


def _server(parts: dict[str, Any]) -> list[str]:
    """Return the evidence that the server is not the bottleneck.

    The client's core is busy, or the rate is far below the server's capacity.
    """
    creating = parts.get("creating", {})
    capacity = max(
        (spread(works["bare"]["per_second"]).median for works in creating.values()), default=0
    )
    if not capacity:
        return []
    rows = []
    for number, works in creating.items():
        for name, series in works.items():
            speed, cost = spread(series["per_second"]).median, spread(series["cpu_us"]).median
            rows.append(
                [
                    name,
                    number,
                    f"{speed:,.0f}",
                    f"{speed / capacity:.0%}",
                    f"{speed * cost / 1e6:.0%}",
                ]
            )
    heads = [
        "client",
        "at once",
        "requests per second",
        "of the server's capacity",
        "client's core busy",
    ]
    return [
        "## The server",
        (
            f"The bare protocol reached {capacity:,.0f} responses per second: a lower bound of "
            "the server's capacity."
        ),
        _table(heads, rows),
    ]


def _latency(parts: dict[str, Any]) -> list[str]:
    rows = [
        [name, number, *(f"{series['latency_ms'][percent]:.2f}" for percent in ("50", "90", "99"))]
        for number, works in parts.get("others", {}).items()
        for name, series in works.items()
        if "latency_ms" in series
    ]
    return (
        ["## Latency, milliseconds", _table(["client", "at once", "median", "90 %", "99 %"], rows)]
        if rows
        else []
    )
