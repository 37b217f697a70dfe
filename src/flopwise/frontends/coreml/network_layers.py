"""Convolutions, products, pooling and normalisation of CoreML's neural networks."""

from __future__ import annotations

from typing import Any

from flopwise.frontends.coreml.network_native import Layer, lowers
from flopwise.graph import Tensor


def border(n: Layer) -> Any:
    """Padding that keeps the size, or amounts at the edges of height and width."""
    if "same" in n.p:
        return "same"
    if "last" in n.p:
        return tuple((a, a) for a in n.p["last"].get("amounts", ())) or 0
    edges = n.p.get("valid", {}).get("amounts", {}).get("edges", ())
    return tuple((e.get("start", 0), e.get("end", 0)) for e in edges) or 0


@lowers("convolution")
def convolution(n: Layer) -> None:
    k, f = n.integers("kernel", (3, 3)), n.integer("f")
    groups, shares = n.integer("groups", 1) or 1, n.integer("g")
    attrs: dict[str, Any] = {
        "stride": n.integers("stride", (1, 1)), "dilation": n.integers("dilation", (1, 1)),
        "pad": border(n), "groups": groups, "f": f,
    }  # fmt: skip
    bias = n.optional("bias", "biases", f)
    if len(n.inputs) > 1:  # computed weights
        n.emit("conv", n.inputs[0], n.inputs[1], bias, **attrs)
    elif n.integer("transposed"):
        weight = n.weight("weights", shares, f // groups, *k)
        if size := n.integers("output"):
            attrs |= {"y": size[-2:], "pad": 0}
        n.emit("conv_transpose", n.inputs[0], weight, bias, **attrs)
    else:
        weight = n.weight("weights", f, shares, *k)
        n.emit("conv", n.inputs[0], weight, bias, **attrs)


def _three(n: Layer, names: str, default: int) -> tuple[int, ...]:
    return tuple(n.integer(name, default) or default for name in names.split())


def _box(n: Layer) -> Any:
    """Mode 2 keeps the size, 1 has no padding, 0 says how much."""
    if n.integer("mode") == 2:
        return "same"
    pairs = (("front", "back"), ("top", "bottom"), ("left", "right"))
    return tuple((n.integer(a), n.integer(b)) for a, b in pairs) if n.integer("mode") == 0 else 0


@lowers("convolution3d")
def convolution_3d(n: Layer) -> None:
    k, f, c = _three(n, "kd kh kw", 3), n.integer("f"), n.integer("c")
    groups = n.integer("groups", 1) or 1
    attrs: dict[str, Any] = {
        "stride": _three(n, "sd sh sw", 1), "dilation": _three(n, "dd dh dw", 1), "pad": _box(n),
        "groups": groups, "f": f,
    }  # fmt: skip
    bias = n.optional("bias", "biases", f)
    if n.integer("transposed"):
        if size := n.integers("output"):
            attrs |= {"y": size[-3:], "pad": 0}
        weight = n.weight("weights", c, f // groups, *k)
        n.emit("conv_transpose", n.inputs[0], weight, bias, **attrs)
    else:
        n.emit("conv", n.inputs[0], n.weight("weights", f, c // groups, *k), bias, **attrs)


KINDS = ("max_pool", "avg_pool", "lp_pool")


@lowers("pooling")
def pooling(n: Layer) -> None:
    """With `last` a partial window at the end counts, as in Caffe."""
    op = KINDS[n.integer("kind")]
    if n.integer("whole"):
        n.emit(f"global_{op}", n.inputs[0])
        return
    ceil = "last" in n.p
    k, stride = n.integers("kernel", (3, 3)), n.integers("stride", (1, 1))
    n.emit(op, n.inputs[0], k=k, stride=stride, pad=border(n), ceil=ceil)


@lowers("pooling3d")
def pooling_3d(n: Layer) -> None:
    k, stride = _three(n, "kd kh kw", 1), _three(n, "sd sh sw", 1)
    n.emit(KINDS[n.integer("kind")], n.inputs[0], k=k, stride=stride, pad=_box(n))


@lowers("globalPooling3d")
def global_pooling_3d(n: Layer) -> None:
    n.emit(f"global_{KINDS[n.integer('kind')]}", n.inputs[0])


@lowers("innerProduct")
def inner_product(n: Layer) -> None:
    """Of blobs of four axes all but the first are joined."""
    i, o = n.integer("i"), n.integer("o")
    weight, bias = n.weight("weights", o, i), n.optional("bias", "biases", o)
    if n.rank < 4:
        n.emit("linear", n.inputs[0], weight, bias)
        return
    flat = n.emit("flatten", n.inputs[0], part="flatten", axis=1)
    y = n.emit("linear", flat, weight, bias, part="product")
    n.emit("unsqueeze", y, axes=[2, 3])


@lowers("batchedMatmul")
def batched_matmul(n: Layer) -> None:
    """Of two blobs, or of a blob and a stored matrix."""
    if len(n.inputs) > 1:
        a = "k m" if n.integer("transposeA") else "m k"
        b = "n k" if n.integer("transposeB") else "k n"
        rank = max(n.ranks)
        n.emit("matmul", *n.inputs, pattern=f"*p {a}, *q {b} -> *b m n", rank=rank)
        return
    weight = n.weight("weights", n.integer("rows"), n.integer("columns"))
    bias = n.optional("bias", "biases", n.integer("columns"))
    pattern = "*n i, weight: i o, bias?: o -> *n o"
    n.emit("linear", n.inputs[0], weight, bias, pattern=pattern)


@lowers("embedding", "embeddingND")
def embedding(n: Layer) -> None:
    """Places lie on a last axis of one; in the older layer on the channels."""
    v, d = n.integer("v"), n.integer("d")
    weight, bias = n.weight("weights", v, d), n.optional("bias", "biases", d)
    older = n.kind == "embedding" and n.rank > 2
    axes = [-1, -2, -3] if older else [-1]
    places = n.emit("squeeze", n.inputs[0], part="places", axes=axes)
    rows = n.emit("embedding", places, weight, part="rows", v=v, d=d, dtype="float32")
    rows = n.emit("add", rows, bias, part="bias") if bias is not None else rows
    if older:
        n.emit("unsqueeze", rows, axes=[2, 3])
    else:
        n.emit("identity", rows)


@lowers("batchnorm")
def batch_norm(n: Layer) -> None:
    """With stored statistics, or those of the image or of the batch."""
    c, x = n.integer("c"), n.inputs[0]
    gamma, beta = n.weight("gamma", c), n.weight("beta", c)
    if n.integer("instance"):
        n.emit("instance_norm", x, gamma, beta)
    elif n.integer("compute"):
        n.emit("batch_norm_train", x, gamma, beta)
    else:
        statistics = [n.weight(k, c, trainable=False) for k in ("mean", "variance")]
        n.emit("batch_norm", x, *statistics, gamma, beta)


@lowers("mvn")
def mvn(n: Layer) -> None:
    axes = (-3, -2, -1) if n.integer("across") else (-2, -1)
    variance = bool(n.integer("variance"))
    n.emit("mean_variance_norm", n.inputs[0], axes=axes, variance=variance)


@lowers("layerNormalization")
def layer_norm(n: Layer) -> None:
    shape = n.integers("shape")
    gamma, beta = n.weight("gamma", *shape), n.weight("beta", *shape)
    n.emit("layer_norm", n.inputs[0], gamma, beta, axes=len(shape))


@lowers("l2normalize")
def l2_normalize(n: Layer) -> None:
    n.emit("l2_norm", n.inputs[0], axes=(-3, -2, -1) if n.rank > 2 else (-1,))


@lowers("lrn")
def lrn(n: Layer) -> None:
    n.emit("lrn", n.inputs[0], size=n.integer("size", 1))


@lowers("softmax")
def softmax(n: Layer) -> None:
    """Over channels."""
    n.emit("softmax", n.inputs[0], axis=-3 if n.rank > 2 else -1)


@lowers("softmaxND")
def softmax_nd(n: Layer) -> None:
    n.emit("softmax", n.inputs[0], axis=n.integer("axis"))


@lowers("custom")
def custom(n: Layer) -> None:
    """A layer of somebody's own class: told, with the weights that it stores."""
    stored: list[Tensor] = []
    for i, weights in enumerate(n.p.get("weights", ())):
        for kind, width, dtype in (("floats", 4, "float32"), ("halves", 2, "float16")):
            held = sum(stop - start for start, stop in weights.get(kind, ())) // width
            if held:
                stored.append(Tensor(f"{n.name}.weights{i}", (held,), dtype, "weight"))
    n.origin = f"custom layer {n.p.get('class', '')}".strip()
    n.emit("unknown", *n.inputs, *stored)
