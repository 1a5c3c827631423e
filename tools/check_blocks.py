"""Type check of Python blocks of the documentation by mypy and pyright.

The blocks are checked in order, as the body of one coroutine with an open client `pay` and its
`emulator`. Blocks that are whole programs or test files are checked by themselves.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", DOCS / "gateway.md", DOCS / "telemetry.md", DOCS / "testing.md"]
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
HEAD = """\
from paychainhq import PayChainHQ
from paychainhq.emulator import Emulator


async def page(pay: PayChainHQ, emulator: Emulator) -> None:
"""


def is_program(block: str) -> bool:
    """Return whether a block is a whole program, or a file of tests."""
    return "asyncio.run(" in block or "def test_" in block or "from paychainhq_sync" in block


def modules(page: Path) -> Iterator[tuple[str, str]]:
    """Give the name and the source of each module that a page becomes."""
    blocks = BLOCK.findall(page.read_text(encoding="utf-8"))
    for number, program in enumerate(filter(is_program, blocks)):
        yield f"{page.stem.lower()}_program_{number}", program
    body = "\n".join(block for block in blocks if not is_program(block))
    if body:
        yield page.stem.lower(), HEAD + textwrap.indent(body, "    ")


def main() -> int:
    (ROOT / "build").mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=ROOT / "build", prefix="blocks-") as folder:
        for page in PAGES:
            for name, source in modules(page):
                Path(folder, f"{name}.py").write_text(source, encoding="utf-8")
        files = sorted(map(str, Path(folder).glob("*.py")))
        checks = (["mypy", "--strict", *files], ["pyright", *files])
        return max(
            subprocess.run([sys.executable, "-m", *check], cwd=ROOT, check=False).returncode
            for check in checks
        )


if __name__ == "__main__":
    sys.exit(main())
