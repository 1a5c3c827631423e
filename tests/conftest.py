"""What holds for every test."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True)
def untouched_logger() -> Iterator[None]:
    """What a test (or an example of the documentation) sets on the package's logger ends with it."""
    logger = logging.getLogger("paychainhq")
    level = logger.level
    yield
    logger.setLevel(level)
