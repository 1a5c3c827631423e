"""Package of models: it loads by domain."""

from __future__ import annotations

import subprocess
import sys

import pytest

from paychainhq import models
from paychainhq.codec import from_json
from paychainhq.models import Model
from tests.support.json_tools import (
    models_in,
)
from tests.support.samples import SAMPLES


def test_one_model_loads_one_domain() -> None:
    """The use of the invoices' model loads no other domain."""
    code = (
        "import sys; from paychainhq import models; models.Invoice;"
        "print(*sorted(name.rpartition('.')[2] for name in sys.modules if "
        "name.startswith('paychainhq.models.')))"
    )
    shown = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout
    assert shown.split() == ["base", "chains", "invoices"]


def test_all_names_can_be_imported() -> None:
    """Each public name is listed in order, can be imported, and is loaded once."""
    assert sorted(models.__all__) == models.__all__ == dir(models)
    for name in models.__all__:
        assert getattr(models, name) is vars(models)[name]
    assert issubclass(models.Invoice, Model)


def test_every_model_of_a_response_is_public() -> None:
    """The types of all operations, and those inside their samples, are names of the package."""
    for sample in SAMPLES:
        for model in models_in(from_json(sample.type, sample.response)):
            assert getattr(models, type(model).__name__) is type(model)


def test_an_unknown_name_is_an_attribute_error() -> None:
    """A misspelt model is an error at once."""
    with pytest.raises(AttributeError, match="Invoise"):
        _ = models.__getattr__("Invoise")
