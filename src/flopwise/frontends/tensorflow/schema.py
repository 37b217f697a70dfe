"""The fields of TensorFlow's messages that a count needs; everything else is stepped over.

Numbers, and what each field holds: tensorflow/core/framework/*.proto and
tensorflow/core/protobuf/{saved_model,meta_graph,saved_object_graph}.proto of
https://github.com/tensorflow/tensorflow/tree/v2.16.1
"""

from __future__ import annotations

from flopwise.errors import UnreadableModel
from flopwise.frontends.wire import BYTES, FLOAT, INT, INTS, SPANS, TEXT, TEXTS, Schema

SHAPE: Schema = {2: ("dim", [{1: ("size", INT)}]), 3: ("unknown", INT)}
TENSOR: Schema = {
    1: ("dtype", INT), 2: ("shape", SHAPE), 4: ("content", SPANS), 5: ("floats", SPANS),
    6: ("doubles", SPANS), 7: ("ints", SPANS), 10: ("longs", SPANS), 11: ("bools", SPANS),
    13: ("halves", SPANS), 16: ("uint32s", SPANS), 17: ("uint64s", SPANS),
}  # fmt: skip
VALUE: Schema = {}
ENTRY: Schema = {1: ("key", TEXT), 2: ("value", VALUE)}
FUNCTION_NAME: Schema = {1: ("name", TEXT), 2: ("attr", [ENTRY])}
VALUE |= {
    1: ("list", {2: ("s", SPANS), 3: ("i", INTS), 6: ("type", INTS)}), 2: ("s", BYTES),
    3: ("i", INT), 4: ("f", FLOAT), 5: ("b", INT), 6: ("type", INT), 7: ("shape", SHAPE),
    8: ("tensor", TENSOR), 9: ("placeholder", TEXT), 10: ("func", FUNCTION_NAME),
}  # fmt: skip
NODE: Schema = {1: ("name", TEXT), 2: ("op", TEXT), 3: ("input", TEXTS), 5: ("attr", [ENTRY])}

ARGUMENT: Schema = {1: ("name", TEXT), 3: ("type", INT)}
SIGNATURE: Schema = {1: ("name", TEXT), 2: ("input", [ARGUMENT]), 3: ("output", [ARGUMENT])}
FUNCTION: Schema = {
    1: ("signature", SIGNATURE), 3: ("node", [NODE]),
    4: ("ret", [{1: ("key", TEXT), 2: ("value", TEXT)}]),
}  # fmt: skip
HEADER: Schema = {1: ("signature", SIGNATURE)}
GRAPH: Schema = {
    1: ("node", [NODE]), 2: ("library", {1: ("function", SPANS)}),
    4: ("versions", {1: ("producer", INT)}),
}  # fmt: skip

INFO: Schema = {1: ("name", TEXT), 2: ("dtype", INT), 3: ("shape", SHAPE)}
NAMED: Schema = {1: ("key", TEXT), 2: ("value", INFO)}
ENDS: Schema = {1: ("inputs", [NAMED]), 2: ("outputs", [NAMED])}
VARIABLE: Schema = {3: ("trainable", INT), 6: ("name", TEXT)}
CAPTURES: Schema = {1: ("key", TEXT), 2: ("value", {2: ("bound", INTS)})}
META_GRAPH: Schema = {
    1: ("info", {4: ("tags", TEXTS)}), 2: ("graph", GRAPH),
    5: ("signatures", [{1: ("key", TEXT), 2: ("value", ENDS)}]),
    7: ("objects", {1: ("nodes", [{7: ("variable", VARIABLE)}]), 2: ("functions", [CAPTURES])}),
}  # fmt: skip
SAVED_MODEL: Schema = {1: ("version", INT), 2: ("meta_graphs", [META_GRAPH])}

DTYPES = {
    0: "", 1: "float32", 2: "float64", 3: "int32", 4: "uint8", 5: "int16", 6: "int8", 7: "string",
    8: "complex64", 9: "int64", 10: "bool", 11: "int8", 12: "uint8", 13: "int32", 14: "bfloat16",
    15: "int16", 16: "uint16", 17: "uint16", 18: "complex128", 19: "float16", 20: "", 21: "",
    22: "uint32", 23: "uint64", 24: "float8", 25: "float8", 29: "int4", 30: "uint4",
}  # fmt: skip


def dtype_of(code: int) -> str:
    """Our name of a DataType, "" for a handle. Raises UnreadableModel."""
    code = code - 100 if code > 100 else code  # references to variables
    if code not in DTYPES:
        raise UnreadableModel(f"no tensor has data type {code}")
    return DTYPES[code]
