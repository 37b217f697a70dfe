"""What free sizes cost: our polynomials, and sympy put in their place under the same formulas.

    python benchmarks/symbols.py            prints the table of docs/symbols.md
    python benchmarks/symbols.py --write    writes it there

Each figure is processor time, the median of fresh processes, since sympy remembers what it
has worked out.
A count is reading the file, inferring shapes and adding up every layer's counts and bytes.
"""

from __future__ import annotations

import json
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from importlib.machinery import SourceFileLoader
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
PAGE, DIMS = ROOT / "docs/symbols.md", ROOT / "src/flopwise/dims.py"
RUNS = 5
CHAIN = 5000


def layer(kind: str, bottoms: str, top: str, fields: str = "") -> str:
    links = " ".join(f'bottom: "{b}"' for b in bottoms.split())
    return f'layer {{ name: "{top}" type: "{kind}" {links} top: "{top}" {fields} }}\n'


def conv(bottom: str, top: str, filters: int, k: int, stride: int = 1) -> str:
    fields = (
        f"num_output: {filters} kernel_size: {k} stride: {stride} pad: {k // 2} bias_term: false"
    )
    text = layer("Convolution", bottom, f"{top}/conv", f"convolution_param {{ {fields} }}")
    text += layer("BatchNorm", f"{top}/conv", f"{top}/bn")
    return text + layer("Scale", f"{top}/bn", top, "scale_param { bias_term: true }")


def relu(bottom: str) -> str:
    return layer("ReLU", bottom, f"{bottom}/relu")


def resnet50() -> str:
    """He et al. 2015, arXiv 1512.03385, with the stride in the 3 x 3 as torchvision has it."""
    text = 'input: "data" input_shape { dim: 1 dim: 3 dim: 224 dim: 224 }\n'
    text += conv("data", "stem", 64, 7, 2) + relu("stem")
    text += layer("Pooling", "stem/relu", "x", "pooling_param { pool: MAX kernel_size: 3 stride: 2"
                  " pad: 1 round_mode: FLOOR }")  # fmt: skip
    last = "x"
    for stage, (blocks, width) in enumerate(((3, 64), (4, 128), (6, 256), (3, 512)), 1):
        for block in range(1, blocks + 1):
            name = f"layer{stage}/{block}"
            stride = 2 if stage > 1 and block == 1 else 1
            text += conv(last, f"{name}/a", width, 1) + relu(f"{name}/a")
            text += conv(f"{name}/a/relu", f"{name}/b", width, 3, stride) + relu(f"{name}/b")
            text += conv(f"{name}/b/relu", f"{name}/c", 4 * width, 1)
            if block == 1:
                text += conv(last, f"{name}/d", 4 * width, 1, stride)
                last = f"{name}/d"
            text += layer("Eltwise", f"{name}/c {last}", f"{name}/sum") + relu(f"{name}/sum")
            last = f"{name}/sum/relu"
    text += layer("Pooling", last, "pool", "pooling_param { pool: AVE global_pooling: true }")
    return text + layer("InnerProduct", "pool", "fc", "inner_product_param { num_output: 1000 }")


def chain() -> str:
    """Convolutions and ReLUs in a row."""
    text, last = 'input: "data" input_shape { dim: 1 dim: 3 dim: 224 dim: 224 }\n', "data"
    fields = "convolution_param { num_output: 8 kernel_size: 3 pad: 1 }"
    for i in range(CHAIN // 2):
        text += layer("Convolution", last, f"c{i}", fields) + layer("ReLU", f"c{i}", f"r{i}")
        last = f"r{i}"
    return text


NETWORKS: dict[str, Callable[[], str]] = {"ResNet-50": resnet50, f"{CHAIN} layers": chain}
SHAPES = {"numbers": (1, 3, 224, 224), "N": ("N", 3, 224, 224), "N, H, W": ("N", 3, "H", "W")}


def use_sympy() -> None:
    """Before any formula is imported: sizes are sympy's expressions."""
    import sympy

    from flopwise import dims

    def exact(decide: Callable[..., Any], of_numbers: Callable[..., Any]) -> Callable[..., Any]:
        return lambda a, b: (of_numbers if type(a) is type(b) is int else decide)(a, b)

    theirs = {
        "Expr": sympy.Expr,
        "symbol": lambda name: sympy.Symbol(name, integer=True, positive=True),
        "floordiv": exact(lambda a, b: sympy.floor(sympy.sympify(a) / b), lambda a, b: a // b),
        "maximum": exact(sympy.Max, max),
        "minimum": exact(sympy.Min, min),
        "at_least": lambda a, b: bool(sympy.sympify(a - b).is_nonnegative),
        "at": lambda dim, sizes: dim.subs([(s, sizes[s.name]) for s in dim.free_symbols]),
    }
    for module in [m for name, m in sys.modules.items() if name.startswith("flopwise")]:
        for name in theirs.keys() & vars(module).keys():
            setattr(module, name, theirs[name])
    assert dims.Expr is sympy.Expr


def measure(engine: str, file: str, sizes: str) -> dict[str, Any]:
    """In a fresh process: the seconds of one count, and its result at N = 2, H = W = 320."""
    if engine == "sympy":
        use_sympy()
    import flopwise
    from flopwise import dims, ops

    ops.find("conv")
    flopwise.load(ROOT / "examples/alexnet.prototxt")  # everything imported
    shape = tuple(dims.symbol(s) if isinstance(s, str) else s for s in SHAPES[sizes])
    begun = time.process_time()
    total = flopwise.count(file, inputs={"data": shape}).total()
    seconds = time.process_time() - begun
    at = {name: 2 if name == "N" else 320 for name in ("N", "H", "W")}
    return {
        "seconds": seconds,
        "mac": int(dims.at(total.mac, at)),
        "ops": int(dims.at(total.ops, at)),
    }


def importing(module: str) -> dict[str, Any]:
    """Alone: dims.py needs nothing of ours."""
    begun = time.process_time()
    if module == "sympy":
        __import__(module)
    else:
        SourceFileLoader(module, str(DIMS)).load_module(module)
    return {"seconds": time.process_time() - begun}


def fresh(*arguments: str) -> dict[str, Any]:
    """The median of several processes, whose results must be the same."""
    command = [sys.executable, __file__, "--measure", *arguments]
    found = [
        json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
        for _ in range(RUNS)
    ]
    assert len({str({**f, "seconds": 0}) for f in found}) == 1
    return {**found[0], "seconds": statistics.median(f["seconds"] for f in found)}


def table() -> str:
    import sympy

    lines = ["| | ours | sympy | ratio |", "|---|--:|--:|--:|"]

    def row(label: str, ours: float, theirs: float | None = None) -> None:
        other = ("", "") if theirs is None else (f"{theirs * 1000:,.0f} ms", f"{theirs / ours:.0f}")
        lines.append(f"| {label} | {ours * 1000:,.0f} ms | {' | '.join(other)} |")

    row("import", *(fresh("import", m)["seconds"] for m in ("dims", "sympy")))
    for name, text in NETWORKS.items():
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "net.prototxt"
            file.write_text(text())
            for sizes in SHAPES:
                ours = fresh("ours", str(file), sizes)
                if sizes == "numbers":
                    row(f"{name}, {sizes}", ours["seconds"])
                    continue
                theirs = fresh("sympy", str(file), sizes)
                assert (ours["mac"], ours["ops"]) == (theirs["mac"], theirs["ops"])
                row(f"{name}, free {sizes}", ours["seconds"], theirs["seconds"])
    where = f"Python {platform.python_version()}, sympy {sympy.__version__}; processor time,"
    where += f" the median of {RUNS} fresh processes."
    return "\n".join([*lines, "", where])


def main() -> None:
    if "--measure" in sys.argv:
        what, *arguments = sys.argv[sys.argv.index("--measure") + 1 :]
        print(json.dumps(importing(*arguments) if what == "import" else measure(what, *arguments)))
        return
    text = table()
    print(text)
    if "--write" in sys.argv:
        before, begin, rest = PAGE.read_text(encoding="utf-8").partition("<!-- measured -->\n")
        after = rest.partition("<!-- end -->")[2]
        PAGE.write_text(f"{before}{begin}{text}\n<!-- end -->{after}", encoding="utf-8")


if __name__ == "__main__":
    main()
