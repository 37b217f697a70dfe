"""Training with products in 8 bits, and the pipeline of DeepSeek-V3."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from flopwise import devices
from flopwise.analyses.parallel.layout import Layout, _waits, layout
from flopwise.analyses.parallel.split import Job, Split
from flopwise.analyses.parallel.stages import of_decoder
from flopwise.analyses.serving.families import decoder
from flopwise.analyses.serving.timing import machine, reach
from flopwise.cli import main

EXAMPLES = Path(__file__).parents[1] / "examples"
LLAMA, MIXTRAL = str(EXAMPLES / "llama_3_8b.json"), str(EXAMPLES / "mixtral_8x7b.json")
H100 = devices.find("h100")
H, F, Q, KV = 4096, 14336, 4096, 1024  # of Llama 3 8B: hidden, network, queries, keys
WEIGHTS = 2 * H * Q + 2 * H * KV + 3 * H * F  # of the products of a layer


def laid(job: Job, split: Split = Split(), config: str = LLAMA) -> Layout:  # noqa: B008
    model = decoder(config)
    return layout(model.name, of_decoder(model, split, job, H100), split, job, H100)


def test_a_layer_by_hand() -> None:
    """Kept for the backward in 8 bits: what queries, keys and values read, what the network and
    its last product read. The output of attention is kept twice, for its own backward in 16."""
    tokens = 512
    wide, narrow = (laid(Job(1, tokens, matmul=m)).stages[0].pieces[0][0] for m in ("", "float8"))
    assert narrow.few == WEIGHTS and wide.few == 0
    assert narrow.operations == wide.operations
    assert (narrow.weights, narrow.state) == (wide.weights, wide.state)
    assert wide.saved - narrow.saved == tokens * (H - Q + H + F)


def test_products_take_the_rate_of_8_bits() -> None:
    """What layers gain is what their products gain at the rates that were measured, less the
    casts: a read of 2 bytes and a write of 1 for each element, and smaller operands."""
    tokens = 4096
    wide, narrow = (laid(Job(1, tokens, matmul=m)).stages[0].pieces[0][0] for m in ("", "float8"))
    ideal = 2 * tokens * WEIGHTS * (1 / 794.5e12 - 1 / 1402.6e12)
    bandwidth = 0.8 * H100.bandwidth
    casts = 3 * tokens * (H + Q + H + F) / bandwidth
    less = (tokens * (3 * H + Q + 2 * H + F) + WEIGHTS) / bandwidth
    gained = wide.seconds["forward"] - narrow.seconds["forward"]
    assert gained == pytest.approx(ideal - casts + less, abs=4 * 2.1e-6)  # gaps between kernels


def test_copies_in_8_bits_stay() -> None:
    wide, narrow = (laid(Job(1, 512, matmul=m)) for m in ("", "float8"))
    assert narrow.held.weights - wide.held.weights == 32 * WEIGHTS
    assert (narrow.held.gradients, narrow.held.states) == (wide.held.gradients, wide.held.states)
    assert narrow.model_operations == wide.model_operations
    # The peak that shares are of is that of 16 bits, as papers have it.
    assert narrow.mfu * narrow.seconds == pytest.approx(wide.mfu * wide.seconds)


def test_tokens_go_to_experts_in_8_bits_and_come_back_in_16() -> None:
    sent = [
        next(m for m in laid(Job(1, 512, matmul=m), Split(8, expert=8), MIXTRAL).messages
             if m.what.startswith("expert")).bytes
        for m in ("", "float8")
    ]  # fmt: skip
    assert sent[1] / sent[0] == (1 + 2) / 4


def test_the_pipeline_of_deepseek() -> None:
    """Table 2 of its report: (p/2 - 1)(F&B + B - 3W), weights twice, p + 1 activations."""
    split, job = Split(pipeline=8, dual=True), Job(1, 512, 32)
    dual, plain = laid(job, split), laid(job, Split(pipeline=8))
    slowest = dual.stages[dual.times.index(max(dual.times))]
    forward, back = slowest.seconds("forward"), slowest.seconds("backward")
    assert dual.waiting == pytest.approx(3 * (forward + back + back - 3 * back / 2))
    assert dual.waiting < plain.waiting / 2
    assert [_waits(i, split, job) for i in range(8)] == [9] * 8
    each = [m.weights for m in plain.memories]
    assert [m.weights for m in dual.memories] == [a + b for a, b in zip(each, reversed(each))]
    assert dual.model_operations == plain.model_operations


def test_messages_that_nothing_covers_hold_a_stage_up() -> None:
    """Experts over slow links: as long as the messages take."""
    link = devices.Link(1e9, 8, 1e9)
    model, split, job = (
        decoder(MIXTRAL),
        Split(16, pipeline=2, expert=16, dual=True),
        Job(1, 512, 8),
    )
    with pytest.raises(Exception, match="does not divide the 8 experts"):
        of_decoder(model, split, job, H100)
    split = Split(8, pipeline=2, expert=8, dual=True)
    found = layout("", of_decoder(model, split, job, H100), split, job, H100, link)
    for stage, time in zip(found.stages, found.times):
        assert time == pytest.approx(sum(m.seconds(link) for m in stage.messages))
        assert time > stage.computing


def test_serving_in_8_bits_takes_the_measured_rate() -> None:
    from flopwise.analyses.serving.formats import weights

    found = machine(H100, 1, None, "bfloat16", weights("fp8"))
    assert (found.matrix, found.attention) == pytest.approx((1402.6e12, 794.5e12))
    assert reach(devices.find("a100"), "float8") == reach(devices.find("a100"))


def run(*options: Any, code: int = 0) -> str:
    result = CliRunner().invoke(main, ["train", LLAMA, "--seq", "512", *map(str, options)])
    assert result.exit_code == code, result.output
    return result.output


@pytest.mark.parametrize(
    "options",
    [(LLAMA,), (LLAMA, "--matmul", "fp8"), (LLAMA, "--matmul", "fp8", "--data", 4, "--zero", 3),
     (LLAMA, "--pipeline", 4, "--dualpipe", "--zero", 1, "--data", 2),
     (MIXTRAL, "--data", 16, "--expert", 8, "--zero", 1),
     (MIXTRAL, "--data", 8, "--expert", 4, "--zero", 3, "--matmul", "fp8")],
)  # fmt: skip
def test_formulas_come_out(options: tuple[Any, ...]) -> None:
    """What is printed in numbers, evaluated, is what is printed after it."""
    given = [*map(str, options), "--seq", "512", "--device", "h100", "--format", "json"]
    told = json.loads(CliRunner().invoke(main, ["train", *given]).stdout)
    named = {f["name"]: f["numbers"] for f in told["formulas"]}
    held = told["layout"]["memory"]
    for name in ("weights", "gradients", "optimizer"):
        numbers, _, _ = named[f"{name} of a device"].partition(" = ")
        value = eval(numbers.replace(",", "").replace("x", "*"))
        assert value == pytest.approx(held[f"{name}_bytes"], rel=1e-8)


def test_the_command() -> None:
    assert "products in float8" in run("--device", "h100", "--matmul", "fp8")
    told = json.loads(run("--device", "h100", "--pipeline", 4, "--dualpipe", "--format", "json"))
    assert told["layout"]["split"]["dual"] is True and told["layout"]["matmul"] == "bfloat16"


BAD = {
    ("--device", "a100", "--matmul", "fp8"): "has no peak for it",
    ("--device", "h100", "--matmul", "int8"): "--matmul int8: float8, or leave it out",
    ("--device", "h100", "--dualpipe"): "--dualpipe needs an even --pipeline",
}


@pytest.mark.parametrize("options", BAD)
def test_bad_input_is_one_clear_line(options: tuple[str, ...]) -> None:
    said = run(*options, code=2)
    assert BAD[options] in said and said.count("\n") == 1
