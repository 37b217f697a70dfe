"""Caffe networks: prototxt text of either generation, and of the well-known forks."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from flopwise.errors import UnreadableModel
from flopwise.frontends import DEEPEST, Request, read_text
from flopwise.graph import Graph, Node, Tensor

SUFFIXES = (".prototxt", ".pt.txt")
Message = dict[str, list[Any]]

_TOKEN = re.compile(
    r"""\s*(?:\#[^\n]*\s*)*(?:(?P<mark>[{}<>:;,\[\]])|(?P<text>"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*')"""
    r"""|(?P<word>[^\s{}<>:;,\[\]"'\#]+))"""
)


def accepts(source: Any, head: bytes) -> bool:
    """Text that opens a layer or names an input."""
    return isinstance(source, Path) and bool(
        re.search(rb"(?m)^\s*(layers?\s*:?\s*\{|input_dim\s*:)", head)
    )


def load(source: Path, request: Request) -> Graph:
    """Lower a deploy or train_val prototxt; train_val is read in the TEST phase."""
    message = parse(read_text(source), str(source))
    return _Net(message, str(source), request.options.get("phase", "TEST")).graph(source.stem)


def parse(text: str, where: str) -> Message:
    """Protobuf text to nested dicts of lists. Raises UnreadableModel with the line."""
    root: Message = {}
    stack, key, place = [root], "", 0
    for kind, token, place in _tokens(text, where):
        if kind == "word" and not key:
            key = token
        elif token in ("{", "<") and key:
            child: Message = {}
            stack[-1].setdefault(key, []).append(child)
            stack.append(child)
            key = ""
            if len(stack) > DEEPEST:
                raise UnreadableModel(
                    f"{where}:{_line(text, place)}: nested more than {DEEPEST} deep"
                )
        elif token in ("}", ">") and len(stack) > 1 and not key:
            stack.pop()
        elif kind != "mark" and key:
            stack[-1].setdefault(key, []).append(token)
            key = ""
        elif token not in (":", ",", ";", "[", "]") or (token == ":" and not key):
            raise UnreadableModel(f"{where}:{_line(text, place)}: '{token}' is out of place")
    if len(stack) > 1 or key:
        raise UnreadableModel(f"{where}: the file ends inside a brace; a '}}' is missing")
    return root


def _tokens(text: str, where: str) -> Iterator[tuple[str, str, int]]:
    place, end = 0, len(text.rstrip())
    while place < end:
        match = _TOKEN.match(text, place)
        if match is None or match.lastgroup is None:
            if text[place:].lstrip().startswith("#"):
                return
            raise UnreadableModel(f"{where}:{_line(text, place)}: not protobuf text")
        token = match.group(match.lastgroup)
        place = match.end()
        kind = match.lastgroup
        yield kind, token[1:-1] if kind == "text" else token, place


def _line(text: str, place: int) -> int:
    return text.count("\n", 0, place) + 1


class Layer:
    """One layer message: its fields, and its parameters under their usual defaults."""

    def __init__(self, message: Message) -> None:
        self.message = message
        self.name = str(message.get("name", [""])[0])
        self.type = _modern(str(message.get("type", [""])[0]))
        self.bottoms = [str(b) for b in message.get("bottom", [])]
        self.tops = [str(t) for t in message.get("top", [])]

    def sub(self, name: str) -> Layer:
        """The fields of a parameter message, such as convolution_param."""
        found = self.message.get(name, [{}])[0]
        return Layer(found if isinstance(found, dict) else {})

    def all(self, key: str) -> list[Any]:
        return self.message.get(key, [])

    def text(self, key: str, default: str = "") -> str:
        return str(self.message.get(key, [default])[-1])

    def number(self, key: str, default: int | None = None) -> int:
        values = self.message.get(key)
        if values is None:
            if default is None:
                raise UnreadableModel(f"{key} is missing")
            return default
        return _int(values[-1], key)

    def ints(self, key: str) -> list[int]:
        return [_int(v, key) for v in self.message.get(key, [])]

    def flag(self, key: str, default: bool) -> bool:
        return self.text(key, str(default)).lower() in ("true", "1")


def _int(value: Any, key: str) -> int:
    try:
        return int(value)
    except (TypeError, ValueError):
        raise UnreadableModel(f"{key} is '{value}', not a whole number") from None


def _modern(kind: str) -> str:
    """The layer type in the spelling of today: INNER_PRODUCT is InnerProduct."""
    return _OLD_TYPES.get(kind, kind)


_OLD_TYPES = {
    "CONVOLUTION": "Convolution", "INNER_PRODUCT": "InnerProduct", "POOLING": "Pooling",
    "RELU": "ReLU", "DROPOUT": "Dropout", "SOFTMAX": "Softmax", "SOFTMAX_LOSS": "SoftmaxWithLoss",
    "LRN": "LRN", "CONCAT": "Concat", "ELTWISE": "Eltwise", "FLATTEN": "Flatten", "SPLIT": "Split",
    "SLICE": "Slice", "SIGMOID": "Sigmoid", "TANH": "TanH", "POWER": "Power", "ABSVAL": "AbsVal",
    "BNLL": "BNLL", "DECONVOLUTION": "Deconvolution", "DATA": "Data", "IMAGE_DATA": "ImageData",
    "MEMORY_DATA": "MemoryData", "HDF5_DATA": "HDF5Data", "WINDOW_DATA": "WindowData",
    "DUMMY_DATA": "DummyData", "ACCURACY": "Accuracy", "ARGMAX": "ArgMax", "EXP": "Exp",
    "MVN": "MVN", "SILENCE": "Silence", "THRESHOLD": "Threshold", "IM2COL": "Im2col",
    "EUCLIDEAN_LOSS": "EuclideanLoss", "HINGE_LOSS": "HingeLoss", "INFOGAIN_LOSS": "InfogainLoss",
    "MULTINOMIAL_LOGISTIC_LOSS": "MultinomialLogisticLoss", "CONTRASTIVE_LOSS": "ContrastiveLoss",
    "SIGMOID_CROSS_ENTROPY_LOSS": "SigmoidCrossEntropyLoss", "HDF5_OUTPUT": "HDF5Output",
}  # fmt: skip


class _Net:
    """Layers in file order to nodes; a top that is written again gets a new tensor."""

    def __init__(self, message: Message, where: str, phase: str) -> None:
        self.message, self.where, self.phase = message, where, phase
        self.blobs: dict[str, Tensor] = {}
        self.used: set[str] = set()
        self.inputs: list[Tensor] = []
        self.nodes: list[Node] = []
        self.names: set[str] = set()

    def graph(self, stem: str) -> Graph:
        top = Layer(self.message)
        self._declared(top)
        layers = [Layer(m) for m in top.all("layer") + top.all("layers") if isinstance(m, dict)]
        if not layers:
            raise UnreadableModel(f"{self.where}: holds no layer")
        tops = {t for layer in layers for t in layer.tops}
        for layer in filter(self._included, layers):
            try:
                self._lower(layer, tops)
            except UnreadableModel as error:
                place = (
                    ""
                    if str(error).startswith(self.where)
                    else f"{self.where}: layer '{layer.name}': "
                )
                raise UnreadableModel(f"{place}{error}") from None
        outputs = tuple(t for t in self.blobs.values() if t.name not in self.used)
        labels = {t.name for t in outputs}
        inputs = tuple(t for t in self.inputs if t.name not in labels or t.name != "label")
        inputs = tuple(t for t in inputs if t.name in self.used)
        return Graph(inputs, outputs, tuple(self.nodes), top.text("name", stem), "caffe")

    def _declared(self, top: Layer) -> None:
        """Inputs stated at the top of the file: `input` with `input_dim` or `input_shape`."""
        dims = top.ints("input_dim")
        shapes = [tuple(Layer(s).ints("dim")) for s in top.all("input_shape")]
        for i, name in enumerate(top.all("input")):
            shape = tuple(dims[4 * i : 4 * i + 4]) or (shapes[i] if i < len(shapes) else None)
            self.input(str(name), shape)

    def _included(self, layer: Layer) -> bool:
        rules = layer.all("include"), layer.all("exclude")
        include, exclude = ([self._matches(Layer(r)) for r in side] for side in rules)
        return any(include) if include else not any(exclude)

    def _matches(self, rule: Layer) -> bool:
        return rule.text("phase", self.phase) == self.phase and not rule.all("stage")

    def input(self, name: str, shape: tuple[int | None, ...] | None) -> None:
        for size in shape or ():
            if size is not None and not 0 < size < 10**9:
                raise UnreadableModel(
                    f"input '{name}': size {size} is not between 1 and 999,999,999"
                )
        tensor = Tensor(name, shape, role="input")
        self.inputs.append(tensor)
        self.blobs[name] = tensor

    def _lower(self, layer: Layer, tops: set[str]) -> None:
        if layer.type in DATA:
            for name, shape in DATA[layer.type](layer):
                self.input(name, shape)
            return
        for bottom in layer.bottoms:
            if bottom not in self.blobs:
                later = (
                    "is made only by a later layer (a cycle?)"
                    if bottom in tops
                    else "is made by no layer"
                )
                raise UnreadableModel(f"its bottom '{bottom}' {later}")
        x = [self.blobs[b] for b in layer.bottoms]
        lower = LAYERS.get(layer.type, unknown)
        lower(Emit(self, layer), layer, x)


class Emit:
    """Writes the nodes of one layer."""

    def __init__(self, net: _Net, layer: Layer) -> None:
        self.net, self.layer = net, layer
        self.blobs = 0

    def __call__(
        self, op: str, *inputs: Tensor | None, part: str = "", tops: int = 1, **attrs: Any
    ) -> Tensor:
        """One node; the last one of a layer writes the layer's tops."""
        layer = self.layer
        outputs = [self._output(layer.name + "/" + part)] if part else self._tops(tops)
        name = layer.name + (f"/{part}" if part else "")
        self.net.used.update(t.name for t in inputs if t is not None)
        scope = tuple(filter(None, name.split("/")))
        origin = f"{layer.type} layer"
        self.net.nodes.append(Node(op, inputs, tuple(outputs), attrs, name, scope, origin))
        return outputs[0]

    def _tops(self, count: int) -> list[Tensor]:
        tops = self.layer.tops or [self.layer.name]
        outputs = [self._output(t) for t in (tops if count == 0 else tops[:count])]
        self.net.blobs.update(zip(tops, outputs))
        return outputs

    def _output(self, name: str) -> Tensor:
        unique = name if name not in self.net.names else f"{name}@{self.layer.name}"
        while unique in self.net.names:
            unique += "'"
        self.net.names.add(unique)
        return Tensor(unique)

    def weight(self, kind: str, shape: Any = None, trainable: bool = True) -> Tensor:
        """The next parameter blob; layers that name the same param share it."""
        params = self.layer.all("param")
        spec = params[self.blobs] if self.blobs < len(params) else {}
        shared = Layer(spec).text("name") if isinstance(spec, dict) else str(spec)
        self.blobs += 1
        return Tensor(
            shared or f"{self.layer.name}.{kind}", shape, role="weight", trainable=trainable
        )


def unknown(emit: Emit, layer: Layer, x: list[Tensor]) -> None:
    """A layer that we have no meaning for: listed, never silently nothing."""
    module = layer.sub("python_param").text("layer")
    emit.layer.type = f"{layer.type} ({module})" if module else layer.type
    emit("unknown", *x, tops=0)


def _spatial(p: Layer, key: str, default: int) -> Any:
    """kernel_size, stride, pad: repeated, or apart as kernel_h and kernel_w."""
    stem = {"kernel_size": "kernel"}.get(key, key)
    if p.all(f"{stem}_h") or p.all(f"{stem}_w"):
        return (p.number(f"{stem}_h", default), p.number(f"{stem}_w", default))
    sizes = p.ints(key) or [default]
    return sizes[0] if len(sizes) == 1 else tuple(sizes)


def convolution(emit: Emit, layer: Layer, x: list[Tensor]) -> None:
    p = layer.sub("convolution_param")
    if not p.all("kernel_size") and not p.all("kernel_h"):
        raise UnreadableModel("kernel_size is missing")
    deep = layer.type in ("DepthwiseConvolution", "ConvolutionDepthwise")
    f = p.number("num_output")
    attrs = {
        "f": f, "k": _spatial(p, "kernel_size", 1), "groups": f if deep else p.number("group", 1),
        "stride": _spatial(p, "stride", 1), "pad": _spatial(p, "pad", 0),
        "dilation": _spatial(p, "dilation", 1),
    }  # fmt: skip
    _positive(attrs)
    weight = emit.weight("weight")
    bias = emit.weight("bias") if p.flag("bias_term", True) else None
    for bottom, top in zip(x, layer.tops):
        emit.layer = Layer({**layer.message, "top": [top]})
        op = "conv_transpose" if layer.type == "Deconvolution" else "conv"
        emit(op, bottom, weight, bias, **attrs)


def _positive(attrs: dict[str, Any]) -> None:
    for name, value in attrs.items():
        for size in value if isinstance(value, tuple) else (value,):
            if size < (0 if name == "pad" else 1):
                raise UnreadableModel(f"{name} is {size}")


def inner_product(emit: Emit, layer: Layer, x: list[Tensor]) -> None:
    p = layer.sub("inner_product_param")
    flat = emit("flatten", x[0], part="flatten", axis=p.number("axis", 1))
    bias = p.flag("bias_term", True)
    emit(
        "linear",
        flat,
        emit.weight("weight"),
        emit.weight("bias") if bias else None,
        o=p.number("num_output"),
    )


def pooling(emit: Emit, layer: Layer, x: list[Tensor]) -> None:
    p = layer.sub("pooling_param")
    kind = {"MAX": "max_pool", "0": "max_pool", "AVE": "avg_pool", "1": "avg_pool"}.get(
        p.text("pool", "MAX"), "max_pool"
    )
    if p.flag("global_pooling", False):
        emit("global_" + kind, x[0])
        return
    pad = _spatial(p, "pad", 0)
    floor = p.text("round_mode") in ("FLOOR", "1") or not p.flag("ceil_mode", True)
    ceil = False if floor else (True if pad != 0 else "full")
    emit(
        kind,
        x[0],
        k=_spatial(p, "kernel_size", 1),
        stride=_spatial(p, "stride", 1),
        pad=pad,
        ceil=ceil,
    )


def lrn(emit: Emit, layer: Layer, x: list[Tensor]) -> None:
    p = layer.sub("lrn_param")
    size = p.number("local_size", 5)
    within = p.text("norm_region") in ("WITHIN_CHANNEL", "1")
    emit("lrn", x[0], size=size * size if within else size)


def pointwise(op: str) -> Callable[[Emit, Layer, list[Tensor]], None]:
    return lambda emit, layer, x: void(emit(op, x[0]))


def void(_: Any) -> None:
    return None


def relu(emit: Emit, layer: Layer, x: list[Tensor]) -> None:
    slope = float(layer.sub("relu_param").text("negative_slope", "0"))
    emit("leaky_relu" if slope else "relu", x[0])


def eltwise(emit: Emit, layer: Layer, x: list[Tensor]) -> None:
    kind = layer.sub("eltwise_param").text("operation", "SUM")
    emit({"PROD": "mul", "0": "mul", "MAX": "max", "2": "max"}.get(kind, "add"), *x)


def batch_norm(emit: Emit, layer: Layer, x: list[Tensor]) -> None:
    mean, variance = emit.weight("mean", trainable=False), emit.weight("variance", trainable=False)
    factor = emit.weight("factor", (1,), trainable=False)
    emit("batch_norm", x[0], mean, variance, None, None, factor)


def scale(emit: Emit, layer: Layer, x: list[Tensor]) -> None:
    p = layer.sub("scale_param")
    bias = emit.weight("bias") if p.flag("bias_term", False) else None
    emit.blobs = 0
    emit("scale", x[0], emit.weight("weight"), bias)


def concat(emit: Emit, layer: Layer, x: list[Tensor]) -> None:
    p = layer.sub("concat_param")
    emit("concat", *x, axis=p.number("axis", p.number("concat_dim", 1)))


def softmax(emit: Emit, layer: Layer, x: list[Tensor]) -> None:
    emit("softmax", x[0], axis=layer.sub("softmax_param").number("axis", 1))


def flatten(emit: Emit, layer: Layer, x: list[Tensor]) -> None:
    p = layer.sub("flatten_param")
    emit("flatten", x[0], axis=p.number("axis", 1), end_axis=p.number("end_axis", -1))


def shape_of(message: Layer, key: str) -> list[tuple[int, ...]]:
    return [tuple(Layer(s).ints("dim")) for s in message.all(key)]


Shapes = list[tuple[str, "tuple[int | None, ...] | None"]]


def input_layer(layer: Layer) -> Shapes:
    shapes = shape_of(layer.sub("input_param"), "shape") or [()]
    padded = shapes + shapes[-1:] * (len(layer.tops) - len(shapes))
    return [(top, shape or None) for top, shape in zip(layer.tops, padded)]


def data_layer(layer: Layer) -> Shapes:
    """Crop size and the number of mean values tell the image; the batch is one."""
    t = layer.sub("transform_param")
    crop = t.number("crop_size", 0) or None
    channels = len(t.all("mean_value")) or None
    return [(layer.tops[0], (1, channels, crop, crop)), *((top, (1,)) for top in layer.tops[1:])]


def memory_data(layer: Layer) -> Shapes:
    p = layer.sub("memory_data_param")
    shape = tuple(p.number(k) for k in ("batch_size", "channels", "height", "width"))
    return [(layer.tops[0], shape), *((top, shape[:1]) for top in layer.tops[1:])]


DATA: dict[str, Callable[[Layer], Shapes]] = {
    "Input": input_layer,
    "Data": data_layer,
    "MemoryData": memory_data,
}

LAYERS: dict[str, Callable[[Emit, Layer, list[Tensor]], None]] = {
    "Convolution": convolution,
    "Deconvolution": convolution,
    "DepthwiseConvolution": convolution,
    "ConvolutionDepthwise": convolution,
    "InnerProduct": inner_product,
    "Pooling": pooling,
    "LRN": lrn,
    "ReLU": relu,
    "Sigmoid": pointwise("sigmoid"),
    "TanH": pointwise("tanh"),
    "Dropout": pointwise("dropout"),
    "Eltwise": eltwise,
    "BatchNorm": batch_norm,
    "Scale": scale,
    "Concat": concat,
    "Softmax": softmax,
    "Flatten": flatten,
}
