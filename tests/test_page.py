"""What an analysis found, in every form; and every command in every format."""

import csv
import io
import json
from html.parser import HTMLParser
from pathlib import Path

import pytest
from click.testing import CliRunner

from flopwise.cli import main
from flopwise.errors import UnknownName
from flopwise.reports.page import FORMS, Grid, Page, render

EXAMPLES = Path(__file__).parents[1] / "examples"
ALEXNET = str(EXAMPLES / "alexnet.prototxt")
LLAMA = str(EXAMPLES / "llama_3_8b.json")

PAGE = Page(
    "a < b & c",
    ["one\n  two   three | four", Grid(["name", "n"], [["<x|y>", "1"], ["a_b & 50%", "20"]])],
    {"total": 21, "parts": {"first": 1, "fits": True}, "shape": [1, 2]},
)


@pytest.mark.parametrize(
    ("fmt", "expected"),
    [
        ("table", "one\n  two   three | four\n\n name         n\n"),
        ("csv", 'name,value\ntotal,21\nparts.first,1\nparts.fits,true\nshape,"[1, 2]"'),
        ("markdown", "## a \\< b & c\n\n```text\none\n  two   three | four\n```\n\n| name | n |"),
        ("markdown", "| :-- | --: |\n| \\<x\\|y> | 1 |\n| a_b & 50% | 20 |"),
        ("latex", "one \\\\\n~~two~~~three \\textbar{} four"),
        ("latex", "\\begin{tabular}{lr}\n\\toprule\nname & n \\\\\n\\midrule\n"),
        ("latex", "\\textless{}x\\textbar{}y\\textgreater{} & 1 \\\\\na\\_b \\& 50\\% & 20 \\\\"),
        ("html", "<title>a &lt; b &amp; c</title>"),
        ("html", '<tr><td>&lt;x|y&gt;</td><td class="number">1</td></tr>'),
    ],
)
def test_each_form(fmt: str, expected: str) -> None:
    assert expected in render(PAGE, fmt)


def test_rows_of_programs_have_a_column_for_each_place() -> None:
    rows = [{"a": {"x": 1}, "b": None}, {"a": None, "b": {"y": 2}}]
    assert render(Page("", [], {}, rows), "csv") == "a.x,b.y\n1,\n,2"


def test_json_is_the_record() -> None:
    assert json.loads(render(PAGE, "json")) == PAGE.record


def test_a_format_that_there_is_not() -> None:
    with pytest.raises(UnknownName, match="no format 'markdwn'; did you mean markdown"):
        render(PAGE, "markdwn")


class Balanced(HTMLParser):
    """Fails where tags do not nest."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: object) -> None:
        if tag not in ("meta", "link"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


COMMANDS = {
    "count": [ALEXNET],
    "explain": [ALEXNET, "conv1"],
    "compare": [ALEXNET, str(EXAMPLES / "vgg16.prototxt")],
    "check": [ALEXNET, "--max", "macs=5G"],
    "sweep": [ALEXNET, "--vary", "batch=1:4"],
    "memory": [ALEXNET],
    "reconcile": [ALEXNET, "--claim", "724M MACs"],
    "compare --why": [ALEXNET, str(EXAMPLES / "vgg16.prototxt"), "--device", "v100"],
    "predict": [ALEXNET, "--device", "v100"],
    "train": [ALEXNET, "--samples", "1000", "--device", "v100", "--explain"],
    "generate": [LLAMA, "--device", "h100", "--explain"],
    "generate --vary": ["batch=1:8:x2", LLAMA, "--device", "h100"],
    "train --plan": [
        LLAMA,
        "--device",
        "h100",
        "--count",
        "8",
        "--seq",
        "512",
        "--global-batch",
        "8",
    ],
    "memory --train": [ALEXNET, "--explain"],
}


@pytest.mark.parametrize("fmt", [*FORMS, "table"])
@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_in_every_format(command: str, fmt: str) -> None:
    done = CliRunner().invoke(main, [*command.split(), *COMMANDS[command], "--format", fmt])
    assert done.exit_code == 0, done.output
    told = done.stdout
    if fmt == "json":
        json.loads(told)
    elif fmt == "csv":
        rows = [*csv.reader(io.StringIO(told))]
        assert len(rows) > 1 and len({*map(len, rows)}) == 1
    elif fmt == "html":
        page = Balanced()
        page.feed("" if command == "count" else told)  # which is a page of its own
        assert told.startswith("<!doctype html>") and not page.open
    else:
        marks = {"markdown": ("```", "| "), "latex": ("\\begin{",), "table": ("",)}[fmt]
        assert any(mark in told for mark in marks)


@pytest.mark.parametrize("command", COMMANDS)
def test_no_command_passes_over_a_format(command: str) -> None:
    done = CliRunner().invoke(main, [*command.split(), *COMMANDS[command], "--format", "tabel"])
    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr.startswith("flopwise: ") and "table" in done.stderr
