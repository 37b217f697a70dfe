"""If, Loop, Scan and SequenceMap."""

from __future__ import annotations

from flopwise.errors import UnreadableModel
from flopwise.frontends.onnx.native import Native, lowers
from flopwise.graph import Graph


def body(n: Native, name: str) -> Graph:
    """The graph of an attribute. Raises UnreadableModel when there is none."""
    message = n.attrs.get(name, {}).get("g")
    if message is None:
        raise UnreadableModel(f"has no {name}")
    return n.block.subgraph(message, f"{n.name}/{name}")


@lowers("If")
def branch(n: Native) -> None:
    branches = body(n, "then_branch"), body(n, "else_branch")
    n.emit("if", *n.inputs, branches=branches)


@lowers("Loop")
def loop(n: Native) -> None:
    """Operands: trip count, condition, carried values."""
    operands = [*n.inputs, None, None][: max(len(n.inputs), 2)]
    n.emit("loop", *operands, body=body(n, "body"), repeat=1)


@lowers("Scan")
def scan(n: Native) -> None:
    """Version 8 had a batch axis before that of time, and lengths as its first operand."""
    scans = n.integer("num_scan_inputs")
    if n.version < 9:
        n.emit("scan", *n.inputs[1:], body=body(n, "body"), repeat=1, scans=scans, batched=True)
        return
    n.emit(
        "scan", *n.inputs, body=body(n, "body"), repeat=1, scans=scans,
        axes=n.integers("scan_input_axes"), out_axes=n.integers("scan_output_axes"),
    )  # fmt: skip


@lowers("SequenceMap")
def sequence_map(n: Native) -> None:
    """The body on each element of the first sequence, and of those beside it; plain tensors
    go to it whole."""
    n.emit("map", *n.inputs, body=body(n, "body"), repeat=1)
