"""Write docs/onnx-speed.md: time and memory on an ONNX file of 1.9 GB, and on long graphs.

Run from the repository: `.venv/bin/python benchmarks/onnx_size.py [--long] [FOLDER]`. Needs 2 GB
of disk in FOLDER (a temporary one unless given) and leaves nothing there; `--long` measures the
long graphs alone, and leaves what the page says of the other. Peers that are not
installed are left out: onnx, and `pip install onnx-tool onnx-opcounter`.
"""

import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from importlib import metadata
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy

ROOT = Path(__file__).parents[1]
ROWS, COLUMNS, LAYERS = 4096, 8192, 14  # 14 matrices of 134 MB, and as many vectors
FLOAT, INT64 = 1, 7


def varint(value: int) -> bytes:
    """A number as protobuf writes it, seven bits a byte."""
    head = b""
    while value > 127:
        head += bytes([value & 127 | 128])
        value >>= 7
    return head + bytes([value])


def field(number: int, value: bytes | str | int) -> bytes:
    """A field of a message: a number, or text or bytes with their length."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    data = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(data)) + data


def node(op: str, inputs: Iterable[str], output: str, *attributes: bytes, name: str = "") -> bytes:
    """A NodeProto."""
    operands = b"".join(field(1, i) for i in inputs)
    settings = b"".join(field(5, a) for a in attributes)
    return field(
        1, operands + field(2, output) + field(3, name or output) + field(4, op) + settings
    )


def integers(name: str, *values: int) -> bytes:
    """An attribute of integers."""
    return field(1, name) + b"".join(field(8, v) for v in values) + field(20, 7)


def value(number: int, name: str, shape: Iterable[int | str]) -> bytes:
    """A ValueInfoProto, as an input (11) or an output (12)."""
    dims = b"".join(field(1, field(1 if isinstance(s, int) else 2, s)) for s in shape)
    return field(number, field(1, name) + field(2, field(1, field(1, FLOAT) + field(2, dims))))


def model(graph: bytes) -> bytes:
    """The start and the end of a ModelProto, around a graph."""
    return field(1, 8) + field(8, field(2, 17)) + field(7, graph)


class Weights:
    """Random numbers for the weights, the same bytes over and over: what is timed is reading."""

    def __init__(self) -> None:
        self.block = numpy.random.default_rng(0).random(2**20, dtype=numpy.float32).tobytes()

    def write(self, file: BinaryIO, size: int) -> None:
        while size > 0:
            size -= file.write(self.block[:size])


def tensor(name: str, shape: tuple[int, ...], size: int) -> tuple[bytes, int]:
    """A TensorProto up to where its weights go, and its whole length."""
    dims = b"".join(field(1, s) for s in shape)
    head = dims + field(2, FLOAT) + field(8, name) + varint(9 << 3 | 2) + varint(size)
    return head, len(head) + size


Part = tuple[bytes, int]  # bytes, and how many bytes of weights follow


def inline(_: Path) -> Iterator[Part]:
    """Weights in initializers."""
    for name, shape, size in tensors():
        head, length = tensor(name, shape, size)
        yield varint(5 << 3 | 2) + varint(length) + head, size


def constants(_: Path) -> Iterator[Part]:
    """Weights in Constant nodes."""
    for name, shape, size in tensors():
        head, length = tensor(name, shape, size)
        held = varint(5 << 3 | 2) + varint(length) + head
        front = field(1, "value") + field(20, 4)
        whole = varint(5 << 3 | 2) + varint(len(front) + len(held) + size) + front + held
        outer = field(2, name) + field(4, "Constant")
        yield varint(1 << 3 | 2) + varint(len(outer) + len(whole) + size) + outer + whole, size


def external(path: Path) -> Iterator[Part]:
    """Weights in a file beside the model."""
    place = 0
    with path.with_suffix(".data").open("wb") as file:
        for name, shape, size in tensors():
            Weights().write(file, size)
            entries = {"location": f"{path.stem}.data", "offset": str(place), "length": str(size)}
            dims = b"".join(field(1, s) for s in shape)
            told = b"".join(field(13, field(1, k) + field(2, v)) for k, v in entries.items())
            yield field(5, dims + field(2, FLOAT) + field(8, name) + told + field(14, 1)), 0
            place += size


def tensors() -> Iterator[tuple[str, tuple[int, ...], int]]:
    for i in range(LAYERS):
        shape = (ROWS, COLUMNS) if i % 2 == 0 else (COLUMNS, ROWS)
        yield f"w{i}", shape, 4 * ROWS * COLUMNS
        yield f"b{i}", shape[1:], 4 * shape[1]


def layers() -> bytes:
    """Matrix products, each with a bias."""
    found, x = b"", "x"
    for i in range(LAYERS):
        found += node("MatMul", (x, f"w{i}"), f"m{i}") + node("Add", (f"m{i}", f"b{i}"), f"y{i}")
        x = f"y{i}"
    return found + value(11, "x", (1, ROWS)) + value(12, x, (1, ROWS))


def write(path: Path, parts: Callable[[Path], Iterator[Part]]) -> None:
    """The model whose weights lie as `parts` says, one matrix in memory at a time."""
    head, weights = field(1, 8) + field(8, field(2, 17)), Weights()
    listed = [*parts(path)]
    length = sum(len(data) + size for data, size in listed) + len(layers()) + len(field(2, "big"))
    with path.open("wb") as file:
        file.write(head + varint(7 << 3 | 2) + varint(length) + field(2, "big"))
        for data, size in listed:
            file.write(data)
            weights.write(file, size)
        file.write(layers())


def long_graph(path: Path, nodes: int) -> None:
    """Convolution, activation, shape arithmetic and addition, over and over."""
    graph, x = field(2, "long"), "x"
    shape = field(1, 16) + field(1, 16) + field(1, 1) + field(1, 1) + field(2, FLOAT)
    for i in range(nodes // 5):
        scope = f"/layer{i // 10}/block{i % 10}"
        graph += node(
            "Conv",
            (x, f"w{i}", f"b{i}"),
            f"c{i}",
            integers("kernel_shape", 1, 1),
            integers("strides", 1, 1),
            integers("pads", 0, 0, 0, 0),
            name=f"{scope}/conv",
        )
        graph += node("Relu", (f"c{i}",), f"r{i}", name=f"{scope}/relu")
        graph += node("Shape", (f"r{i}",), f"s{i}", name=f"{scope}/shape")
        graph += node("Reshape", (f"r{i}", f"s{i}"), f"q{i}", name=f"{scope}/reshape")
        graph += node("Add", (f"q{i}", x), f"a{i}", name=f"{scope}/add")
        graph += field(5, shape + field(8, f"w{i}") + field(9, bytes(1024)))
        graph += field(5, field(1, 16) + field(2, FLOAT) + field(8, f"b{i}") + field(9, bytes(64)))
        x = f"a{i}"
    sizes = ("N", 16, "H", "W")
    path.write_bytes(model(graph + value(11, "x", sizes) + value(12, x, sizes)))


TOOLS = {
    "flopwise": ("flopwise", "from flopwise.cli import main; main([{path!r}, '--format', 'json'])"),
    "onnx.load": ("onnx", "import onnx; onnx.load({path!r})"),
    "onnx-opcounter": (
        "onnx-opcounter",
        "import onnx, onnx_opcounter as o; print(o.calculate_macs(onnx.load({path!r})))",
    ),
    "onnx-tool": (
        "onnx-tool", "import onnx_tool; onnx_tool.model_profile({path!r}, save_profile='/dev/null')"
    ),
}  # fmt: skip


SLOW = {"onnx-opcounter"}  # a minute and 12 GB: on the first file only


def installed(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return ""


PEAK = """import atexit, os, sys
def peak():
    with open("/proc/self/status") as status:
        line = next(line for line in status if line.startswith("VmHWM"))
    print(sum(os.times()[:2]), line.split()[1], file=sys.stderr)
atexit.register(peak)
"""


class Run(NamedTuple):
    """Seconds, seconds of processor time, peak resident megabytes and success of a process."""

    seconds: float
    work: float
    peak: float
    fine: bool

    def __str__(self) -> str:
        if not self.fine:
            return "failed | | "
        return f"{self.seconds:.2f} s | {self.work:.2f} s | {self.peak:,.0f} MB"


def run(code: str) -> Run:
    start = time.perf_counter()
    done = subprocess.run([sys.executable, "-c", PEAK + code], capture_output=True, check=False)
    seconds, words = time.perf_counter() - start, done.stderr.split()
    if done.returncode != 0:
        print(done.stderr.decode(errors="replace")[-500:], file=sys.stderr)
    work, peak = map(float, words[-2:]) if done.returncode == 0 else (0.0, 0.0)
    return Run(seconds, work, peak / 1024, done.returncode == 0)


def best(code: str, times: int) -> Run:
    """The fastest of some runs; the first one warms the page cache."""
    return min((run(code) for _ in range(times)), key=lambda r: (not r.fine, r.seconds))


def big_rows(folder: Path) -> Iterator[str]:
    """One row per way of storing the weights and per tool."""
    for make in (inline, external, constants):
        path = folder / f"{make.__name__}.onnx"
        write(path, make)
        size = sum(p.stat().st_size for p in folder.iterdir()) / 1e9
        for tool, (package, code) in TOOLS.items():
            version = installed(package)
            if not version or (tool in SLOW and make is not inline):
                continue
            times = 3 if tool == "flopwise" else 1  # others take their time, on a warm cache
            told = best(code.format(path=str(path)), times)
            print(make.__name__, tool, told, file=sys.stderr, flush=True)
            yield f"| {make.__name__} ({size:.2f} GB) | {tool} {version} | {told} |"
        for left in folder.iterdir():
            left.unlink()


SIZES = (6250, 12500, 25000, 50000)


def long_rows(folder: Path) -> Iterator[str]:
    for nodes in SIZES:
        path = folder / "long.onnx"
        long_graph(path, nodes)
        call = "from flopwise.cli import main; main([{path!r}{more}, '--format', 'json'])"
        cells = []
        for more in (", '--input', 'x=1x16x32x32'", ""):
            cells.append(str(best(call.format(path=str(path), more=more), 2)))
        yield f"| {nodes:,} | {' | '.join(cells)} |"
        path.unlink()


HEAD = """# ONNX files of any size

Written by `benchmarks/onnx_size.py`, tool after tool, on {cores} cores, Python {python}: whole
processes, with the file in the page cache (the best of three runs of flopwise, one of the
others): the time that passed, that of the processor (the load of the machine at the start was
{load:.1f}), and the peak of resident memory. onnx-opcounter is run on the first file only.

## A file of 1.9 GB

{layers} matrix products of {rows} x {columns}, float32, with biases: {tensors} tensors. The
weights lie in initializers, in a file beside the model, or in Constant nodes. flopwise maps
the file and steps over them by their length; the others load them.

| weights | tool | time | processor | peak memory |
|---|---|---:|---:|---:|
"""

LONG = """
## Long graphs

Convolution, activation, shape arithmetic, reshape and addition over and over, with sizes that
are numbers and with free ones (`N`, `H` and `W`), to JSON.

| nodes | numbers | processor | peak | free sizes | processor | peak |
|---:|---:|---:|---:|---:|---:|---:|
"""


def main() -> None:
    page = ROOT / "docs" / "onnx-speed.md"
    folders = [a for a in sys.argv[1:] if a != "--long"]
    with tempfile.TemporaryDirectory(dir=folders[0] if folders else None) as folder:
        if "--long" in sys.argv:
            text = page.read_text(encoding="utf-8").partition(LONG)[0]
        else:
            text = HEAD.format(
                cores=os.cpu_count(), load=os.getloadavg()[0], python=platform.python_version(),
                layers=LAYERS, rows=ROWS, columns=COLUMNS, tensors=2 * LAYERS,
            )  # fmt: skip
            text += "".join(f"{row}\n" for row in big_rows(Path(folder)))
        text += LONG + "".join(f"{row}\n" for row in long_rows(Path(folder)))
    page.write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
