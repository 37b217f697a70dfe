"""The Python side of the commands."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal, overload

from flopwise import plugins
from flopwise.dims import Dim
from flopwise.errors import FlopwiseError
from flopwise.graph import Graph
from flopwise.sizes import Size, shapes_of, size_of

if TYPE_CHECKING:
    from flopwise.analyses.compare import Pair
    from flopwise.analyses.explain import Explanation
    from flopwise.analyses.memory import Memory
    from flopwise.analyses.parallel.plan import Plan
    from flopwise.analyses.reconcile import Verdict
    from flopwise.analyses.roofline import Prediction
    from flopwise.analyses.serving import Serving
    from flopwise.analyses.serving.sweep import Point
    from flopwise.analyses.sweep import Sweep
    from flopwise.analyses.training.run import Run
    from flopwise.analyses.training_memory import TrainingMemory
    from flopwise.devices import Device
    from flopwise.profile import Profile


def load(
    source: Any, inputs: Any = None, batch: Size | None = None, dtype: str = "", **options: Any
) -> Graph:
    """Read a model into a Graph with every shape known.

    `source` is a path, or an object of a framework. `inputs` is a shape, a text such as
    "1x3x224x224", or a dict of them by input name; a name in place of a number is a free
    size. A module also takes what its forward takes: tensors, and structures of them and
    of plain values. Raises FlopwiseError.
    """
    from flopwise.frontends import Request, read
    from flopwise.passes.bind import bind
    from flopwise.passes.infer import infer

    size = None if batch is None else size_of(batch)
    shapes, arguments = shapes_of(inputs)
    request = Request(shapes, size, dtype, options, arguments)
    with uncollected():
        return infer(bind(read(source, request), request))


def count(
    source: Any, inputs: Any = None, batch: Size | None = None, convention: str = "flops",
    dtype: str = "", **options: Any,
) -> Profile:  # fmt: skip
    """Count what a model costs: a Profile, read in `convention`. Raises FlopwiseError.

    >>> profile = count("examples/vgg16.prototxt")
    >>> profile.total().mac
    15470264320
    """
    from flopwise.profile import profile

    graph = source if isinstance(source, Graph) else load(source, inputs, batch, dtype, **options)
    with uncollected():
        return profile(graph, plugins.load("conventions", convention))


def explain(source: Any, layer: str | None = None, **options: Any) -> list[Explanation]:
    """The formula of each number of a layer (or of all), in letters and in numbers.

    `options` are those of `count`; a Profile is taken as it is. Raises FlopwiseError.
    """
    from flopwise.analyses.explain import explain as analyse

    return analyse(_profile(source, **options), layer)


def compare(before: Any, after: Any, **options: Any) -> list[Pair]:
    """The layers of two models, aligned; `pair.changed` tells which differ.

    `options` are those of `count`, for both. Raises FlopwiseError.
    """
    from flopwise.analyses.compare import align

    return align(_profile(before, **options), _profile(after, **options))


def effective_macs(source: Any, inputs: Any = None, **options: Any) -> Any:
    """MACs whose weight is not zero: what pruning or a mask leaves of a PyTorch module or an ONNX
    file. `options` are those of `count`, or its result as `profile`. Raises FlopwiseError.

    `profile.total().mac` of the same count is the dense number.
    """
    from flopwise.analyses.sparsity import effective_macs as analyse
    from flopwise.frontends import densities

    return analyse(options.get("profile") or count(source, inputs, **options), densities(source))


@overload
def memory(
    source: Any, runtime: str = ..., train: Literal[False] = ..., fused: str = ...,
    im2col: bool = ..., **options: Any,
) -> Memory: ...  # fmt: skip
@overload
def memory(
    source: Any, runtime: str = ..., *, train: Literal[True], **options: Any
) -> TrainingMemory: ...
def memory(
    source: Any, runtime: str = "eager", train: bool = False, fused: str = "",
    im2col: bool = False, **options: Any,
) -> Any:  # fmt: skip
    """Bytes of weights and of live tensors over time, and the peak: of a forward pass (after the
    fusion of the runtime `fused`; with the workspace of `im2col`), or with `train` of a training
    step.

    `options` are those of `load`; with `train` also those of `analyses.training_memory.plan.Plan`:
    optimizer, checkpoint, amp, lora, device and so on. Raises FlopwiseError.

    >>> memory("examples/vgg16.prototxt", train=True, optimizer="adam").static.optimizer_bytes
    1106860352
    """
    from flopwise.analyses.memory import memory as analyse
    from flopwise.analyses.training_memory.plan import asked

    if train:
        return asked(source, load, options)
    graph = source if isinstance(source, Graph) else load(source, **options)
    return analyse(graph, runtime, fused, im2col)


def predict(
    source: Any, device: str | Device, runtime: str | None = None, dtype: str = "", **options: Any
) -> Prediction:
    """How long one run takes on a device: a Prediction, kernel by kernel.

    `device` is a name, the path of a device file, or a Device; `runtime` one of eager,
    onnxruntime and tensorrt (unless given, what the device was calibrated with, or eager).
    `dtype` may also be tf32 or amp (automatic mixed precision). `options` are those of `load`.
    Raises FlopwiseError.
    """
    from importlib.util import find_spec

    from flopwise import devices
    from flopwise.analyses.roofline import precision
    from flopwise.analyses.roofline import predict as analyse
    from flopwise.passes import runtimes
    from flopwise.passes.autocast import autocast

    target = devices.find(device) if isinstance(device, str) else device
    how = runtimes.find(runtime or target.runtime or "eager").name
    wanted = precision(dtype)
    if dtype:
        target.rate(wanted.computed or wanted.mixed or wanted.stored)
    # What was calibrated are the kernels that onnxruntime makes of a file, if it is here to do so.
    rewrites = bool(target.kernels) and how == "onnxruntime" and find_spec(how) is not None
    if isinstance(source, Graph):
        graph, rewrites = source, False
    else:
        graph = load(source, dtype=wanted.stored, optimised=rewrites, **options)
    graph = autocast(graph, wanted.mixed) if wanted.mixed else graph
    return analyse(graph, target, how, wanted.computed, rewrites and graph.format == "onnx")


def train(
    source: Any = None, samples: float | None = None, epochs: float = 1,
    device: str | None = None, count: int | None = None, utilization: float | None = None,
    **asked: Any,
) -> Run:  # fmt: skip
    """What a training run takes: operations, time, energy, money.

    `device` is a name, a device file, or a rate such as "200GFLOPS"; `utilization` a share of its
    peak, that the device's model predicts unless given. `asked` is what
    `analyses.training.asked.train` takes (operations, optimizer, frozen, price, ...; data, tensor,
    pipeline, zero, seq, ... for many devices), and options of `load`. Raises FlopwiseError.
    """
    from flopwise.analyses.training.asked import train as analyse

    with uncollected():
        return analyse(load, source, samples, epochs, device, count, utilization, **asked)


def plan(source: Any, device: str | Device, count: int, **asked: Any) -> Plan:
    """The splits of `count` devices that train a language model fastest, with reasons.

    `source` is its config.json; `asked` is what `analyses.parallel.asked.planned` takes: seq,
    global_batch, dtype, link, network, ... Raises FlopwiseError.
    """
    from flopwise.analyses.parallel.asked import planned

    return planned(source, device, count, **asked)


def _profile(source: Any, **options: Any) -> Profile:
    from flopwise.profile import Profile

    return source if isinstance(source, Profile) else count(source, **options)


@contextmanager
def uncollected() -> Iterator[None]:
    """Without the garbage collector: a graph is many small objects and no cycles, and walking
    them over and over takes half as long again as making them."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def reconcile(
    source: Any, claim: str, *, tool: str = "", profile: Profile | None = None, inputs: Any = None,
    **options: Any,
) -> Verdict:  # fmt: skip
    """Why a published number and ours differ: a Verdict with ranked explanations.

    `claim` is text such as "3.8 GFLOPs" or "params 25.6M"; `tool` names the convention that
    the number is known to come from. Raises FlopwiseError.
    """
    from flopwise.analyses.reconcile import parse_claim
    from flopwise.analyses.reconcile import reconcile as search

    said = parse_claim(claim)
    base = profile or count(source, inputs, **options)

    def rebuild(height: Dim, width: Dim) -> Graph:
        shapes = {t.name: t.sizes for t in base.graph.inputs}
        image = next(name for name, shape in shapes.items() if len(shape) == 4)
        shapes[image] = (*shapes[image][:2], height, width)
        return load(source, shapes, **options)

    return search(base, said, rebuild, tool)


def run_tool(tool: str, source: str, profile: Profile) -> str:
    """What an installed counter prints of `package.module:callable`, at the profile's inputs.

    Raises FlopwiseError, also where the tool is not installed or fails.
    """
    if ":" not in source:
        raise FlopwiseError(f"{source}: tools run on package.module:callable, not on files")
    from flopwise.frontends.torch.peers import run

    return str(run(tool, source, {t.name: t.sizes for t in profile.graph.inputs}))


def sweep(
    source: Any, vary: Any, inputs: Any = None, batch: Size | None = None,
    convention: str = "flops", dtype: str = "", by_point: bool = False, runtime: str = "eager",
    **options: Any,
) -> Sweep:  # fmt: skip
    """Costs at many sizes, from one count in which they are free.

    `vary` has values by name: `batch`, `h` and `w` of an image, or a size that the model or
    `inputs` names; as "1:64:2" (ends included), "1:64:x2", "1,2,4" or numbers. Names joined
    by a comma vary together, the others in all combinations. Raises FlopwiseError.

    >>> found = sweep("examples/vgg16.prototxt", {"batch": "1:64:x2"})
    >>> found.columns["macs"][:2]
    (15470264320, 30940528640)
    """
    from flopwise.analyses.sweep import sweep as analyse
    from flopwise.analyses.sweep.ranges import grid, parse_varies
    from flopwise.frontends import Request

    columns = grid(parse_varies(vary))
    shapes, arguments = shapes_of(inputs)
    request = Request(
        shapes, None if batch is None else size_of(batch), dtype, options, arguments
    )  # fmt: skip
    with uncollected():
        return analyse(
            source, columns, request, plugins.load("conventions", convention), by_point, runtime
        )


def generate(config: Any, device: str | Device, **asked: Any) -> Serving:
    """What a decoder costs to serve, from its config.json (a path, its directory, or a dict).

    `asked` is what `analyses.serving.plan.planned` takes: tokens, batch, dtypes, devices.
    Raises FlopwiseError.
    """
    from flopwise.analyses.serving import generate as analyse

    return analyse(config, device, **asked)


def generate_sweep(config: Any, vary: Any, device: str | Device, **asked: Any) -> list[Point]:
    """`generate` at many points: `vary` has values of batch, prompt, tokens, prefix and tp, as
    `sweep` takes them. Raises FlopwiseError."""
    from flopwise.analyses.serving.sweep import generate_sweep as analyse

    return analyse(config, vary, device, **asked)
