"""Opening words of docstrings and test names: a noun or a verb, never a clause."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
# The plain files, without those of `PENDING`. Once all are plain: the top folders
# ("paychainhq/**/*.py", ...).
CLEAN = [
    *(
        "benchmarks/**/*.py",
        "examples/**/*.py",
        "tools/generate_sync.py",
        "tools/operations_table.py",
        "tools/soak.py",
    ),
    *(
        f"paychainhq/{name}/**/*.py"
        for name in ("_jobs", "emulator", "gateway", "ledger", "models", "resources", "webhooks")
    ),
    *(
        f"paychainhq/{name}.py"
        for name in (
            "__init__",
            "_base_client",
            "_core/idempotency",
            "_frozen",
            "client",
            "operations",
            "paging",
        )
    ),
    "paychainhq_sync/**/*.py",
    *(f"tests/{name}/*.py" for name in ("emulator", "faults", "gateway")),
    *("tests/[!t]*.py", "tests/test_prose.py"),
]
PENDING = {"paychainhq/gateway/webhooks.py", "tests/gateway/test_webhooks.py"}
CLAUSE = re.compile(
    r"(test_)?(what|who|whoever|whose|whom|whatever|which|where|how|when|why|whether|it|they|those|that)(_|\b)",
    re.IGNORECASE,
)


def clauses(source: str) -> list[str]:
    """Return the docstrings and test names of a module that open with a clause."""
    nodes = [
        node
        for node in ast.walk(ast.parse(source))
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef))
    ]
    texts = [
        *(getattr(node, "name", "") for node in nodes),
        *(ast.get_docstring(node) or "" for node in nodes),
    ]
    return [
        text for text in texts if CLAUSE.match(text) and (" " in text or text.startswith("test_"))
    ]


@pytest.mark.parametrize("pattern", CLEAN)
def test_docstrings_and_test_names_open_with_their_subject(pattern: str) -> None:
    """Every file of a clean pattern has plain openings, and every pattern matches a file."""
    paths = [
        path for path in ROOT.glob(pattern) if path.relative_to(ROOT).as_posix() not in PENDING
    ]
    assert paths
    assert [
        (path.name, text) for path in paths for text in clauses(path.read_text(encoding="utf-8"))
    ] == []


@pytest.mark.parametrize(
    "source",
    [
        '"""What a module does."""',
        'class A:\n    """How it works."""',
        "async def test_what_fails(): ...",
        'def f():\n    """It returns."""',
    ],
)
def test_a_clause_is_found(source: str) -> None:
    """The check covers modules, classes, functions and test names."""
    assert len(clauses(source)) == 1
