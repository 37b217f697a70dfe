"""Recurrent layers of CoreML's neural networks: the sequence lies on the first axis."""

from __future__ import annotations

from typing import Any

from flopwise.frontends.coreml.network_native import Layer, lowers
from flopwise.frontends.slicing import END
from flopwise.graph import Tensor

GATES = {"simpleRecurrent": 1, "gru": 3, "uniDirectionalLSTM": 4, "biDirectionalLSTM": 4}
OPS = {"simpleRecurrent": "rnn", "gru": "gru"}


@lowers(*GATES)
def recurrent(n: Layer) -> None:
    """Blobs are steps x features x 1 x 1, or steps x batch x features."""
    i, h, gates = n.integer("i"), n.integer("h"), GATES[n.kind]
    params = n.p.get("params", n.p)
    d = 2 if n.kind == "biDirectionalLSTM" else 1
    gates = 3 if params.get("coupled") else gates
    attrs: dict[str, Any] = {"hidden": h, "directions": d, "biases": 1}
    if gates >= 3 and n.kind.endswith("LSTM"):
        attrs |= {"coupled": bool(params.get("coupled")), "cell_clip": bool(params.get("clip"))}
    stored = [("weights", (d, gates * h, i)), ("recursion", (d, gates * h, h))]
    weights: list[Tensor | None] = [_weight(n, name, shape) for name, shape in stored]
    biased = n.integer("bias") if n.kind in OPS else params.get("biases", 0)
    weights.append(_weight(n, "biases", (d, gates * h)) if biased else None)
    weights.append(_weight(n, "peephole", (d, 3, h)) if params.get("peephole") else None)
    kept = "t" if params.get("sequence") else "1"
    image = n.rank > 3
    data, result = ("t i _ _", f"{kept} o") if image else ("t n i", f"{kept} n o")
    pattern = f"{data}, _: d g i, _: d g h, bias?: _ _, peephole?: *_ -> {result}"
    op = OPS.get(n.kind, "lstm")
    if not image:
        n.emit(op, n.inputs[0], *weights, to=n.tops[:1], pattern=pattern, **attrs)
        return
    rows = n.emit(op, n.inputs[0], *weights, part="steps", pattern=pattern, **attrs)
    made = n.emit("unsqueeze", rows, axes=[2, 3], to=n.tops[:1])
    for top in n.tops[1:]:  # the last states
        n.emit("slice", made, axes=(0,), starts=(-1,), ends=(END,), to=(top,))


def _weight(n: Layer, name: str, shape: tuple[int, ...]) -> Tensor:
    if min(shape) < 1:
        raise ValueError(f"its {name} would have the shape {list(shape)}")
    return Tensor(f"{n.name}.{name}", shape, "float32", "weight")
