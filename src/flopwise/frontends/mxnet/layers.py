"""Layers of neural networks: what has weights, pooling, normalisation, activation, loss."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from flopwise.frontends.mxnet.lowering import Emit, native, unknown
from flopwise.frontends.mxnet.symbol import MOST, Symbol
from flopwise.graph import Tensor

Operands = list[Tensor]


def last(s: Symbol) -> bool:
    """Whether the layout has channels last: NWC, NHWC, NDHWC."""
    return s.text("layout").endswith("C")


def window(s: Symbol) -> dict[str, Any]:
    """The attributes of a convolution in our words."""
    return {
        "f": s.size("num_filter"), "k": s.sizes("kernel") or s.size("kernel"),
        "groups": s.size("num_group", 1), "stride": s.sizes("stride", 1),
        "pad": s.sizes("pad", 0, least=0), "dilation": s.sizes("dilate", 1),
    }  # fmt: skip


@native("convolution", "convolution_v1", least=2, weights=(1, 2))
def convolution(emit: Emit, s: Symbol, x: Operands) -> None:
    attrs = window(s)
    if last(s):
        attrs["pattern"] = "n *x c, weight: f *k g, bias?: f -> n *y f"
    emit("conv", *x[:3], **attrs)


@native("deconvolution", least=2, weights=(1, 2))
def deconvolution(emit: Emit, s: Symbol, x: Operands) -> None:
    """`target_shape` states the output, from which MXNet then takes the padding."""
    attrs = window(s)
    attrs["output_pad"] = s.sizes("adj", 0, least=0)
    target = s.sizes("target_shape", None, least=0)
    if target and any(target):
        attrs["y"] = target
    if last(s):
        attrs["pattern"] = "n *x c, weight: c *k g, bias?: f -> n *y f"
    emit("conv_transpose", *x[:3], **attrs)


@native("deformableconvolution", least=3, weights=(2, 3))
def deformable(emit: Emit, s: Symbol, x: Operands) -> None:
    bias = x[3] if len(x) > 3 else None
    emit("deform_conv", x[0], x[2], bias, x[1], **window(s))


@native("modulateddeformableconvolution", least=4, weights=(3, 4))
def modulated(emit: Emit, s: Symbol, x: Operands) -> None:
    bias = x[4] if len(x) > 4 else None
    emit("deform_conv", x[0], x[3], bias, x[1], x[2], **window(s), modulated=1)


@native("fullyconnected", "fully_connected", least=2, weights=(1, 2))
def fully_connected(emit: Emit, s: Symbol, x: Operands) -> None:
    data = emit("flatten", x[0], part="flatten") if s.flag("flatten", True) else x[0]
    emit("linear", data, *x[1:3], o=s.size("num_hidden"))


@native("embedding", least=2, weights=(1,))
def embedding(emit: Emit, s: Symbol, x: Operands) -> None:
    emit("embedding", *x[:2], v=s.size("input_dim"), d=s.size("output_dim"))


@native("rnn", least=2, weights=(1,))
def rnn(emit: Emit, s: Symbol, x: Operands) -> None:
    """All layers and directions in one node, and all their parameters in one vector."""
    mode, both = s.text("mode"), s.flag("bidirectional")
    if mode not in ("rnn_relu", "rnn_tanh", "lstm", "gru"):
        unknown(emit, s, x)
        return
    weight = x[1] or Tensor(f"{s.name}_parameters", role="weight")
    cell = x[3] if mode == "lstm" and len(x) > 3 else None
    attrs: dict[str, Any] = {"activations": (mode[4:],)} if mode.startswith("rnn") else {}
    emit(
        mode.partition("_")[0], x[0], weight, x[2] if len(x) > 2 else None, cell,
        pattern="t n i, weight: w, h0?: s n p, c0?: s n h -> t n o, s n p, s n h",
        hidden=s.size("state_size"), layers=s.size("num_layers", most=MOST),
        directions=2 if both else 1, **attrs,
        projection=s.size("projection_size") if s.given("projection_size") else 0,
        outputs=(3 if mode == "lstm" else 2) if s.flag("state_outputs") else 1,
    )  # fmt: skip


@native("pooling", "pooling_v1")
def pooling(emit: Emit, s: Symbol, x: Operands) -> None:
    kind = s.text("pool_type", "max")
    if kind not in ("max", "avg", "sum", "lp"):
        unknown(emit.renamed(f"Pooling ({kind})"), s, x)
    elif s.flag("global_pool"):
        global_pooling(emit, s, x, kind)
    else:
        convention = s.text("pooling_convention", "valid")
        attrs: dict[str, Any] = {
            "k": s.sizes("kernel") or s.size("kernel"), "stride": s.sizes("stride", 1),
            "pad": "same" if convention == "same" else s.sizes("pad", 0, least=0),
            "ceil": "full" if convention == "full" else False,
        }  # fmt: skip
        attrs |= {"p": s.size("p_value", 2)} if kind == "lp" else {}
        if last(s):
            attrs["pattern"] = "n *x c -> n *y c"
        emit(f"{kind}_pool", x[0], **attrs)


def global_pooling(emit: Emit, s: Symbol, x: Operands, kind: str) -> None:
    reduce = {"max": "reduce_max", "avg": "reduce_mean", "sum": "reduce_sum"}
    if last(s) and kind in reduce:
        emit(reduce[kind], x[0], axes=tuple(range(1, len(s.text("layout")) - 1)))
    elif last(s) or kind == "sum":
        unknown(emit.renamed(f"Pooling (global {kind})"), s, x)
    else:
        attrs: dict[str, Any] = {"p": s.size("p_value", 2)} if kind == "lp" else {}
        emit(f"global_{kind}_pool", x[0], **attrs)


@native("adaptiveavgpooling2d")
def adaptive(emit: Emit, s: Symbol, x: Operands) -> None:
    emit("adaptive_avg_pool", x[0], size=s.sizes("output_size", 1, most=MOST))


@native(
    "batchnorm", "batchnorm_v1", "cudnnbatchnorm", "syncbatchnorm", "batchnormwithrelu",
    "batch_norm", least=3, weights=(1, 2), buffers=(3, 4),
)  # fmt: skip
def batch_norm(emit: Emit, s: Symbol, x: Operands) -> None:
    """Files before version 0.9 imply the statistics. A fixed gamma is stored, not learned."""
    axis = s.integer("axis", 1)
    if axis == 0 or axis < -1:
        unknown(emit.renamed(f"{s.op} of axis {axis}"), s, x)
        return
    gamma = replace(x[1], trainable=False) if s.flag("fix_gamma", True) else x[1]
    mean, variance = x[3:5] if len(x) > 4 else (moving(s, "mean"), moving(s, "var"))
    # Other axes than the second are the last, of NHWC and its kin.
    data, outputs = "n c *x" if axis == 1 else "n *x c", 3 if s.flag("output_mean_var") else 1
    results = ", ".join([data, "c", "c"][:outputs])
    pattern = f"{data}, mean: c, variance: c, weight?: c, bias?: c -> {results}"
    operands = x[0], mean, variance, gamma, x[2]
    if s.op.lower().endswith("withrelu"):
        emit("relu", emit("batch_norm", *operands, pattern=pattern, part="normalize"))
    else:
        emit("batch_norm", *operands, pattern=pattern, outputs=outputs)


def moving(s: Symbol, kind: str) -> Tensor:
    return Tensor(f"{s.name}_moving_{kind}", role="buffer", trainable=False)


@native("layernorm", "layer_norm", least=3, weights=(1, 2))
def layer_norm(emit: Emit, s: Symbol, x: Operands) -> None:
    axis = s.integer("axis", -1)
    if axis == -1:
        emit("layer_norm", *x[:3])
    else:
        unknown(emit.renamed(f"{s.op} of axis {axis}"), s, x)


@native("instancenorm", least=3, weights=(1, 2))
def instance_norm(emit: Emit, s: Symbol, x: Operands) -> None:
    emit("instance_norm", *x[:3])


@native("groupnorm", "group_norm", least=3, weights=(1, 2))
def group_norm(emit: Emit, s: Symbol, x: Operands) -> None:
    """Version 1 learns a factor per group, version 2 per channel."""
    groups = s.size("num_groups", 1)
    learned = "w" if x[1].known else groups if s.op == "GroupNorm" else "c"
    pattern = f"n c *x, weight?: {learned}, bias?: {learned} -> n c *x"
    emit("group_norm", *x[:3], groups=groups, pattern=pattern)


@native("l2normalization")
def l2_normalization(emit: Emit, s: Symbol, x: Operands) -> None:
    modes = {"instance": slice(1, None), "channel": (1,), "spatial": slice(2, None)}
    emit("l2_norm", x[0], axes=modes.get(s.text("mode", "instance"), slice(1, None)))


@native("lrn")
def lrn(emit: Emit, s: Symbol, x: Operands) -> None:
    emit("lrn", x[0], size=s.size("nsize"))


@native("activation")
def activation(emit: Emit, s: Symbol, x: Operands) -> None:
    kind = s.text("act_type")
    op = {"softrelu": "softplus", "log_sigmoid": "logsigmoid"}.get(kind, kind)
    if op in ("relu", "sigmoid", "tanh", "softplus", "softsign", "logsigmoid", "mish"):
        emit(op, x[0])
    else:
        unknown(emit.renamed(f"Activation ({kind})"), s, x)


@native("leakyrelu", "leaky_relu", weights=(1,))
def leaky_relu(emit: Emit, s: Symbol, x: Operands) -> None:
    """Of rrelu, the random slope is its mean when a network runs."""
    kind = s.text("act_type", "leaky")
    if kind == "prelu" and len(x) > 1:
        emit("prelu_channels", *x[:2])
    elif kind == "rrelu":
        emit("leaky_relu", x[0], pattern="*x -> *x, *x", outputs=emit.net.read[s.id] + 1)
    elif kind in ("leaky", "elu", "selu", "gelu"):
        emit("leaky_relu" if kind == "leaky" else kind, x[0])
    else:
        unknown(emit.renamed(f"LeakyReLU ({kind})"), s, x)


@native("softmax", "log_softmax")
def softmax(emit: Emit, s: Symbol, x: Operands) -> None:
    emit("log_softmax" if "log" in s.op else "softmax", x[0], axis=s.integer("axis", -1))


@native("softmin")
def softmin(emit: Emit, s: Symbol, x: Operands) -> None:
    emit("softmax", emit("neg", x[0], part="neg"), axis=s.integer("axis", -1))


@native("Softmax", "softmaxoutput", "softmaxactivation", unused=(1,))
def softmax_output(emit: Emit, s: Symbol, x: Operands) -> None:
    """Over all axes but the first, unless it is told to go along one."""
    if s.flag("multi_output") or s.text("mode") == "channel":
        emit("softmax", x[0], axis=1)
    elif s.flag("preserve_shape"):
        emit("softmax", x[0], axis=-1)
    else:
        emit("softmax", x[0], axis=1, onward=True)


@native("linearregressionoutput", "maeregressionoutput", "svmoutput", unused=(1,))
def same(emit: Emit, s: Symbol, x: Operands) -> None:
    """A loss that gives its operand back."""
    emit("identity", x[0])


@native("logisticregressionoutput", unused=(1,))
def logistic(emit: Emit, s: Symbol, x: Operands) -> None:
    emit("sigmoid", x[0])


@native("dropout")
def dropout(emit: Emit, s: Symbol, x: Operands) -> None:
    emit("dropout", x[0])


@native("blockgrad", "stop_gradient")
def block_gradient(emit: Emit, s: Symbol, x: Operands) -> None:
    emit("stop_gradient", x[0])
