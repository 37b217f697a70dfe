"""A training step traced through autograd: true counts of frozen, recomputed, grouped."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

import flopwise
from flopwise.cli import main
from flopwise.errors import FlopwiseError, UnknownName, UnreadableModel
from flopwise.passes.backward import backward

torch = pytest.importorskip("torch")
nn, F = torch.nn, torch.nn.functional
checkpoint = pytest.importorskip("torch.utils.checkpoint").checkpoint


def macs(module: Any, inputs: Any, **options: Any) -> Any:
    profile = flopwise.count(module, inputs=inputs, mode="train", **options)
    assert not profile.unknown, profile.not_counted()
    return profile.total().mac


def layers(*frozen: int) -> Any:
    module = nn.Sequential(*(nn.Linear(8, 8) for _ in range(4)))
    for place in frozen:
        module[place].requires_grad_(False)
    return module


ONE = 5 * 8 * 8  # one layer on five rows


@pytest.mark.parametrize(
    ("frozen", "forward", "to_inputs", "to_weights"),
    [
        ((), 4, 3, 4),
        ((0,), 4, 2, 3),
        ((0, 1), 4, 1, 2),
        ((3,), 4, 3, 3),
        ((1, 2, 3), 4, 3, 1),
        ((0, 1, 2), 4, 0, 1),
    ],
)
def test_frozen_layers(frozen: Any, forward: int, to_inputs: int, to_weights: int) -> None:
    """A gradient runs back to the first layer that learns; frozen weights take none."""
    assert macs(layers(*frozen), (5, 8)) == (forward + to_inputs + to_weights) * ONE


def test_adapters_take_two_thirds() -> None:
    """LoRA: gradients go through every frozen layer, but to the small weights alone."""

    class Adapted(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.frozen = nn.Linear(32, 32, bias=False).requires_grad_(False)
            self.down, self.up = nn.Linear(32, 2, bias=False), nn.Linear(2, 32, bias=False)

        def forward(self, x: Any) -> Any:
            return self.frozen(x) + self.up(self.down(x))

    module = nn.Sequential(*(Adapted() for _ in range(3)))
    base, small = 7 * 32 * 32, 7 * 32 * 2 * 2
    assert macs(module, (7, 32)) == 3 * (base + 3 * small) + 2 * base - small // 2


checkpointing = pytest.mark.skipif(
    torch.__version__ < "2.5", reason="checkpoint of torch 2.4 has no meta tensors"
)


class Recomputed(nn.Module):
    def __init__(self, reentrant: bool) -> None:
        super().__init__()
        self.first, self.body = nn.Linear(8, 8), layers()
        self.reentrant = reentrant

    def forward(self, x: Any) -> Any:
        return checkpoint(self.body, self.first(x), use_reentrant=self.reentrant)


@checkpointing
@pytest.mark.parametrize("reentrant", [True, False])
def test_checkpointing_runs_the_forward_again(reentrant: bool) -> None:
    profile = flopwise.count(Recomputed(reentrant), inputs=(5, 8), mode="train")
    phases: dict[str, int] = {}
    for row in profile.rows:
        phase = row.node.attrs.get("phase", "forward")
        phases[phase] = phases.get(phase, 0) + row.total.mac
    assert phases["forward"] == 5 * ONE
    assert phases["recompute"] in (3 * ONE, 4 * ONE)  # the last result may not be needed again
    assert phases["backward"] == (4 + 5) * ONE


@pytest.mark.parametrize("groups", [1, 2, 4])
def test_the_gradient_of_a_grouped_weight(groups: int) -> None:
    """torch's own formula ignores the groups; here against loops."""
    module = nn.Sequential(nn.Conv2d(4, 8, 3, padding=1, groups=groups, bias=False))
    profile = flopwise.count(module, inputs=(2, 4, 5, 5), mode="train")
    loops = 0
    for _ in range(2 * 8 * 5 * 5):  # every result of every image
        loops += (4 // groups) * 3 * 3  # adds to as many elements of its filter's gradient
    assert profile.total().mac == 2 * loops


def test_scopes_and_phases() -> None:
    profile = flopwise.count(layers(), inputs=(5, 8), mode="train")
    backward = [r.node for r in profile.rows if r.node.attrs.get("phase") == "backward"]
    products = [n for n in backward if n.op == "matmul"]
    assert [n.scope for n in products] == [("3",)] * 2 + [("2",)] * 2 + [("1",)] * 2 + [("0",)]


def small_net() -> Any:
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(8, 8, 3), nn.GELU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 3),
    )  # fmt: skip


CASES = {
    "convolutions": (small_net, (2, 3, 12, 12)),
    "attention": (lambda: nn.TransformerEncoderLayer(16, 4, 32, batch_first=True), (2, 6, 16)),
    "transposed": (lambda: nn.ConvTranspose2d(4, 6, 4, 2, 1), (2, 4, 5, 5)),
    "bilinear": (lambda: nn.Sequential(nn.Linear(4, 4), nn.Softplus(), nn.Linear(4, 2)), (3, 4)),
    "norms": (lambda: nn.Sequential(nn.Linear(6, 6), nn.LayerNorm(6), nn.SiLU(), nn.Linear(6, 6)),
              (2, 5, 6)),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_equal_to_flop_counter(name: str) -> None:
    """2 x MACs of forward and backward, without groups; no result here is broadcast."""
    from torch.nn.attention import SDPBackend, sdpa_kernel
    from torch.utils.flop_counter import FlopCounterMode

    build, shape = CASES[name]
    module = build().train()
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        module(torch.randn(shape)).sum().backward()
    assert 2 * macs(module, shape) == counter.get_total_flops()


@pytest.mark.parametrize("name", CASES)
def test_equal_to_the_rules_of_our_own_backward(name: str) -> None:
    """The backward pass that is appended to a graph of any format, on the traced forward."""
    from flopwise.profile import profile

    build, shape = CASES[name]
    module = build()
    graph = flopwise.load(module, inputs=shape, mode="train-forward")
    own = profile(backward(graph).graph, flopwise.count(module, inputs=shape).convention)
    assert macs(module, shape) == own.total().mac


@pytest.mark.parametrize("name", CASES)
def test_the_forward_of_a_step_is_the_forward(name: str) -> None:
    build, shape = CASES[name]
    module = build()
    step = flopwise.count(module, inputs=shape, mode="train")
    forward = sum(r.total.mac for r in step.rows if not r.node.attrs.get("phase"))
    assert forward == flopwise.count(module, inputs=shape).total().mac
    assert step.params == sum(p.numel() for p in module.parameters())


def test_nothing_is_left_behind() -> None:
    module = small_net().train()
    before = {k: v.clone() for k, v in module.state_dict().items()}
    parameters = list(module.parameters())
    flopwise.count(module, inputs=(2, 3, 12, 12), mode="train")
    assert all(p.grad is None and not p.is_meta for p in module.parameters())
    assert [id(p) for p in module.parameters()] == [id(p) for p in parameters]
    assert all(torch.equal(v, before[k]) for k, v in module.state_dict().items())
    assert module.training


def test_losses() -> None:
    class WithLoss(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.used, self.other = nn.Linear(8, 8), nn.Linear(8, 8)

        def forward(self, x: Any) -> Any:
            y = self.used(x)
            return {"loss": y.square().mean(), "extra": self.other(y)}

    assert macs(WithLoss(), (5, 8)) == 2 * ONE + ONE  # no gradient reaches the first input
    both = macs(WithLoss(), (5, 8), loss=lambda out: out["loss"] + out["extra"].sum())
    assert both == 2 * ONE + ONE + 2 * ONE


def test_what_cannot_be_trained() -> None:
    with pytest.raises(UnreadableModel, match="no weight is trainable"):
        flopwise.count(layers(0, 1, 2, 3), inputs=(5, 8), mode="train")
    with pytest.raises(UnknownName, match="no mode 'training'"):
        flopwise.count(layers(), inputs=(5, 8), mode="training")


@checkpointing
def test_a_run_of_a_module_is_by_trace() -> None:
    """Phases of the run are those of the traced step, and the optimizer takes what learns."""
    module = Recomputed(False)
    module.first.bias.requires_grad_(False)
    run = flopwise.train(module, 50, 2, inputs=(5, 8), optimizer="sgd", convention="ops")
    assert run.by == "trace" and run.steps == 20
    flops = flopwise.train(module, 50, 2, inputs=(5, 8), optimizer="sgd")
    phases = {name: amount // (2 * ONE) for name, amount in flops.per_step.items()}
    assert phases["forward"] == 5 and phases["backward"] == 4 + 5
    assert phases["recomputation"] in (3, 4)
    learned = sum(p.numel() for p in module.parameters() if p.requires_grad)
    assert run.per_step["optimizer"] == 2 * learned
    frozen = flopwise.train(module, 50, 2, inputs=(5, 8), frozen=("first.*",))
    assert frozen.by == "rule" and frozen.per_step["forward"] == 5 * 2 * ONE
    assert frozen.per_step["backward"] == (3 + 4) * 2 * ONE


@pytest.mark.parametrize("name", CASES)
def test_a_run_by_trace_equals_a_run_by_rule(name: str) -> None:
    build, shape = CASES[name]
    module = build()
    forward = flopwise.load(module, inputs=shape, mode="train-forward")
    size = {"samples": 64, "samples_per_batch": shape[0]}
    traced, ruled = (
        flopwise.train(s, inputs=i, **size) for s, i in ((module, shape), (forward, None))
    )
    assert (traced.by, ruled.by) == ("trace", "rule")
    # What a fused kernel computes again depends on the kernel that torch takes.
    assert {**traced.total, "recomputation": 0} == {**ruled.total, "recomputation": 0}


def test_a_first_gradient_is_handed_over() -> None:
    """Autograd copies it only while something else holds it."""
    profile = flopwise.count(layers(), inputs=(5, 8), mode="train")
    assert not {"copy", "constant"} & {row.node.op for row in profile.rows}


def test_a_folded_line_has_the_result_of_the_forward() -> None:
    profile = flopwise.count(layers(), inputs=(5, 8), mode="train")
    assert [(line.name, line.shape) for line in profile.lines(1)] == [
        (name, (5, 8)) for name in "0123"
    ]


def test_no_backward_of_a_backward() -> None:
    graph = flopwise.load(layers(), inputs=(5, 8), mode="train")
    with pytest.raises(FlopwiseError, match="a backward already; load it without mode='train'"):
        backward(graph)


def test_the_command_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "flopwise_test_nets.py").write_text(
        "import torch\n\ndef net():\n    return torch.nn.Linear(8, 8, bias=False)\n"
    )
    monkeypatch.chdir(tmp_path)
    asked = ["flopwise_test_nets:net", "--input", "5x8", "--format", "json", "--mode"]
    done = CliRunner().invoke(main, [*asked, "train"])
    assert json.loads(done.stdout)["totals"]["macs"] == 2 * ONE
    done = CliRunner().invoke(main, [*asked, "training"])
    assert (done.exit_code, done.stdout) == (2, "")
    assert "no mode 'training'; did you mean train" in done.stderr


def test_a_file_states_a_forward() -> None:
    with pytest.raises(UnknownName, match="--mode: not for caffe models; a file states one"):
        flopwise.count("examples/vgg16.prototxt", mode="train")


@pytest.mark.parametrize("kind", [nn.LSTM, nn.GRU, nn.RNN])
def test_real_inputs_count_as_their_shapes(kind: Any) -> None:
    """Autograd takes recurrent layers apart before the trace sees them; weights are shapes."""
    module = kind(4, 8, 2, bidirectional=True)
    x = torch.randn(5, 2, 4)
    assert macs(module, x) == macs(module, (5, 2, 4))
    assert macs(module, {"input": x}) == macs(module, x)
    packed = nn.utils.rnn.pack_sequence([torch.randn(5, 4), torch.randn(3, 4)])
    steps = macs(module, (packed,))
    assert 0 < steps < macs(module, x)


def test_an_input_that_asks_for_its_gradient_gets_one() -> None:
    x = torch.randn(5, 8)
    one = nn.Linear(8, 8)
    assert macs(one, x) == 2 * ONE
    assert macs(one, x.requires_grad_()) == 3 * ONE
    assert x.grad is None and not x.is_meta
