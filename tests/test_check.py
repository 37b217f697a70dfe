"""`flopwise check`: bounds of the command line, of pyproject.toml, and against a baseline."""

import json
import os
import subprocess
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from flopwise.analyses.budget import quantity
from flopwise.cli import main
from flopwise.errors import FlopwiseError

EXAMPLES = Path(__file__).parents[1] / "examples"
VGG = EXAMPLES / "vgg16.prototxt"


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["check", *map(str, arguments)])


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("5G", 5_000_000_000), ("30M", 30_000_000), ("1.5k", 1500), ("7B", 7_000_000_000),
        ("<5G", 5_000_000_000), ("2GiB", 2**31), ("10MB", 10_000_000), ("12", 12),
        ("10ms", Decimal("0.010")), ("5%", Decimal("0.05")), ("1e9", 1_000_000_000),
    ],
)  # fmt: skip
def test_quantities(text: str, value: object) -> None:
    assert quantity(text) == value


@pytest.mark.parametrize(
    ("bound", "code"),
    [
        ("macs=15.5G", 0), ("macs=15470264320", 0), ("macs=15470264319", 1),
        ("params=138M", 1), ("params=139M", 0), ("flops=31G", 0), ("peak_memory=500MiB", 1),
        ("peak_memory=600MiB", 0),
    ],
)  # fmt: skip
def test_bounds(bound: str, code: int) -> None:
    assert run(VGG, "--max", bound).exit_code == code


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--max", "mac=5G"], "no quantity 'mac'; did you mean macs"),
        (["--max", "macs"], "write NAME=BOUND"),
        (["--max", "macs=5Q"], "no unit 'Q'"),
        (["--max", "macs=lots"], "is no quantity"),
        (["--max", "macs=5G", "--batch", "N"], "give every size"),
        (["--max", "latency=5ms"], "latency needs a device"),
        ([], "no bound to check"),
        (["--baseline", str(VGG)], "not a baseline"),
        (["--max", "macs=16G", "--growth", "5%"], "growth against what? give --baseline FILE"),
    ],
)
def test_bad_bounds(arguments: list[str], words: str) -> None:
    result = run(VGG, *arguments)
    assert result.exit_code == 2
    assert words in result.stderr and result.stderr.count("\n") == 1


@pytest.mark.parametrize(("bound", "code"), [("latency=1s", 0), ("latency=1us", 1)])
def test_latency_on_a_device(bound: str, code: int) -> None:
    assert run(VGG, "--max", bound, "--device", "v100").exit_code == code


def test_growth_against_a_baseline(tmp_path: Path) -> None:
    stored = tmp_path / "costs.json"
    model = tmp_path / "net.prototxt"
    model.write_text(VGG.read_text())
    assert run(model, "--save-baseline", stored).exit_code == 0
    assert run(model, "--baseline", stored).exit_code == 0
    model.write_text(VGG.read_text().replace("num_output: 1000", "num_output: 2000"))
    assert run(model, "--baseline", stored).exit_code == 1
    assert run(model, "--baseline", stored, "--growth", "5%").exit_code == 0


CONFIG = """
[tool.flopwise.models.vgg]
path = "vgg16.prototxt"
max = {{ macs = "{macs}", params = "139M" }}
"""


@pytest.mark.parametrize(("macs", "code"), [("16G", 0), ("15G", 1)])
def test_configured_models(tmp_path: Path, macs: str, code: int) -> None:
    """In a scratch repository, as CI and pre-commit run it."""
    (tmp_path / "vgg16.prototxt").write_text(VGG.read_text())
    (tmp_path / "pyproject.toml").write_text(CONFIG.format(macs=macs))
    step = tmp_path / "summary.md"
    env = {**os.environ, "GITHUB_ACTIONS": "true", "GITHUB_STEP_SUMMARY": str(step)}
    found = subprocess.run(
        [sys.executable, "-m", "flopwise", "check", "--format", "json"],
        cwd=tmp_path, env=env, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert found.returncode == code, found.stderr
    assert json.loads(found.stdout)["passed"] is (code == 0)
    assert ("::error title=flopwise vgg::" in found.stderr) is (code == 1)
    assert ("**over**" in step.read_text()) is (code == 1)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (("max =", "maxx ="), "[models.vgg]: no key 'maxx'; did you mean max"),
        (("max = { macs", "max = '16G' # { macs"), "names no quantity; write max = {macs"),
        (('path = "', 'growth = "2%"\npath = "'), "vgg: growth against what?"),
        (("[tool.flopwise.models", "[tool.flopwise]\nlimit = 1\n[tool.flopwise.models"), "'limit'"),
        (("[tool.flopwise.models", "[tool.flopwise]\nbaseline = 'b.json'\n[tool.flopwise.models"),
         "b.json has no numbers of vgg: store them with --save-baseline"),
    ],
)  # fmt: skip
def test_a_bound_that_would_never_be_checked_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: tuple[str, str], words: str
) -> None:
    (tmp_path / "vgg16.prototxt").write_text(VGG.read_text())
    (tmp_path / "b.json").write_text('{"alexnet": {"macs": 1}}')
    (tmp_path / "pyproject.toml").write_text(CONFIG.format(macs="16G").replace(*change))
    monkeypatch.chdir(tmp_path)
    result = run()
    assert result.exit_code == 2
    assert words in result.stderr and result.stderr.count("\n") == 1


def test_a_baseline_of_the_configuration(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    model, config = tmp_path / "vgg16.prototxt", tmp_path / "pyproject.toml"
    model.write_text(VGG.read_text())
    config.write_text("[tool.flopwise]\nbaseline = 'costs.json'\n" + CONFIG.format(macs="99G"))
    monkeypatch.chdir(tmp_path)
    assert run("--save-baseline", "costs.json").exit_code == 0
    assert run().exit_code == 0
    model.write_text(VGG.read_text().replace("num_output: 4096", "num_output: 4160", 1))
    grown = run()
    assert grown.exit_code == 1 and "(baseline)" in grown.stdout
    config.write_text(config.read_text() + 'growth = "5%"\n')
    assert run().exit_code == 1  # 139M params is a limit of its own


def test_quantities_have_units() -> None:
    result = run(VGG, "--max", "latency=1s", "--max", "peak_memory=1GiB", "--device", "v100")
    latency, memory = result.stdout.splitlines()
    assert latency.endswith(" s, at most 1 s (limit)")
    assert memory.endswith("bytes, at most 1,073,741,824 bytes (limit)")


def test_a_cost_without_a_bound_is_no_test(assert_cost: Any) -> None:
    with pytest.raises(FlopwiseError, match="assert_cost needs a bound"):
        assert_cost(VGG)


TEST = """
def test_cost(assert_cost):
    assert_cost({model!r}, macs={bound!r})
"""


@pytest.mark.parametrize(("bound", "code"), [("<16G", 0), ("<15G", 1)])
def test_the_pytest_fixture(tmp_path: Path, bound: str, code: int) -> None:
    (tmp_path / "test_cost.py").write_text(TEST.format(model=str(VGG), bound=bound))
    found = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "test_cost.py"],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert found.returncode == code, found.stdout
    if code:
        assert "macs is 15,470,264,320" in found.stdout


HOOKS = """
repos:
  - repo: local
    hooks:
      - id: flopwise-check
        name: flopwise check
        entry: {python} -m flopwise check
        language: system
        pass_filenames: false
        always_run: true
"""


@pytest.mark.parametrize(("macs", "code"), [("16G", 0), ("15G", 1)])
def test_as_a_pre_commit_hook(tmp_path: Path, macs: str, code: int) -> None:
    """With the fields of .pre-commit-hooks.yaml, in a scratch repository."""
    pytest.importorskip("pre_commit")
    (tmp_path / "vgg16.prototxt").write_text(VGG.read_text())
    (tmp_path / "pyproject.toml").write_text(CONFIG.format(macs=macs))
    (tmp_path / ".pre-commit-config.yaml").write_text(HOOKS.format(python=sys.executable))
    env = {
        **os.environ,
        "PRE_COMMIT_HOME": str(tmp_path / "cache"),
        "GIT_CONFIG_GLOBAL": os.devnull,
    }
    for command in (["git", "init", "-q"], ["git", "add", "-A"]):
        subprocess.run(command, cwd=tmp_path, env=env, check=True)
    found = subprocess.run(
        [sys.executable, "-m", "pre_commit", "run", "--all-files"],
        cwd=tmp_path, env=env, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert found.returncode == code, found.stdout + found.stderr
    assert ("macs is 15,470,264,320" in found.stdout) is (code == 1)
