"""Write docs/conventions.md from the records: python docs/write_conventions.py

Each formula is run on letters in place of sizes, as `flopwise explain` does, so that the
page says what the code does.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from flopwise import dims, ops, plugins
from flopwise.conventions import Convention
from flopwise.dims import Expr, symbol
from flopwise.graph import Node, Tensor

PAGE = Path(__file__).with_name("conventions.md")

INTRODUCTION = """\
# Conventions

A MAC is one multiply-accumulate of a dot product: a convolution, a matrix product, attention, a
recurrent cell. `macs` counts these, and `flops` is twice that, which is what most papers mean by
the FLOPs of a network; some mean `macs` by the same word. FLOPS, with a capital S, are operations
per second: a device's rate. MAC is also an abbreviation of memory access cost; here it never is.

`ops` counts every elementary operation of every operator: a dot product of n terms is n products
and n - 1 additions, a bias is one addition per output, ReLU one comparison. `coverage` is the
share of operators that have a formula, or are known to cost nothing: an operator without one is
listed beside the total, never silently zero. That holds for what *we* count. A convention is
another tool's reading of the same layers, and leaves out what the tool leaves out.

A convention is a record: weights for elementary counts, the operators they apply to, and
formulas for the operators that the tool counts in a way of its own. It takes a layer with its
true shapes and says what the tool makes of it, by its choices and by its slips, as long as these
depend on nothing but the layer's sizes. What depends on how a model is *written* (as a module or
as a function, with `+` or with `torch.add`) or on shapes that a tool gets wrong is not reproduced,
and told under the record. Choose one with `--convention NAME`; `flopwise explain` shows it layer
by layer.

In the tables n is the batch, c and f are input and output channels, g the input channels that one
filter sees (of a transposed convolution, which has one group here: f), x and y the positions of
the input and of the result, k the taps of a window and s its stride. A dense layer takes i
features to o for t tokens; a matrix product is b times m × k by k × n; attention has h heads of q
queries, k keys, width d and values of width v; a recurrent layer runs t steps of hidden size h.
An elementwise operator has e elements, softmax and mean r rows of d; layer norm n images of t
tokens of d; local response normalisation sums over l neighbours. A layer that may have a bias has.
"""

n, c, f, g, x, y, k, s = map(symbol, "ncfgxyks")
i, o, t, b, m, h, q, d, v, e, r, l = map(symbol, "iotbmhqdverl")  # noqa: E741


def layer(op: str, data: Any, *weights: Any, y: Any = None, **attrs: Any) -> Node:
    """An operator on letters; `data` is one shape or a list of them."""
    shapes = data if isinstance(data, list) else [data]
    inputs = [Tensor(f"x{j}", shape) for j, shape in enumerate(shapes)]
    learned = [Tensor(f"w{j}", shape, role="weight") for j, shape in enumerate(weights)]
    results = y if isinstance(y, list) else [shapes[0] if y is None else y]
    outputs = [Tensor(f"y{j}", shape) for j, shape in enumerate(results)]
    return Node(op, (*inputs, *learned), tuple(outputs), attrs)


IMAGE = (n, c, x)
POINTWISE = (
    *("relu", "relu6", "leaky_relu", "elu", "gelu", "silu", "hard_swish", "sigmoid"),
    *("tanh", "exp", "log", "sqrt", "dropout"),
)


def samples() -> Iterator[tuple[str, Node]]:
    """One layer of each kind, with its name on the page."""
    yield "convolution", layer("conv", IMAGE, (f, g, k), (f,), y=(n, f, y))
    yield (
        "transposed convolution",
        layer("conv_transpose", IMAGE, (c, f, k), (f,), y=(n, f, y), stride=s),
    )
    yield "deformable convolution", layer("deform_conv", IMAGE, (f, g, k), (f,), y=(n, f, y))
    yield "dense", layer("linear", (n, t, i), (o, i), (o,), y=(n, t, o))
    yield "matrix product", layer("matmul", [(b, m, k), (b, k, n)], y=(b, m, n))
    shapes = [(n, h, q, d), (n, h, k, d), (n, h, k, v)]
    yield "attention", layer("attention", shapes, y=(n, h, q, v))
    for kind, gates in (("lstm", 4), ("gru", 3), ("rnn", 1)):
        learned = [(gates * h, i), (gates * h, h), (gates * h,), (gates * h,)]
        results = [(t, n, h), (1, n, h), (1, n, h)][: 3 if kind == "lstm" else 2]
        yield kind, layer(kind, (t, n, i), *learned, y=results, hidden=h)
    yield "embedding", layer("embedding", (n, t), (v, d), y=(n, t, d))
    yield "batch norm", layer("batch_norm", [IMAGE, (c,), (c,)], (c,), (c,))
    yield "layer norm", layer("layer_norm", (n, t, d), (d,), (d,))
    yield "rms norm", layer("rms_norm", (n, t, d), (d,))
    yield "group norm", layer("group_norm", IMAGE, (c,), (c,))
    yield "instance norm", layer("instance_norm", IMAGE, (c,), (c,))
    yield "local response norm", layer("lrn", IMAGE, size=l)
    yield "scale", layer("scale", IMAGE, (c,), (c,))
    yield "softmax", layer("softmax", (r, d))
    for kind in ("max", "average"):
        op = "max_pool" if kind == "max" else "avg_pool"
        yield f"{kind} pool", layer(op, IMAGE, y=(n, c, y), k=k, stride=s)
    yield "global average pool", layer("global_avg_pool", IMAGE, y=(n, c, 1))
    yield "mean", layer("reduce_mean", (r, d), y=(r,), axes=(1,), keep=False)
    for mode in ("nearest", "linear"):
        image, large = (n, c, x, 1), (n, c, y, 1)
        yield f"resize ({mode})", layer("resize", image, y=large, mode=mode)
    for op in ("add", "mul", "div", "pow"):
        yield op, layer(op, [(e,), (e,)])
    for op in POINTWISE:
        yield op, layer(op, (e,))
    yield "prelu", layer("prelu", IMAGE, (c, 1))


ORDER = tuple("nbrthfomyqeigcxkdvls")


def spelled(value: Any) -> str:
    """An expression as people write it."""
    text = dims.render(value, ORDER, " ") if isinstance(value, Expr) else str(value)
    text = text.replace("**2", "²").replace("//", " / ").replace("*", " ")
    return re.sub(r"\((\w)\)", r"\1", text)


def section(convention: Convention, layers: list[tuple[str, Node]]) -> str:
    """What one convention makes of each kind of layer, those alike together."""
    rows: dict[str, list[str]] = {}
    for name, node in layers:
        counts = ops.count(node)
        assert counts is not None, name
        rows.setdefault(spelled(convention.read(node, counts)), []).append(name)
    zero = rows.pop("0", [])
    lines = [f"## {convention.name}", ""]
    lines += [f"[{convention.version}]({convention.url}): {convention.statement}.", ""]
    lines += ["| layer | counts |", "|---|---|"]
    lines += [f"| {', '.join(names)} | {text} |" for text, names in rows.items()]
    lines += ["", f"Zero: {', '.join(zero)}."] if zero else []
    lines += ["", *(f"- {note}" for note in convention.notes)] if convention.notes else []
    return "\n".join(lines) + "\n"


def page() -> str:
    """The whole page."""
    records: dict[str, Convention] = plugins.load_all("conventions")
    layers = list(samples())
    index = " · ".join(f"[{name}](#{name})" for name in sorted(records))
    sections = (section(record, layers) for _, record in sorted(records.items()))
    return "\n".join([INTRODUCTION, f"{index}\n", *sections])


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
