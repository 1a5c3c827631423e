"""Debian's Chromium, driven by Playwright."""

from __future__ import annotations

import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from playwright.async_api import Browser

CHROMIUM = shutil.which("chromium")
NEEDED = "NEED_BROWSER" in os.environ  # then nothing is skipped
needs_browser = pytest.mark.skipif(
    CHROMIUM is None and not NEEDED,
    reason="there is no Chromium here (Debian's package `chromium`)",
)


@asynccontextmanager
async def browser() -> AsyncIterator[Browser]:
    if not NEEDED:
        pytest.importorskip(
            "playwright", reason="there is no Playwright here (dependency group `browser`)"
        )
    from playwright.async_api import async_playwright, expect

    expect.set_options(timeout=30_000)  # a busy machine needs its time
    async with async_playwright() as playwright:
        launched = await playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield launched
        await launched.close()
