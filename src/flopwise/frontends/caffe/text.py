"""One layer message, with Caffe's defaults."""

from __future__ import annotations

from typing import Any

from flopwise.errors import UnreadableModel
from flopwise.frontends.prototext import Message


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

    def numbers(self, key: str) -> list[int]:
        return [_int(v, key) for v in self.message.get(key, [])]

    def real(self, key: str, default: float) -> float:
        try:
            return float(self.text(key, str(default)))
        except ValueError:
            raise UnreadableModel(f"{key} is '{self.text(key)}', not a number") from None

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
    "CROP": "Crop", "PRELU": "PReLU", "EMBED": "Embed", "RESHAPE": "Reshape",
}  # fmt: skip


def spatial(p: Layer, key: str, default: int) -> Any:
    """kernel_size, stride, pad: repeated per axis, or apart as kernel_h and kernel_w."""
    stem = {"kernel_size": "kernel"}.get(key, key)
    if p.all(f"{stem}_h") or p.all(f"{stem}_w"):
        return (p.number(f"{stem}_h", default), p.number(f"{stem}_w", default))
    sizes = p.numbers(key) or [default]
    return sizes[0] if len(sizes) == 1 else tuple(sizes)


def positive(attrs: dict[str, Any]) -> None:
    """Raise UnreadableModel for a size below 1 (a padding below 0)."""
    for name, value in attrs.items():
        for size in value if isinstance(value, tuple) else (value,):
            if size < (0 if name == "pad" else 1):
                raise UnreadableModel(f"{NAMES.get(name, name)} is {size}")


# Caffe's words for our letters, for messages.
NAMES = {"f": "num_output", "o": "num_output", "k": "kernel_size", "groups": "group"}
