"""What a training step holds, against sums worked out by hand and lives followed naively."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

import flopwise
from flopwise import FlopwiseError
from flopwise.analyses.training.step import Recipe, step
from flopwise.analyses.training_memory import of_step, training_memory
from flopwise.analyses.training_memory.fit import largest
from flopwise.analyses.training_memory.peak import highest
from flopwise.cli import main
from flopwise.devices import Device
from flopwise.dims import at, symbol
from flopwise.graph import Graph, Node, Tensor
from flopwise.passes.adapters import int8, nf4
from flopwise.passes.infer import infer

ROOT = Path(__file__).parents[1]
VGG = str(ROOT / "examples" / "vgg16.prototxt")
MOBILENET = str(ROOT / "examples" / "mobilenet_v2.prototxt")


def run(*arguments: object, code: int = 0) -> str:
    result = CliRunner().invoke(main, ["memory", *map(str, arguments)])
    assert result.exit_code == code, result.output
    return result.stdout if code == 0 else result.stderr


def chain(depth: int, batch: Any = 4, width: int = 8, between: str = "sigmoid") -> Graph:
    """Dense layers of one width, each followed by an activation."""
    x = first = Tensor("x", (batch, width), role="input")
    nodes = []
    for i in range(depth):
        weight = Tensor(f"layers.{i}.weight", (width, width), role="weight")
        hidden, out = Tensor(f"h{i}"), Tensor(f"y{i}")
        nodes.append(Node("linear", (x, weight), (hidden,), {}, f"dense{i}"))
        nodes.append(Node(between, (hidden,), (out,), {}, f"act{i}"))
        x = out
    return infer(Graph((first,), (x,), tuple(nodes), "chain"))


SGD = Recipe("sgd")
LAYER, WEIGHT = 4 * 8 * 4, 8 * 8 * 4  # bytes of an activation, of a weight


def test_a_chain_by_hand() -> None:
    """Sigmoid keeps its result, a dense layer what it read: that of the sigmoid before."""
    found = training_memory(chain(3), SGD)
    assert found.weights_bytes == 3 * WEIGHT and found.static.optimizer_bytes == 0
    assert found.static.gradients_bytes == 3 * WEIGHT
    assert found.saved_bytes == 3 * LAYER
    assert found.saved_by_op == {"sigmoid": 3 * LAYER}
    # The input; three results; gradients of the result and of its operand at first. Then, with
    # each layer that is left: one saved less, one gradient of a weight more.
    dense = {m.name: m.live_bytes for m in found.timeline if m.phase == "backward"}
    at_last_layer = 3 * WEIGHT + LAYER + 3 * LAYER + 2 * LAYER + WEIGHT
    assert dense["dense2·gradient"] == at_last_layer
    # the result of the network is its caller's, and stays
    assert dense["dense0·gradient"] == 3 * WEIGHT + 3 * WEIGHT + LAYER + LAYER + LAYER


def test_lives_followed_naively() -> None:
    """Without views and work in place: each tensor from where it is made to its last reader."""
    graph = step(chain(5), Recipe("adam")).graph
    found = of_step(step(chain(5), Recipe("adam")))
    kept = {"weight"}
    spans: dict[str, list[int]] = {t.name: [0, len(graph.nodes)] for t in graph.inputs}
    sizes = {t.name: t.bytes for t in graph.tensors()}
    for i, node in enumerate(graph.nodes):
        for t in node.inputs:
            if t is not None and t.role not in kept:
                spans[t.name][1] = max(spans[t.name][1], i)
        for t in node.outputs:
            spans[t.name] = [i, i]
    for t in graph.outputs:
        spans[t.name][1] = len(graph.nodes)
    always = 5 * WEIGHT + 5 * 2 * WEIGHT
    for i, moment in enumerate(found.timeline):
        live = sum(sizes[name] for name, (a, b) in spans.items() if a <= i <= b)
        assert moment.live_bytes == always + live, moment
    assert found.peak_bytes == max(m.live_bytes for m in found.timeline)
    assert sum(found.at_peak.values()) == found.peak_bytes


@pytest.mark.parametrize(
    ("optimizer", "bytes_"),
    [("sgd", 0), ("momentum", 4), ("adam", 8), ("adamw", 8), ("lion", 4), ("adam8bit", 2.03125)],
)
def test_bytes_of_a_parameter(optimizer: str, bytes_: float) -> None:
    """8-bit states have a 32-bit scale per 256 elements: 2 x (1 + 4 / 256)."""
    found = training_memory(chain(2, width=256), Recipe(optimizer))
    assert found.static.optimizer_bytes == bytes_ * 2 * 256 * 256


def test_sixteen_bytes_a_parameter() -> None:
    """Rajbhandari et al. 2020 (ZeRO), §3.1: 2 + 2 + 4 + 4 + 4 in half precision with Adam."""
    found = flopwise.memory(
        VGG, train=True, dtype="bfloat16", optimizer="adam", master_weights=True
    )
    fixed = found.static
    parts = (fixed.weights_bytes, fixed.gradients_bytes, fixed.master_bytes, fixed.optimizer_bytes)
    assert [size / fixed.params for size in parts] == [2, 2, 4, 8]


def test_gradients_that_add_up_are_there_from_the_start() -> None:
    """Each that is made anew joins its sum at once."""
    once, summed = (training_memory(chain(3), Recipe("sgd", accumulate=n)) for n in (1, 4))
    first = [found.timeline[0].live_bytes for found in (once, summed)]
    assert first[1] - first[0] == 3 * WEIGHT
    last = {m.name: m.live_bytes for m in summed.timeline}["dense0·gradient"]
    assert last == 3 * WEIGHT + 3 * WEIGHT + WEIGHT + 3 * LAYER


def test_frozen_layers_keep_nothing_and_have_no_gradient() -> None:
    found = training_memory(chain(3), Recipe("adam", frozen=("layers.0.*", "layers.1.*")))
    assert found.static.params == 3 * 64 and found.static.trainable_params == 64
    assert found.static.gradients_bytes == WEIGHT
    assert found.static.optimizer_bytes == 2 * WEIGHT
    assert found.saved_bytes == 2 * LAYER  # what the last layer reads, and its result


def test_mixed_precision_keeps_halves_and_copies_of_weights() -> None:
    """Products read copies in half precision, which the backward reads again."""
    full, mixed = (training_memory(chain(3), Recipe("sgd", amp=amp)) for amp in ("", "float16"))
    assert mixed.weights_bytes == full.weights_bytes
    assert mixed.static.gradients_bytes == full.static.gradients_bytes
    casts = 4 * 8 * 2  # the input in half precision
    assert mixed.saved_bytes == full.saved_bytes // 2 + casts


def blocks(n: int) -> Graph:
    """Blocks of two dense layers, in modules of their own."""
    graph = chain(2 * n, batch=512, width=64)

    nodes = tuple(
        replace(node, scope=("blocks", str(i // 4))) for i, node in enumerate(graph.nodes)
    )
    return replace(graph, nodes=nodes)


def test_checkpointed_blocks_keep_their_results_alone() -> None:
    layer = 512 * 64 * 4
    kept, again = (
        training_memory(blocks(6), Recipe("sgd", checkpoint=c)) for c in ("none", "block")
    )
    assert kept.saved_bytes == 12 * layer and again.saved_bytes == 6 * layer
    assert again.peak_bytes < kept.peak_bytes
    counted = step(blocks(6), Recipe("sgd", checkpoint="block")).counts
    # of the last layer of a block only what its sigmoid keeps is wanted: its result runs again
    assert counted["recomputation"].mac == counted["forward"].mac


def test_selective_runs_no_contraction_again() -> None:
    graph = blocks(6)
    counted = step(graph, Recipe("sgd", checkpoint="selective")).counts["recomputation"]
    assert counted.mac == 0 and counted.exp > 0


def uneven() -> Graph:
    """Blocks of which some are wide, and some dear to run again."""
    x = first = Tensor("x", (512, 32), role="input")
    nodes, width = [], 32
    for i, (wider, act) in enumerate(
        zip((64, 16, 96, 32, 48), ("gelu", "relu", "silu", "tanh", "gelu"))
    ):
        for j, (a, b) in enumerate(((width, wider), (wider, wider))):
            weight = Tensor(f"blocks.{i}.{j}.weight", (b, a), role="weight")
            hidden, out = Tensor(f"h{i}{j}"), Tensor(f"y{i}{j}")
            scope = ("blocks", str(i))
            nodes.append(Node("linear", (x, weight), (hidden,), {}, hidden.name, scope))
            nodes.append(Node(act, (hidden,), (out,), {}, out.name, scope))
            x = out
        width = wider
    return infer(Graph((first,), (x,), tuple(nodes), "uneven"))


@pytest.mark.parametrize("build", [lambda: blocks(5), uneven])
@pytest.mark.parametrize("share", [0.05, 0.2, 0.4, 0.6, 0.8, 0.95])
def test_the_least_work_for_a_budget(build: Any, share: float) -> None:
    """Against all 3^5 choices, each measured on its graph."""
    from itertools import product

    from flopwise.analyses.training_memory import peak_bytes
    from flopwise.analyses.training_memory.optimal import CHOICES, checkpointed, segments
    from flopwise.passes.checkpoint import blocks as spans_of

    graph = build()
    free = step(graph, SGD)
    spans = spans_of(free.forward)
    tried = []
    for chosen in product(CHOICES, repeat=len(spans)):
        again = segments(free.forward, spans, chosen)
        found = step(graph, Recipe("sgd", checkpoint=again))
        tried.append((peak_bytes(found), work(found)))
    least, most = min(tried)[0], peak_bytes(free)
    budget = int(least + share * (most - least))
    best = min(done for peak, done in tried if peak <= budget)
    found = checkpointed(graph, free, budget)
    assert peak_bytes(found) <= budget
    assert work(found) == best


def work(training: Any) -> int:
    counted = training.counts["recomputation"]
    return 2 * counted.mac + sum(
        n for name, n in counted.items() if name not in ("mac", "dot", "read", "write")
    )


def test_a_budget_that_nothing_fits() -> None:
    found = run(VGG, "--train", "--checkpoint", "optimal", "--memory-budget", "1GiB", code=2)
    assert "no checkpointing fits in 1,073,741,824 bytes" in found
    told = json.loads(
        run(VGG, "--train", "--batch", 64, "--checkpoint", "optimal", "--memory-budget", "6GiB",
            "--format", "json")
    )  # fmt: skip
    assert told["peak_bytes"] <= 6 * 2**30 and told["recipe"]["checkpoint"] == "optimal"


def test_files_without_modules_are_cut_by_the_root() -> None:
    """Chen et al. 2016: √n parts of √n layers."""
    from flopwise.passes.checkpoint import segments

    found = segments(chain(16), "block")
    assert [(s.start, s.stop) for s in found] == [(0, 8), (8, 16), (16, 24)]


def test_residual_blocks_are_never_cut() -> None:
    from flopwise.passes.checkpoint import blocks as found

    graph = flopwise.load(MOBILENET)
    sums = [i for i, node in enumerate(graph.nodes) if node.op == "add"]
    assert len(sums) == 10 and len(found(graph)) == 17
    for start, stop in found(graph):
        made = {t.name for n in graph.nodes[start:stop] for t in n.outputs}
        read = {t.name for n in graph.nodes[stop:] for t in n.inputs if t is not None}
        assert len(made & read) == 1


def test_adapters_learn_alone() -> None:
    """Rank 2 beside all dense layers but the last: 2 x (8 + 8) parameters each."""
    from flopwise.passes.adapters import Adapters, adapt

    graph = adapt(chain(4), Adapters(2))
    found = training_memory(graph, Recipe("adam"))
    assert found.static.trainable_params == 3 * 2 * (8 + 8)
    assert found.static.params == 4 * 64 + 3 * 32
    assert found.static.optimizer_bytes == 8 * 3 * 32


def test_quantized_weights() -> None:
    """QLoRA, §3: 0.127 bits an element for scales; LLM.int8: a scale a row."""
    weight = Tensor("w", (4096, 4096), role="weight")
    assert nf4(weight) * 8 / weight.size == pytest.approx(4 + 0.127, abs=1e-3)
    assert int8(weight) == 4096 * 4096 + 4 * 4096
    found = flopwise.memory(VGG, train=True, lora=8, lora_targets=("fc6",), quantize="nf4")
    few = nf4(Tensor("fc6", (4096, 25088))) + nf4(Tensor("fc7", (4096, 4096)))  # not the head
    assert found.static.by_dtype["nf4"] == few
    whole = 4096 * 25088 * 4  # made whole for its product
    alive = {m.name: m for m in found.timeline}["fc6"]
    plain = flopwise.memory(VGG, train=True, lora=8, lora_targets=("fc6",))
    before = {m.name: m for m in plain.timeline}["fc6"]
    saved = whole + 4096 * 4096 * 4 - found.static.by_dtype["nf4"]
    assert alive.live_bytes == before.live_bytes - saved + whole


@pytest.mark.parametrize("options", [{}, {"checkpoint": "block"}, {"accumulate": 2}])
def test_free_sizes_stay_free(options: Any) -> None:
    free = flopwise.memory(VGG, train=True, batch="N", **options)
    for n in (1, 2, 7, 16, 64, 300):
        plain = flopwise.memory(VGG, train=True, batch=n, **options)
        assert at(free.peak_bytes, {"N": n}) == plain.peak_bytes
        assert at(free.saved_bytes, {"N": n}) == plain.saved_bytes


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 10_000)), min_size=1, max_size=12))
def test_the_highest_of_many_lines(lines: list[tuple[int, int]]) -> None:
    top, _ = highest([a * symbol("N") + b for a, b in lines])
    for n in (1, 2, 3, 5, 10, 97, 1000, 9999, 10**6):
        assert at(top, {"N": n}) == max(a * n + b for a, b in lines)


@given(st.integers(1, 10**9), st.integers(1, 10**6), st.integers(0, 10**10))
def test_the_largest_batch(always: int, each: int, usable: int) -> None:
    """Flat at first, as where the optimizer is the peak, then straight."""

    def peak_at(batch: int) -> int:
        return max(2 * always, always + each * batch)

    most = largest(peak_at, usable)
    assert most == 0 or peak_at(most) <= usable
    assert most == 2**24 or peak_at(most + 1) > usable


def test_fit_on_a_device() -> None:
    small = Device("small", "Small", {"float32": 1e12}, 1e11, memory_bytes=8e9, kind="gpu")
    found = flopwise.memory(VGG, train=True, device=small, batch=64, memory_share=1.0)
    assert found.fit is not None and found.fit.fits
    most = found.fit.largest_batch
    peaks = [flopwise.memory(VGG, train=True, batch=n).peak_bytes for n in (most, most + 1)]
    assert peaks[0] <= 8e9 < peaks[1]
    over = flopwise.memory(VGG, train=True, device=small, batch=most + 1, memory_share=1.0)
    assert not over.fit.fits


@pytest.mark.parametrize("source", ["file", "config"])
def test_the_largest_batch_where_shapes_are_given(source: str) -> None:
    """The same as where a batch is."""
    if source == "config":
        pytest.importorskip("torch")
        from support import torchvision_ops

        torchvision_ops.available()  # before transformers imports torchvision
        pytest.importorskip("transformers")
    config = {"model_type": "vit", "architectures": ["ViTForImageClassification"],
              "hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4,
              "intermediate_size": 128, "image_size": 32, "patch_size": 16}  # fmt: skip
    small = Device("small", "Small", {"float32": 1e12}, 1e11, memory_bytes=8e9, kind="gpu")
    given, side = (VGG, 224) if source == "file" else (config, 32)
    found = [flopwise.memory(given, train=True, device=small, **options).fit
             for options in ({"batch": 4}, {"inputs": (4, 3, side, side)})]  # fmt: skip
    assert found[0] == found[1] and found[0].largest_batch > 4


def test_the_command_and_its_json() -> None:
    text = run(VGG, "--train", "--batch", 32, "--device", "v100", "--explain")
    assert "fits in 13.41 GiB of NVIDIA Tesla V100" in text
    assert "8 x 138,357,544 = 1,106,860,352" in text
    told = json.loads(run(VGG, "--train", "--batch", 32, "--device", "v100", "--format", "json"))
    found = flopwise.memory(VGG, train=True, batch=32)
    assert told["peak_bytes"] == found.peak_bytes == sum(told["at_peak"].values())
    assert told["schema"] == "flopwise/training-memory/1"
    assert set(told) == {
        "schema", "model", "recipe", "params", "trainable_params", "weights_bytes", "master_bytes",
        "gradients_bytes", "optimizer_bytes", "saved_bytes", "saved_by_op", "peak_bytes", "peak_at",
        "peak_phase", "at_peak", "live_at_peak", "timeline", "fit", "formulas", "notes", "unknown",
    }  # fmt: skip
    assert set(told["fit"]) == {"device", "memory_bytes", "usable_bytes", "fits", "largest_batch"}


WRONG = {
    ("--checkpoint", "bloc"): "no checkpointing 'bloc'; did you mean block",
    ("--checkpoint", "optimal"): "give --memory-budget 16GiB",
    ("--memory-budget", "1GiB"): "is for --checkpoint optimal",
    ("--checkpoint", "optimal", "--memory-budget", "much"): "'much' is no quantity",
    ("--checkpoint", "attention"): "no attention to run again",
    ("--optimizer", "adan"): "did you mean adam",
    ("--accumulate", "-2"): "cannot be accumulated over -2",
    ("--lora", "0"): "a LoRA rank of 0: must be 1 or more",
    ("--lora", "4", "--lora-target", "fc9"): "no dense layer fits 'fc9'; did you mean fc8",
    ("--lora-target", "fc6"): "give --lora RANK",
    ("--lora", "4", "--quantize", "nf"): "did you mean nf4",
    ("--amp", "int8"): "no mixed precision in 'int8'; float16 or bfloat16",
    ("--master-weights",): "--dtype bfloat16",
    ("--backend", "tpu"): "no backend 'tpu'",
    ("--memory-share", "2"): "--memory-share 2: must be above 0, at most 1",
    ("--device", "i9-10940x"): "nothing tells the memory of",
    ("--device", "v10"): "no device 'v10'",
    ("--device", "v100", "--batch", "N"): "give --batch a number",
    ("--freeze", "*"): "no trainable weight",
}


@pytest.mark.parametrize("options", WRONG)
def test_bad_input_is_one_clear_line(options: tuple[str, ...]) -> None:
    said = run(VGG, "--train", *options, code=2)
    assert WRONG[options] in said and said.count("\n") == 1


def test_options_of_training_are_not_passed_over() -> None:
    said = run(VGG, "--optimizer", "sgd", code=2)
    assert "--optimizer is for a training step: give --train" in said


def test_nothing_to_learn_is_said() -> None:
    with pytest.raises(FlopwiseError, match="no trainable weight"):
        training_memory(chain(2), Recipe(frozen=("*",)))
