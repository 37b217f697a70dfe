"""The README is true: its commands and examples print what it says."""

import doctest
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
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_python_examples(page: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    found = doctest.testfile(str(page), module_relative=False, optionflags=doctest.ELLIPSIS)
    assert found.failed == 0


def consoles(page: Path) -> list[tuple[str, str]]:
    blocks = re.findall(r"```console\n\$ flopwise (.*?)\n(.*?)```", page.read_text(), re.DOTALL)
    return [(command, said) for command, said in blocks]


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_commands_print_what_the_page_shows(page: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    for command, said in consoles(page):
        result = CliRunner().invoke(main, shlex.split(command))
        assert result.stdout.rstrip() == said.rstrip(), command


def test_the_readme_shows_a_command() -> None:
    assert consoles(ROOT / "README.md")


def test_every_formula_and_frontend_says_what_it_is() -> None:
    for entry in ops.known():
        assert entry.count.__doc__ or entry.patterns, entry.name
    for name, frontend in plugins.load_all("frontends").items():
        assert frontend.__doc__, name


def test_python_dash_m(tmp_path: Path) -> None:
    found = subprocess.run(
        [sys.executable, "-m", "flopwise", "--version"], capture_output=True, text=True, check=True
    )
    assert "flopwise" in found.stdout
