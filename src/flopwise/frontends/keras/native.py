"""One call of a Keras layer, and how it writes nodes of ours."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from flopwise.frontends.lowering import entering, meaning
from flopwise.graph import Node, Tensor

if TYPE_CHECKING:
    from flopwise.frontends.keras.model import Model

ACTIVATIONS = {
    "relu": "relu", "relu6": "relu6", "sigmoid": "sigmoid", "tanh": "tanh", "elu": "elu",
    "selu": "selu", "softplus": "softplus", "softsign": "softsign", "swish": "silu", "silu": "silu",
    "gelu": "gelu", "exponential": "exp", "hard_sigmoid": "hard_sigmoid", "mish": "mish",
    "hard_swish": "hard_swish", "hard_silu": "hard_swish", "leaky_relu": "leaky_relu",
    "softmax": "softmax", "log_softmax": "log_softmax", "log_sigmoid": "logsigmoid",
    "celu": "celu", "hard_tanh": "hard_tanh", "relu_6": "relu6",
}  # fmt: skip


class Native:
    """A layer with its configuration and its operands; `made` holds its results."""

    def __init__(
        self, model: Model, kind: str, config: Mapping[str, Any], layer: Mapping[str, Any],
        path: tuple[str, ...], operands: tuple[Tensor, ...], again: int,
    ) -> None:  # fmt: skip
        self.model, self.kind, self.config, self.layer = model, kind, config, layer
        self.path, self.inputs, self.again = path, operands, again
        self.made: list[Tensor] = []

    @property
    def first(self) -> bool:
        """Whether channels come first."""
        return bool(self.config.get("data_format") == "channels_first")

    def sizes(self, name: str, rank: int, default: int = 1) -> tuple[int, ...]:
        """A size for every axis; one number stands for all."""
        value = self.config.get(name)
        value = default if value is None else value
        return tuple(int(v) for v in value) if isinstance(value, list) else (int(value),) * rank

    def flag(self, name: str, default: bool = False) -> bool:
        return bool(self.config.get(name, default))

    def weight(
        self, name: str, shape: Any = None, trainable: bool = True, part: str = ""
    ) -> Tensor:
        """A variable of the layer, the same in all its calls."""
        label = "/".join((*self.path, *filter(None, (part,)), name))
        trainable = trainable and bool(self.config.get("trainable", True))
        return Tensor(label, shape, role="weight", trainable=trainable)

    def optional(self, flag: str, name: str, part: str = "") -> Tensor | None:
        """A variable that a flag says is there."""
        return self.weight(name, part=part) if self.flag(flag, True) else None

    def emit(self, op: str, *inputs: Tensor | None, part: str = "", **attrs: Any) -> Tensor:
        """One node. A `part` makes a tensor between; without, it makes a result."""
        path = (*self.path, *filter(None, (part,)))
        count = attrs.pop("results", 1)
        first = next((t.dtype for t in inputs if t is not None and t.role != "weight"), "float32")
        dtype = attrs.get("dtype", first)
        outputs = tuple(
            Tensor(self.model.unique("/".join(path)), None, dtype) for _ in range(count)
        )
        if not part:
            self.made += outputs
        name = "/".join(path)
        origin = f"{self.kind} layer"
        self.model.nodes.append(Node(op, inputs, outputs, attrs, name, path, origin))
        return outputs[0]

    def activated(self, op: str, *inputs: Tensor | None, **attrs: Any) -> None:
        """A node, then the activation that the layer names."""
        name = activation(self.config.get("activation"))
        if name == "linear":
            self.emit(op, *inputs, **attrs)
        else:
            self.act(name, self.emit(op, *inputs, part=op, **attrs))

    def act(self, name: str, x: Tensor) -> None:
        """An activation by its name; one that is nobody's is told."""
        op = ACTIVATIONS.get(name)
        if name == "linear":
            self.emit("identity", x)
        elif op in ("softmax", "log_softmax"):
            self.emit(op, x, axis=-1)
        else:
            self.emit(op or "unknown", x)

    def unknown(self) -> None:
        """A layer that we have no meaning for: listed, never silently nothing."""
        self.emit("unknown", *self.inputs)


def activation(given: Any) -> str:
    """The name of an activation, which may be a layer or a function of its own."""
    if isinstance(given, dict):
        config = given.get("config")
        if given.get("class_name") == "function" and isinstance(config, str):
            given = config
        elif isinstance(config, dict) and isinstance(config.get("activation"), str):
            given = config["activation"]
        else:
            given = given.get("class_name")
    if given is None:
        return "linear"
    text = str(given)
    spelled = {"LeakyReLU": "leaky_relu", "ReLU": "relu", "ELU": "elu", "Softmax": "softmax"}
    return spelled.get(text, text)


LOWERINGS: dict[str, Callable[[Native], None]] = {}
lowers = entering(LOWERINGS)


def same_meaning(names: Sequence[str], op: str) -> None:
    """Layers that are one of our operators, operand by operand."""
    LOWERINGS.update(dict.fromkeys(names, meaning(op)))
