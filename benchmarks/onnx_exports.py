"""Write docs/onnx-exports.md: torchvision modules against their own ONNX exports.

Run from the repository: `.venv/bin/python benchmarks/onnx_exports.py`. Needs torch, torchvision
and onnxscript (`pip install onnxscript`). Each module is counted as it is, and as the file that
torch.onnx.export writes of it, once with a number for the batch and once with a free one.
"""

import sys
import tempfile
import warnings
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

from flopwise import api
from flopwise.dims import at
from flopwise.profile import Profile

ROOT = Path(__file__).parents[1]
SIZE, BATCH = 64, 3
NAMES = (
    "alexnet", "vgg11_bn", "squeezenet1_1", "resnet18", "resnet50", "resnext50_32x4d",
    "wide_resnet50_2", "densenet121", "googlenet", "mobilenet_v2", "mobilenet_v3_small",
    "shufflenet_v2_x0_5", "mnasnet0_5", "efficientnet_b0", "regnet_y_400mf", "convnext_tiny",
    "vit_b_16", "swin_t",
)  # fmt: skip
LARGER = {"vit_b_16": 224, "squeezenet1_1": 96, "alexnet": 96}
HEAD = """# Modules and their ONNX exports

Written by `benchmarks/onnx_exports.py` with torch {torch} and onnxscript {script}: torchvision's
modules with random weights, images of {size} x {size} (larger where the network needs it), counted
as modules and as the files that `torch.onnx.export(dynamo=True, optimize=False)` writes. *Same
modules*: the parts of the network, by their path, whose MACs are equal in both. *Free batch*:
the export with `batch` left open, at a batch of {batch}.

| network | MACs of the module | of the export | same modules | free batch | coverage |
|---|---:|---:|---:|---:|---:|
"""


def by_module(profile: Profile, leaf: bool) -> dict[str, Any]:
    """MACs by module path; in a file the last part of a scope is the node in the module."""
    found: dict[str, Any] = {}
    for row in profile.rows:
        path = ".".join(row.node.scope[:-1] if leaf else row.node.scope)
        if row.total.mac != 0:
            found[path] = found.get(path, 0) + row.total.mac
    return found


def row(name: str, make: Callable[[], Any], folder: Path) -> str:
    import torch

    size = LARGER.get(name, SIZE)
    module, image = make().eval(), torch.zeros(2, 3, size, size)
    files = {}
    for kind, shapes in (("fixed", None), ("free", ({0: torch.export.Dim("batch")},))):
        files[kind] = folder / f"{name}-{kind}.onnx"
        program = torch.onnx.export(
            module, (image,), dynamo=True, optimize=False, verbose=False, dynamic_shapes=shapes
        )
        program.save(str(files[kind]))
    own, fixed, free = api.count(module, image), *(api.count(files[k]) for k in ("fixed", "free"))
    left, right = by_module(own, False), by_module(fixed, True)
    same = sum(left.get(path) == right.get(path) for path in left.keys() | right.keys())
    batch = at(free.total().mac, {"batch": BATCH}) * 2 == own.total().mac * BATCH
    cells = (
        name, f"{own.total().mac:,}", f"{fixed.total().mac:,}",
        f"{same} of {len(left.keys() | right.keys())}", "equal" if batch else str(free.total().mac),
        f"{fixed.coverage:.0%}",
    )  # fmt: skip
    return f"| {' | '.join(cells)} |"


def main() -> None:
    sys.path.insert(0, str(ROOT / "tests"))
    from support import torchvision_ops

    torchvision_ops.available()
    import torch
    import torchvision

    warnings.filterwarnings("ignore")
    text = HEAD.format(
        torch=torch.__version__, script=metadata.version("onnxscript"), size=SIZE, batch=BATCH
    )
    for name in sys.argv[1:] or NAMES:
        more = {"init_weights": False, "aux_logits": False} if name == "googlenet" else {}

        def make(name: str = name, more: Any = more) -> Any:
            return getattr(torchvision.models, name)(weights=None, **more)

        with tempfile.TemporaryDirectory() as folder:
            text += row(name, make, Path(folder)) + "\n"
        print(text.splitlines()[-1], flush=True)
    if not sys.argv[1:]:
        (ROOT / "docs" / "onnx-exports.md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
