"""Activations, merging, normalisation and attention of Keras."""

from __future__ import annotations

from typing import Any

from flopwise.frontends.keras.native import Native, activation, lowers, same_meaning

same_meaning(("Add",), "add")
same_meaning(("Subtract",), "sub")
same_meaning(("Multiply",), "mul")
same_meaning(("Maximum",), "max")
same_meaning(("Minimum",), "min")
same_meaning(("ELU",), "elu")
same_meaning(("LeakyReLU",), "leaky_relu")
same_meaning(("ThresholdedReLU",), "threshold")


@lowers("Activation")
def activate(n: Native) -> None:
    n.act(activation(n.config.get("activation")), n.inputs[0])


@lowers("ReLU")
def relu(n: Native) -> None:
    """With a slope, a limit, or both."""
    x, slope = n.inputs[0], n.config.get("negative_slope")
    slope = slope[0] if isinstance(slope, list) else slope
    if slope:
        n.emit("leaky_relu", x)
    else:
        n.emit("relu6" if n.config.get("max_value") is not None else "relu", x)


@lowers("Softmax")
def softmax(n: Native) -> None:
    axis = n.config.get("axis", -1)
    n.emit("softmax", n.inputs[0], axis=axis[0] if isinstance(axis, list) else axis)


@lowers("PReLU")
def prelu(n: Native) -> None:
    """A slope per element, but for the axes that share one: their sizes are the input's."""
    shared = n.config.get("shared_axes") or []
    if shared:
        axes = " ".join("1" if i in shared else "abcd"[i - 1] for i in range(1, max(shared) + 1))
        pattern = f"n {' '.join('abcd'[i] for i in range(max(shared)))} *z, weight: {axes} *z"
    else:
        pattern = "n *z, weight: *z"
    n.emit("prelu", n.inputs[0], n.weight("alpha"), pattern=f"{pattern} -> {pattern.split(',')[0]}")


@lowers("Average")
def average(n: Native) -> None:
    n.emit("mul", n.emit("add", *n.inputs, part="sum"))


@lowers("Concatenate")
def concat(n: Native) -> None:
    n.emit("concat", *n.inputs, axis=int(n.config.get("axis", -1)))


@lowers("Rescaling")
def rescaling(n: Native) -> None:
    """x scale + offset"""
    n.emit("add", n.emit("mul", n.inputs[0], part="scale"))


@lowers("BatchNormalization")
def batch_norm(n: Native) -> None:
    """Statistics are variables of the layer, which training does not learn."""
    axis = n.config.get("axis", -1)
    axis = axis[0] if isinstance(axis, list) else axis
    data = "n c *x" if axis == 1 else "n *x c"
    pattern = f"{data}, mean: c, variance: c, weight?: c, bias?: c -> {data}"
    statistics = [n.weight(k, trainable=False) for k in ("moving_mean", "moving_variance")]
    gamma, beta = n.optional("scale", "gamma"), n.optional("center", "beta")
    n.emit("batch_norm", n.inputs[0], *statistics, gamma, beta, pattern=pattern)


@lowers("Normalization")
def normalization(n: Native) -> None:
    """(x - mean) / deviation, which are found before training, or numbers in the configuration."""
    axis = n.config.get("axis", -1)
    axis = axis[0] if isinstance(axis, list) and len(axis) == 1 else axis
    if n.config.get("mean") is not None or n.flag("invert"):
        n.emit("div", n.emit("sub", n.inputs[0], part="centred"))
        return
    n.model.weights.append(n.weight("count", (), trainable=False))  # of samples; no call reads it
    if axis is None:
        mean, variance = (n.weight(k, (), trainable=False) for k in ("mean", "variance"))
        n.emit("div", n.emit("sub", n.inputs[0], mean, part="centred"), variance)
    elif axis in (-1, 1) or _rank(n) in (0, axis + 1):  # 0: taken for the last, as of batch norms
        data = "n c *x" if axis == 1 else "n *x c"
        pattern = f"{data}, mean: c, variance: c, weight?: c, bias?: c -> {data}"
        statistics = [n.weight(k, trainable=False) for k in ("mean", "variance")]
        n.emit("batch_norm", n.inputs[0], *statistics, None, None, pattern=pattern)
    else:
        n.unknown()


def _rank(n: Native) -> int:
    """How many axes the operand was built with; 0 where that is not told."""
    build = n.layer.get("build_config") or {}
    return len(build.get("input_shape") or n.inputs[0].shape or ())


@lowers("LayerScale")
def layer_scale(n: Native) -> None:
    """A factor per channel, as ConvNeXt has it."""
    pattern = "n *x c, weight?: c, bias?: c -> n *x c"
    n.emit("scale", n.inputs[0], n.weight("gamma"), None, pattern=pattern)


@lowers("RMSNormalization")
def rms_norm(n: Native) -> None:
    axis = n.config.get("axis", -1)
    if axis not in (-1, [-1]):
        n.unknown()
        return
    pattern = "*x, weight?: *w -> *x"
    n.emit("rms_norm", n.inputs[0], n.weight("scale"), axes=1, pattern=pattern)


@lowers("LayerNormalization")
def layer_norm(n: Native) -> None:
    axis = n.config.get("axis", -1)
    axes = axis if isinstance(axis, list) else [axis]
    gamma, beta = n.optional("scale", "gamma"), n.optional("center", "beta")
    if len(axes) > 1 and not all(a < 0 for a in axes):
        n.emit("layer_norm", n.inputs[0], gamma, beta, axis=min(axes))
    elif axes[0] < 0:
        n.emit("layer_norm", n.inputs[0], gamma, beta, axes=len(axes))
    else:
        n.emit("layer_norm", n.inputs[0], gamma, beta, axis=axes[0])


@lowers("GroupNormalization")
def group_norm(n: Native) -> None:
    data = "n c *x" if n.config.get("axis", -1) == 1 else "n *x c"
    pattern = f"{data}, weight?: c, bias?: c -> {data}"
    gamma, beta = n.optional("scale", "gamma"), n.optional("center", "beta")
    groups = int(n.config.get("groups", 32))
    n.emit("group_norm", n.inputs[0], gamma, beta, groups=groups, pattern=pattern)


@lowers("UnitNormalization")
def unit_norm(n: Native) -> None:
    axis = n.config.get("axis", -1)
    n.emit("l2_norm", n.inputs[0], axes=tuple(axis) if isinstance(axis, list) else (axis,))


@lowers("Embedding")
def embedding(n: Native) -> None:
    v, d = int(n.config["input_dim"]), int(n.config["output_dim"])
    n.emit("embedding", n.inputs[0], n.weight("embeddings"), v=v, d=d, dtype="float32")


@lowers("MultiHeadAttention")
def attention(n: Native) -> None:
    """Operands: queries, values, keys (the values unless given)."""
    heads, size = int(n.config["num_heads"]), int(n.config["key_dim"])
    width = n.config.get("value_dim") or size
    build: dict[str, Any] = n.layer.get("build_config") or {}
    shapes = build.get("shapes_dict") or {}
    shape = n.config.get("query_shape") or shapes.get("query_shape") or build.get("input_shape")
    out = n.config.get("output_shape")
    if not shape or isinstance(out, list) or len(n.inputs) not in (2, 3):
        n.unknown()  # how wide the result is, or which operand is a mask, is not told
        return
    query, value = n.inputs[:2]
    key = n.inputs[2] if len(n.inputs) > 2 else value
    pattern = "*n i, weight: i o, bias?: o -> *n o"
    parts = []
    for name, x, o in (("query", query, size), ("key", key, size), ("value", value, int(width))):
        weight, bias = n.weight("kernel", part=name), n.optional("use_bias", "bias", part=name)
        parts.append(n.emit("linear", x, weight, bias, part=name, pattern=pattern, o=heads * o))
    y = n.emit("multi_head_attention", *parts, part="attention", heads=heads)
    weight = n.weight("kernel", part="attention_output")
    bias = n.optional("use_bias", "bias", part="attention_output")
    n.emit("linear", y, weight, bias, pattern=pattern, o=int(out or shape[-1]))
