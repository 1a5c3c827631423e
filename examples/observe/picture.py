"""Picture of a run: the panels of the dashboard, drawn from the collected metrics as SVG."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from html import escape
from itertools import pairwise
from pathlib import Path
from typing import Any

Point = dict[str, Any]
Series = dict[str, list[tuple[float, float]]]
"""Values over time, in seconds from the first collection, by the name in the legend."""

COLOURS = ("#1f77b4", "#d62728", "#2ca02c", "#ff7f0e", "#9467bd", "#8c564b", "#17becf", "#7f7f7f")
WIDTH, HEIGHT, MARGIN, LEGEND = 400, 150, 50, 42


def collections(path: Path) -> Iterator[tuple[float, dict[str, list[Point]]]]:
    """Return the time and the points of each collection, by the name of their metric."""
    for line in path.read_text(encoding="utf-8").splitlines():
        metrics = [
            metric
            for resource in json.loads(line)["resource_metrics"]
            for scope in resource["scope_metrics"]
            for metric in scope["metrics"]
        ]
        points = {metric["name"]: metric["data"]["data_points"] for metric in metrics}
        if points:
            yield max(p["time_unix_nano"] for ps in points.values() for p in ps) / 1e9, points


def label(point: Point, names: Sequence[str]) -> str:
    """Return the name of a point's series: the first attribute that it has."""
    return str(next((point["attributes"][n] for n in names if n in point["attributes"]), "all"))


def rates(path: Path, metric: str, names: Sequence[str], field: str = "value") -> Series:
    """Return the increase a second of a counter, or of a histogram's count or sum."""
    totals: list[tuple[float, dict[str, float]]] = []
    for time, points in collections(path):
        total: dict[str, float] = {}
        for point in points.get(metric, []):
            key = label(point, names)
            total[key] = total.get(key, 0.0) + point[field]
        totals.append((time, total))
    found: Series = {key: [] for key in (totals[-1][1] if totals else ())}
    for (before, old), (now, new) in pairwise(totals):
        for key, series in found.items():
            rate = (new.get(key, 0.0) - old.get(key, 0.0)) / (now - before)
            series.append((now - totals[0][0], rate))
    return found


def quantiles(path: Path, metric: str, shares: Sequence[float]) -> Series:
    """Return quantiles of a histogram over each interval, in milliseconds."""
    counts: list[tuple[float, list[int]]] = []
    bounds: list[float] = []
    for time, points in collections(path):
        if not points.get(metric):
            continue
        bounds = [*points[metric][0]["explicit_bounds"], float("inf")]
        rows = [point["bucket_counts"] for point in points[metric]]
        counts.append((time, [sum(column) for column in zip(*rows, strict=True)]))
    found: Series = {f"{share:.0%}": [] for share in shares}
    for (_, old), (now, new) in pairwise(counts):
        added = [b - a for a, b in zip(old, new, strict=True)]
        for share in shares:
            if sum(added):
                value = 1e3 * _quantile(added, bounds, share)
                found[f"{share:.0%}"].append((now - counts[0][0], value))
    return found


def _quantile(counts: Sequence[int], bounds: Sequence[float], share: float) -> float:
    """Return a quantile, with linear interpolation in its bucket, as Prometheus has it."""
    rank, below, lower = share * sum(counts), 0, 0.0
    for count, upper in zip(counts, bounds, strict=True):
        if count and below + count >= rank:
            return (
                lower if upper == float("inf") else lower + (upper - lower) * (rank - below) / count
            )
        below, lower = below + count, upper
    return lower


def values(path: Path, metric: str) -> Series:
    """Return the values of a gauge."""
    found: Series = {}
    first = None
    for time, points in collections(path):
        first = time if first is None else first
        for point in points.get(metric, []):
            found.setdefault("all", []).append((time - first, point["value"]))
    return found


RESULT = ("error.type", "http.response.status_code")
PANELS: dict[str, Callable[[Path], Series]] = {
    "Attempts a second, by result": lambda path: rates(
        path, "http.client.request.duration", RESULT, "count"
    ),
    "Duration of calls, ms": lambda path: quantiles(
        path, "paychainhq.client.call.duration", (0.5, 0.95)
    ),
    "Seconds of wait a second, by reason": lambda path: rates(
        path, "paychainhq.client.wait.duration", ("paychainhq.wait.reason",), "sum"
    ),
    "Retries a second, by operation": lambda path: rates(
        path, "paychainhq.client.retries", ("paychainhq.operation",)
    ),
    "Results from the ledger a second": lambda path: rates(
        path, "paychainhq.ledger.replays", ("paychainhq.operation",)
    ),
    "Attempts in flight": lambda path: values(path, "paychainhq.client.in_flight"),
    "Webhooks a second, by outcome": lambda path: rates(
        path, "paychainhq.webhook.events", ("paychainhq.webhook.outcome",)
    ),
    "Changes of watched invoices a second": lambda path: rates(
        path, "paychainhq.watch.lag", (), "count"
    ),
}


def draw(path: Path) -> str:
    """Return the picture of a file of metrics, as SVG."""
    panels = [panel(title, read(path)) for title, read in PANELS.items()]
    width, height = WIDTH + MARGIN + 20, HEIGHT + MARGIN + LEGEND
    placed = [
        f'<g transform="translate({place % 2 * width} {place // 2 * height})">{content}</g>'
        for place, content in enumerate(panels)
    ]
    size = f"{2 * width} {-(-len(panels) // 2) * height}"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {size}" '
        'font-family="sans-serif" font-size="11">\n'
        '<rect width="100%" height="100%" fill="white"/>\n' + "\n".join(placed) + "\n</svg>\n"
    )


def number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def panel(title: str, series: Series) -> str:
    """Return one panel: title, axes, a line for each series, and the legend."""
    series = {name: points for name, points in sorted(series.items()) if any(v for _, v in points)}
    times = [time for points in series.values() for time, _ in points] or [1.0]
    top = max((value for points in series.values() for _, value in points), default=1.0)
    right = max(times)
    top_y = MARGIN / 2 + 10
    bottom = top_y + HEIGHT
    parts = [
        f'<text x="{MARGIN}" y="20" font-size="13" font-weight="bold">{escape(title)}</text>',
        f'<path d="M{MARGIN} {top_y}V{bottom}H{MARGIN + WIDTH}" fill="none" stroke="#999"/>',
        f'<text x="{MARGIN - 5}" y="{top_y + 8}" text-anchor="end">{number(top)}</text>',
        f'<text x="{MARGIN - 5}" y="{bottom}" text-anchor="end">0</text>',
        f'<text x="{MARGIN + WIDTH}" y="{bottom + 14}" text-anchor="end">{right:.0f} s</text>',
    ]
    place = MARGIN
    for (name, points), colour in zip(series.items(), COLOURS, strict=False):
        line = " ".join(
            f"{MARGIN + time / right * WIDTH:.1f},{bottom - value / top * HEIGHT:.1f}"
            for time, value in points
        )
        parts.append(
            f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="1.5"/>'
        )
        parts.append(f'<text x="{place}" y="{bottom + 30}" fill="{colour}">{escape(name)}</text>')
        place += 7 * len(name) + 14
    return "\n".join(parts)
