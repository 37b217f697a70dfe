"""Normalisation, softmax and losses of ai.onnx."""

from __future__ import annotations

from flopwise.frontends.onnx.native import Native, lowers, same_meaning

same_meaning({"InstanceNormalization": "instance_norm"})


@lowers("BatchNormalization")
def batch_norm(n: Native) -> None:
    """Version 14 says `training_mode`; before it, outputs beyond the first did, and before
    version 7 `is_test`."""
    x, weight, bias, mean, variance = (n.given(i) for i in range(5))
    if n.version < 7:
        training = not n.integer("is_test")
    else:
        training = bool(n.integer("training_mode")) or (n.version < 14 and len(n.outputs) > 1)
    if training:
        n.emit("batch_norm_train", x, weight, bias)
    else:
        n.emit("batch_norm", x, mean, variance, weight, bias, outputs=n.outputs[:1])


@lowers("LayerNormalization")
def layer_norm(n: Native) -> None:
    n.emit("layer_norm", *n.inputs, axis=n.integer("axis", -1))


@lowers("RMSNormalization", "SimplifiedLayerNormalization")
def rms_norm(n: Native) -> None:
    n.emit("rms_norm", *n.inputs, axis=n.integer("axis", -1))


@lowers("GroupNormalization")
def group_norm(n: Native) -> None:
    n.emit("group_norm", *n.inputs, groups=n.integer("num_groups"))


@lowers("MeanVarianceNormalization")
def mean_variance_norm(n: Native) -> None:
    n.emit("mean_variance_norm", n.given(0), axes=n.integers("axes") or (0, 2, 3))


@lowers("LpNormalization")
def lp_norm(n: Native) -> None:
    """By the sum of magnitudes (p = 1) or the root of the sum of squares."""
    axis = n.integer("axis", -1)
    if n.integer("p", 2) == 2:
        n.emit("l2_norm", n.given(0), axes=(axis,))
    else:
        total = n.emit("reduce_l1", n.given(0), part="norm", axes=(axis,), keep=True)
        n.emit("div", n.given(0), total)


@lowers("LRN")
def lrn(n: Native) -> None:
    n.emit("lrn", n.given(0), size=n.integer("size"))


@lowers("Softmax", "LogSoftmax")
def softmax(n: Native) -> None:
    """Before version 13, over all axes from `axis` on at once."""
    op = {"Softmax": "softmax", "LogSoftmax": "log_softmax"}[n.op]
    if n.version < 13:
        n.emit(op, n.given(0), axis=n.integer("axis", 1), onward=True)
    else:
        n.emit(op, n.given(0), axis=n.integer("axis", -1))


@lowers("Hardmax")
def hardmax(n: Native) -> None:
    """One for the first of the greatest, zero for the rest."""
    old = n.version < 13
    n.emit("hardmax", n.given(0), axis=n.integer("axis", 1 if old else -1), onward=old or None)


@lowers("NegativeLogLikelihoodLoss")
def nll_loss(n: Native) -> None:
    n.emit("nll_loss", *n.inputs, reduction=n.text("reduction", "mean"))


@lowers("SoftmaxCrossEntropyLoss")
def cross_entropy(n: Native) -> None:
    """The logarithms of probabilities are an output where one is asked for."""
    scores, target, weight = n.given(0), n.given(1), n.input(2)
    if len(n.outputs) > 1 and n.outputs[1]:
        logs = n.emit("log_softmax", scores, outputs=n.outputs[1:], axis=1)
    else:
        logs = n.emit("log_softmax", scores, part="log_softmax", axis=1)
    reduction = n.text("reduction", "mean")
    n.emit("nll_loss", logs, target, weight, outputs=n.outputs[:1], reduction=reduction)
