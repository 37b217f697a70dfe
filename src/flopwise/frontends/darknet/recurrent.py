"""Recurrent layers of Darknet: one step, gate by gate, as each gate has its own biases
and may have its own batch normalisation. The state of the step before is drawn as the
tensor of this step that has its shape."""

from __future__ import annotations

from collections.abc import Callable

from flopwise.frontends.darknet.cfg import MOST, Section
from flopwise.frontends.darknet.layers import activate, dense, filters
from flopwise.frontends.darknet.lowering import Emit, layer, unknown
from flopwise.graph import Tensor

Gate = Callable[..., Tensor]


def flat(emit: Emit, x: Tensor) -> Tensor:
    return emit("flatten", x, part="flatten")


@layer("rnn")
def rnn(emit: Emit, s: Section, x: Tensor) -> Tensor:
    """s' = f(W x) + g(R s), y = f(V s')."""
    hidden, output = s.size("hidden", 1), s.size("output", 1)
    inner = {1: "logistic", 2: "loggy"}.get(s.integer("logistic", 0), "")
    fresh = dense(emit, flat(emit, x), s, hidden, "input/")
    old = emit("identity", fresh, part="state")
    return dense(
        emit,
        merged(emit, s, fresh, dense(emit, old, s, hidden, "self/", inner), old),
        s,
        output,
        "output/",
    )


@layer("crnn")
def crnn(emit: Emit, s: Section, x: Tensor) -> Tensor:
    """The same with convolutions."""
    hidden, output, size = s.size("hidden", 1), s.size("output", 1), s.size("size", 3)

    def gate(t: Tensor, f: int, name: str) -> Tensor:
        return filters(emit, t, s, f, size, f"{name}/", f"{emit.name}.{name}.")

    fresh = gate(x, hidden, "input")
    old = emit("identity", fresh, part="state")
    return gate(merged(emit, s, fresh, gate(old, hidden, "self"), old), output, "output")


def merged(emit: Emit, s: Section, fresh: Tensor, kept: Tensor, old: Tensor) -> Tensor:
    """The new state; with `shortcut` the old one is added as it was."""
    operands = [fresh, kept, old] if s.flag("shortcut") else [fresh, kept]
    return emit("add", *operands, part="sum")


@layer("gru")
def gru(emit: Emit, s: Section, x: Tensor) -> Tensor:
    """z, r = sigmoid(W x + R s); h = f(W x + R (r s)); s' = z s + (1 - z) h."""
    output, x = s.size("output", 1), flat(emit, x)
    fresh = {g: dense(emit, x, s, output, f"input_{g}/", "linear") for g in "zrh"}
    old = emit("identity", fresh["z"], part="state")

    def gate(g: str, state: Tensor, kind: str) -> Tensor:
        kept = dense(emit, state, s, output, f"state_{g}/", "linear")
        return activate(emit, emit("add", fresh[g], kept, part=f"{g}/add"), kind, f"{g}/")

    z, r = gate("z", old, "logistic"), gate("r", old, "logistic")
    h = gate("h", emit("mul", r, old, part="forgotten"), "tanh" if s.flag("tanh") else "logistic")
    rest = emit("mul", emit("sub", z, part="rest"), h, part="new")
    return emit("add", emit("mul", z, old, part="kept"), rest)


@layer("lstm")
def lstm(emit: Emit, s: Section, x: Tensor) -> Tensor:
    output, x = s.size("output", 1), flat(emit, x)

    def gate(t: Tensor, name: str) -> Tensor:
        return dense(emit, t, s, output, f"{name}/", "linear")

    return memory(emit, s, x, gate)


@layer("conv_lstm")
def conv_lstm(emit: Emit, s: Section, x: Tensor) -> Tensor:
    """Shi 2015, with peepholes that are convolutions. A bottleneck and a shortcut differ
    between Darknet's own implementations: not counted."""
    if s.flag("bottleneck") or s.flag("shortcut"):
        return unknown(emit, s, x)
    output, size = s.size("output", 1), s.size("size", 3)

    def gate(t: Tensor, name: str) -> Tensor:
        kind = s.text("activation", "linear")
        return filters(
            emit, t, s, output, size, f"{name}/", f"{emit.name}.{name}.", activation=kind
        )

    return memory(emit, s, x, gate)


def memory(emit: Emit, s: Section, x: Tensor, gate: Gate) -> Tensor:
    """i, f, o = sigmoid(U x + W h + V c), g = tanh(U x + W h); c' = f c + i g; h = o tanh(c')."""
    fresh = {g: gate(x, f"u{g}") for g in "figo"}
    state, cell = (emit("identity", fresh["f"], part=part) for part in ("state", "cell"))

    def total(g: str, kind: str, seen: Tensor | None = None) -> Tensor:
        peephole = [gate(seen, f"v{g}")] if seen is not None and s.flag("peephole") else []
        y = emit("add", fresh[g], gate(state, f"w{g}"), *peephole, part=f"{g}/add")
        return activate(emit, y, kind, f"{g}/")

    forget, enter = total("f", "logistic", cell), total("i", "logistic", cell)
    new = emit("mul", enter, total("g", s.text("lstm_activation", "tanh")), part="new")
    cell = emit("add", emit("mul", forget, cell, part="kept"), new, part="memory")
    out = total("o", "logistic", cell)
    return emit("mul", out, emit("tanh", cell, part="tanh"))


@layer("history")
def history(emit: Emit, s: Section, x: Tensor) -> Tensor:
    """This map and those of the steps before."""
    steps = s.size("history_size", 4, most=MOST)
    old = [emit("identity", x, part=f"state{i}") for i in range(1, steps)]
    return emit("concat", x, *old, axis=1)
