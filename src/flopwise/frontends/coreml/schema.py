"""The parts of CoreML's protobuf that shapes and costs depend on.

https://github.com/apple/coremltools/tree/main/mlmodel/format (Model, FeatureTypes, MIL).
Values of tensors are places in the file: weights stay unread.
"""

from __future__ import annotations

from flopwise.frontends.wire import INT, INTS, SPANS, TEXT, TEXTS, Schema


def entries(value: Schema) -> list[Schema]:
    """A protobuf map from text to messages."""
    return [{1: ("key", TEXT), 2: ("value", value)}]


_DIMENSION: Schema = {1: ("constant", {1: ("size", INT)}), 2: ("unknown", {1: ("variadic", INT)})}
VALUE_TYPE: Schema = {
    1: ("tensor", {1: ("type", INT), 2: ("rank", INT), 3: ("dimensions", [_DIMENSION])}),
}
VALUE_TYPE[2] = ("list", {1: ("type", VALUE_TYPE)})
VALUE_TYPE[5] = ("state", {1: ("wrapped", VALUE_TYPE)})

_HELD: Schema = {1: ("values", SPANS)}
_TEXTS: Schema = {1: ("values", TEXTS)}
TENSOR_VALUE: Schema = {
    1: ("floats", _HELD), 2: ("ints", _HELD), 3: ("bools", _HELD), 4: ("strings", _TEXTS),
    5: ("ints", _HELD), 6: ("doubles", _HELD), 7: ("bytes", _HELD),
}  # fmt: skip
VALUE: Schema = {2: ("type", VALUE_TYPE), 5: ("blob", {1: ("file", TEXT), 2: ("offset", INT)})}
VALUE[3] = (
    "immediate",
    {1: ("tensor", TENSOR_VALUE), 2: ("tuple", {1: ("values", [VALUE])}),
     3: ("list", {1: ("values", [VALUE])})},
)  # fmt: skip

_NAMED: Schema = {1: ("name", TEXT), 2: ("type", VALUE_TYPE)}
_ARGUMENT: Schema = {1: ("arguments", [{1: ("name", TEXT), 2: ("value", VALUE)}])}
OPERATION: Schema = {
    1: ("type", TEXT), 2: ("inputs", entries(_ARGUMENT)), 3: ("outputs", [_NAMED]),
    5: ("attributes", entries(VALUE)),
}  # fmt: skip
BLOCK: Schema = {1: ("inputs", [_NAMED]), 2: ("outputs", TEXTS), 3: ("operations", [OPERATION])}
OPERATION[4] = ("blocks", [BLOCK])
FUNCTION: Schema = {1: ("inputs", [_NAMED]), 2: ("opset", TEXT), 3: ("blocks", entries(BLOCK))}
PROGRAM: Schema = {1: ("version", INT), 2: ("functions", entries(FUNCTION))}

_ARRAY: Schema = {
    1: ("shape", INTS), 2: ("type", INT), 21: ("enumerated", {1: ("shapes", [{}])}),
    31: ("range", {1: ("ranges", [{1: ("lower", INT), 2: ("upper", INT)}])}),
}  # fmt: skip
_IMAGE: Schema = {
    1: ("width", INT), 2: ("height", INT), 3: ("color", INT), 21: ("enumerated", {}),
    31: ("range", {}),
}  # fmt: skip
_FEATURE: Schema = {
    1: ("name", TEXT),
    3: ("type", {4: ("image", _IMAGE), 5: ("array", _ARRAY), 7: ("sequence", {})}),
}
DESCRIPTION: Schema = {
    1: ("inputs", [_FEATURE]), 10: ("outputs", [_FEATURE]), 21: ("default", TEXT),
}  # fmt: skip

DTYPES = {
    1: "bool", 2: "string", 10: "float16", 11: "float32", 12: "float64", 13: "bfloat16",
    21: "int8", 22: "int16", 23: "int32", 24: "int64", 25: "int4", 31: "uint8", 32: "uint16",
    33: "uint32", 34: "uint64", 35: "uint4", 36: "uint2", 37: "uint1", 38: "uint6", 39: "uint3",
    40: "float8", 41: "float8",
}  # fmt: skip

# What else a model may be, by field number: read as far as its networks go, or told by name.
OTHERS = {
    300: "a linear regressor", 301: "a support vector regressor", 302: "a tree ensemble",
    304: "a Bayesian regressor", 400: "a linear classifier", 401: "a support vector classifier",
    402: "a tree ensemble", 404: "a nearest-neighbour classifier", 501: "a recommender",
    555: "a custom model", 556: "a linked model", 600: "a one-hot encoder", 601: "an imputer",
    602: "a feature vectorizer", 603: "a dictionary vectorizer", 604: "a scaler",
    606: "a categorical mapping", 607: "a normalizer", 609: "a feature extractor",
    610: "a non-maximum suppression", 900: "an identity", 2000: "a text classifier",
    2001: "a word tagger", 2002: "a vision feature print", 2003: "a sound preprocessor",
    2004: "a gazetteer", 2005: "a word embedding", 2006: "an audio feature print",
    3000: "a serialized model",
}  # fmt: skip
