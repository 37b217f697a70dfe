"""The README is true: its commands and examples print what it says."""

import doctest
import importlib
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from flopwise import ops, plugins
from flopwise.cli import main

ROOT = Path(__file__).parents[1]
CONSOLE = re.compile(r"```console\n\$ flopwise (.*?)\n(.*?)```", re.DOTALL)
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_python_examples(page: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    parser, runner, names = doctest.DocTestParser(), doctest.DocTestRunner(), {}
    for block in re.findall(r"```python\n(.*?)```", page.read_text(), re.DOTALL):
        test = parser.get_doctest(block, names, page.name, str(page), 0)
        runner.run(test, clear_globs=False)
        names = test.globs
    assert runner.summarize().failed == 0


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_commands_print_what_the_page_shows(
    page: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    """`pytest --update-goldens` writes what they print into the page."""
    monkeypatch.chdir(ROOT)
    text = page.read_text()
    for command, said in CONSOLE.findall(text):
        result = CliRunner().invoke(main, shlex.split(command))
        assert result.exit_code == 0, result.output
        if request.config.getoption("--update-goldens"):
            text = text.replace(f"{command}\n{said}", f"{command}\n{result.stdout.rstrip()}\n")
            page.write_text(text)
        else:
            assert result.stdout.rstrip() == said.rstrip(), command


def test_the_readme_shows_a_command() -> None:
    assert CONSOLE.findall((ROOT / "README.md").read_text())


def test_every_formula_and_frontend_says_what_it_is() -> None:
    for entry in ops.known():
        assert entry.count.__doc__ or entry.patterns, entry.name
    for name, frontend in plugins.load_all("frontends").items():
        assert frontend.__doc__, name


def test_python_dash_m() -> None:
    found = subprocess.run(
        [sys.executable, "-m", "flopwise", "--version"], capture_output=True, text=True, check=True
    )
    assert "flopwise" in found.stdout


def test_doctests_of_modules(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    ran = 0
    for file in sorted((ROOT / "src/flopwise").rglob("*.py")):
        if ">>> " in file.read_text():
            parts = file.relative_to(ROOT / "src").with_suffix("").parts
            name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
            found = doctest.testmod(importlib.import_module(name))
            assert found.failed == 0, name
            ran += found.attempted
    assert ran >= 3
