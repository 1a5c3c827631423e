"""Documentation: its programs run, its links have targets, and it agrees with the code."""

from __future__ import annotations

import ast
import inspect
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from importlib import import_module
from itertools import pairwise
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import paychainhq
from paychainhq import PayChainHQ, gateway
from paychainhq.emulator import API_KEY, BUSINESS_ID, CONTRACT_KEY, PAYOUT_KEY, Emulator
from paychainhq.operations import OPERATIONS
from paychainhq.resources.base import Resource
from tests.support.postgres import Database
from tests.support.raw_server import load_tool

ROOT = Path(__file__).parents[2]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]
FENCED = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SENTENCE = re.compile(r"[A-Z0-9`[].*[^.]\.")


def page_name(page: Path) -> str:
    return str(page.relative_to(ROOT))


def python_blocks(page: Path) -> Iterator[tuple[int, str]]:
    """Return the blocks fenced as ```python, with the number of the line before each."""
    text = page.read_text(encoding="utf-8")
    for match in FENCED.finditer(text):
        if match[1] == "python":
            yield text.count("\n", 0, match.start(2)), match[2]


def run(folder: Path, *arguments: str) -> None:
    """Run Python in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-W", "error", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def run_tests(blocks: list[str], folder: Path) -> None:
    """Run blocks that are files of tests, all in one process of pytest."""
    for number, block in enumerate(blocks):
        (folder / f"test_block_{number}.py").write_text(block, encoding="utf-8")
    loop = "asyncio_default_fixture_loop_scope=function"
    run(folder, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-o", loop, str(folder))


def run_program(block: str, folder: Path) -> None:
    """Run a block that is a whole program."""
    (folder / "block.py").write_text(block, encoding="utf-8")
    run(folder, "block.py")


def set_environment(monkeypatch: pytest.MonkeyPatch, emulator: Emulator) -> None:
    """Set the variables that `from_env` reads."""
    monkeypatch.setenv("PAYCHAIN_API_URL", emulator.url)
    monkeypatch.setenv("PAYCHAIN_API_KEY", API_KEY)
    monkeypatch.setenv("PAYCHAIN_BUSINESS_ID", BUSINESS_ID)


@pytest.mark.parametrize("page", PAGES, ids=page_name)
async def test_every_python_block_runs(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    """The blocks of a page run in order, in one namespace; programs and tests by themselves."""
    monkeypatch.chdir(tmp_path)
    tests = [block for _, block in python_blocks(page) if "def test_" in block]
    if any("PostgresLedger(" in block for _, block in python_blocks(page)):
        database: Database = request.getfixturevalue("postgres")
        monkeypatch.setenv("DATABASE_URL", database.url())
    with Emulator() as emulator:
        set_environment(monkeypatch, emulator)
        if tests:
            folder = tmp_path / "tests"
            folder.mkdir()
            run_tests(tests, folder)
        client = PayChainHQ(
            api_key=API_KEY,
            payout_key=PAYOUT_KEY,
            contract_key=CONTRACT_KEY,
            dashboard=emulator.dashboard,
            business_id=BUSINESS_ID,
            base_url=emulator.url,
        )
        async with client as pay:
            namespace: dict[str, Any] = {"__name__": "block", "pay": pay, "emulator": emulator}
            for line, block in python_blocks(page):
                if block in tests or NEEDS_PANDAS in block:
                    continue  # run by themselves
                if "asyncio.run(" in block or "from paychainhq_sync" in block:
                    run_program(block, tmp_path)
                    continue
                # The empty lines make tracebacks name the line of the page.
                flags = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
                code = compile(
                    "\n" * line + block, str(page), "exec", flags=flags, dont_inherit=True
                )
                result = eval(code, namespace)
                if inspect.iscoroutine(result):
                    await result


NEEDS_PANDAS = "import pandas"


def test_the_block_about_pandas_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The block runs where pandas is installed; in continuous integration it must be."""
    if "NEED_PANDAS" not in os.environ:
        pytest.importorskip("pandas", reason="pandas is not installed: pip install --group frames")
    blocks = [block for page in PAGES for _, block in python_blocks(page) if NEEDS_PANDAS in block]
    with Emulator() as emulator:
        set_environment(monkeypatch, emulator)
        for block in blocks:
            run_program(block, tmp_path)
    assert blocks


def test_the_first_program_is_the_quickstart_word_for_word() -> None:
    """The README's first Python block is examples/quickstart.py."""
    _, first = next(python_blocks(ROOT / "README.md"))
    assert first == (ROOT / "examples" / "quickstart.py").read_text(encoding="utf-8")


def test_the_readme_begins_with_one_sentence_and_the_two_commands() -> None:
    """The README opens with the purpose and the two commands."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    title, sentence, heading, commands = text.split("\n\n")[:4]
    assert title.startswith("# ")
    assert SENTENCE.fullmatch(sentence.replace("\n", " ")), sentence
    assert heading.startswith("## ")
    assert commands == "```sh\nmake demo\nmake test\n```"


# --- links ---


def anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as GitHub makes them."""
    text = FENCED.sub("", page.read_text(encoding="utf-8"))
    return {
        re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
        for heading in re.findall(r"^#+ (.+?)\s*$", text, re.MULTILINE)
    }


FOLDERS = "benchmarks|docs|examples|paychainhq|paychainhq_sync|stress|tests|tools"


@pytest.mark.parametrize("page", PAGES, ids=page_name)
def test_every_path_that_a_page_names_exists(page: Path) -> None:
    """Each path in the text that begins with a folder of the repository is a file or a folder."""
    named = re.findall(rf"`((?:{FOLDERS})/[\w./]+)[`: ]", page.read_text(encoding="utf-8"))
    assert [path for path in named if not (ROOT / path).exists()] == []


SOURCE = PYPROJECT["project"]["urls"]["Source"]
OWN = re.compile(rf"{re.escape(SOURCE)}/(?:blob|tree)/main/")


def links(page: Path) -> list[str]:
    """Return the targets of a page's links, in its text and in its definitions."""
    text = FENCED.sub("", page.read_text(encoding="utf-8"))
    return re.findall(r"\]\(([^)\s]+)\)", text) + re.findall(
        r"^\[[^\]]+\]: (\S+)$", text, re.MULTILINE
    )


@pytest.mark.parametrize("page", PAGES, ids=page_name)
def test_every_link_to_a_file_has_a_target(page: Path) -> None:
    """Every link to a file of the repository, relative or absolute, names a file and a heading."""
    broken = []
    for link in links(page):
        name, own = OWN.subn("", link)
        if not own and re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = name.partition("#")
        target = ((ROOT if own else page.parent) / path) if path else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            broken.append(link)
    assert not broken


def test_the_links_of_the_readme_work_on_the_package_index() -> None:
    """Every link is absolute, every reference is defined, and every definition is used."""
    page = ROOT / "README.md"
    assert [link for link in links(page) if not link.startswith("https://")] == []
    text = re.sub(r"`[^`]+`", "", FENCED.sub("", page.read_text(encoding="utf-8")))
    defined = re.findall(rf"^\[(\w+)\]: {re.escape(SOURCE)}", text, re.MULTILINE)
    used = re.findall(r"\]\[(\w+)\]|(?<!\])\[(\w+)\](?![\[(:])", text)
    assert {"".join(pair) for pair in used} == set(defined)


# --- form ---


@pytest.mark.parametrize("page", PAGES, ids=page_name)
def test_lines_of_prose_have_at_most_100_characters(page: Path) -> None:
    """Tables, code and definitions of links may be longer."""
    lines = FENCED.sub("", page.read_text(encoding="utf-8")).splitlines()
    assert [line for line in lines if len(line) > 100 and not re.match(r"\||\[\w+\]: ", line)] == []


# --- the table of operations ---


def operations_table() -> ModuleType:
    return load_tool("operations_table")


def test_the_table_of_operations_is_up_to_date(capsys: pytest.CaptureFixture[str]) -> None:
    """docs/operations.md is the output of tools/operations_table.py, with all operations."""
    assert operations_table().main(["--check"]) == 0, capsys.readouterr().out
    text = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    assert re.findall(r"^\| `pay\.([\w.]+)` ", text, re.MULTILINE) == list(OPERATIONS)
    assert re.findall(r"^\| `gateway\.([\w.]+)` ", text, re.MULTILINE) == list(
        gateway.operations.OPERATIONS
    )


def test_a_stale_table_of_operations_is_reported_with_a_diff(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With --check, a stale file is a failure that shows what differs, and is left as it is."""
    tool = operations_table()
    stale = tmp_path / "operations.md"
    stale.write_text(tool.table().replace("| GET |", "| PUT |", 1))
    monkeypatch.setattr(tool, "TARGET", stale)
    assert tool.main(["--check"]) == 1
    shown = capsys.readouterr().out.splitlines()
    assert any(line.startswith("-") and "| PUT |" in line for line in shown)
    assert any(line.startswith("+") and "| GET |" in line for line in shown)
    assert "| PUT |" in stale.read_text()


# --- what else must keep up with the code ---

PACKAGE = ROOT / "paychainhq"


LAYOUT = ROOT / "docs" / "layout.md"


def layout_table(head: str) -> list[list[str]]:
    """Return the paths that each row of a table of docs/layout.md names."""
    _, _, rest = LAYOUT.read_text(encoding="utf-8").partition(f"\n| {head}")
    rows = rest.partition("\n\n")[0].splitlines()[2:]
    column = 1 if head == "Path" else 2
    return [re.findall(r"`([\w/]+(?:\.py|/))`", row.split("|")[column]) for row in rows]


def test_the_layers_of_the_page_are_those_of_the_contract() -> None:
    """The table of paths has each layer of the import contract, in its order."""
    contract = PYPROJECT["tool"]["importlinter"]["contracts"][0]
    order = {
        name: number
        for number, layer in enumerate(contract["layers"])
        for name in layer.split(" | ")
    }
    rows = [[path.rstrip("/").removesuffix(".py") for path in row] for row in layout_table("Path")]
    assert {name for row in rows for name in row} == order.keys() - {"_version"}
    numbers = [[order[name] for name in row] for row in rows]
    assert all(max(upper) < min(lower) for upper, lower in pairwise(numbers))


def test_each_place_that_the_page_on_the_layout_names_exists() -> None:
    """Each row of "Where is ...?" names one file of the package."""
    places = layout_table("Where is ...?")
    assert len(places) >= 10
    assert [place for place in places if len(place) != 1] == []
    assert [path for (path,) in places if not (PACKAGE / path).is_file()] == []


def test_the_page_on_the_layout_fits_on_a_screen() -> None:
    """The page has 30 to 40 lines, and the package at most 14 modules at its root."""
    assert 30 <= len(LAYOUT.read_text(encoding="utf-8").splitlines()) <= 40
    assert len(list(PACKAGE.glob("*.py"))) <= 14


def test_the_page_on_the_layout_names_every_module() -> None:
    """docs/layout.md names each file and folder of the package, and no other."""
    text = LAYOUT.read_text(encoding="utf-8")
    modules = {file.name for file in PACKAGE.glob("*.py") if not file.name.startswith("_")}
    folders = {f"{file.parent.name}/" for file in PACKAGE.glob("*/__init__.py")}
    assert {name for name in modules | folders if f"`{name}`" not in text} == set()
    named = set(re.findall(r"`(\w+\.py)`", text))
    assert named - {
        "__init__.py",
        "generate_sync.py",
        "faces.py",
        *(path.name for path in (ROOT / "paychainhq_sync").glob("*.py")),
    } <= {file.name for file in PACKAGE.rglob("*.py")}


def test_the_page_on_behaviour_names_modules_that_exist() -> None:
    """Each module that docs/behaviour.md names is a file of the package."""
    text = (ROOT / "docs" / "behaviour.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`((?:\w+/)*\w+\.py)`", text))
    assert len(named) > 20
    assert {name for name in named if not (PACKAGE / name).exists()} == set()


def test_every_assumption_in_the_code_is_documented() -> None:
    """docs/behaviour.md names each file with an assumption, except the emulator's, and no other."""
    text = (ROOT / "docs" / "behaviour.md").read_text(encoding="utf-8")
    listed = set(re.findall(r"`(\w+(?:/\w+)*\.py)`", text.partition("## Assumptions")[2]))
    marked = {
        file.relative_to(PACKAGE).as_posix()
        for file in PACKAGE.rglob("*.py")
        if "emulator" not in file.parts and "Assumption:" in file.read_text(encoding="utf-8")
    }
    assert listed == marked


# --- docstrings ---

PUBLIC = [
    (package, name)
    for package in (paychainhq, gateway)
    for name in package.__all__
    if inspect.isclass(getattr(package, name))
]


@pytest.mark.parametrize(("home", "name"), PUBLIC, ids=[name for _, name in PUBLIC])
def test_every_public_class_has_a_one_sentence_summary(home: ModuleType, name: str) -> None:
    """The first line of its docstring is one sentence, and its own."""
    cls = getattr(home, name)
    first = " ".join(inspect.cleandoc(cls.__doc__ or "").partition("\n\n")[0].split("\n"))
    assert SENTENCE.fullmatch(first), first
    assert ". " not in first
    assert not first.startswith(f"{name}("), "a docstring that attrs made up"


def operation_methods() -> Iterator[tuple[str, Callable[..., object]]]:
    """Return every public method of the resources."""
    for file in sorted((ROOT / "paychainhq").glob("**/resources/*.py")):
        module = import_module(".".join(file.relative_to(ROOT).with_suffix("").parts))
        for cls in vars(module).values():
            if (
                inspect.isclass(cls)
                and issubclass(cls, Resource)
                and cls.__module__ == module.__name__
            ):
                for name, method in vars(cls).items():
                    if inspect.isfunction(method) and not name.startswith("_"):
                        yield f"{file.stem}.{name}", method


METHODS = dict(operation_methods())


def test_every_operation_has_a_method() -> None:
    """The checked methods include one for each operation."""
    assert set(OPERATIONS) | set(gateway.operations.OPERATIONS) <= set(METHODS)


@pytest.mark.parametrize("name", METHODS)
def test_every_method_documents_each_of_its_arguments(name: str) -> None:
    """Each docstring has a summary, its source, and exactly its arguments (but a single id)."""
    docstring = inspect.getdoc(METHODS[name]) or ""
    arguments = [
        argument for argument in inspect.signature(METHODS[name]).parameters if argument != "self"
    ]
    documented = re.search(r"^Args:\n+(.*?)(?:^\S|\Z)", docstring, re.MULTILINE | re.DOTALL)
    listed = re.findall(r"^    (\w+): \S", documented[1], re.MULTILINE) if documented else []
    assert SENTENCE.fullmatch(docstring.partition("\n\n")[0].replace("\n", " "))
    assert "\nSource: " in docstring
    assert listed == arguments or (
        not listed and len(arguments) == 1 and arguments[0].endswith("_id")
    )


# --- the rest ---


def test_the_changelog_has_a_section_for_unreleased_changes() -> None:
    """The first section, Unreleased, lists the changes."""
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    first, *_ = re.split(r"^(?=## )", text, flags=re.MULTILINE)[1:]
    assert first.startswith("## [Unreleased]\n")
    assert first.endswith(PYPROJECT["tool"]["towncrier"]["start_string"])


def test_unreleased_changes_are_fragments_of_a_known_type() -> None:
    """Each file in changes/ has a type of the changelog, and holds whole sentences."""
    types = {entry["directory"] for entry in PYPROJECT["tool"]["towncrier"]["type"]}
    fragments = sorted((ROOT / "changes").glob("[!.]*"))
    assert {file.name.split(".")[1] for file in fragments} <= types
    assert [
        file.name
        for file in fragments
        if not SENTENCE.fullmatch(file.read_text(encoding="utf-8").replace("\n", " ").strip())
    ] == []


def test_licence_and_metadata_agree() -> None:
    """The licence in the metadata is the one in the file."""
    project = PYPROJECT["project"]
    (file,) = project["license-files"]
    assert (ROOT / file).read_text(encoding="utf-8").startswith(f"{project['license']} License\n")
