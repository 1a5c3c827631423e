"""The documented commands and answers, as data: the seed documents' 30 operations, and what other public pages show of six more.

Of those six, `businesses.update_invoice_settings` has no sample: its page is not known to its end.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs

from paychainhq.operations import OPERATIONS, Operation


@attrs.frozen(kw_only=True)
class Sample:
    """One documented operation: its cURL command, taken apart, and the answer shown with it.

    `curl`, `headers`, `query` and `body` are those of the command; the samples from the other pages have none.
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
        """How the package describes the operation."""
        return OPERATIONS[self.operation]

    @property
    def type(self) -> Any:
        """What the answer is decoded into."""
        return self.described.response_type


SAMPLES = tuple(Sample(**facts) for facts in json.loads(Path(__file__).with_name("samples.json").read_text(encoding="utf-8")))
DOCUMENTED = tuple(sample for sample in SAMPLES if sample.curl is not None)
BY_NAME = {sample.operation: sample for sample in SAMPLES}
