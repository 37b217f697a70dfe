"""Kernels and networks in onnxruntime, each as something to call.

A kernel runs several times in one graph, as in a network: its first operand was just touched, its
result and other operands go through as much memory as a network's take turns in, and its weights
come from far, since each copy has its own.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache
from math import prod
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from flopwise import arrays as numpy
from flopwise.analyses.cases import BLOCKED, Case
from flopwise.analyses.terms import work
from flopwise.errors import MissingPackage
from flopwise.measuring import specs
from flopwise.measuring.clock import MOST, copies
from flopwise.measuring.samples import ROOM
from flopwise.measuring.specs import MICROSOFT, Spec

PRODUCT = Case("gemm", (192, 192, 192))  # the calibration product of the clock
PROFILER = 7e-6  # s that onnxruntime's profiler adds to an operator
AROUND = 4_000_000  # elements that results take turns in, as those of a network do
FEWEST = 3  # buffers of a kind that does
LINE = 16  # elements of a cache line, which onnxruntime's own memory starts at
has = specs.has


def packages() -> tuple[Any, Any]:
    """onnx and onnxruntime. Raises MissingPackage."""
    try:
        import onnx
        import onnxruntime
    except ImportError as error:
        raise MissingPackage(
            f"measuring with onnxruntime needs {error.name}: pip install onnx onnxruntime"
        ) from None
    return onnx, onnxruntime


def version() -> str:
    return f"onnxruntime {packages()[1].__version__}"


def kernel(case: Case, threads: int = 1, times: int = 0) -> tuple[Callable[[], object], int]:
    """Something that runs a kernel, and how many times it does."""
    spec = specs.spec(case)
    stored = sum(prod(w) for w in spec.weights if isinstance(w, tuple))
    around = round(2 * AROUND / work(case)[1])  # as many as fill that memory
    times = times or copies(case, stored, max(FEWEST, min(MOST, around)))
    return _turns(spec, times, threads), times


def network(
    path: Path, shapes: dict[str, tuple[int, ...]], threads: int = 1
) -> Callable[[], object]:
    """Something that runs a file, all optimisations on, on random data."""
    session = _session(str(path), threads, whole=True)
    return _bound(session, given(session, shapes))


def given(session: Any, shapes: dict[str, tuple[int, ...]]) -> list[Any]:
    """Random data; axes that a file leaves open are 1 unless a shape is given."""
    chance, given = numpy.random.default_rng(0), []
    for entry in session.get_inputs():
        shape = shapes.get(entry.name, tuple(s if isinstance(s, int) else 1 for s in entry.shape))
        whole = "int" in entry.type
        given.append(chance.integers(0, 2, shape, TYPES[entry.type]) if whole
                     else chance.random(shape).astype(TYPES[entry.type]))  # fmt: skip
    return given


def layers(
    path: Path, shapes: dict[str, tuple[int, ...]], threads: int = 1, rounds: int = 15
) -> dict[str, float]:
    """Seconds of each operator of the rewritten graph: the least of what the profiler saw, and
    less what it costs itself, so that their sum is not the time of a run."""
    with TemporaryDirectory() as folder:
        session = _session(str(path), threads, whole=True, profile=str(Path(folder) / "run"))
        run = _bound(session, given(session, shapes))
        for _ in range(rounds):
            run()
        events = json.loads(Path(session.end_profiling()).read_text(encoding="utf-8"))
    found: dict[str, float] = {}
    for event in events:
        name = event["name"]
        if event.get("cat") == "Node" and name.endswith("_kernel_time"):
            name, taken = name.removesuffix("_kernel_time"), event["dur"] / 1e6
            found[name] = min(found.get(name, taken), taken)
    return {name: max(0.0, seconds - PROFILER) for name, seconds in found.items()}


TYPES = {
    "tensor(float)": "float32", "tensor(int64)": "int64", "tensor(int32)": "int32",
    "tensor(float16)": "float16", "tensor(double)": "float64", "tensor(bool)": "bool",
}  # fmt: skip


def _session(model: str | bytes, threads: int, whole: bool, profile: str = "") -> Any:
    _, runtime = packages()
    options = runtime.SessionOptions()
    if profile:
        options.enable_profiling, options.profile_file_prefix = True, profile
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    # Workers that wait for the next run would keep the processors from those of other sessions.
    options.add_session_config_entry("session.force_spinning_stop", "1")
    options.log_severity_level = 3
    levels = runtime.GraphOptimizationLevel
    options.graph_optimization_level = levels.ORT_ENABLE_ALL if whole else levels.ORT_DISABLE_ALL
    return runtime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def _bound(session: Any, given: list[Any]) -> Callable[[], object]:
    """Inputs and outputs bound to memory of their own: nothing is allocated in a run."""
    _, runtime = packages()
    binding = session.io_binding()
    for entry, array in zip(session.get_inputs(), given):
        binding.bind_ortvalue_input(entry.name, runtime.OrtValue.ortvalue_from_numpy(array))
    for entry in session.get_outputs():
        binding.bind_output(entry.name, "cpu")
    session.run_with_iobinding(binding)
    for entry, value in zip(session.get_outputs(), binding.get_outputs()):
        if value.is_tensor():
            binding.bind_ortvalue_output(entry.name, value)
    return lambda: session.run_with_iobinding(binding)


def _turns(spec: Spec, times: int, threads: int) -> Callable[[], object]:
    """An operator that runs some times, its operands and results in buffers."""
    session = _session(_model(spec, times), threads, whole=False)
    binding = session.io_binding()
    value = packages()[1].OrtValue.ortvalue_from_numpy
    data = [_buffers(shape, times if i else 1) for i, shape in enumerate(spec.data)]
    for j in range(times):
        for i, buffers in enumerate(data):
            binding.bind_ortvalue_input(f"x{j}.{i}", value(buffers[j % len(buffers)]))
        binding.bind_output(f"y{j}", "cpu")
    session.run_with_iobinding(binding)
    shapes = [tuple(y.shape()) for y in binding.get_outputs()]
    binding.clear_binding_outputs()
    results = _buffers(shapes[0], times) if spec.place is None else data[spec.place]
    for j, shape in enumerate(shapes):
        address = results[j % len(results)].ctypes.data
        binding.bind_output(f"y{j}", "cpu", 0, numpy.float32, list(shape), address)
    return lambda kept=results: session.run_with_iobinding(binding)  # type: ignore[misc]


def _buffers(shape: tuple[int, ...], most: int) -> list[Any]:
    """Arrays side by side in memory, each from the start of a cache line."""
    size = prod(shape)
    apart = -(-size // LINE) * LINE
    count = max(1, min(most, max(FEWEST, AROUND // apart)))
    memory = numpy.random.default_rng(0).random(apart * count + LINE, "float32")
    start = -(memory.ctypes.data // memory.itemsize) % LINE
    places = range(start, start + apart * count, apart)
    return [memory[place : place + size].reshape(shape) for place in places]


def _model(spec: Spec, times: int) -> bytes:
    onnx, _ = packages()
    helper, chance = onnx.helper, _chance()
    data = {f"x{j}.{i}": x for j in range(times) for i, x in enumerate(spec.data)}
    nodes, stored = [], []
    for j in range(times):
        names = [f"x{j}.{i}" for i in range(len(spec.data))]
        for i, weight in enumerate(spec.weights):
            array = numpy.asarray(weight)
            if isinstance(weight, tuple):  # weights that are equal onnxruntime would share
                array = chance[j : j + prod(weight)].reshape(weight)
            stored.append(onnx.numpy_helper.from_array(array, f"w{j}.{i}"))
            names.append(f"w{j}.{i}")
        names = [names[0], *names[2:], names[1]] if spec.sums else names
        made = [f"y{j}", *(f"y{j}.{i}" for i in range(1, spec.results))]
        nodes.append(helper.make_node(spec.op, names, made, domain=spec.domain, **spec.attrs))
    inputs = [helper.make_tensor_value_info(name, 1, shape) for name, shape in data.items()]
    results = [helper.make_tensor_value_info(f"y{j}", 1, None) for j in range(times)]
    graph = helper.make_graph(nodes, "kernels", inputs, results, stored)
    opsets = [helper.make_opsetid(*pair) for pair in (("", 17), (MICROSOFT, 1), (BLOCKED, 1))]
    model: bytes = helper.make_model(graph, opset_imports=opsets, ir_version=8).SerializeToString()
    return model


@cache
def _chance() -> Any:
    """Numbers for weights; making new ones would take longer than the kernels."""
    return numpy.random.default_rng(0).random(int(ROOM) + MOST, "float32") * 0.1 - 0.05
