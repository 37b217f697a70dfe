"""What optimizers keep, against real steps of PyTorch: the type of their states, and bytes."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

import flopwise
from flopwise.cli import main
from flopwise.graph import Tensor
from flopwise.ops import optimizers
from flopwise.passes.adapters import nf4
from flopwise.passes.update import Kept

torch = pytest.importorskip("torch")
ROOT = Path(__file__).parents[1]
LLAMA, VGG = (str(ROOT / "examples" / n) for n in ("llama_3_8b.json", "vgg16.prototxt"))
REAL: dict[str, Callable[[Any], Any]] = {
    "sgd": lambda p: torch.optim.SGD(p, 0.01),
    "momentum": lambda p: torch.optim.SGD(p, 0.01, momentum=0.9),
    "adam": lambda p: torch.optim.Adam(p),
    "adamw": lambda p: torch.optim.AdamW(p),
    "adafactor": lambda p: torch.optim.Adafactor(p),
    "muon": lambda p: torch.optim.Muon(p),
}


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
@pytest.mark.parametrize("optimizer", REAL)
def test_states_are_those_of_a_real_step(optimizer: str, dtype: str) -> None:
    """All but the counters of steps, which are of one element each."""
    model = torch.nn.Sequential(
        torch.nn.Linear(24, 40, bias=optimizer != "muon"), torch.nn.ReLU(),
        torch.nn.Linear(40, 8, bias=False),
    ).to(getattr(torch, dtype))  # fmt: skip
    data = torch.ones(4, 24, dtype=getattr(torch, dtype))
    found = flopwise.memory(model, train=True, inputs=data, optimizer=optimizer)
    updates = REAL[optimizer](model.parameters())
    model(data).sum().backward()
    updates.step()
    kept = [t for state in updates.state.values() for t in state.values()
            if isinstance(t, torch.Tensor) and t.dim()]  # fmt: skip
    assert found.static.optimizer_bytes == sum(t.nbytes for t in kept)
    assert {str(t.dtype) for t in kept} <= {f"torch.{dtype}"}
    assert found.static.states == f"{dtype} (as the weights)"
    temporaries = [t for t in found.live_at_peak if t.kind == "optimizer temporaries"]
    weights = {f"{n}·temporary": p.nbytes for n, p in model.named_parameters()}
    assert all(t.bytes == weights[t.name.rstrip("0123456789")] for t in temporaries)


# Bytes of the states that bitsandbytes 0.50.2 makes (Adam8bit.init_state, on a CPU) of float32
# and of bfloat16 parameters alike, without its two tables of 1,024 bytes, which all of them share.
EIGHT_BITS = {
    (64, 64): 8320, (63, 65): 32760, (1000, 1000): 2031256, (4095,): 32760, (300, 300): 182816,
    (128, 257): 66824,
}  # fmt: skip


@pytest.mark.parametrize("shape", EIGHT_BITS, ids=str)
def test_states_of_8_bits_are_those_of_bitsandbytes(shape: tuple[int, ...]) -> None:
    for dtype in ("float32", "bfloat16"):
        kept = Kept(optimizers.find("adam8bit"))
        assert kept.states(Tensor("w", shape, dtype, "weight")) == EIGHT_BITS[shape]


# Codes, 8-bit scales and their 32-bit scales of bitsandbytes 0.50.2 (quantize_4bit, nf4, blocks of
# 64, compress_statistics), without an offset of 4 bytes and two tables.
NF4 = {(512, 512): 135232, (1024, 300): 158476, (4096, 128): 270464}


@pytest.mark.parametrize("shape", NF4, ids=str)
def test_weights_of_4_bits_are_those_of_bitsandbytes(shape: tuple[int, ...]) -> None:
    assert nf4(Tensor("w", shape, "bfloat16", "weight")) == NF4[shape]


@pytest.mark.parametrize(
    ("options", "each", "said"),
    [
        ({}, 4, "bfloat16 (as the weights)"),
        ({"master_weights": True}, 8, "float32 (as master copies)"),
        ({"master_weights": True, "states": "bfloat16"}, 4, "bfloat16"),
        ({"states": "float32"}, 8, "float32"),
    ],
)
def test_what_the_user_says_of_states(options: dict[str, Any], each: int, said: str) -> None:
    """Of bfloat16 weights; DeepSeek-V3 keeps 16-bit moments of 32-bit weights."""
    found = flopwise.memory(VGG, train=True, dtype="bfloat16", **options)
    assert found.static.optimizer_bytes == each * found.static.params
    assert found.static.states == said
    master = 4 * found.static.params if "master_weights" in options else 0
    assert found.static.master_bytes == master
    (update,) = (r for r in _updates(options) if r.node.name.startswith("fc8.weight"))
    per = 2 * (2 + 4 * bool(master) + each) + 2  # weight, copy and states twice; gradient once
    assert update.counts.bytes == per * 1000 * 4096


def _updates(options: dict[str, Any]) -> list[Any]:
    from flopwise.analyses.training.step import Recipe, step

    recipe = Recipe(masters="master_weights" in options, states=options.get("states", ""))
    graph = flopwise.load(VGG, dtype="bfloat16")
    return [row for row in step(graph, recipe).profile.rows if row.node.op == "update"]


@pytest.mark.parametrize(
    ("flags", "each"),
    [((), 18), (("--states", "bfloat16"), 14), (("--no-master-weights",), 2 + 2 + 4),
     (("--no-master-weights", "--gradients", "float32", "--states", "float32"), 2 + 4 + 8)],
)  # fmt: skip
def test_on_many_devices(flags: tuple[str, ...], each: int) -> None:
    """Bytes of a weight with its gradient, copy and states."""
    given = [LLAMA, "--seq", "512", "--device", "h100", *flags, "--format", "json"]
    result = CliRunner().invoke(main, ["train", *given])
    assert result.exit_code == 0, result.output
    held = json.loads(result.stdout)["layout"]["memory"]
    parts = sum(held[f"{name}_bytes"] for name in ("weights", "gradients", "optimizer"))
    assert parts == each * 8_030_261_248


@pytest.mark.parametrize(
    "command", [("memory", VGG, "--train"), ("train", VGG, "--samples", "1", "--device", "v100")]
)
def test_wrong_states_are_one_line(command: tuple[str, ...]) -> None:
    for flags, said in (
        (("--states", "int8"), "--states int8: float32, bfloat16, float16"),
        (("--states", "float32", "--optimizer", "adam8bit"), "those of adam8bit are of 8 bits"),
    ):
        result = CliRunner().invoke(main, [*command, *flags])
        assert result.exit_code == 2 and result.output.count("\n") == 1
        assert said in result.output
