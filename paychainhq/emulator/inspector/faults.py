"""Faults, traffic and clock of the inspector."""

from __future__ import annotations

from typing import Any

from paychainhq.emulator import faults
from paychainhq.emulator.control import Control
from paychainhq.emulator.inspector.markup import Child, Markup, button, element, field, part, table
from paychainhq.emulator.state import State
from paychainhq.gateway.operations import OPERATIONS as GATEWAY_OPERATIONS
from paychainhq.operations import OPERATIONS

_COLUMNS = ("Operation", "Fault", "Left", "Fired")
_STEPS = {"Minute": 60, "Hour": 3600, "Day": 86_400}


def section(control: Control) -> Markup:
    planned = control.faults.all()[::-1]
    listed: list[tuple[str, list[Child]]] = [
        (str(number), [fault.operation, fault.kind, str(fault.times), str(fault.fired)])
        for number, fault in enumerate(planned)
    ]
    return element(
        "section",
        element("h2", "Faults"),
        _forms(),
        part("faults", table("list of faults", _COLUMNS, listed, 1)),
        element("p", button("Clear faults", ("clear_faults", {}))),
        part("traffic", element("p", _traffic(control))),
        id="faults",
    )


def _traffic(control: Control) -> str:
    limit = control.traffic.limit
    shown = "no rate limit" if limit is None else f"at most {limit[0]} requests in {limit[1]:g} s"
    return f"Traffic: {shown}, latency {control.traffic.latency:g} s"


def _forms() -> Markup:
    operations = [element("option", name) for name in ("*", *OPERATIONS, *GATEWAY_OPERATIONS)]
    kinds = [element("option", value=kind) for kind in ("503", "429:1", "slow:2.5", *faults.KINDS)]
    return element(
        "div",
        element(
            "form",
            field("fault", "Operation", "operation", operations, tag="select"),
            field("fault", "Fault", "kind", value="503", list="kinds", required=True, size=10),
            element("datalist", kinds, id="kinds"),
            field("fault", "Times", "times", value=1, **_number(1)),
            element("button", "Arm fault"),
            data_control="fault",
        ),
        element(
            "form",
            field("limit", "Requests", "rate", **_number(1)),
            field("limit", "in seconds", "per", value=1, **_number(1)),
            element("button", "Set rate limit"),
            data_control="set_rate_limit",
        ),
        element(
            "form",
            field("latency", "Seconds", "seconds", value=0, **_number(0)),
            element("button", "Set latency"),
            data_control="set_latency",
        ),
        class_="js-only",
    )


def clock(state: State) -> Markup:
    return element(
        "section",
        element("h2", "Clock"),
        part("clock", element("p", f"{state.ahead / 1000:,.0f} s ahead of real time")),
        element(
            "p",
            [
                button(f"{label} ahead", ("advance", {"seconds": seconds}))
                for label, seconds in _STEPS.items()
            ],
            button("Back to now", ("reset_clock", {})),
        ),
        element(
            "form",
            field("clock", "Seconds", "seconds", value=90, **_number(0)),
            element("button", "Advance"),
            data_control="advance",
            class_="js-only",
        ),
        element("p", button("Reset the emulator", ("reset", {}))),
        id="clock",
    )


def _number(least: int) -> dict[str, Any]:
    return {"type": "number", "min": least, "step": "any", "class_": "number"}
