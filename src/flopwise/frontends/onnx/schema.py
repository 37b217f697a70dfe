"""The fields of onnx.proto that a count needs; everything else is stepped over.

Numbers, and what each field holds: https://github.com/onnx/onnx/blob/main/onnx/onnx.proto
"""

from __future__ import annotations

from flopwise.frontends.wire import (
    BYTES,
    FLOAT,
    FLOATS,
    INT,
    INTS,
    SPANS,
    TEXT,
    TEXTS,
    Schema,
)  # fmt: skip

ENTRY: Schema = {1: ("key", TEXT), 2: ("value", TEXT)}

SHAPE: Schema = {1: ("dim", [{1: ("value", INT), 2: ("param", TEXT)}])}

TENSOR_TYPE: Schema = {1: ("elem_type", INT), 2: ("shape", SHAPE)}
TYPE: Schema = {1: ("tensor", TENSOR_TYPE), 8: ("sparse", TENSOR_TYPE)}
TYPE |= {4: ("sequence", {1: ("of", TYPE)}), 9: ("optional", {1: ("of", TYPE)})}
TYPE |= {5: ("map", {2: ("of", TYPE)})}

VALUE: Schema = {1: ("name", TEXT), 2: ("type", TYPE)}

TENSOR: Schema = {
    1: ("dims", INTS), 2: ("dtype", INT), 4: ("float_data", SPANS), 5: ("int32_data", SPANS),
    7: ("int64_data", SPANS), 8: ("name", TEXT), 9: ("raw_data", SPANS),
    10: ("double_data", SPANS), 11: ("uint64_data", SPANS), 14: ("location", INT),
}  # fmt: skip
SPARSE: Schema = {1: ("values", TENSOR), 3: ("dims", INTS)}

GRAPH: Schema = {}
ATTRIBUTE: Schema = {
    1: ("name", TEXT), 2: ("f", FLOAT), 3: ("i", INT), 4: ("s", BYTES), 5: ("t", TENSOR),
    6: ("g", GRAPH), 7: ("floats", FLOATS), 8: ("ints", INTS), 9: ("strings", SPANS),
    11: ("graphs", [GRAPH]), 14: ("tp", TYPE), 20: ("type", INT), 21: ("ref", TEXT),
    22: ("sparse", SPARSE),
}  # fmt: skip
NODE: Schema = {
    1: ("input", TEXTS), 2: ("output", TEXTS), 3: ("name", TEXT), 4: ("op_type", TEXT),
    5: ("attribute", [ATTRIBUTE]), 7: ("domain", TEXT), 8: ("overload", TEXT),
    9: ("metadata", [ENTRY]),
}  # fmt: skip
GRAPH |= {
    1: ("node", [NODE]), 2: ("name", TEXT), 5: ("initializer", [TENSOR]),
    11: ("input", [VALUE]), 12: ("output", [VALUE]), 13: ("value_info", SPANS),
    15: ("sparse_initializer", [SPARSE]),
}  # fmt: skip

OPSET: Schema = {1: ("domain", TEXT), 2: ("version", INT)}
FUNCTION: Schema = {
    1: ("name", TEXT), 4: ("input", TEXTS), 5: ("output", TEXTS), 6: ("attribute", TEXTS),
    7: ("node", [NODE]), 9: ("opset", [OPSET]), 10: ("domain", TEXT),
    11: ("default", [ATTRIBUTE]), 13: ("overload", TEXT),
}  # fmt: skip
MODEL: Schema = {
    1: ("ir_version", INT), 2: ("producer", TEXT), 7: ("graph", GRAPH), 8: ("opset", [OPSET]),
    20: ("training", SPANS), 25: ("functions", [FUNCTION]),
}  # fmt: skip
