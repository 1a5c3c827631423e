"""`make observe`: a load, its spans and metrics in files, and a picture of them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from tests.support.often import EXHAUSTIVE

ROOT = Path(__file__).parents[2]


@pytest.mark.skipif(not EXHAUSTIVE, reason="takes 12 s: only with EXHAUSTIVE=1")
def test_a_short_run(tmp_path: Path) -> None:
    """A run of a few seconds writes spans, metrics, and a picture with a line in each panel."""
    program = str(ROOT / "examples" / "observe" / "observe.py")
    command = [sys.executable, "-W", "error", program, str(tmp_path), "--seconds", "0.4"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    names = {
        json.loads(line)["name"]
        for line in (tmp_path / "spans.jsonl").read_text(encoding="utf-8").splitlines()
    }
    assert names >= {
        "invoices.create",
        "invoices.create_many",
        "invoices.watch",
        "webhook handle",
        "POST /api/v1/businesses/{business_id}/invoices",
    }
    picture = ET.fromstring((tmp_path / "picture.svg").read_text(encoding="utf-8"))
    svg = "{http://www.w3.org/2000/svg}"
    lines = [group.find(f"{svg}polyline") for group in picture.iter(f"{svg}g")]
    assert sum(line is not None for line in lines) >= 6


def test_the_committed_picture_has_each_panel() -> None:
    """The picture in the documentation is of a run of all phases."""
    svg = "{http://www.w3.org/2000/svg}"
    text = (ROOT / "docs" / "telemetry.svg").read_text(encoding="utf-8")
    groups = list(ET.fromstring(text).iter(f"{svg}g"))
    assert len(groups) == 8
    assert all(group.find(f"{svg}polyline") is not None for group in groups)
