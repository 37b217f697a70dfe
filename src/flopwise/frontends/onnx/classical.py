"""ai.onnx.ml: linear models, support vectors, trees, and the features they are fed."""

from __future__ import annotations

from functools import partial
from typing import Any

from flopwise.dims import prod
from flopwise.errors import UnreadableModel
from flopwise.frontends.onnx.native import Native, lowers, same_meaning
from flopwise.graph import Tensor

DOMAIN = "ai.onnx.ml"
classical = partial(lowers, domain=DOMAIN)

same_meaning({"ZipMap": "identity", "Imputer": "impute"}, domain=DOMAIN)

LABELS = ("classlabels_strings", "classlabels_int64s", "classlabels_ints")


def stored(n: Native, name: str, *shape: int) -> Tensor:
    """Learned numbers that lie in an attribute."""
    return Tensor(n.block.model.unique(f"{n.name}.{name}"), shape, "float32", "weight")


def length(n: Native, *names: str) -> int:
    """How many entries the first of some list attributes has that is there; 0 for none."""
    for name in names:
        if name in n.attrs:
            kinds = ("floats", "ints", "strings")
            listed = next((n.attrs[name][k] for k in kinds if k in n.attrs[name]), None)
            if listed is not None:
                return len(listed)
            tensor = n.tensor(name)
            return 0 if tensor is None else prod(tensor.sizes)
    return 0


@classical("LabelEncoder", "CategoryMapper")
def look_up(n: Native) -> None:
    """Each element replaced by what a table holds for it."""
    values = {"values_strings": "string", "values_floats": "float32", "cats_strings": "int64"}
    tensor = n.tensor("values_tensor")
    dtype = (
        tensor.dtype if tensor else next((d for k, d in values.items() if k in n.attrs), "int64")
    )
    n.emit("copy", n.given(0), dtype=dtype)


@classical("CastMap")
def cast_map(n: Native) -> None:
    names = {"TO_FLOAT": "float32", "TO_INT64": "int64", "TO_STRING": "string"}
    n.emit("copy", n.given(0), dtype=names.get(n.text("cast_to"), "float32"))


@classical("DictVectorizer")
def dict_vectorizer(n: Native) -> None:
    """A vector with a place for every word of the vocabulary."""
    size = length(n, "string_vocabulary", "int64_vocabulary")
    n.emit("constant_of_shape", shape=(1, size), dtype="float32")


@classical("ArrayFeatureExtractor")
def extractor(n: Native) -> None:
    """Some columns of the last axis."""
    columns = n.emit("reshape", n.given(1), part="columns", shape=(-1,))
    n.emit("gather", n.given(0), columns, axis=-1)


@classical("FeatureVectorizer")
def vectorizer(n: Native) -> None:
    n.emit("concat", *n.inputs, axis=-1)


@classical("OneHotEncoder")
def one_hot(n: Native) -> None:
    depth = length(n, "cats_strings", "cats_int64s")
    n.emit("one_hot", n.given(0), depth=depth, dtype="float32")


@classical("Binarizer")
def binarizer(n: Native) -> None:
    """1 above a threshold, 0 below."""
    n.emit("less", n.given(0), dtype_like=0)


@classical("Scaler")
def scaler(n: Native) -> None:
    """(x - offset) scale, per column."""
    offset = stored(n, "offset", length(n, "offset"))
    scale = stored(n, "scale", length(n, "scale"))
    n.emit("mul", n.emit("sub", n.given(0), offset, part="offset", dtype="float32"), scale)


@classical("Normalizer")
def normalizer(n: Native) -> None:
    """Rows by their greatest magnitude, the sum of magnitudes, or the root of squares."""
    norm = n.text("norm", "MAX")
    if norm == "L2":
        n.emit("l2_norm", n.given(0), axes=(-1,), dtype="float32")
        return
    x = n.given(0) if norm == "L1" else n.emit("abs", n.given(0), part="abs")
    op = "reduce_l1" if norm == "L1" else "reduce_max"
    n.emit("div", n.given(0), n.emit(op, x, part="norm", axes=(-1,), keep=True), dtype="float32")


TRANSFORMS = {"SOFTMAX": "softmax", "SOFTMAX_ZERO": "softmax", "LOGISTIC": "sigmoid",
              "PROBIT": "erf"}  # fmt: skip


def decide(n: Native, scores: Tensor) -> None:
    """The class of the best score, and the scores through the transform that is asked for."""
    dtype = "string" if length(n, "classlabels_strings") else "int64"
    n.emit("argmax", scores, outputs=n.outputs[:1], axes=(-1,), keep=False, dtype=dtype)
    if len(n.outputs) > 1:
        transformed(n, scores, n.outputs[1:2])


def transformed(n: Native, scores: Tensor, outputs: list[str]) -> None:
    n.emit(TRANSFORMS.get(n.text("post_transform"), "identity"), scores, outputs=outputs)


def linear(n: Native, targets: int) -> Tensor:
    """Coefficients and intercepts of so many targets, applied to the rows."""
    size = length(n, "coefficients")
    if targets < 1 or size % targets:
        raise UnreadableModel(f"{size} coefficients for {targets} targets")
    weight = stored(n, "coefficients", targets, size // targets)
    bias = stored(n, "intercepts", targets) if length(n, "intercepts") else None
    return n.emit("linear", n.given(0), weight, bias, part="scores", dtype="float32")


@classical("LinearRegressor")
def linear_regressor(n: Native) -> None:
    transformed(n, linear(n, n.integer("targets", 1)), n.outputs)


@classical("LinearClassifier")
def linear_classifier(n: Native) -> None:
    decide(n, linear(n, length(n, "intercepts") or length(n, *LABELS)))


def kernels(n: Native, vectors: int) -> Tensor:
    """The likeness of each row to each support vector."""
    size, kind = length(n, "support_vectors"), n.text("kernel_type", "LINEAR").lower()
    if vectors < 1 or size % vectors:
        raise UnreadableModel(f"{size} numbers for {vectors} support vectors")
    held = stored(n, "support_vectors", vectors, size // vectors)
    return n.emit("kernel", n.given(0), held, part="kernel", kind=kind, dtype="float32")


@classical("SVMRegressor")
def svm_regressor(n: Native) -> None:
    """Without support vectors, a linear model."""
    vectors = n.integer("n_supports")
    if not vectors:
        transformed(n, linear(n, 1), n.outputs)
        return
    weight, bias = stored(n, "coefficients", 1, vectors), stored(n, "rho", 1)
    scores = n.emit("linear", kernels(n, vectors), weight, bias, part="scores")
    transformed(n, scores, n.outputs)


@classical("SVMClassifier")
def svm_classifier(n: Native) -> None:
    """Between every pair of classes a machine decides, with the vectors of both."""
    classes, held = length(n, *LABELS), n.integers("vectors_per_class") or ()
    if not held:
        decide(n, linear(n, classes))
        return
    vectors, pairs = sum(held), max(classes * (classes - 1) // 2, 1)
    weight = stored(n, "coefficients", max(classes - 1, 1), vectors)
    rho = stored(n, "rho", pairs)
    scores = n.emit("pair_scores", kernels(n, vectors), weight, rho, part="scores", pairs=pairs)
    if length(n, "prob_a"):
        scores = n.emit("sigmoid", scores, part="probability")
    decide(n, n.emit("vote", scores, part="vote", size=classes))


@classical("TreeEnsembleRegressor")
def tree_regressor(n: Native) -> None:
    targets = n.integer("n_targets", 1)
    y = forest(n, targets, ("target_weights", "target_weights_as_tensor"))
    transformed(n, y, n.outputs)


@classical("TreeEnsembleClassifier")
def tree_classifier(n: Native) -> None:
    names = ("class_weights", "class_weights_as_tensor")
    decide(n, forest(n, length(n, *LABELS), names))


def forest(n: Native, targets: int, weights: tuple[str, ...]) -> Tensor:
    ids = [n.integers(f"nodes_{k}") or () for k in ("treeids", "nodeids", "truenodeids",
                                                     "falsenodeids")]  # fmt: skip
    leaves = [mode == "LEAF" for mode in n.texts("nodes_modes")]
    children = {
        (tree, node): [(tree, yes), (tree, no)]
        for tree, node, yes, no, leaf in zip(*ids, leaves) if not leaf
    }  # fmt: skip
    below = {child for pair in children.values() for child in pair}
    nodes = set(zip(ids[0], ids[1]))
    roots = sorted(nodes - below)
    return grown(n, depths(roots, children, len(nodes)), targets, length(n, *weights))


@classical("TreeEnsemble")
def tree_ensemble(n: Native) -> None:
    """Version 5 keeps leaves apart from nodes."""
    yes, no = n.integers("nodes_truenodeids") or (), n.integers("nodes_falsenodeids") or ()
    leaf_yes, leaf_no = n.integers("nodes_trueleafs") or (), n.integers("nodes_falseleafs") or ()
    children: dict[Any, list[Any]] = {
        i: [("leaf", a) if x else a, ("leaf", b) if y else b]
        for i, (a, b, x, y) in enumerate(zip(yes, no, leaf_yes, leaf_no))
    }
    roots = [*(n.integers("tree_roots") or ())]
    many = len(children) + length(n, "leaf_weights")
    y = grown(
        n, depths(roots, children, many), n.integer("n_targets", 1), length(n, "leaf_weights")
    )
    transformed(n, y, n.outputs)


def grown(n: Native, deep: list[int], targets: int, leaves: int) -> Tensor:
    """The node of all trees, whose depths are given."""
    joined = n.text("aggregate_function", "SUM")
    joined = {"AVERAGE": "mean", "MIN": "min", "MAX": "max", 0: "mean"}.get(joined, "sum")
    splits = length(n, "nodes_values", "nodes_values_as_tensor", "nodes_splits")
    operands = n.given(0), stored(n, "thresholds", splits), stored(n, "leaves", leaves)
    return n.emit(
        "trees", *operands, part="trees", depth=sum(deep), count=len(deep), size=targets,
        joined=joined, dtype="float32",
    )  # fmt: skip


def depths(roots: list[Any], children: dict[Any, list[Any]], nodes: int) -> list[int]:
    """The longest way down each tree. Raises UnreadableModel when one leads back up."""
    found = []
    for root in roots:
        level, depth, seen = [root], 0, 0
        while level := [c for node in level for c in children.get(node, ())]:
            depth, seen = depth + 1, seen + len(level)
            if seen > nodes:
                raise UnreadableModel("one of its trees leads back to where it was")
        found.append(depth)
    return found
