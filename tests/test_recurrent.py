"""Recurrent operators against loops over their equations, on numbers that keep a tally."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from flopwise import count, ops
from flopwise.counts import Counts
from flopwise.dims import symbol
from flopwise.errors import ShapeMismatch
from flopwise.ops.recurrent import rnn
from flopwise.tally import Number, exp
from support.single import OPEN, shapes, single


class Loops:
    """A recurrent network as nested loops; every operation lands in the ledger."""

    def __init__(self, biases: int, peephole: bool = False, coupled: bool = False) -> None:
        self.ledger: Counter[str] = Counter()
        self.biases, self.peephole, self.coupled = biases, peephole, coupled

    def number(self) -> Number:
        return Number(0.25, self.ledger)

    def dot(self, length: int) -> Number:
        total = self.number() * self.number()
        for _ in range(length - 1):
            total = total + self.number() * self.number()
        return total

    def sigmoid(self, x: Any) -> Any:
        return 1 / (1 + exp(-x))

    def tanh(self, x: Any) -> Any:
        return 2 / (1 + exp(-2 * x)) - 1

    def gate(self, i: int, p: int, cell: Any = None, reset: Any = None) -> Any:
        hidden = self.dot(p)
        total = self.dot(i) + (hidden if reset is None else reset * hidden)
        for _ in range(self.biases):
            total = total + self.number()
        return total if cell is None else total + cell * self.number()

    def rnn(self, i: int, h: int, p: int) -> None:
        for _ in range(h):
            self.tanh(self.gate(i, p))

    def lstm(self, i: int, h: int, p: int) -> None:
        for _ in range(h):
            old = self.number()
            seen = old if self.peephole else None
            forget = self.sigmoid(self.gate(i, p, seen))
            enter = 1 - forget if self.coupled else self.sigmoid(self.gate(i, p, seen))
            new = forget * old + enter * self.tanh(self.gate(i, p))
            out = self.sigmoid(self.gate(i, p, new if self.peephole else None))
            out * self.tanh(new)
        for _ in range(p if p != h else 0):
            self.dot(h)

    def gru(self, i: int, h: int, p: int) -> None:
        for _ in range(h):
            reset, update = self.sigmoid(self.gate(i, p)), self.sigmoid(self.gate(i, p))
            new = self.tanh(self.gate(i, p, reset=reset))
            (1 - update) * new + update * self.number()

    def run(self, kind: str, t: int, n: int, i: int, h: int, p: int, layers: int, d: int) -> Any:
        for layer in range(layers):
            for _ in range(d * t * n):
                getattr(self, kind)(i if layer == 0 else d * p, h, p)
        return self.ledger


def unrolled(counts: Counts) -> dict[str, Any]:
    """Dot products written out as products and sums."""
    found = {"mul": counts.mac + counts.mul, "add": counts.mac - counts.dot + counts.add}
    return {**found, "div": counts.div, "exp": counts.exp}


CASES = [
    ("rnn", 3, 2, 4, 5, {}),
    ("rnn", 2, 1, 3, 4, {"layers": 2, "directions": 2}),
    ("rnn", 2, 1, 3, 4, {"bias": 0}),
    ("lstm", 3, 2, 4, 5, {}),
    ("lstm", 2, 1, 3, 4, {"layers": 3, "directions": 2}),
    ("lstm", 2, 1, 3, 4, {"layers": 2, "directions": 2, "projection": 2}),
    ("lstm", 2, 1, 3, 4, {"biases": 1, "peephole": 1}),
    ("lstm", 2, 1, 3, 4, {"biases": 1, "coupled": True}),
    ("gru", 3, 2, 4, 5, {}),
    ("gru", 2, 1, 3, 4, {"layers": 2, "directions": 2}),
    ("gru", 2, 1, 3, 4, {"bias": 0}),
]


@pytest.mark.parametrize(("kind", "t", "n", "i", "h", "attrs"), CASES)
def test_counts_equal_loops(kind: str, t: int, n: int, i: int, h: int, attrs: dict) -> None:
    loops = Loops(
        attrs.get("bias", 1) * attrs.get("biases", 2), attrs.get("peephole", 0) == 1,
        attrs.get("coupled", False),
    )  # fmt: skip
    p, layers, d = attrs.get("projection", h), attrs.get("layers", 1), attrs.get("directions", 1)
    ledger = loops.run(kind, t, n, i, h, p, layers, d)
    counts = ops.count(single(kind, (t, n, i), outputs=1, hidden=h, **attrs))
    assert unrolled(counts) == {k: ledger[k] for k in ("mul", "add", "div", "exp")}
    assert counts.ops == sum(ledger.values())


@pytest.mark.parametrize("kind", ["rnn", "lstm", "gru"])
def test_a_cell_is_one_step(kind: str) -> None:
    cell = ops.count(single(f"{kind}_cell", (2, 8), hidden=6))
    sequence = ops.count(single(kind, (1, 2, 8), hidden=6))
    assert (cell.mac, cell.ops) == (sequence.mac, sequence.ops)


def test_macs_of_an_lstm_in_letters() -> None:
    t, n = symbol("t"), symbol("n")
    counts = ops.count(single("lstm", (t, n, 32), hidden=64, outputs=3))
    assert counts.mac == 4 * 64 * (32 + 64) * t * n


PACKED = "t n i, weight: w, h0?: s n p, c0?: s n h -> t n o, s n p, s n h"


# Elements of all parameters of torch.nn.LSTM, GRU and RNN, as PyTorch 2.13 has them.
@pytest.mark.parametrize(
    ("kind", "i", "h", "attrs", "elements"),
    [
        ("lstm", 32, 64, {"layers": 2, "directions": 2, "projection": 16}, 55296),
        ("lstm", 5, 7, {}, 392),
        ("lstm", 5, 7, {"layers": 3, "bias": 0}, 1120),
        ("gru", 10, 20, {"layers": 2}, 4440),
        ("gru", 3, 4, {"directions": 2}, 216),
        ("rnn", 9, 8, {"layers": 4, "directions": 2}, 1552),
    ],
)
def test_a_packed_vector_holds_all_parameters(
    kind: str, i: int, h: int, attrs: dict, elements: int
) -> None:
    node = single(kind, (6, 2, i), OPEN, hidden=h, pattern=PACKED, outputs=3, **attrs)
    assert node.inputs[1].shape == (elements,)


def test_states_have_layers_times_directions() -> None:
    attrs = {"hidden": 64, "layers": 2, "directions": 2, "projection": 16}
    assert shapes("lstm", (7, 3, 8), outputs=3, **attrs) == [(7, 3, 32), (4, 3, 16), (4, 3, 64)]


ONNX = "t n i, W: d g i, R: d g h, bias?: d b, lengths?: n, h0?: d n h -> t d n h, d n h, d n h"


def test_weights_follow_from_data() -> None:
    node = single(
        "lstm", (7, 3, 8), OPEN, OPEN, OPEN, pattern=ONNX, hidden=5, directions=2, outputs=3
    )
    assert [t.shape for t in node.inputs] == [(7, 3, 8), (2, 20, 8), (2, 20, 5), (2, 40)]
    assert node.outputs[0].shape == (7, 2, 3, 5)


def test_the_hidden_size_follows_from_weights() -> None:
    operands = ((7, 3, 8), (1, 20, 8), (1, 20, 5))
    node = single("lstm", *operands, pattern=ONNX, outputs=3)
    assert node.outputs[1].shape == (1, 3, 5)
    assert ops.count(node).mac == 7 * 3 * 20 * (8 + 5)


def test_an_absent_bias_operand_costs_nothing() -> None:
    operands = ((7, 3, 8), (1, 20, 8), (1, 20, 5))
    without = ops.count(single("lstm", *operands, None, pattern=ONNX, outputs=3))
    biased = ops.count(single("lstm", *operands, (1, 40), pattern=ONNX, outputs=3))
    assert biased.add - without.add == 7 * 3 * 20 * 2


def test_a_static_input_is_multiplied_once() -> None:
    pattern = "t n i, markers: t n, static: n e, W: g i, bias: g, S: g e, R: g h -> t n h"
    operands = ((7, 3, 8), (7, 3), (3, 9), OPEN, OPEN, OPEN, OPEN)
    node = single("lstm", *operands, pattern=pattern, hidden=5, biases=1)
    assert [t.shape for t in node.inputs[3:]] == [(20, 8), (20,), (20, 9), (20, 5)]
    assert ops.count(node).mac == 7 * 3 * 20 * (8 + 5) + 3 * 20 * 9


def test_an_unknown_activation_is_told() -> None:
    with pytest.raises(ShapeMismatch, match="activations"):
        rnn(i=3, hidden=4, activations=("wiggle",))


def test_a_missing_hidden_size_is_told() -> None:
    with pytest.raises(ShapeMismatch, match="hidden"):
        single("gru", (7, 3, 8))


# What an attribute adds to one unit of an LSTM, by its definition.
@pytest.mark.parametrize(
    ("attrs", "more"),
    [
        ({"clip": 3.0}, Counts(cmp=8)),  # two bounds of four gates
        ({"cell_clip": 3.0}, Counts(cmp=2)),
        ({"markers": 1}, Counts(mul=2)),  # of the cell and of the hidden state
        ({"activations": ("sigmoid", "tanh", "identity")}, Counts(add=-2, mul=-1, div=-1, exp=-1)),
        ({"activations": ("affine", "tanh", "tanh")}, 3 * Counts(add=-1, mul=1, div=-1, exp=-1)),
    ],
)
def test_what_an_attribute_adds(attrs: dict, more: Counts) -> None:
    plain = ops.count(single("lstm", (1, 1, 3), hidden=1))
    assert ops.count(single("lstm", (1, 1, 3), hidden=1, **attrs)) - plain == more


CAFFE = """
input: "data" input_shape {{ dim: 16 dim: 8 dim: 40 }}
input: "cont" input_shape {{ dim: 16 dim: 8 }}
layer {{
  name: "cell" type: "{kind}" bottom: "data" bottom: "cont" top: "cell"
  recurrent_param {{ num_output: 20 }}
}}
"""


# Blobs of Caffe's lstm_layer.cpp and rnn_layer.cpp: one bias; an RNN has an output layer.
@pytest.mark.parametrize(
    ("kind", "params", "macs"),
    [
        ("LSTM", 80 * (40 + 20) + 80, 16 * 8 * 80 * (40 + 20)),
        ("RNN", 20 * (40 + 20 + 20) + 40, 16 * 8 * 20 * (40 + 20 + 20)),
    ],
)
def test_layers_of_caffe(kind: str, params: int, macs: int, tmp_path: Path) -> None:
    path = tmp_path / "net.prototxt"
    path.write_text(CAFFE.format(kind=kind))
    profile = count(path)
    assert (profile.params, profile.total().mac, profile.coverage) == (params, macs, 1)
