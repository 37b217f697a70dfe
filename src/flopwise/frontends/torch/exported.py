"""Exported programs (.pt2): the graph is JSON inside of a zip, and is read as data.

Nothing is unpickled and no weight is read. The operators that the program names are run on meta
tensors by the same trace as those of any module, each in the scope that it was exported from.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from flopwise.errors import UnknownName, UnknownSize, UnreadableModel, nearest
from flopwise.frontends import Request
from flopwise.frontends.torch import archive
from flopwise.frontends.torch.module import graph
from flopwise.graph import Graph

NEVER = {"aten::from_file"}  # operators that reach outside
ARITHMETIC = {"add", "sub", "mul", "floordiv", "truediv", "mod", "pow", "neg", "eq", "ne", "lt",
              "le", "gt", "ge", "and_", "or_"}  # fmt: skip


def graph_of(path: Path, request: Request) -> Graph:
    """Trace the program of a file, for the sizes that are asked for. Raises FlopwiseError."""
    program = Program(archive.program(path))
    asked = Request(batch=None, dtype=request.dtype, options=request.options,
                    arguments=program.given(request))  # fmt: skip
    return replace(graph(program, asked), name=path.stem)


class Place(torch.nn.Module):
    """A module of the exported program: its weights, and a scope for its operators."""

    def forward(self, run: Callable[[], Any]) -> Any:
        return run()


class Program(Place):
    """Runs the operators of a graph, one after another. Inputs are its user's, in order."""

    def __init__(self, data: Mapping[str, Any]) -> None:
        super().__init__()
        self._graph = data["graph"]
        self._held: dict[str, str] = {}
        self._values: dict[str, Any] = self._graph["tensor_values"]
        self._users: list[str] = []
        for spec in data["signature"]["input_specs"]:
            self._enter(*next(iter(spec.items())))
        for node in self._graph["nodes"]:
            self._place(scope(node))

    def _enter(self, role: str, spec: Mapping[str, Any]) -> None:
        if role == "user_input":
            if "as_tensor" in spec["arg"]:
                self._users.append(spec["arg"]["as_tensor"]["name"])
            return
        names = ("parameter_name", "buffer_name", "tensor_constant_name")
        known = next((spec[n] for n in names if n in spec), None)
        if known is None:
            return
        meta = self._values[spec["arg"]["name"]]
        made = torch.empty(sizes(meta, known), dtype=dtype(meta["dtype"]), device="meta")
        owner, _, name = known.rpartition(".")
        self._held[spec["arg"]["name"]] = known
        place = self._place(owner)
        if role == "parameter":
            place.register_parameter(name, torch.nn.Parameter(made, meta["requires_grad"]))
        else:
            place.register_buffer(name, made)

    def _place(self, path: str) -> torch.nn.Module:
        place: torch.nn.Module = self
        for part in filter(None, path.split(".")):
            if part not in place._modules:
                place.add_module(part, Place())
            place = place._modules[part]  # type: ignore[assignment]
        return place

    def given(self, request: Request) -> dict[str, Any]:
        """The inputs: of the shapes asked for, else of those in the file. Raises UnknownName,
        and UnknownSize where a size was left free and is not given."""
        asked = dict(request.inputs)
        if list(asked) == [""] and len(self._users) == 1:
            asked = {self._users[0]: asked[""]}
        for name in asked:
            if name not in self._users:
                raise UnknownName(f"no input '{name}'; {nearest(name, self._users)}")
        given: dict[str, Any] = {}
        for name in self._users:
            meta = self._values[name]
            shape: tuple[Any, ...] = asked.get(name) or sizes(meta, name, request.batch)
            shape = shape if request.batch is None else (request.batch, *shape[1:])
            whole = all(isinstance(size, int) for size in shape)
            given[name] = (
                torch.empty(shape, dtype=dtype(meta["dtype"]), device="meta") if whole else shape
            )
        return given

    def forward(self, **inputs: torch.Tensor) -> Any:  # type: ignore[override]
        found: dict[str, Any] = dict(inputs)
        stored = {**dict(self.named_parameters()), **dict(self.named_buffers())}
        found.update((arg, stored[name]) for arg, name in self._held.items() if name in stored)
        for node in self._graph["nodes"]:
            place = self._place(scope(node))
            made = place(lambda n=node: run(n, found)) if place is not self else run(node, found)
            keep(node["outputs"], made, found)
        return [decoded(out, found) for out in self._graph["outputs"]]


def scope(node: Mapping[str, Any]) -> str:
    """The path of the innermost module that an operator was exported from."""
    stack = node["metadata"].get("nn_module_stack", "")
    last = stack.rsplit(";", 1)[-1]
    path = last.split(",")[1] if last.count(",") >= 2 else ""
    return path.replace("L['self'].", "").replace("L['self']", "")


def run(node: Mapping[str, Any], found: Mapping[str, Any]) -> Any:
    function = target(node["target"])
    args = [decoded(i["arg"], found) for i in node["inputs"] if i.get("kind", 1) == 1]
    named = [i for i in node["inputs"] if i.get("kind", 1) != 1]
    schema = getattr(function, "_schema", None)
    if schema is None:
        return function(*args, *(decoded(i["arg"], found) for i in named))
    given = {i["name"]: decoded(i["arg"], found) for i in node["inputs"]}
    order = [a for a in schema.arguments if a.name in given]
    plain = [a for a in order if not a.kwarg_only]
    whole = len(plain) and plain == list(schema.arguments[: len(plain)])
    if not whole:
        return function(**given)
    first = [given.pop(a.name) for a in plain]
    return function(*first, **given)


def target(name: str) -> Any:
    """The operator of a name. Raises UnreadableModel for what is none."""
    home, _, rest = name.partition(".ops.")
    if home == "torch" and rest.count(".") == 2:
        namespace, op, overload = rest.split(".")
        packet = getattr(getattr(torch.ops, namespace), op, None)
        if packet is not None and f"{namespace}::{op}" not in NEVER:
            return getattr(packet, overload)
    home, _, rest = name.rpartition(".")
    if home == "_operator" and rest in ARITHMETIC:
        return getattr(operator, rest)
    raise UnreadableModel(f"the program calls {name}, which is not an operator that is known here")


def keep(outputs: Any, made: Any, found: dict[str, Any]) -> None:
    """Results under the names that the program gives them."""
    if len(outputs) == 1 and "as_tensors" in outputs[0]:
        found.update((t["name"], value) for t, value in zip(outputs[0]["as_tensors"], made))
        return
    results = made if isinstance(made, (tuple, list)) else (made,)
    for spec, value in zip(outputs, results):
        (role, name), *_ = spec.items()
        if role == "as_tensor":
            found[name["name"]] = value
        elif role.startswith("as_sym_"):
            found[name["as_name"]] = value


def decoded(arg: Mapping[str, Any], found: Mapping[str, Any]) -> Any:
    """An argument. Raises UnreadableModel for graphs and objects."""
    (role, value), *_ = arg.items()
    if role == "as_none":
        return None
    if role in ("as_tensor", "as_optional_tensor"):
        return decoded(value, found) if "name" not in value else found[value["name"]]
    if role in ("as_tensors", "as_nested_tensors"):
        return [found[t["name"]] for t in value]
    if role == "as_optional_tensors":
        return [decoded(t, found) for t in value]
    if role in ("as_sym_int", "as_sym_float", "as_sym_bool"):
        return _number(value, found)
    if role in ("as_sym_ints", "as_sym_bools"):
        return [_number(v, found) for v in value]
    if role in PLAIN:
        return value
    if role in TABLES:
        return TABLES[role]()[value]
    if role == "as_device":
        return torch.device("meta")
    raise UnreadableModel(f"the program has an argument '{role}', which is not read here")


PLAIN = {"as_int", "as_ints", "as_float", "as_floats", "as_bool", "as_bools", "as_string",
         "as_strings"}  # fmt: skip
TABLES: dict[str, Callable[[], Any]] = {
    "as_scalar_type": lambda: _serde()._SERIALIZE_TO_TORCH_DTYPE,
    "as_memory_format": lambda: _serde()._SERIALIZE_TO_TORCH_MEMORY_FORMAT,
    "as_layout": lambda: _serde()._SERIALIZE_TO_TORCH_LAYOUT,
}


def _number(value: Mapping[str, Any], found: Mapping[str, Any]) -> Any:
    (role, inner), *_ = value.items()
    return found[inner] if role == "as_name" else inner


def _serde() -> Any:
    from torch._export.serde import serialize

    return serialize


def dtype(code: int) -> torch.dtype:
    found: torch.dtype = _serde()._SERIALIZE_TO_TORCH_DTYPE[code]
    return found


def sizes(meta: Mapping[str, Any], name: str, batch: Any = None) -> tuple[Any, ...]:
    """The shape of a tensor, with a batch in place of its first size. Raises UnknownSize where a
    size was left free."""
    shape = [s["as_int"] if "as_int" in s else s["as_expr"]["expr_str"] for s in meta["sizes"]]
    if batch is not None:
        shape[:1] = [batch]
    if any(isinstance(size, str) for size in shape):
        shown = re.sub(r"Symbol\('(\w+)'[^)]*\)", r"\1", "x".join(map(str, shape)))
        raise UnknownSize(f"input '{name}' is {shown}: give numbers, as in --input {name}=1x3")
    return tuple(shape)
