"""What to call a forward with: shapes, tensors, nested structures of them, plain values."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch

from flopwise import dims
from flopwise.dims import Dim, Expr
from flopwise.errors import UnknownName, UnknownSize, nearest
from flopwise.frontends import Request
from flopwise.frontends.torch.conditions import Conditions
from flopwise.frontends.torch.symbols import symint
from flopwise.frontends.torch.values import META
from flopwise.pattern import show

_WHOLE = re.compile(r"(^|_)(ids?|idx|indices|tokens?|labels|lengths?)$")
_MASK = re.compile(r"(^|_)attention_mask$")


@dataclass
class Arguments:
    """Positional and keyword arguments, and the tensors among them by name."""

    args: tuple[Any, ...] = ()
    kwargs: dict[str, Any] = field(default_factory=dict)
    inputs: dict[str, torch.Tensor] = field(default_factory=dict)
    guessed: list[str] = field(default_factory=list)
    conditions: Conditions = field(default_factory=Conditions)

    @property
    def symbolic(self) -> bool:
        """Whether some size is free."""
        return any(t._has_symbolic_sizes_strides for t in self.inputs.values())


def arguments(
    module: torch.nn.Module, request: Request, whole: bool = False, unlike: bool = True
) -> Arguments:
    """The arguments that a request describes. `whole` makes inputs of unstated dtype int64.
    Free sizes of images have examples that are `unlike`, or all the same.

    A structure that holds real tensors is passed as it is; in any other, tuples of whole
    numbers and texts such as "1x3x224x224" are shapes. Raises UnknownSize and UnknownName.
    """
    builder = _Builder(module, request, whole, unlike)
    return builder.build(_given(module, request))


def _given(module: torch.nn.Module, request: Request) -> Any:
    given = request.arguments if request.arguments is not None else dict(request.inputs)
    if isinstance(given, Mapping) and list(given) == [""]:
        given = given[""]
    if given is None or (isinstance(given, Mapping) and not given):
        given = getattr(module, "example_input_array", None)
    if given is None:
        stated = getattr(module, "pretrained_cfg", None) or {}
        size = stated.get("input_size") if isinstance(stated, Mapping) else None
        given = (1, *size) if size else {}
    return given


class _Builder:
    def __init__(
        self, module: torch.nn.Module, request: Request, whole: bool, unlike: bool
    ) -> None:
        self.module, self.request, self.whole, self.unlike = module, request, whole, unlike
        self.examples: dict[str, int] = {}
        self.parameters = signature(module)
        self.built = Arguments()
        self.real = False

    def build(self, given: Any) -> Arguments:
        self.real = any(_is_array(leaf) for leaf in leaves(given))
        names = [p.name for p in self.parameters if p.kind in _POSITIONAL]
        if isinstance(given, Mapping) and self._by_name(given):
            self.built.kwargs = {k: self._value(k, v) for k, v in given.items()}
            extra = self.request.options.get("args", ())
        else:
            extra = given if isinstance(given, (tuple, list)) and not _is_shape(given) else (given,)
            extra = () if isinstance(given, Mapping) and not given else extra
        more = self.request.options.get("kwargs", {})
        names += [f"input{i}" for i in range(len(names), len(extra))]
        self.built.args = tuple(map(self._value, names, extra))
        self.built.kwargs |= {k: self._value(k, v) for k, v in more.items()}
        self._complete(names[: len(extra)])
        return self.built

    def _by_name(self, given: Mapping[Any, Any]) -> bool:
        """Whether a dict names arguments, or is itself the argument."""
        known = {p.name for p in self.parameters}
        if not given or set(given) <= known:
            return bool(given)
        if any(p.kind is p.VAR_KEYWORD for p in self.parameters):
            return True
        if self.real or (not known & set(given) and request_is_nested(given)):
            return False
        wrong = next(k for k in given if k not in known)
        raise UnknownName(f"no input '{wrong}'; {nearest(str(wrong), sorted(known))}")

    def _complete(self, positional: list[str]) -> None:
        for parameter in self.parameters:
            given = parameter.name in self.built.kwargs or parameter.name in positional
            if parameter.kind in _NAMED and parameter.default is parameter.empty and not given:
                raise UnknownSize(
                    f"the size of input '{parameter.name}' is not in the model: give it, as in "
                    f"--input {parameter.name}=1x3x224x224"
                )

    def _value(self, name: str, given: Any) -> Any:
        if not self.real and (isinstance(given, str) or _is_shape(given)):
            return self._entered(name, self._from_shape(name, given))
        if isinstance(given, torch.Tensor):
            if given.is_nested:
                raise UnknownSize(
                    f"input '{name}' is a nested tensor, whose rows are of unequal length: these "
                    "are not counted; count each length, or give it padded"
                )
            return self._entered(name, given)
        if _is_array(given):
            return self._value(name, torch.from_numpy(given))
        if isinstance(given, Mapping):
            parts = {k: self._value(f"{name}.{k}", v) for k, v in given.items()}
            return parts if type(given) is dict else _like(given, parts)
        if isinstance(given, (tuple, list)):
            items = [self._value(f"{name}.{i}", v) for i, v in enumerate(given)]
            return type(given)(*items) if hasattr(given, "_fields") else type(given)(items)
        return given

    def _from_shape(self, name: str, given: Any) -> torch.Tensor:
        shape = self._sizes(name, given)
        if _MASK.search(name):
            return torch.ones(shape, dtype=torch.int64)
        if _WHOLE.search(name) or self.whole:
            return torch.empty(shape, dtype=torch.int64, device=META)
        self.built.guessed.append(name)
        return torch.empty(shape, dtype=floating(self.module), device=META)

    def _sizes(self, name: str, given: Any) -> tuple[Any, ...]:
        from flopwise.sizes import parse_shape

        shape: tuple[Dim, ...] = parse_shape(given) if isinstance(given, str) else tuple(given)
        batch = self.request.batch
        if batch is not None and shape:
            if shape[0] not in (1, batch):
                raise UnknownSize(f"--batch {batch}, and input '{name}' of {show(shape)}: which?")
            shape = (batch, *shape[1:])
        free = [size for size in shape if isinstance(size, Expr)]
        if free:
            self._exemplify(shape)
        return tuple(symint(s, self.examples, self.built.conditions) for s in shape)

    def _exemplify(self, shape: tuple[Any, ...]) -> None:
        """Give new symbols numbers that most models take: images of 224, sequences of 64."""
        for axis, size in enumerate(shape):
            image, usual = len(shape) > 3 and axis > 1, 2 if axis == 0 else 64
            for name in sorted(dims.symbols(size) - set(self.examples)):
                whole = isinstance(size, Expr) and str(size) == name
                taken = 224 + (32 * len(self.examples) if self.unlike else 0)
                self.examples[name] = (taken if whole else 7) if image else usual

    def _entered(self, name: str, tensor: torch.Tensor) -> torch.Tensor:
        self.built.inputs[name] = tensor
        return tensor


_POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
_NAMED = (*_POSITIONAL, inspect.Parameter.KEYWORD_ONLY)


def signature(module: torch.nn.Module) -> list[inspect.Parameter]:
    """The parameters of the forward; those of a scripted one by its schema."""
    if isinstance(module, torch.jit.ScriptModule):
        kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
        return [
            inspect.Parameter(
                a.name, kind,
                default=a.default_value if a.has_default_value() else inspect.Parameter.empty,
            )
            for a in module.forward.schema.arguments[1:]  # type: ignore[attr-defined]
        ]  # fmt: skip
    try:
        return list(inspect.signature(module.forward).parameters.values())
    except (TypeError, ValueError):
        return []


def floating(module: torch.nn.Module) -> torch.dtype:
    """The dtype of the first floating parameter: that of inputs, unless they say otherwise."""
    tensors = (*module.parameters(), *module.buffers())
    return next((t.dtype for t in tensors if t.is_floating_point()), torch.get_default_dtype())


def leaves(given: Any) -> Iterator[Any]:
    """The innermost parts of nested dicts, tuples and lists."""
    if isinstance(given, Mapping):
        given = list(given.values())
    if isinstance(given, (tuple, list)):
        for part in given:
            yield from leaves(part)
    else:
        yield given


def request_is_nested(given: Mapping[Any, Any]) -> bool:
    """Whether a dict of shapes holds more than shapes, and so is no list of inputs."""
    return not all(isinstance(v, str) or _is_shape(v) for v in given.values())


def _is_array(value: Any) -> bool:
    return isinstance(value, torch.Tensor) or (
        type(value).__module__ == "numpy" and hasattr(value, "__array_interface__")
    )


def _is_shape(value: Any) -> bool:
    return (
        isinstance(value, (tuple, list))
        and not hasattr(value, "_fields")
        and all(isinstance(v, (int, Expr)) and not isinstance(v, bool) for v in value)
        and (len(value) > 0 or isinstance(value, torch.Size))
    )


def _like(given: Mapping[Any, Any], parts: dict[Any, Any]) -> Any:
    try:
        return type(given)(parts)  # type: ignore[call-arg]
    except TypeError:
        return parts
