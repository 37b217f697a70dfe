"""From the configuration of a Keras model to a Graph: layers, their calls, models inside."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from flopwise.errors import UnreadableModel
from flopwise.frontends import DEEPEST
from flopwise.frontends.keras.native import LOWERINGS, Native
from flopwise.frontends.lowering import Names
from flopwise.graph import Graph, Node, Tensor

MODELS = ("Functional", "Sequential", "Model")
Config = dict[str, Any]
Reference = tuple[str, int, int]


class Model:
    """The nodes made so far, and names that are taken."""

    def __init__(self, where: str) -> None:
        self.where = where
        self.nodes: list[Node] = []
        self.inputs: list[Tensor] = []
        self.weights: list[Tensor] = []  # that no call reads
        self.unique = Names()

    def graph(self, config: Config, stem: str) -> Graph:
        outputs = self.enter(config, (), None)
        weights = tuple({t.name: t for t in self.weights}.values())
        return Graph(
            tuple(self.inputs), tuple(outputs), tuple(self.nodes), stem, "keras", weights=weights
        )

    def enter(
        self, model: Config, scope: tuple[str, ...], given: Sequence[Tensor] | None
    ) -> list[Tensor]:
        """A model on given tensors, or on inputs of its own. Gives its results."""
        if len(scope) > DEEPEST:
            raise self.error(f"models nested more than {DEEPEST} deep")
        config = model["config"]
        layers = config.get("layers")
        if not isinstance(layers, list) or not layers:
            raise self.error("a model without layers")
        try:
            if model.get("class_name") == "Sequential":
                return self._sequence(config, layers, scope, given)
            return _Calls(self, config, layers, scope, given).results()
        except (KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
            raise self.error(f"its configuration does not fit ({error!r})") from None

    def _sequence(
        self, config: Config, layers: list[Config], scope: tuple[str, ...],
        given: Sequence[Tensor] | None,
    ) -> list[Tensor]:  # fmt: skip
        first = layers[0]["config"]
        shape = first.get("batch_input_shape") or first.get("batch_shape")
        shape = shape or config.get("build_input_shape")
        values = list(given) if given is not None else [self.input("input", shape)]
        for layer in layers:
            if layer["class_name"] != "InputLayer":
                values = self.call(layer, values, scope)
        return values

    def input(self, name: str, shape: Any, dtype: str = "float32") -> Tensor:
        """An input; a free axis is None."""
        sizes = None
        if isinstance(shape, list) and all(s is None or type(s) is int for s in shape):
            sizes = tuple(shape)
            if any(s is not None and s < 0 for s in sizes):
                raise self.error(f"input '{name}' has the shape {shape}")
        tensor = Tensor(self.unique(name), sizes, dtype, "input")
        self.inputs.append(tensor)
        return tensor

    def call(
        self, layer: Config, operands: Sequence[Tensor], scope: tuple[str, ...], again: int = 0
    ) -> list[Tensor]:
        """One call of a layer; `again` counts those before it, which share its weights."""
        kind, config = str(layer["class_name"]), layer["config"]
        name = str(config.get("name") or layer.get("name") or kind.lower())
        path = (*scope, name)
        if kind in MODELS:
            return self.enter(layer, path, operands)
        native = Native(self, kind, config, layer, path, tuple(operands), again)
        try:
            LOWERINGS.get(kind, Native.unknown)(native)
        except UnreadableModel:
            raise
        except (KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
            raise self.error(f"layer '{'/'.join(path)}' ({kind}): does not fit ({error})") from None
        return native.made

    def error(self, text: str) -> UnreadableModel:
        return UnreadableModel(f"{self.where}: {text}")


class _Calls:
    """A functional model: calls of layers, each on the results of others."""

    def __init__(
        self, model: Model, config: Config, layers: list[Config], scope: tuple[str, ...],
        given: Sequence[Tensor] | None,
    ) -> None:  # fmt: skip
        self.model, self.config, self.scope = model, config, scope
        self.layers = {str(layer.get("name") or layer["config"]["name"]): layer for layer in layers}
        self.calls = {name: _calls(layer) for name, layer in self.layers.items()}
        self.values: dict[tuple[str, int], list[Tensor]] = {}
        inputs = [r[0] for r in references(config["input_layers"])]
        if given is not None:
            self.values.update({(n, 0): [t] for n, t in zip(inputs, given)})
        else:
            for name in inputs:
                self.values[name, 0] = [self._input(name)]

    def _input(self, name: str) -> Tensor:
        c = self.layers[name]["config"]
        shape = c.get("batch_input_shape") or c.get("batch_shape")
        dtype = c.get("dtype")
        return self.model.input(name, shape, dtype if isinstance(dtype, str) else "float32")

    def results(self) -> list[Tensor]:
        """Every call whose operands are there, until all are made."""
        waiting = [
            (name, i) for name, calls in self.calls.items() for i in range(len(calls))
            if (name, i) not in self.values
        ]  # fmt: skip
        while waiting:
            left = [call for call in waiting if not self._made(*call)]
            if len(left) == len(waiting):
                raise self.model.error(
                    f"layer '{left[0][0]}' waits for what is not made (a cycle?)"
                )
            waiting = left
        return [self._find(r) for r in references(self.config["output_layers"])]

    def _made(self, name: str, i: int) -> bool:
        operands = self.calls[name][i]
        if any((r[0], r[1]) not in self.values for r in operands):
            return False
        tensors = [self._find(r) for r in operands]
        self.values[name, i] = self.model.call(self.layers[name], tensors, self.scope, i)
        return True

    def _find(self, reference: Reference) -> Tensor:
        return self.values[reference[0], reference[1]][reference[2]]


def _calls(layer: Config) -> list[list[Reference]]:
    """The operands of each call, in the order of the arguments."""
    return [references(call) for call in layer.get("inbound_nodes") or ()]


def references(held: Any) -> list[Reference]:
    """Every [layer, call, result] in a structure of lists and keyword arguments."""
    if isinstance(held, dict):
        history = held.get("keras_history")
        if isinstance(history, list) and len(history) == 3:
            return [(str(history[0]), int(history[1]), int(history[2]))]
        return [r for value in held.values() for r in references(value)]
    if not isinstance(held, list):
        return []
    if len(held) >= 3 and isinstance(held[0], str) and type(held[1]) is type(held[2]) is int:
        more = references(held[3]) if len(held) > 3 else []
        return [(held[0], held[1], held[2]), *more]
    return [r for value in held for r in references(value)]
