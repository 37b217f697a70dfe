"""From a module and its inputs to a graph."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch._dispatch.python import enable_python_dispatcher

from flopwise.errors import FlopwiseError, UnknownName, UnreadableModel, nearest
from flopwise.frontends import Request
from flopwise.frontends.torch import aten, train
from flopwise.frontends.torch.arguments import Arguments, arguments
from flopwise.frontends.torch.lower import lower
from flopwise.frontends.torch.reading import Reader
from flopwise.frontends.torch.ruled import ruled
from flopwise.frontends.torch.sharded import whole
from flopwise.frontends.torch.trace import Recorder, Scope
from flopwise.frontends.torch.unrolled import Unrolled
from flopwise.frontends.torch.untouched import untouched
from flopwise.frontends.torch.values import Values
from flopwise.graph import Graph

MOST_RETRIES = 4
MODES = ("", "train", "train-forward")
COMPILER = "torch._dynamo"

# What a failure says of a forward that reads values past the operators; that takes gradients
# itself; and that looks up places of which only a shape was given.
_META = "meta"
_MISSING_GRADIENT = "does not require grad"
_WHOLE_NUMBERS = re.compile(
    "indices.*(Long|long|int64)|index.*(Long|int64)|expected.*Long", re.DOTALL
)


def graph(module: torch.nn.Module, request: Request, values: Values | None = None) -> Graph:
    """Trace `module`, whatever mode it is in. `values` is what is known of its tensors.

    The request's `mode` is inference; "train", a step of forward and backward; or
    "train-forward", the forward of one. Raises UnknownName for any other.
    """
    mode = mode_of(request)
    if mode not in MODES:
        raise UnknownName(f"no mode '{mode}'; {nearest(mode, [m for m in MODES if m])}")
    module, ways = bare(module), Ways(autograd=mode == "train")
    paths = scopes(module)
    while True:
        given = arguments(module, request, ways.whole, ways.unlike)
        recorder = Recorder(
            aten.known, paths, values or Values(), ways.decisions, ways.autograd
        )  # fmt: skip
        outputs, compiler = None, COMPILER in sys.modules
        try:
            with untouched(module), set_mode(module, bool(mode)), eager(), ruled(module, recorder):
                outputs = run(module, given, recorder, ways, request)
            if not came(compiler):
                return lower(module, recorder, given, outputs)
        except UnreadableModel as error:
            if not came(compiler) and not ways.changed(str(error), given):
                raise
        finally:
            outputs = None
            recorder.settle()


def came(before: bool) -> bool:
    """Whether the forward loaded the compiler and ran through it, which `eager` then prevents."""
    return not before and COMPILER in sys.modules and hasattr(torch.compiler, "set_stance")


def mode_of(request: Request) -> str:
    """What was asked for, or else what the asker would rather have where there is a choice."""
    return request.options.get("mode") or request.options.get("preferred_mode", "")


@dataclass
class Ways:
    """How a forward is run, which is changed where it fails and something else may help."""

    autograd: bool = False
    reads: bool = False
    whole: bool = False
    unlike: bool = True
    decisions: dict[str, bool] = field(default_factory=dict)

    def changed(self, error: str, given: Arguments) -> bool:
        """Whether there is another way to try."""
        if _MISSING_GRADIENT in error and not self.autograd:
            self.autograd = True
        elif _META in error and not self.reads:
            self.reads = True
        elif _WHOLE_NUMBERS.search(error) and given.guessed and not self.whole:
            self.whole = True
        elif given.symbolic and self.unlike:
            self.unlike = False
        else:
            return self._reconsidered()
        return True

    def _reconsidered(self) -> bool:
        """Take the last condition that was taken as false as true, if there is one."""
        line = next((k for k in reversed(self.decisions) if not self.decisions[k]), None)
        if line is None or sum(self.decisions.values()) == MOST_RETRIES:
            return False
        self.decisions[line] = True
        return True


def bare(module: torch.nn.Module) -> torch.nn.Module:
    """The module inside the wrappers of torch.compile and of data parallelism, sharded or not."""
    parallel = torch.nn.parallel
    while True:
        if hasattr(module, "_orig_mod"):
            module = module._orig_mod  # type: ignore[assignment]
        elif isinstance(module, (parallel.DataParallel, parallel.DistributedDataParallel)):
            module = module.module
        else:
            return whole(module)


def scopes(module: torch.nn.Module) -> dict[int, Scope]:
    """The path of every module by its identity; a shared one has its first path."""
    return {
        id(m): tuple(name.split(".")) if name else ()
        for name, m in module.named_modules()
    }  # fmt: skip


@contextmanager
def set_mode(module: torch.nn.Module, train: bool = False) -> Iterator[None]:
    """Inference mode of every part, or training; `untouched` puts it back. Parts of a module that
    is in training keep theirs, since some may be frozen.

    The flag is set past `train()`, which some modules overload to merge weights. Parts that
    were compiled in place run as they are written.
    """
    for part in module.modules():
        if part.__dict__.get("_compiled_call_impl") is not None:
            part.__dict__["_compiled_call_impl"] = None
    for part in () if train and module.training else module.modules():
        if isinstance(part, torch.jit.ScriptModule):
            part.training = train
        elif part.training is not train:
            part.__dict__["training"] = train
    yield


@contextmanager
def eager() -> Iterator[None]:
    """No compiler gets between the forward and the trace, if one was loaded at all; and
    transformer layers call their parts, also where one fused operator would do."""
    fused = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with _uncompiled(), _autocast():
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fused)


@contextmanager
def _uncompiled() -> Iterator[None]:
    stance = getattr(torch.compiler, "set_stance", None)
    if stance is None or COMPILER not in sys.modules:
        yield
        return
    with stance("force_eager"):
        yield


@contextmanager
def _autocast() -> Iterator[None]:
    """Older releases refuse to set the precision of meta tensors, which are then the CPU's."""
    if torch.__version__ >= "2.5":
        yield
        return
    original = torch.autocast.__init__

    def init(self: Any, device_type: str, *args: Any, **kwargs: Any) -> None:
        original(self, "cpu" if device_type == "meta" else device_type, *args, **kwargs)

    torch.autocast.__init__ = init  # type: ignore[method-assign]
    try:
        yield
    finally:
        torch.autocast.__init__ = original  # type: ignore[method-assign]


def run(
    module: torch.nn.Module, given: Arguments, recorder: Recorder, ways: Ways, request: Request
) -> Any:
    """The outputs of the forward. Raises UnreadableModel in one line where it fails."""
    try:
        with ExitStack() as stack:
            if not ways.autograd:
                stack.enter_context(torch._C._AutoDispatchBelowAutograd())
            stack.enter_context(recorder)
            if ways.reads:
                stack.enter_context(Reader(recorder.values))
            if given.symbolic:
                stack.enter_context(enable_python_dispatcher())
            if mode_of(request) != "train":
                return module(*given.args, **given.kwargs)
            stack.enter_context(torch.enable_grad())
            stack.enter_context(train.on_shapes(module, recorder))
            stack.enter_context(Unrolled(recorder))
            outputs = module(
                *train.leaves(given.args, recorder), **train.leaves(given.kwargs, recorder)
            )
            train.backward(outputs, recorder, request.options.get("loss"))
            return outputs
    except FlopwiseError:
        raise
    except Exception as error:
        text = " ".join(str(error).split()) or type(error).__name__
        where = f"the forward of {type(module).__name__} fails at {failing_line(error)}"
        raise UnreadableModel(f"{where}: {text}") from error


def failing_line(error: BaseException) -> str:
    """The innermost line outside torch."""
    place, trace = "its call", error.__traceback__
    while trace is not None:
        frame = trace.tb_frame
        if frame.f_globals.get("__name__", "").partition(".")[0] not in ("torch", "flopwise"):
            place = f"{frame.f_code.co_filename}:{trace.tb_lineno}"
        trace = trace.tb_next
    return place
