"""A module imports downwards only."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1] / "paychainhq"

# From the bottom to the top; a package stands for all its modules. Within a layer, modules may
# import each other.
LAYERS = [
    {
        "_version",
        "concurrency",
        "deadlines",
        "errors",
        "forking",
        "idempotency",
        "intake",
        "making",
        "masked",
        "streams",
    },
    {"credentials", "arguments", "exchange", "signing"},
    {"config", "plain_json"},
    {"models"},
    {"decoding", "operations"},
    {"codec"},
    {"answers", "echo"},
    {"middleware"},
    {"ledger"},
    {"failures", "fast_path", "flight", "gate", "recording", "route", "session_path"},
    {"pool"},
    {"transport"},
    {"calls"},
    {"jobs", "retry_queue"},
    {"bulk", "paging", "polling", "sweeping", "watching", "webhooks"},
    {"resources"},
    {"base_client"},
    {"client", "gateway"},
    {"__init__"},
    {"emulator"},
]
LEVEL = {name: level for level, names in enumerate(LAYERS) for name in names}
MODULES = sorted(ROOT.rglob("*.py"))


def imports(source: str) -> set[str]:
    """The modules and packages of ours that a source imports when it runs, at its top or in a
    function.
    """
    found: set[str] = set()
    for node in ast.walk(_without_type_checking(ast.parse(source))):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            names = (
                [f"{node.module}.{alias.name}" for alias in node.names]
                if node.module == "paychainhq"
                else [node.module or ""]
            )
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        else:
            continue
        for name in names:
            package, _, rest = name.partition(".")
            if package == "paychainhq":
                first = rest.partition(".")[0]
                found.add(first if first in LEVEL else "__init__")
    return found


def _without_type_checking(tree: ast.Module) -> ast.Module:
    """Leave out what only the type checker imports."""

    class Drop(ast.NodeTransformer):
        def visit_If(self, node: ast.If) -> ast.AST | None:
            return None if ast.unparse(node.test) == "TYPE_CHECKING" else self.generic_visit(node)

    without: ast.Module = Drop().visit(tree)
    return without


def upward(name: str, source: str) -> set[str]:
    """What a module imports from above its own layer."""
    return {other for other in imports(source) if LEVEL[other] > LEVEL[name]}


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_downwards(path: Path) -> None:
    """No module imports from a layer above its own."""
    name = path.relative_to(ROOT).parts[0].removesuffix(".py")
    assert name in LEVEL, "a new module needs its place in LAYERS"
    assert upward(name, path.read_text(encoding="utf-8")) == set()


def test_every_name_is_there() -> None:
    """The layers name no module that does not exist."""
    assert set(LEVEL) == {path.relative_to(ROOT).parts[0].removesuffix(".py") for path in MODULES}


@pytest.mark.parametrize(
    ("name", "source", "wanted"),
    [
        ("models", "from paychainhq.transport import Caller", {"transport"}),
        ("models", "import paychainhq.pool", {"pool"}),
        ("answers", "def f():\n    from paychainhq.middleware.retry import Retry", {"middleware"}),
        ("client", "from paychainhq import emulator", {"emulator"}),
        ("client", "from paychainhq import PayChainHQ", {"__init__"}),
        ("models", "if TYPE_CHECKING:\n    from paychainhq.pool import Pool", set()),
        (
            "transport",
            "from paychainhq import answers, codec\nfrom paychainhq.pool import Pool",
            set(),
        ),
    ],
)
def test_control(name: str, source: str, wanted: set[str]) -> None:
    """An upward import would be found, wherever it stands; what only the type checker reads is
    none.
    """
    assert upward(name, source) == wanted
