"""Recurrent networks: RNN, LSTM and GRU, over whole sequences and as single cells.

Letters: t steps, n batch, i input size, h hidden size, p size of the state that is passed
on (the projection, or h), d directions, o = d p, s = layers x d, g = gates x h rows of a
weight matrix, b = biases x g, w the length of one vector that packs all parameters.

The data is the first operand. A format whose weights have shapes yet to be found, or
whose layout differs, spells its own pattern in these letters; for example

    PyTorch, batch first   "n t i -> n t o, s n p, s n h"
    ONNX                   "t n i, W: d g i, R: d g h, bias?: d b, lengths?: n, h0?: d n h,
                            c0?: d n h, peephole?: d _ -> t d n h, d n h, d n h"
    MXNet                  "t n i, weight: w, h0?: s n p, c0?: s n h -> t n o, s n p, s n h"
    Caffe                  "t n i, markers: t n, W: g i, bias: g, R: g h -> t n h"

Operands called `bias`, `peephole`, `markers` and `static` count by being present.
Attributes (all formats): `hidden`; `layers` 1; `directions` 1; `projection` 0 (none);
`bias` 1; `biases` 2, the bias vectors of a gate (PyTorch, ONNX and MXNet keep one for the
input and one for the state; Caffe, Keras and TFLite one in all); `activations`, names of
our pointwise operators, or of EXTRA; `clip` of what enters an activation (ONNX). LSTM alone:
`peephole`, `coupled` (the input gate is 1 - the forget gate), `cell_clip`, `layer_norm`
(before each gate's activation). GRU costs the same whether the reset gate comes
before or after the product with the hidden weights.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from flopwise.counts import Counts, dots
from flopwise.dims import Dim, prod
from flopwise.errors import ShapeMismatch
from flopwise.ops import op, rule
from flopwise.ops.normalization import standardize
from flopwise.ops.pointwise import POINTWISE, tanh
from flopwise.tally import maximum, minimum, tally

SEQUENCE = "t n i -> t n o, s n p, s n h | t i -> t o, s p, s h"
CELL = "*n i -> *n p, *n h"
EXTRA: dict[str, Callable[[Any], Any]] = {
    "identity": lambda x: x,
    "affine": lambda x: 0.5 * x + 0.5,
    "scaled_tanh": lambda x: 0.5 * tanh(0.5 * x),
}
GATES = {"rnn": 1, "lstm": 4, "gru": 3}


@op("rnn", SEQUENCE)
@op("rnn_cell", CELL)
def rnn(
    i: Dim, t: Dim = 1, n: Any = 1, h: Any = None, hidden: Any = None, layers: int = 1,
    directions: int = 1, bias: int = 1, biases: int = 2, activations: Any = ("tanh",),
    clip: Any = 0, markers: int = 0, static: int = 0, e: Dim = 0,
) -> Counts:  # fmt: skip
    """h' = tanh(W x + b + R h + b)."""
    (f,) = _functions(activations, 1)
    addends = bias * biases + bool(static)

    def unit(wx: Any, rh: Any, b: Any, cont: Any) -> Any:
        return f(_gate(wx, rh * cont if markers else rh, [b] * addends, clip))

    state = _hidden(hidden, h)
    each = _layers(1, i, state, state, layers, directions, tally(unit))
    return _steps(t, n) * each + _static(1, state, n, e, directions)


@op("lstm", SEQUENCE)
@op("lstm_cell", CELL)
def lstm(
    i: Dim, t: Dim = 1, n: Any = 1, h: Any = None, hidden: Any = None, layers: int = 1,
    directions: int = 1, projection: Dim = 0, bias: int = 1, biases: int = 2,
    peephole: int = 0, coupled: Any = False, clip: Any = 0, cell_clip: Any = 0,
    layer_norm: Any = False, activations: Any = ("sigmoid", "tanh", "tanh"),
    markers: int = 0, static: int = 0, e: Dim = 0,
) -> Counts:  # fmt: skip
    """i, f, o = sigmoid(W x + b + R h + b + P c), g = tanh(W x + b + R h + b);
    c' = f c + i g; h' = o tanh(c'), then projected by a matrix of p x h where there is one.
    """
    f, g, out = _functions(activations, 3)
    addends = bias * biases + bool(static)

    def unit(wx: Any, rh: Any, b: Any, p: Any, c: Any, cont: Any) -> Any:
        def gate(cell: Any = None) -> Any:
            more = [p * cell] if peephole and cell is not None else []
            return _gate(wx, rh, more + [b] * addends, clip)

        forget = f(gate(c))
        enter = 1 - forget if coupled else f(gate(c))
        new = forget * (c * cont if markers else c) + enter * g(gate())
        new = minimum(maximum(new, -1), 1) if cell_clip else new
        return f(gate(new)) * out(new)

    state, gates = _hidden(hidden, h), 3 if coupled else 4
    extra = tally(unit) + Counts(mul=1 if markers else 0)
    norm = standardize(gates, state, 1, 0) if layer_norm else Counts()
    each = _layers(gates, i, state, projection or state, layers, directions, extra, norm)
    if projection:
        each += layers * directions * dots(projection, state)
    return _steps(t, n) * each + _static(gates, state, n, e, directions)


@op("gru", SEQUENCE)
@op("gru_cell", CELL)
def gru(
    i: Dim, t: Dim = 1, n: Any = 1, h: Any = None, hidden: Any = None, layers: int = 1,
    directions: int = 1, bias: int = 1, biases: int = 2,
    activations: Any = ("sigmoid", "tanh"), clip: Any = 0,
) -> Counts:  # fmt: skip
    """r, z = sigmoid(W x + b + R h + b); g = tanh(W x + b + r (R h + b)); h' = (1 - z) g + z h."""
    f, g = _functions(activations, 2)

    def unit(wx: Any, rh: Any, b: Any, old: Any) -> Any:
        def gate(reset: Any = 1) -> Any:
            return _gate(wx, rh if reset == 1 else reset * rh, [b] * (bias * biases), clip)

        reset, update = f(gate()), f(gate())
        return (1 - update) * g(gate(reset)) + update * old

    state = _hidden(hidden, h)
    return _steps(t, n) * _layers(3, i, state, state, layers, directions, tally(unit))


def recurrent_axes(gates: int) -> Callable[..., dict[str, Any]]:
    """The sizes that follow from those of the data and from the attributes."""

    def axes(
        i: Dim, h: Any = None, hidden: Any = None, layers: int = 1, directions: int = 1,
        projection: Dim = 0, bias: int = 1, biases: int = 2, coupled: Any = False,
    ) -> dict[str, Any]:  # fmt: skip
        h = _hidden(hidden, h)
        p, rows = projection or h, (3 if coupled else gates) * h
        packed: Dim = 0
        for layer in range(layers):
            width = i if layer == 0 else directions * p
            packed += directions * (rows * (width + p + bias * biases) + projection * h)
        return {
            "h": h, "p": p, "d": directions, "o": directions * p, "s": layers * directions,
            "g": rows, "b": biases * rows, "w": packed,
        }  # fmt: skip

    return axes


for _name, _gates in GATES.items():
    rule("axes", _name, f"{_name}_cell")(recurrent_axes(_gates))


def _functions(names: Any, count: int) -> list[Callable[[Any], Any]]:
    known = {**POINTWISE, **EXTRA}
    if len(names) < count or not all(name in known for name in names[:count]):
        raise ShapeMismatch(
            f"activations {tuple(names)}: {count} functions of one number are needed"
        )
    return [_alone(known[name]) for name in names[:count]]


def _alone(function: Callable[..., Any]) -> Callable[[Any], Any]:
    """A function of one number; further operands (a slope, a bound) are constants."""
    more = len(inspect.signature(function).parameters) - 1
    return lambda x: function(x, *[0.5] * more)


def _hidden(hidden: Any, h: Any) -> Dim:
    if hidden is None and h is None:
        raise ShapeMismatch("'hidden' is not given and follows from no operand")
    return hidden if hidden is not None else h


def _steps(t: Dim, n: Any) -> Dim:
    return t * (prod(n) if isinstance(n, tuple) else n)


def _gate(wx: Any, rh: Any, more: list[Any], clip: Any) -> Any:
    total = wx + rh
    for addend in more:
        total = total + addend
    return minimum(maximum(total, -1), 1) if clip else total


def _layers(
    gates: int, i: Dim, h: Dim, p: Dim, layers: int, directions: int, unit: Counts,
    norm: Counts = Counts(),  # noqa: B008 - frozen
) -> Counts:  # fmt: skip
    """One step of all layers; those after the first read the outputs of all directions."""
    total = Counts()
    for layer in range(layers):
        width = i if layer == 0 else directions * p
        products = dots(gates * h, width) + dots(gates * h, p)
        total += directions * (products + h * unit + norm)
    return total


def _static(gates: int, h: Dim, n: Any, e: Dim, directions: int) -> Counts:
    """The product of an input that stays the same through the sequence, made once."""
    return directions * n * dots(gates * h, e) if e != 0 else Counts()
