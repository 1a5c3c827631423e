"""Documented commands and responses as data.

30 operations are from the seed documents, and six from other public pages. Of those six,
`businesses.update_invoice_settings` has no sample: its page is incomplete.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs

from paychainhq._core.operation import Operation
from paychainhq.operations import OPERATIONS


@attrs.frozen(kw_only=True)
class Sample:
    """Sample of one documented operation: its cURL command in parts, and its response.

    `curl`, `headers`, `query` and `body` are from the command; samples of the other pages have
    none.
    """

    operation: str
    method: str
    path: str
    response: Any
    query: Mapping[str, str] = attrs.field(factory=dict)
    body: Any = None
    headers: Mapping[str, str] = attrs.field(factory=dict)
    curl: str | None = None

    @property
    def described(self) -> Operation[Any]:
        """Return the package's description of the operation."""
        return OPERATIONS[self.operation]

    @property
    def type(self) -> Any:
        """Return the type of the decoded response."""
        return self.described.response_type


SAMPLES = tuple(
    Sample(**facts)
    for facts in json.loads(Path(__file__).with_name("samples.json").read_text(encoding="utf-8"))
)
DOCUMENTED = tuple(sample for sample in SAMPLES if sample.curl is not None)
BY_NAME = {sample.operation: sample for sample in SAMPLES}
