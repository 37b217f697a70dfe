"""A writer of OpenVINO IR files for tests: the layers of a network, their ports and edges."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from math import prod
from pathlib import Path
from typing import Any
from xml.sax.saxutils import quoteattr

WIDTH = {"f32": 4, "f16": 2, "i64": 8, "i32": 4, "i8": 1, "u8": 1, "boolean": 1}
PRECISIONS = {"f32": "FP32", "boolean": "BOOL"}
Value = tuple[int, int]


class Net:
    """Layers under construction. A value is a layer and one of its output ports."""

    def __init__(self, weights: bytearray | None = None) -> None:
        self.layers: list[str] = []
        self.edges: list[str] = []
        self.shapes: dict[Value, str] = {}
        self.weights = bytearray() if weights is None else weights

    def input(self, shape: str, kind: str = "f32", name: str = "") -> Value:
        """`shape` as "1,3,?,8"."""
        return self._layer("Parameter", "opset1", {"shape": shape, "element_type": kind}, [],
                           [shape], name, kind)[0]  # fmt: skip

    def const(self, values: Sequence[int] | None, shape: Sequence[int], kind: str = "i64") -> Value:
        """Integers, or zeros of a shape."""
        start, count = len(self.weights), prod(shape)
        form = {"i64": "q", "i32": "i", "boolean": "?", "f32": "f"}.get(kind, "b")
        self.weights += (
            bytes(count * WIDTH[kind])
            if values is None
            else struct.pack(f"<{count}{form}", *values)
        )
        attrs = {
            "element_type": kind, "shape": ", ".join(map(str, shape)), "offset": start,
            "size": len(self.weights) - start,
        }  # fmt: skip
        text = ",".join(map(str, shape))
        return self._layer("Const", "opset1", attrs, [], [text], "", kind)[0]

    def ints(self, *values: int) -> Value:
        return self.const(values, (len(values),))

    def scalar(self, value: int) -> Value:
        return self.const([value], ())

    def layer(
        self, kind: str, inputs: Sequence[Value], outputs: Sequence[str], version: str = "opset1",
        name: str = "", inside: str = "", **attrs: Any,
    ) -> list[Value]:  # fmt: skip
        """A layer whose outputs have the shapes "1,3,8,8"."""
        return self._layer(kind, version, attrs, inputs, outputs, name, "f32", inside)

    def _layer(
        self, kind: str, version: str, attrs: dict[str, Any], inputs: Sequence[Value],
        outputs: Sequence[str], name: str, precision: str, inside: str = "",
    ) -> list[Value]:  # fmt: skip
        number = len(self.layers)
        data = " ".join(f"{k}={quoteattr(str(v))}" for k, v in attrs.items())
        ports = [self._port(i, self.shapes[v], "FP32") for i, v in enumerate(inputs)]
        for i, (layer, port) in enumerate(inputs):
            self.edges.append(
                f'<edge from-layer="{layer}" from-port="{port}" to-layer="{number}" to-port="{i}"/>'
            )
        values = [(number, len(inputs) + i) for i in range(len(outputs))]
        self.shapes |= dict(zip(values, outputs))
        made = [
            self._port(
                v[1], s, {"f32": "FP32", "boolean": "BOOL"}.get(precision, precision.upper())
            )
            for v, s in zip(values, outputs)
        ]
        self.layers.append(
            f'<layer id="{number}" name={quoteattr(name or f"{kind}_{number}")} type="{kind}"'
            f' version="{version}">'
            + (f"<data {data}/>" if data else "")
            + inside
            + (f"<input>{''.join(ports)}</input>" if ports else "")
            + (f"<output>{''.join(made)}</output>" if made else "")
            + "</layer>"
        )
        return values

    def _port(self, number: int, shape: str, precision: str) -> str:
        dims = [s for s in shape.split(",") if s]
        text = "".join(f"<dim>{'-1' if d == '?' else d}</dim>" for d in dims)
        return f'<port id="{number}" precision="{precision}">{text}</port>'

    def result(self, value: Value) -> int:
        self._layer("Result", "opset1", {}, [value], [], "", "f32")
        return len(self.layers) - 1

    def body(self) -> str:
        return f"<layers>{''.join(self.layers)}</layers><edges>{''.join(self.edges)}</edges>"

    def text(self) -> str:
        return f'<?xml version="1.0"?>\n<net name="net" version="11">{self.body()}</net>'

    def write(self, folder: Path) -> Path:
        path = folder / "net.xml"
        path.write_text(self.text())
        path.with_suffix(".bin").write_bytes(self.weights)
        return path
