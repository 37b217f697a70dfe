"""Elementwise operators, reductions and products of matrices."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from flopwise.frontends.mxnet.lowering import DTYPES, Emit, Lower, native, plain, unknown
from flopwise.frontends.mxnet.symbol import Symbol
from flopwise.graph import Tensor

Operands = list[Tensor]

# Native spellings, without what tells scalars from tensors, to ours.
ELEMENTWISE = {
    **{name: name for name in (
        "relu", "sigmoid", "tanh", "exp", "log", "sqrt", "rsqrt", "abs", "square", "sin", "cos",
        "tan", "sinh", "cosh", "reciprocal", "expm1", "log1p", "erf", "sign", "round", "floor",
        "ceil", "trunc", "clip", "softsign", "hard_sigmoid", "where", "equal", "not_equal",
        "greater", "greater_equal", "mod", "log2", "softplus", "mish",
    )},
    "add": "add", "plus": "add", "add_n": "add", "elementwisesum": "add", "grad_add": "add",
    "sub": "sub", "minus": "sub", "rminus": "sub", "subtract": "sub", "rsubtract": "sub",
    "mul": "mul", "multiply": "mul", "div": "div", "rdiv": "div", "true_divide": "div",
    "rtrue_divide": "div", "div_sqrt_dim": "div", "rmod": "mod", "radians": "mul",
    "degrees": "mul", "rpower": "pow", "cbrt": "pow", "rcbrt": "pow", "log10": "log2",
    "maximum": "max", "minimum": "min", "negative": "neg", "absolute": "abs", "rint": "round",
    "fix": "trunc", "round_ste": "round", "sign_ste": "sign", "logistic": "sigmoid",
    "arcsin": "asin", "arccos": "acos", "arctan": "atan", "arcsinh": "asinh",
    "arccosh": "acosh", "arctanh": "atanh", "greaterequal": "greater_equal",
    "notequal": "not_equal", "lesser": "less", "less": "less", "lesser_equal": "less_equal",
    "less_equal": "less_equal", "lesserequal": "less_equal", "logical_not": "not",
    "logical_and": "and", "logical_or": "or", "logical_xor": "xor", "logicaland": "and",
    "logicalor": "or", "logicalxor": "xor",
}  # fmt: skip

POWERS = {2.0: "square", 0.5: "sqrt", -0.5: "rsqrt", -1.0: "reciprocal", 1.0: "identity"}


def elementwise(op: str) -> Lower:
    def lower(emit: Emit, s: Symbol, x: Operands) -> None:
        emit(op, *x)

    return lower


for _native, _ours in ELEMENTWISE.items():
    native(_native)(elementwise(_ours))


@native("power")
def power(emit: Emit, s: Symbol, x: Operands) -> None:
    """Of a constant exponent, what MXNet's users mean by it: a square, a root."""
    op = POWERS.get(s.number("scalar"), "pow") if len(x) == 1 else "pow"
    emit(op, *x)


@native("hypot")
def hypot(emit: Emit, s: Symbol, x: Operands) -> None:
    squares = [emit("square", t, part=f"square{i}") for i, t in enumerate(x)]
    emit("sqrt", emit("add", *squares, part="add"))


@native("cast", "amp_cast")
def cast(emit: Emit, s: Symbol, x: Operands) -> None:
    if s.text("dtype") in DTYPES:
        emit("cast", x[0], dtype=s.text("dtype"))
    else:
        unknown(emit.renamed(f"Cast ({s.text('dtype')})"), s, x)


@native(
    "identity", "copy", "makeloss", "make_loss", "identityattachklsparsereg", "crossdevicecopy",
    "identity_with_attr_like_rhs", "gradientmultiplier",
)  # fmt: skip
def identity(emit: Emit, s: Symbol, x: Operands) -> None:
    emit("identity", x[0])


REDUCTIONS = {
    "sum": "reduce_sum", "sum_axis": "reduce_sum", "nansum": "reduce_sum", "mean": "reduce_mean",
    "max": "reduce_max", "max_axis": "reduce_max", "min": "reduce_max", "min_axis": "reduce_max",
    "amax": "reduce_max", "amin": "reduce_max", "prod": "reduce_prod", "nanprod": "reduce_prod",
    "argmax": "argmax", "argmin": "argmax", "std": "reduce_std", "var": "reduce_var",
    "square_sum": "reduce_sum_square", "norm": "reduce_l2",
}  # fmt: skip


@native(*REDUCTIONS)
def reduction(emit: Emit, s: Symbol, x: Operands) -> None:
    """Finding a least element costs what finding a greatest does."""
    op = REDUCTIONS[plain(s.op)]
    if op == "reduce_l2" and s.integer("ord", 2) == 1:
        op = "reduce_l1"
    axes = s.integers("axis") or None
    attrs: dict[str, Any] = {"dtype": "float32"} if op == "argmax" else {}
    if s.flag("exclude"):
        attrs["exclude"] = True
    if axes is None and not s.flag("keepdims") and not s.op.startswith("_np"):
        attrs["pattern"] = "*_ -> 1"  # version 1 has no scalars
    emit(op, x[0], axes=axes, keep=s.flag("keepdims"), **attrs)


@native("argmax_channel")
def argmax_channel(emit: Emit, s: Symbol, x: Operands) -> None:
    emit("argmax", x[0], axes=(1,), keep=False, dtype="float32")


@native("topk")
def topk(emit: Emit, s: Symbol, x: Operands) -> None:
    kind, axis = s.text("ret_typ", "indices"), s.integer("axis", -1)
    if kind in ("indices", "value", "both"):
        emit("top_k", x[0], k=s.size("k", 1), axis=axis, outputs=2 if kind == "both" else 1)
    else:
        unknown(emit.renamed(f"topk ({kind})"), s, x)


@native("sort", "argsort")
def sort(emit: Emit, s: Symbol, x: Operands) -> None:
    if s.text("axis") == "None":
        emit("sort", emit("reshape", x[0], shape=(-1,), part="flatten"))
    else:
        emit("sort", x[0], axis=s.integer("axis", -1))


def product(left: Iterable[str], right: Iterable[str], s: Symbol, b: str) -> str:
    """The pattern of a product of matrices, either of them transposed."""
    first = " ".join(reversed([*left]) if s.flag("transpose_a") else left)
    second = " ".join(reversed([*right]) if s.flag("transpose_b") else right)
    return f"{b}{first}, {b}{second} -> {b}{' '.join(a for a in (*left, *right) if a != 'k')}"


@native("dot", least=2)
def dot(emit: Emit, s: Symbol, x: Operands) -> None:
    """The last axis of the left operand against the first of a matrix or a vector."""
    spelled = product(("*b", "k"), ("k", "n"), s, ""), product(("*b", "k"), ("k",), s, "")
    emit("matmul", *x[:2], pattern=" | ".join(spelled))


@native("batch_dot", "linalg_gemm2", least=2)
def batch_dot(emit: Emit, s: Symbol, x: Operands) -> None:
    pattern = product(("m", "k"), ("k", "n"), s, "*b ")
    if s.number("alpha", 1) == 1:
        emit("matmul", *x[:2], pattern=pattern)
    else:
        emit("mul", emit("matmul", *x[:2], pattern=pattern, part="product"))


@native("einsum")
def einsum(emit: Emit, s: Symbol, x: Operands) -> None:
    emit("einsum", *x, equation=s.text("subscripts"))


@native("linalg_gemm", least=3)
def gemm(emit: Emit, s: Symbol, x: Operands) -> None:
    pattern = product(("m", "k"), ("k", "n"), s, "*b ")
    y = emit("matmul", *x[:2], pattern=pattern, part="product")
    y = emit("mul", y, part="alpha") if s.number("alpha", 1) != 1 else y
    c = emit("mul", x[2], part="beta") if s.number("beta", 1) != 1 else x[2]
    emit("add", y, c)


@native("matmul", least=2)
def matmul(emit: Emit, s: Symbol, x: Operands) -> None:
    emit("matmul", *x[:2])


def heads_of(emit: Emit, s: Symbol, x: Tensor, parts: int) -> list[Tensor]:
    """[length, batch, heads x parts x d] to `parts` tensors [length, batch x heads, d]."""
    split = emit("reshape", x, shape=(0, 0, -4, s.size("heads"), -1), part="heads")
    merged = emit("reshape", split, shape=(0, -3, -4, parts, -1), part="parts")
    first = emit("split", merged, axis=2, squeeze=True, part="split", outputs=parts)
    made = emit.net.nodes[-1].outputs
    return [first, *made[1:]]


@native("interleaved_matmul_selfatt_qk")
def selfatt_scores(emit: Emit, s: Symbol, x: Operands) -> None:
    """Queries over the root of their length, times keys."""
    query, key, _ = heads_of(emit, s, x[0], 3)
    scaled = emit("div", query, part="scale")
    emit("matmul", scaled, key, pattern="m *b k, n *b k -> *b m n")


@native("interleaved_matmul_selfatt_valatt", least=2)
def selfatt_values(emit: Emit, s: Symbol, x: Operands) -> None:
    merge_heads(emit, s, heads_of(emit, s, x[0], 3)[2], x[1])


@native("interleaved_matmul_encdec_qk", least=2)
def encdec_scores(emit: Emit, s: Symbol, x: Operands) -> None:
    query = emit("reshape", x[0], shape=(0, 0, -4, s.size("heads"), -1), part="query")
    query = emit("reshape", query, shape=(0, -3, 0), part="queries")
    scaled = emit("div", query, part="scale")
    emit("matmul", scaled, heads_of(emit, s, x[1], 2)[0], pattern="m *b k, n *b k -> *b m n")


@native("interleaved_matmul_encdec_valatt", least=2)
def encdec_values(emit: Emit, s: Symbol, x: Operands) -> None:
    merge_heads(emit, s, heads_of(emit, s, x[0], 2)[1], x[1])


def merge_heads(emit: Emit, s: Symbol, value: Tensor, weights: Tensor) -> None:
    """Weighted values, the heads side by side again."""
    y = emit("matmul", weights, value, pattern="*b m k, k *b n -> m *b n", part="product")
    y = emit("reshape", y, shape=(0, -4, -1, s.size("heads"), 0), part="heads_apart")
    emit("reshape", y, shape=(0, 0, -3))
