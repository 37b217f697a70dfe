"""If, Loop, Scan."""

from __future__ import annotations

from flopwise.frontends.onnx.native import Native, lowers


@lowers("If")
def if_(n: Native) -> None:
    branches = tuple(
        n.block.subgraph(n.attrs[name].get("g", {}), f"{n.name}/{name}")
        for name in ("then_branch", "else_branch")
    )
    n.emit("if", *n.inputs, branches=branches)
