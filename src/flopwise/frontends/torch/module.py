"""From a module and its inputs to a graph."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import torch
from torch._dispatch.python import enable_python_dispatcher

from flopwise.errors import FlopwiseError, UnreadableModel
from flopwise.frontends import Request
from flopwise.frontends.torch import aten
from flopwise.frontends.torch.arguments import Arguments, arguments
from flopwise.frontends.torch.lower import lower
from flopwise.frontends.torch.reading import Reader
from flopwise.frontends.torch.trace import Recorder, Scope
from flopwise.frontends.torch.untouched import untouched
from flopwise.frontends.torch.values import Values
from flopwise.graph import Graph

MOST_RETRIES = 4


def graph(module: torch.nn.Module, request: Request, values: Values | None = None) -> Graph:
    """Trace `module` in inference, whatever mode it is in; in training where the request's
    `mode` is "train". `values` is what is known of tensors of the module itself."""
    module, paths = bare(module), scopes(bare(module))
    given = arguments(module, request)
    decisions: dict[str, bool] = {}
    autograd = reads = whole = False
    unlike = True
    while True:
        recorder = Recorder(aten.known, paths, values or Values(), decisions, autograd)
        try:
            with (
                untouched(module),
                set_mode(module, request.options.get("mode") == "train"),
                eager(),
            ):
                outputs = run(module, given, recorder, autograd, reads)
            return lower(module, recorder, given, outputs)
        except UnreadableModel as error:
            if _MISSING_GRADIENT in str(error) and not autograd:
                autograd = True
            elif _META in str(error) and not reads:
                reads = True
            elif _WHOLE_NUMBERS.search(str(error)) and given.guessed:
                whole = True
                given = arguments(module, request, whole, unlike)
            elif given.symbolic and unlike:
                unlike = False
                given = arguments(module, request, whole, unlike)
            elif not _reconsidered(decisions):
                raise
        finally:
            outputs = None
            recorder.settle()


# A forward that reads values past the operators; that takes gradients itself; and places in a
# table that only have a shape.
_META = "meta"
_MISSING_GRADIENT = "does not require grad"
_WHOLE_NUMBERS = re.compile("indices.*(Long|int64)|index.*(Long|int64)|expected.*Long", re.DOTALL)


def _reconsidered(decisions: dict[str, bool]) -> bool:
    """Take the last condition that was taken as false as true, if there is one."""
    line = next((k for k in reversed(decisions) if not decisions[k]), None)
    if line is None or sum(decisions.values()) == MOST_RETRIES:
        return False
    decisions[line] = True
    return True


def bare(module: torch.nn.Module) -> torch.nn.Module:
    """The module inside the wrappers of torch.compile and of data parallelism."""
    parallel = torch.nn.parallel
    while True:
        if hasattr(module, "_orig_mod"):
            module = module._orig_mod  # type: ignore[assignment]
        elif isinstance(module, (parallel.DataParallel, parallel.DistributedDataParallel)):
            module = module.module
        else:
            return module


def scopes(module: torch.nn.Module) -> dict[int, Scope]:
    """The path of every module by its identity; a shared one has its first path."""
    return {
        id(m): tuple(name.split(".")) if name else ()
        for name, m in module.named_modules()
    }  # fmt: skip


@contextmanager
def set_mode(module: torch.nn.Module, train: bool = False) -> Iterator[None]:
    """Inference (or training) mode of every part; `untouched` puts it back.

    The flag is set past `train()`, which some modules overload to merge weights.
    """
    for part in module.modules():
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
        with _uncompiled():
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fused)


@contextmanager
def _uncompiled() -> Iterator[None]:
    stance = getattr(torch.compiler, "set_stance", None)
    if stance is None or "torch._dynamo" not in sys.modules:
        yield
        return
    with stance("force_eager"):
        yield


def run(
    module: torch.nn.Module, given: Arguments, recorder: Recorder, autograd: bool = False,
    reads: bool = False,
) -> Any:  # fmt: skip
    """The outputs of the forward. Raises UnreadableModel in one line where it fails."""
    try:
        below = nullcontext() if autograd else torch._C._AutoDispatchBelowAutograd()
        reader = Reader(recorder.values) if reads else nullcontext()
        symbolic = enable_python_dispatcher() if given.symbolic else nullcontext()
        with below, recorder, reader, symbolic:
            return module(*given.args, **given.kwargs)
    except FlopwiseError:
        raise
    except Exception as error:
        text = " ".join(str(error).split()) or type(error).__name__
        at = failing_line(error)
        raise UnreadableModel(
            f"the forward of {type(module).__name__} fails at {at}: {text}"
        ) from error


def failing_line(error: BaseException) -> str:
    """The innermost line outside torch."""
    place, trace = "its call", error.__traceback__
    while trace is not None:
        frame = trace.tb_frame
        if frame.f_globals.get("__name__", "").partition(".")[0] not in ("torch", "flopwise"):
            place = f"{frame.f_code.co_filename}:{trace.tb_lineno}"
        trace = trace.tb_next
    return place
