"""Graphs in protobuf's text format: read as the same graph in its wire format is."""

from __future__ import annotations

from pathlib import Path

import pytest

import flopwise
from flopwise.errors import UnknownSize, UnreadableModel
from support.tensorflow_files import Nodes, frozen

# As tf.io.write_graph writes it: names of types, sizes of -1, bytes with escapes.
GRAPH = r"""
# a comment
node {
  name: "x"
  op: "Placeholder"
  attr { key: "dtype" value { type: DT_FLOAT } }
  attr { key: "shape" value { shape { dim { size: -1 } dim { size: 8 } dim { size: 8 }
         dim { size: 3 } } } }
}
node {
  name: "w"
  op: "Const"
  attr { key: "dtype" value { type: DT_FLOAT } }
  attr { key: "value" value { tensor { dtype: DT_FLOAT
         tensor_shape { dim { size: 3 } dim { size: 3 } dim { size: 3 } dim { size: 4 } }
         float_val: 0.5e-1 } } }
}
node {
  name: "conv"
  op: "Conv2D"
  input: "x"
  input: "w"
  device: "/cpu:0"
  attr { key: "padding" value { s: "SAME" } }
  attr { key: "strides" value { list { i: [1, 2, 2, 1] } } }
  attr { key: "use_cudnn_on_gpu" value { b: true } }
}
node {
  name: "shape"
  op: "Const"
  attr { key: "dtype" value { type: DT_INT32 } }
  attr { key: "value" value { tensor { dtype: DT_INT32 tensor_shape { dim { size: 2 } }
         tensor_content: "\377\377\377\377@\000\000\000" } } }
}
node { name: "flat" op: "Reshape" input: "conv" input: "shape" }
versions { producer: 1882 }
"""


def twin(folder: Path) -> Path:
    """The same in the wire format."""
    m = Nodes()
    x = m.input(None, 8, 8, 3)
    m.const(None, 3, 3, 3, 4)
    m.messages[-1]["name"] = "w"
    conv = m.op("Conv2D", x, "w", name="conv", padding="SAME", strides=[1, 2, 2, 1])
    m.const([-1, 64])
    m.messages[-1]["name"] = "shape"
    m.op("Reshape", conv, "shape", name="flat")
    return frozen(folder, m)


def write(folder: Path, text: str) -> Path:
    path = folder / "graph.pbtxt"
    path.write_text(text)
    return path


def test_text_and_bytes_are_one_graph(tmp_path: Path) -> None:
    text = flopwise.count(write(tmp_path, GRAPH), batch=2)
    wire = flopwise.count(twin(tmp_path), batch=2)
    assert text.total() == wire.total()
    assert text.total().mac == 2 * 16 * 4 * 27
    assert text.params == wire.params == 3 * 3 * 3 * 4
    assert [t.shape for t in text.graph.outputs] == [(2, 64)]
    assert text.coverage == 1


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("size: 8", "size: wide", "size is 'wide', not a whole number"),
        ("size: 8", "size: 99999999999999999999", "which 64 bits do not hold"),
        ("0.5e-1", "half", "float_val is 'half', not a number"),
        ("DT_INT32", "DT_INT33", "a data type is 'DT_INT33'"),
        ('op: "Conv2D"', "op { }", "op is a message"),
        ("shape {", "shape: 4 {", "out of place"),
        ("versions { producer: 1882 }", "versions {", "a '}' is missing"),
    ],
)
def test_broken_text_is_told_in_one_line(tmp_path: Path, old: str, new: str, words: str) -> None:
    assert old in GRAPH
    with pytest.raises(UnreadableModel, match=words) as raised:
        flopwise.count(write(tmp_path, GRAPH.replace(old, new, 1)))
    assert str(raised.value).count("graph.pbtxt") == 1


def test_a_library_in_text(tmp_path: Path) -> None:
    text = """
    node { name: "x" op: "Placeholder" attr { key: "dtype" value { type: DT_FLOAT } }
           attr { key: "shape" value { shape { dim { size: 5 } dim { size: 7 } } } } }
    node { name: "y" op: "PartitionedCall" input: "x"
           attr { key: "f" value { func { name: "dense" } } } }
    library { function {
      signature { name: "dense" input_arg { name: "a" type: DT_FLOAT }
                  output_arg { name: "out" type: DT_FLOAT } }
      node_def { name: "w" op: "Const" attr { key: "value" value { tensor { dtype: DT_FLOAT
                 tensor_shape { dim { size: 7 } dim { size: 3 } } } } }
                 attr { key: "dtype" value { type: DT_FLOAT } } }
      node_def { name: "product" op: "MatMul" input: "a" input: "w:output:0" }
      ret { key: "out" value: "product:product:0" }
    } }
    """
    assert flopwise.count(write(tmp_path, text)).total().mac == 5 * 7 * 3


def test_placeholders_of_old_graphs_are_open(tmp_path: Path) -> None:
    """Up to version 21 a shape without axes is any shape."""
    text = """
    node { name: "x" op: "Placeholder" attr { key: "dtype" value { type: DT_FLOAT } }
           attr { key: "shape" value { shape { } } } }
    node { name: "y" op: "Relu" input: "x" }
    versions { producer: %d }
    """
    assert flopwise.count(write(tmp_path, text % 22)).total().cmp == 1
    with pytest.raises(UnknownSize, match="the size of input 'x'"):
        flopwise.count(write(tmp_path, text % 21))
    assert flopwise.count(write(tmp_path, text % 21), inputs=(4, 5)).total().cmp == 20
