"""`reconcile --tool-run`: the installed tool beside ours, on a model made anew."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from flopwise.cli import main

pytest.importorskip("torch")

MODULE = """
import torch
made = 0

class Net(torch.nn.Module):
    def __init__(self, width=8):
        super().__init__()
        global made
        made += 1
        self.conv = torch.nn.Conv2d(3, width, 3, padding=1)
        self.norm = torch.nn.BatchNorm2d(width)
        self.head = torch.nn.Linear(width, 10)

    def forward(self, x):
        return self.head(self.norm(self.conv(x)).mean((2, 3)))
"""


@pytest.fixture
def name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "small_net.py").write_text(MODULE)
    monkeypatch.syspath_prepend(str(tmp_path))
    return "small_net:Net?width=16"


def run(name: str, tool: str) -> Result:
    arguments = ["reconcile", name, "--input", "1x3x8x8", "--tool-run", tool, "--format", "json"]
    return CliRunner().invoke(main, arguments)


def test_torch_itself(name: str) -> None:
    found = json.loads(run(name, "torch").stdout)
    assert found["claim"]["value"] == 2 * (16 * 27 * 64 + 160) == found["ours"]["flops"]
    assert found["explained"]


@pytest.mark.parametrize("tool", ["thop", "fvcore", "torchinfo", "torchprofile", "calflops"])
def test_peers(name: str, tool: str) -> None:
    pytest.importorskip(tool)
    result = run(name, tool)
    assert json.loads(result.stdout)["explained"], result.stdout


def test_what_cannot_run(name: str) -> None:
    for source, tool, words in [
        (name, "netron", "no tool 'netron' to run"),
        ("examples/vgg16.prototxt", "torch", "not on files"),
    ]:
        result = (
            CliRunner().invoke(
                main, ["reconcile", source, "--input", "1x3x8x8", "--tool-run", tool]
            )
            if ":" in source
            else CliRunner().invoke(main, ["reconcile", source, "--tool-run", tool])
        )
        assert result.exit_code == 2
        assert words in result.stderr and result.stderr.count("\n") == 1
