"""Generator of the sync face: its output is current, and source without a rule is reported."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def generate(tree: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(tree / "tools" / "generate_sync.py"), *arguments]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=60, check=False, cwd=tree
    )


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Return a copy of all files that the generator reads and writes."""
    for folder in ("paychainhq", "paychainhq_sync", "tools"):
        shutil.copytree(
            ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__")
        )
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def test_the_generated_files_are_current() -> None:
    """The files in the repository equal the generator's output."""
    done = generate(ROOT, "--check")
    assert (done.returncode, done.stderr) == (0, "")


def test_a_stale_file_is_reported(tree: Path) -> None:
    """A changed source and a changed, missing or stray file are named; generating fixes them."""
    edit(
        tree / "paychainhq/resources/prices.py",
        "async def get(self, symbol: str)",
        "async def get(self, symbol: str = 'USDC')",
    )
    edit(tree / "paychainhq_sync/resources/tokens.py", "Token", "Tokem")
    (tree / "paychainhq_sync/resources/networks.py").unlink()
    (tree / "paychainhq_sync/resources/stray.py").write_text("")
    done = generate(tree, "--check")
    assert done.returncode == 1
    for name in ("prices", "tokens", "networks", "stray"):
        assert f"resources/{name}.py" in done.stderr
    assert generate(tree).returncode == 0
    assert generate(tree, "--check").returncode == 0


def test_a_new_operation_needs_no_manual_edit(tree: Path) -> None:
    """A method added to an async resource appears in the sync face with its docstring."""
    method = '''
    async def newest(self, limit: int = 5, *, chain: str | None = None) -> Price:
        """Return the newest price."""
        return await self._caller.call(operations.PRICES_GET, {"symbol": chain})
'''
    source = tree / "paychainhq/resources/prices.py"
    source.write_text(source.read_text() + method)
    assert generate(tree).returncode == 0
    script = (
        "import inspect; from paychainhq_sync.resources.prices import Prices;"
        " print(inspect.signature(Prices.newest), Prices.newest.__doc__)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
        cwd=tree,
    )
    assert (
        done.stdout
        == "(self, limit: 'int' = 5, *, chain: 'str | None' = None) -> 'Price' Return the newest "
        "price.\n"
    )


@pytest.mark.parametrize(
    ("path", "old", "new", "message"),
    [
        ("client.py", "Asynchronous client", "Client", "rules that match nothing"),
        (
            "resources/prices.py",
            "async def get(self, symbol: str) -> Price",
            "def get(self, symbol: str) -> Price",
            "no rule",
        ),
        (
            "resources/prices.py",
            "async def get(self, symbol: str)",
            "async def get(self, *symbol: str)",
            "no rule",
        ),
        (
            "resources/prices.py",
            "async def get(self, symbol: str)",
            "async def get(self, **symbol: str)",
            "no rule",
        ),
        (
            "resources/prices.py",
            "    async def get(",
            "    @staticmethod\n    async def get(",
            "no rule",
        ),
        (
            "resources/prices.py",
            "    __slots__ = ()",
            "    __slots__ = ()\n    currency = 'USD'",
            "no rule",
        ),
        (
            "client.py",
            "proxy = conceal(dashboard), conceal(base_url), conceal(proxy)",
            "proxy = dashboard, base_url, proxy",
            "conceal",
        ),
        ("gateway/client.py", "Asynchronous client", "Client", "rules that match nothing"),
        ("gateway/client.py", "def parse_webhook(self", "def verify(self", "no rule"),
        ("gateway/client.py", "base_url, proxy = conceal(base_url), conceal(proxy)", "", "conceal"),
        (
            "__init__.py",
            "from paychainhq.client import PayChainHQ",
            "from paychainhq.client import Client",
            "shape",
        ),
    ],
)
def test_source_without_a_rule_fails_loudly(
    tree: Path, path: str, old: str, new: str, message: str
) -> None:
    """Unmatched rules and source without a rule end the generator with a message."""
    edit(tree / "paychainhq" / path, old, new)
    done = generate(tree)
    assert done.returncode == 1
    assert message in done.stderr
    assert "Traceback" not in done.stderr
