"""A training step on many devices, against closed forms, schedules run step by step, papers."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

import flopwise
from flopwise import devices
from flopwise.analyses.parallel.exchange import Message
from flopwise.analyses.parallel.layout import Layout, _held, _waits, layout
from flopwise.analyses.parallel.piece import PHASES, Piece
from flopwise.analyses.parallel.split import Job, Split, spread
from flopwise.analyses.parallel.stages import Stage, of_decoder
from flopwise.analyses.serving.families import decoder
from flopwise.analyses.serving.graphs import params
from flopwise.analyses.serving.timing import REDUCE
from flopwise.cli import main
from flopwise.devices import Link
from flopwise.ops.gradient import Autograd

ROOT = Path(__file__).parents[1]
VGG = str(ROOT / "examples" / "vgg16.prototxt")
LLAMA = str(ROOT / "examples" / "llama_3_8b.json")
MIXTRAL = str(ROOT / "examples" / "mixtral_8x7b.json")
A100 = devices.find("a100-sxm4-80gb")
PLAIN = Autograd(fused_attention=False)


def gpt(layers: int, hidden: int, heads: int) -> Any:
    """GPT with dropout, as Megatron-LM trains it."""
    return decoder({"model_type": "gpt2", "n_embd": hidden, "n_layer": layers, "n_head": heads,
                    "vocab_size": 51200, "n_positions": 2048})  # fmt: skip


def laid(model: Any, split: Split, job: Job) -> Layout:
    return layout(model.name, of_decoder(model, split, job, A100), split, job, A100)


@pytest.mark.parametrize(
    ("hidden", "heads", "tensor"), [(6144, 64, 8), (1024, 16, 1), (4096, 32, 4), (25600, 160, 8)]
)
def test_saved_activations_are_the_closed_form(hidden: int, heads: int, tensor: int) -> None:
    """Korthikanti et al. 2022, table 2, in s b h bytes, here by liveness over the backward graph;
    theirs leaves out the statistics of norms (16 bytes a token)."""
    seq, batch = 2048, 2
    model, unit = gpt(2, hidden, heads), seq * batch * hidden
    scores = 5 * heads * seq / hidden
    for sequence, recompute, autograd, expected in (
        (False, "none", PLAIN, 10 + (24 + scores) / tensor),
        (True, "none", PLAIN, (34 + scores) / tensor),
        (True, "selective", PLAIN, 34 / tensor),
        (True, "full", PLAIN, 2 / tensor),
    ):
        job = Job(batch, seq, recompute=recompute, autograd=autograd)
        split = Split(tensor=tensor, sequence=sequence)
        layer = of_decoder(model, split, job, A100)[0].pieces[0][0]
        assert layer.saved / unit == pytest.approx(expected, abs=17 / hidden)


FIGURE = {  # layers, hidden, heads, batch, pipeline, interleave of the paper's table 3
    "megatron-22B": (48, 6144, 64, 4, 1, 1), "gpt3-175B": (96, 12288, 96, 1, 8, 3),
    "turing-530B": (105, 20480, 128, 1, 35, 3), "megatron-1T": (128, 25600, 160, 1, 64, 1),
}  # fmt: skip


def test_memory_of_published_runs(shared: Path) -> None:
    """GiB per device, activations, and weights with gradients and optimizer."""
    with (shared / "models/training.csv").open() as file:
        rows = [r for r in csv.DictReader(file) if r["unit"] == "GiB activations per GPU"]
    assert len(rows) == 4
    for row in rows:
        layers, hidden, heads, batch, pipeline, interleave = FIGURE[row["model"]]
        mode, _, more = row["notes"].partition(";")
        plain = "none" in mode
        job = Job(batch, 2048, 512, recompute="none" if plain else "selective", autograd=PLAIN)
        split = Split(tensor=8, pipeline=pipeline, interleave=interleave, sequence=not plain)
        held = laid(gpt(layers, hidden, heads), split, job).held
        # They leave out the scores of the vocabulary, in 32 bits, on the last stage.
        logits = 4 * batch * 2048 * 51200 / 8 / 2**30 if pipeline == 1 else 0
        ours = held.activations / 2**30 - logits
        assert ours == pytest.approx(float(row["published_value"]), rel=0.001)
        states = (held.weights + held.gradients + held.states) / 2**30
        published = float(more.split()[1])
        # Theirs are 12 l h^2 weights; the first stage has the tables too, that of places whole.
        tables = 18 * (51200 / 8 + 2048) * hidden / 2**30
        assert states == pytest.approx(published + tables, rel=0.002)


def test_zero_is_the_table_of_the_paper() -> None:
    """Rajbhandari et al. 2020, figure 1: 7.5e9 weights on 64 devices, 16-bit gradients."""
    piece = Piece("all", 7_500_000_000, 0, 8 * 7.5e9, {}, {}, 0.0, 0.0)
    job = Job(gradients="float16", dtype="float16")
    found = []
    for zero in range(4):
        held = _held((Stage(((piece, 1),)),), 0, Split(data=64, zero=zero), job)
        found.append((held.weights + held.gradients + held.states) / 1e9)
    assert found == pytest.approx([120, 31.4, 16.6, 1.9], abs=0.05)


def test_experts_are_spread_over_fewer_replicas() -> None:
    """8 of 16 replicas share experts: those are there twice, all else 16 times."""
    piece = Piece("all", 1000, 600, 8 * 1000, {}, {}, 0.0, 0.0)
    split = Split(data=16, expert=8, zero=3)
    held = _held((Stage(((piece, 1),)),), 0, split, Job())
    assert held.weights == pytest.approx(2 * (400 / 16 + 600 / 2))


def simulate(micro: int, times: list[tuple[float, float]]) -> tuple[float, list[int]]:
    """1F1B of stages that take so long forward and backward, event by event: when all is done,
    and how many micro-batches wait at most."""
    order, stages = [], len(times)
    for i in range(stages):
        warm = min(stages - i - 1, micro)
        todo = [("f", k) for k in range(warm)]
        for k in range(micro - warm):
            todo += [("f", warm + k), ("b", k)]
        order.append(todo + [("b", k) for k in range(micro - warm, micro)])
    done: dict[tuple[str, int, int], float] = {}
    clock, place = [0.0] * stages, [0] * stages
    while any(place[i] < len(order[i]) for i in range(stages)):
        for i in range(stages):
            while place[i] < len(order[i]):
                kind, k = order[i][place[i]]
                needs = (
                    None if (kind, i) == ("f", 0) else (kind, i - 1 if kind == "f" else i + 1, k)
                )
                if kind == "b" and i == stages - 1:
                    needs = ("f", i, k)
                if needs is not None and needs not in done:
                    break
                start = max(clock[i], done.get(needs, 0.0)) if needs else clock[i]
                clock[i] = done[(kind, i, k)] = start + times[i][kind == "b"]
                place[i] += 1
    waiting = []
    for todo in order:
        held = most = 0
        for kind, _ in todo:
            held += 1 if kind == "f" else -1
            most = max(most, held)
        waiting.append(most)
    return max(clock), waiting


@given(stages=st.integers(1, 8), micro=st.integers(1, 20))
def test_bubble_and_waiting_are_those_of_the_schedule(stages: int, micro: int) -> None:
    whole, waiting = simulate(micro, [(1.0, 2.0)] * stages)
    split, job = Split(pipeline=stages), Job(micro=micro)
    found = layout("", (taking(1.0, 2.0),) * stages, split, job, A100)
    assert found.computing + found.waiting == pytest.approx(whole)
    assert found.bubble == pytest.approx((stages - 1) / micro)
    assert [_waits(i, split, job) for i in range(stages)] == waiting


def taking(forward: float, backward: float) -> Stage:
    seconds = {"forward": forward, "backward": backward, "recomputation": 0.0}
    piece = Piece("all", 1, 0, 0, dict.fromkeys(PHASES, 0.0), seconds, 0.0, 0.0)
    return Stage(((piece, 1),))


@given(st.lists(st.integers(1, 5), min_size=1, max_size=6), st.integers(0, 20))
def test_the_slowest_stage_sets_the_pace(layers: list[int], more: int) -> None:
    """Of stages of unlike layers, and as many micro-batches as stages or more: no less than the
    schedule takes, and no more than a micro-batch of it longer."""
    micro = len(layers) + more
    whole, _ = simulate(micro, [(float(n), 2.0 * n) for n in layers])
    split, job = Split(pipeline=len(layers)), Job(micro=micro)
    found = layout("", tuple(taking(float(n), 2.0 * n) for n in layers), split, job, A100)
    ours, pace = found.computing + found.waiting, max(found.times)
    assert whole - 1e-6 <= ours <= whole + sum(pace - t for t in found.times) + 1e-6
    idle = [found.idle(i) + micro * 3.0 * n for i, n in enumerate(layers)]
    assert idle == pytest.approx([ours] * len(layers))


@pytest.mark.parametrize(
    ("layers", "split", "expected"),
    [
        (126, Split(pipeline=16), (7, *[8] * 14, 7)),  # Llama 3 405B: arXiv:2407.21783, 3.3.2
        (32, Split(pipeline=4), (8, 8, 8, 8)),
        (61, Split(pipeline=16), (2, *[4] * 14, 3)),
        (10, Split(pipeline=2, interleave=2), (2, 3, 3, 2)),
        (5, Split(pipeline=4), (0, 2, 2, 1)),
        (126, Split(pipeline=16, interleave=8), (0, *[1] * 126, 0)),
        (5, Split(pipeline=2, stages=(1, 4)), (1, 4)),
    ],
)
def test_layers_of_stages(layers: int, split: Split, expected: tuple[int, ...]) -> None:
    assert spread(layers, split) == expected and sum(expected) == layers


def test_uneven_stages_of_a_model() -> None:
    """Weights are all there, and each stage has those of its layers and its table."""
    model, split, job = gpt(5, 256, 4), Split(pipeline=2, stages=(3, 2)), Job(1, 128, 4)
    found = laid(model, split, job)
    whole = laid(model, Split(), job).stages[0].total("weights")
    each = [stage.total("weights") for stage in found.stages]
    layer = found.stages[0].pieces[0][0].weights
    table = 51200 * 256
    assert sum(each) == whole + table  # a tied head has a copy on the last stage
    assert each[0] - each[1] == layer + 2048 * 256 - 2 * 256  # places; the last norm
    assert [stage.layers for stage in found.stages] == [3, 2]
    assert found.busy == pytest.approx(4 * max(found.times))


def test_stages_are_told(tmp_path: Path) -> None:
    given = [LLAMA, "--seq", "512", "--device", "h100", "--pipeline", "4", "--stages", "7,8x2,9"]
    result = CliRunner().invoke(main, ["train", *given])
    assert result.exit_code == 0, result.output
    assert "    stages 2 to 3: 8 layers, " in result.stdout
    told = json.loads(CliRunner().invoke(main, ["train", *given, "--format", "json"]).stdout)
    assert [s["layers"] for s in told["layout"]["stages"]] == [7, 8, 8, 9]
    assert min(s["idle_seconds"] for s in told["layout"]["stages"]) == pytest.approx(
        told["layout"]["bubble_seconds"]
    )


@given(size=st.integers(2, 9), whole=st.integers(1, 50))
def test_a_ring_sends_what_is_said(size: int, whole: int) -> None:
    """A sum over a ring: each part goes round twice but for one step."""
    part, sent = whole, [0] * size  # `whole` bytes a part
    for _ in range(2):
        for _step in range(size - 1):
            for i in range(size):
                sent[i] += part
    message = Message("", "all-reduce", whole * size, size, 1, 3)
    assert message.sent == pytest.approx(3 * sent[0])
    gather = replace(message, kind="all-gather", times=1)
    assert gather.sent == pytest.approx(sent[0] / 2)


def test_groups_that_leave_a_node_use_its_adapters() -> None:
    link = Link(300e9, 8, 25e9)
    inside = Message("", "all-reduce", 1e9, 8, 1, 1)
    assert inside.paths(link) == pytest.approx((2e9 * 7 / 8, 0))
    assert inside.seconds(link) == pytest.approx(2e9 * 7 / 8 / (0.8 * 300e9) + REDUCE)
    # Two nodes of eight: what leaves a node leaves it by eight adapters.
    assert replace(inside, size=16).paths(link) == pytest.approx((2e9 * 7 / 8, 2e9 / 2 / 8))
    # One device in each node: by its own.
    apart = replace(inside, stride=8)
    assert apart.paths(link) == pytest.approx((0, 2e9 * 7 / 8))
    assert replace(inside, kind="send", stride=8).paths(link) == (0, 1e9)
    assert replace(inside, kind="send", stride=4).paths(link) == (1e9, 0)
    spread = replace(inside, kind="all-to-all", size=16)
    assert spread.paths(link) == pytest.approx((1e9 * 7 / 16, 1e9 / 2))
    with pytest.raises(flopwise.FlopwiseError, match="give --network"):
        replace(inside, size=16).seconds(Link(300e9, 8))


def test_published_throughput_is_the_published_utilization(shared: Path) -> None:
    """llm-foundry's MPT: parameters to the last one, and the MFU of their tokens per second by our
    count, where theirs is 6 N + 12 L h s, positions and offsets included."""
    sizes = {
        "125m": (12, 768, 12), "350m": (24, 1024, 16), "760m": (24, 1536, 12), "1b": (24, 2048, 16),
        "3b": (32, 2560, 20), "7b": (32, 4096, 32), "13b": (40, 5120, 40), "30b": (48, 7168, 56),
        "70b": (80, 8192, 64),
    }  # fmt: skip
    with (shared / "models/training_mfu.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 30
    for row in rows:
        layers, hidden, heads = sizes[row["Model"]]
        seq = int(row["SeqLen (T)"])
        model = decoder({"model_type": "gpt2", "n_embd": hidden, "n_layer": layers, "n_head": heads,
                         "vocab_size": 50368, "n_positions": seq})  # fmt: skip
        assert params(model) == int(row["NumParams"])
        card = devices.find("a100" if "a100" in row["GPU"] else "h100")
        peak = card.peak["float8" if "fp8" in row["Precision"] else "bfloat16"]
        each = laid(model, Split(), Job(1, seq)).model_operations / seq
        mfu = 100 * each * float(row["Throughput (T/s/GPU)"]) / peak
        assert mfu == pytest.approx(float(row["MFU"]), rel=0.03)


SPLITS = [
    Split(data=4), Split(tensor=4), Split(tensor=4, sequence=False), Split(pipeline=4),
    Split(pipeline=4, interleave=2), Split(context=4), Split(data=4, zero=3),
    Split(data=2, tensor=2, pipeline=2, context=2),
]  # fmt: skip


@pytest.mark.parametrize("split", SPLITS, ids=str)
def test_a_split_changes_no_operation(split: Split) -> None:
    """All devices together compute what one would."""
    model, job = gpt(8, 512, 8), Job(2, 256, 3)
    alone = laid(model, Split(), job)
    found = laid(model, split, job)
    assert found.model_operations == pytest.approx(split.data * alone.model_operations)
    assert found.held.total < alone.held.total or split == Split(data=4)


def test_experts_that_are_shared() -> None:
    model, job = decoder(MIXTRAL), Job(1, 512, 2)
    alone = laid(model, Split(data=8), job)
    found = laid(model, Split(data=8, expert=8), job)
    assert found.model_operations == alone.model_operations
    experts = 32 * 8 * 3 * 4096 * 14336
    assert alone.held.weights - found.held.weights == 2 * experts * 7 / 8
    said = {m.what: m for m in found.messages}
    tokens = said["expert: tokens to experts and back"]
    assert tokens.times == 2 * 4 * 32  # micro-batches, there and back and both again, layers
    assert tokens.bytes == 512 * 2 * 4096 * 2
    assert said["data: gradients"].bytes == 4 * (46_702_792_704 - experts)
    assert "data: gradients of experts" not in said  # each is on one device only


def test_messages_of_a_dense_model() -> None:
    """Megatron-LM: four sums of b s h in a layer; ring attention; gradients in 32 bits."""
    model = gpt(8, 512, 8)
    job = Job(2, 256, 3, recompute="full")
    found = laid(model, Split(data=2, tensor=2, pipeline=2, context=2), job)
    said = {m.what: m for m in found.messages}
    whole = 2 * 128 * 512 * 2
    sums = said["tensor: sums of activations"]
    assert (sums.bytes, sums.times, sums.size) == (whole, 3 * 4 * 6, 2)
    assert said["context: keys and values"].bytes == 4 * whole  # 4 layers, half of the heads
    assert said["context: keys and values"].times == 3 * 4
    assert said["pipeline: activations and gradients"].bytes == whole / 2
    assert said["pipeline: activations and gradients"].times == 3 * 2
    gradients = said["data: gradients"]
    assert gradients.size == 4 and gradients.times == 1
    assert gradients.bytes == 4 * max(s.total("weights") for s in found.stages)
    zero = laid(model, Split(data=2, zero=3), replace(job, recompute="none"))
    said = {m.what: m for m in zero.messages}
    assert said["data: weights"].times == 2 * 3 and said["data: gradients"].times == 3


def test_megatron_flops() -> None:
    """Korthikanti et al. 2022, appendix A: 72 B L s h^2 (1 + s/6h + V/12hL) of the model."""
    layers, hidden, seq, batch = 96, 12288, 2048, 64
    split = Split(tensor=8, pipeline=8, interleave=3)
    found = laid(gpt(layers, hidden, 96), split, Job(1, seq, batch))
    formula = 72 * batch * layers * seq * hidden**2
    formula *= 1 + seq / (6 * hidden) + 51200 / (12 * hidden * layers)
    assert found.model_operations == pytest.approx(formula, rel=1e-6)


def run(*arguments: object, code: int = 0) -> str:
    result = CliRunner().invoke(main, ["train", *map(str, arguments)])
    assert result.exit_code == code, result.output
    return result.stdout if code == 0 else result.stderr


SPLIT = (LLAMA, "--device", "h100", "--seq", 4096, "--count", 64, "--tensor", 4, "--pipeline", 2,
         "--global-batch", 64)  # fmt: skip


def test_the_command_says_what_python_does() -> None:
    told = json.loads(run(*SPLIT, "--tokens", "1T", "--format", "json"))
    found = flopwise.train(
        LLAMA, device="h100", count=64, seq=4096, tensor=4, pipeline=2, global_batch=64, tokens=1e12
    )
    step = told["layout"]
    assert step["split"]["data"] == 8 and step["micro_batches"] == 8
    assert told["seconds"] == found.seconds and step["step_seconds"] == found.layout.seconds
    assert told["steps"] == -(-1e12 // (4096 * 64)) == found.steps
    assert told["operations"]["model"] == pytest.approx(sum(
        told["operations"][n] for n in ("forward", "backward")
    ))  # fmt: skip
    assert step["memory"]["total_bytes"] == pytest.approx(sum(
        v for k, v in step["memory"].items()
        if k in ("weights_bytes", "gradients_bytes", "optimizer_bytes", "activation_bytes",
                 "working_bytes")
    ))  # fmt: skip
    assert step["fits"] is True and 0.2 < step["mfu"] < 0.7
    assert told["band_seconds"][0] <= told["seconds"] < told["band_seconds"][1]
    text = run(*SPLIT, "--explain")
    assert "(a micro-batch on all stages - on the slowest) / v" in text
    assert "a step of 64 samples of 4,096 tokens on data 8, tensor 4, pipeline 2" in text
    assert ", 1 steps of 1 samples x 8 a replica" in text


def test_a_given_utilization_takes_the_place_of_the_time() -> None:
    found = flopwise.train(LLAMA, device="h100", count=8, seq=4096, utilization=0.4)
    work = found.operations / (8 * 989e12 * 0.4)
    assert found.seconds == pytest.approx(work) and found.band is None


def test_any_model_is_spread_by_its_batch() -> None:
    found = flopwise.train(VGG, 960, 1, "v100-sxm2", batch=4, data=8, optimizer="sgd")
    alone = flopwise.train(VGG, 960, 1, optimizer="sgd")
    assert found.operations == alone.operations and found.steps == 30
    message = found.layout.messages[0]
    assert message.bytes == 4 * 138_357_544 and message.size == 8
    assert found.layout.held.weights == found.layout.held.gradients == 4 * 138_357_544


def test_many_devices_are_taken_for_replicas() -> None:
    """Where their time is to be predicted, and how they are connected is known."""
    found = flopwise.train(VGG, 960, 1, "v100-sxm2", 8, batch=4)
    assert found.layout is not None and found.layout.split == Split(data=8)
    assert flopwise.train(VGG, 960, 1, "v100-pcie", 8, batch=4).layout is None
    assert flopwise.train(VGG, 960, 1, "v100-sxm2", 8, 0.5, batch=4).layout is None


def test_what_is_not_counted_is_said() -> None:
    """Of a model with an operator that nobody knows, on many devices too."""
    import dataclasses

    graph = flopwise.load(VGG)
    first, *others = graph.nodes
    odd = dataclasses.replace(others[-1], op="unknown", origin="Odd")
    graph = dataclasses.replace(graph, nodes=(first, *others[:-1], odd))
    found = flopwise.train(graph, 960, 1, "v100-sxm2", 8)
    assert found.coverage < 1 and "Odd" in str(found.unknown)


def test_mixed_precision_is_the_bytes_of_the_papers() -> None:
    """2 of weights, 4 of gradients, 4 of the copy and 8 of Adam for each of them."""
    held = flopwise.train(LLAMA, device="h100", seq=1024).layout.held
    params = 8_030_261_248
    assert (held.weights, held.gradients, held.states) == (2 * params, 4 * params, 12 * params)


BAD = {
    ("--data", 3): "is 24, and --count 64",
    ("--pipeline", 64, "--tensor", 1, "--count", 64): "--pipeline 64 is more than the 32 layers",
    ("--pipeline", 2, "--stages", "7,8"): "--stages: (7, 8) are not 32 layers",
    ("--pipeline", 2, "--stages", "32"): "--stages: 1 numbers of layers for 2 pieces",
    ("--pipeline", 2, "--stages", "a,b"): "--stages a,b: write layers as 7,8x14,7",
    ("--tensor", 3, "--count", 48): "does not divide the 4,096 tokens",
    ("--tensor", 3, "--count", 48, "--no-sequence"): "--tensor 3 does not divide the 32 query",
    ("--context", 3, "--count", 48): "does not divide the 4,096 tokens",
    ("--expert", 2): "the model has no experts",
    ("--expert", 3): "--expert 3 does not divide the 8 devices",
    ("--zero", 4): "--zero 4: must be 0, 1, 2 or 3",
    ("--interleave", 18): "--pipeline 2 x --interleave 18 is more than the 32 layers",
    ("--pipeline", 1, "--interleave", 2, "--count", 32): "needs a --pipeline of 2",
    ("--data", 0): "--data 0: must be 1 or more",
    ("--tensor", -1): "--tensor -1: must be 1 or more",
    ("--global-batch", 63): "--global-batch 63 does not divide into 8 replicas",
    ("--recompute", "half"): "--recompute half",
    ("--gradients", "int8"): "--gradients int8",
    ("--device", "v10"): "no device 'v10'",
    ("--device", "l4", "--dtype", "bfloat16"): "give --link",
    ("--device", "a100-pcie-80gb"): "give --network",
    ("--device", "1PFLOPS"): "needs a device whose links are known",
    ("--device", "v100-sxm2"): "no peak for bfloat16",
    ("--link", "0"): "--link 0: must be above 0",
    ("--link", "fast"): "'fast' is no quantity",
    ("--node", 0): "--node 0: must be 1 or more",
    ("--tokens", "-5"): "no quantity",
    ("--tokens", "1T", "--samples", 5): "--tokens (above 0) takes the place",
    ("--utilization", "1.5"): "a utilization of 1.5 cannot be",
    ("--samples", 0): "samples must be above 0",
    ("--epochs", -1): "epochs must be above 0",
    ("--seq", 0): "--seq 0: must be 1 or more",
    ("--batch", "N"): "--batch N: a micro-batch needs a whole number",
    ("--freeze", "*"): "--freeze is not for --seq",
    ("--input", "1x4"): "--input is not for --seq",
    ("--convention", "ops"): "counted in flops, not in 'ops'",
}


@pytest.mark.parametrize("options", BAD, ids=lambda o: " ".join(map(str, o)))
def test_bad_splits_are_one_clear_line(options: tuple[Any, ...]) -> None:
    said = run(*SPLIT, *options, code=2)
    assert BAD[options] in said and said.count("\n") == 1


def test_what_other_models_cannot() -> None:
    said = run(VGG, "--device", "a100", "--samples", 8, "--tensor", 2, code=2)
    assert "--tensor 2 needs the config.json of a language model" in said
    said = run(VGG, "--device", "a100", "--samples", 8, "--seq", 128, code=2)
    assert "--seq needs the config.json of a language model" in said
    jamba = {"model_type": "jamba", "hidden_size": 64, "intermediate_size": 64,
             "num_hidden_layers": 8, "num_attention_heads": 8, "vocab_size": 64}  # fmt: skip
    with pytest.raises(flopwise.FlopwiseError, match="not known for state space layers"):
        flopwise.train(jamba, device="h100", seq=64, context=2)


PLAN = (LLAMA, "--plan", "--device", "a100", "--count", 16, "--seq", 4096, "--global-batch", 64)


def test_the_plan_is_the_best_of_what_train_says() -> None:
    """Fastest first, all fit, and each is what `train` gives for the same split."""
    told = json.loads(run(*PLAN, "--format", "json"))
    times = [one["step_seconds"] for one in told["best"]]
    assert times == sorted(times) and len(times) == 5 and told["fitting"] <= told["tried"]
    for one in told["best"]:
        assert one["fits"] and one["samples"] == 64 and one["split"]["devices"] == 16
        split = {k: v for k, v in one["split"].items() if k not in ("devices", "sequence")}
        again = flopwise.train(
            LLAMA, device="a100", seq=4096, batch=one["batch"], global_batch=64,
            recompute=one["recompute"], **split,
        ).layout  # fmt: skip
        assert again.seconds == one["step_seconds"]
    text = run(*PLAN)
    assert "the fastest that fits" in text and "slower than the best" in text


def test_a_plan_that_fits_nowhere_says_what_comes_nearest() -> None:
    big = {"model_type": "llama", "hidden_size": 16384, "intermediate_size": 53248,
           "num_hidden_layers": 126, "num_attention_heads": 128, "num_key_value_heads": 8,
           "vocab_size": 128256}  # fmt: skip
    found = flopwise.plan(big, "a100", 8, seq=4096, global_batch=8)
    assert found.best == () and found.fitting == 0
    assert found.smallest.held.total > 80e9


@pytest.mark.parametrize(
    ("without", "said"),
    [("--seq", "needs --count, --seq"), ("--count", "needs --count, --seq"),
     ("--device", "a config.json and a --device")],
)  # fmt: skip
def test_a_plan_needs(without: str, said: str) -> None:
    place = PLAN.index(without)
    assert said in run(*PLAN[:place], *PLAN[place + 2 :], code=2)


def test_what_hides_shares_what_hides_it() -> None:
    """Weights and gradients of ZeRO-3 go on beside one and the same computing."""
    slow = Link(1e9, 8, 1e9)
    split, job = Split(data=8, zero=3), Job(1, 256)
    found = layout("", of_decoder(gpt(8, 512, 8), split, job, A100), split, job, A100, slow)
    wanted = sum(m.seconds(slow) for m in found.messages)
    assert sum(found.exposed.values()) == pytest.approx(wanted - found.computing)
