"""Opening words of docstrings, test names and headings: a noun or a verb, never a clause."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOLDERS = ("benchmarks", "examples", "paychainhq", "paychainhq_sync", "stress", "tests", "tools")
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


@pytest.mark.parametrize("folder", FOLDERS)
def test_docstrings_and_test_names_open_with_their_subject(folder: str) -> None:
    """No file has a docstring or a test name that opens with a clause."""
    paths = list((ROOT / folder).rglob("*.py"))
    assert paths
    assert [
        (path.name, text) for path in paths for text in clauses(path.read_text(encoding="utf-8"))
    ] == []


def test_headings_open_with_their_subject() -> None:
    """No heading of the documentation is a clause."""
    headings = [
        heading
        for path in [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")]
        for heading in re.findall(r"^#+ (.+)$", path.read_text(encoding="utf-8"), re.MULTILINE)
    ]
    assert len(headings) > 80
    assert [heading for heading in headings if CLAUSE.match(heading)] == []


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
