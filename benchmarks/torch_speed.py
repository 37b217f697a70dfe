"""Write docs/torch-speed.md: the time to count PyTorch models, beside other counters.

    python benchmarks/torch_speed.py [--repeat 5] [--models resnet50,vit_h_14]

Each counter gets the same model and input on the meta device; the best of some runs is taken, after
one that is not timed. A counter that fails there is timed on real tensors, and one that fails
there too shows why.
torchvision must be importable (see tests/support/torchvision_ops.py); Llama needs transformers.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import platform
import sys
import time
import warnings
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

import flopwise

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
PATH = Path(__file__).parents[1] / "docs" / "torch-speed.md"
Model = tuple[torch.nn.Module, tuple[Any, ...]]


def vision(name: str) -> Model:
    from support import torchvision_ops

    torchvision_ops.available()
    import torchvision

    with torch.device("meta"):
        return torchvision.models.get_model(name, weights=None).eval(), (
            torch.empty(1, 3, 224, 224),
        )


def llama(layers: int = 32) -> Model:
    from support import torchvision_ops

    torchvision_ops.available()
    import transformers

    config = transformers.LlamaConfig(
        hidden_size=4096, intermediate_size=14336, num_hidden_layers=layers,
        num_attention_heads=32, num_key_value_heads=8, vocab_size=128256,
    )  # fmt: skip
    with torch.device("meta"):
        module = transformers.LlamaForCausalLM(config).eval()
        return module, (torch.zeros(1, 512, dtype=torch.int64),)


MODELS: dict[str, Callable[[], Model]] = {
    "resnet50": lambda: vision("resnet50"),
    "swin_t": lambda: vision("swin_t"),
    "vit_h_14": lambda: vision("vit_h_14"),
    "llama_8b": llama,
}


def ours(module: torch.nn.Module, args: Any) -> Any:
    return flopwise.count(module, inputs=args).total().mac


def flop_counter(module: torch.nn.Module, args: Any) -> Any:
    from torch.utils.flop_counter import FlopCounterMode

    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        module(*args)
    return counter.get_total_flops() / 2


def fvcore(module: torch.nn.Module, args: Any) -> Any:
    from fvcore.nn import FlopCountAnalysis

    analysis = FlopCountAnalysis(module, args)
    return analysis.unsupported_ops_warnings(False).uncalled_modules_warnings(False).total()


def thop(module: torch.nn.Module, args: Any) -> Any:
    import thop as library

    return library.profile(module, inputs=args, verbose=False)[0]


def ptflops(module: torch.nn.Module, args: Any) -> Any:
    from ptflops import get_model_complexity_info

    return get_model_complexity_info(
        module, tuple(args[0].shape[1:]), as_strings=False, print_per_layer_stat=False,
        input_constructor=lambda _: dict(zip(("x" if args[0].dim() == 4 else "input_ids",), args)),
    )[0]  # fmt: skip


def torchinfo(module: torch.nn.Module, args: Any) -> Any:
    from torchinfo import summary

    return summary(module, input_data=list(args), verbose=0, device="meta").total_mult_adds


def calflops(module: torch.nn.Module, args: Any) -> Any:
    from calflops import calculate_flops

    return calculate_flops(
        model=module, args=list(args), print_results=False, output_as_string=False
    )[1]


COUNTERS = {
    "flopwise": ours, "FlopCounterMode": flop_counter, "fvcore": fvcore, "thop": thop,
    "ptflops": ptflops, "torchinfo": torchinfo, "calflops": calflops,
}  # fmt: skip


def best(function: Callable[[], Any], repeat: int) -> tuple[float, Any]:
    """The shortest time of the processor, and the result of the run before."""
    result, times = function(), []
    for _ in range(repeat):
        start = time.process_time()
        function()
        times.append(time.process_time() - start)
    return min(times), result


def quietly(function: Callable[[], Any], repeat: int) -> tuple[float | None, Any]:
    with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return best(function, repeat)
        except ImportError:
            return None, "not installed"
        except Exception as error:
            return None, f"fails: {type(error).__name__}"


def bare(module: torch.nn.Module, args: Any) -> None:
    with torch.no_grad():
        module(*args)


def on_cpu(module: torch.nn.Module, args: Any) -> Model:
    """The same model with memory of its own, for counters that cannot do without."""
    return module.to_empty(device="cpu"), tuple(torch.zeros_like(a, device="cpu") for a in args)


def measure(name: str, repeat: int) -> dict[str, tuple[str, str]]:
    """For each counter its time over that of the bare forward, and its number over ours."""
    module, args = MODELS[name]()
    base, _ = best(lambda: bare(module, args), repeat)
    truth = ours(module, args)
    cells = {"bare forward on meta": (f"{base:.3f} s", f"{truth:,}")}
    for counter, function in COUNTERS.items():
        took, found = quietly(lambda f=function: f(module, args), repeat)
        place = ""
        if took is None and name != "llama_8b" and found != "not installed":
            place, real = " (CPU)", on_cpu(*MODELS[name]())
            took, found = quietly(lambda f=function, r=real: f(*r), 1)
        if took is None:
            cells[counter] = (str(found), "")
            continue
        cells[counter] = (f"{took / base:.2f}{place}", f"{found / truth:.3f}")
        print(name, counter, *cells[counter], flush=True)
    return cells


def table(names: list[str], measured: list[dict[str, tuple[str, str]]], part: int) -> list[str]:
    rows = [f"| {' | '.join(['counter', *names])} |", "| --- |" + " ---: |" * len(names)]
    return rows + [
        f"| {' | '.join([counter, *(found[counter][part] for found in measured)])} |"
        for counter in measured[0]
    ]


def installed() -> str:
    packages = ("torch", "torchvision", "transformers", *COUNTERS)
    named = []
    for package in packages:
        with contextlib.suppress(PackageNotFoundError):
            named.append(f"{package} {version(package)}")
    return ", ".join(named)


PAGE = """# Time to count a PyTorch model

By `benchmarks/torch_speed.py`, one run on {date}. Every counter gets the same model and the same
input on the meta device (images of 224, ViT-H/14 and Swin-T of torchvision, an 8 B Llama of 512
tokens). Times are the processor's; the best of {repeat} is taken, after one that is not timed.
Other work ran on the machine. Python {python}, {threads} threads;
{packages}.

## Time, in multiples of the bare forward on meta tensors

{times}

"(CPU)": the counter fails on meta tensors and was timed once more on real ones, in multiples of the
same bare forward; the 8 B Llama was not tried there. A repeated layer has its shapes worked
out once, which is why flopwise can take less than the bare forward.

## Its number, in multiples of the multiply-accumulates by definition

{numbers}

FLOPs are halved. Numbers up to 1.02 hold operations of norms and activations besides, by
convention; one below 0.99 misses products, and one far above counts some of them twice.
"""


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--models", default=",".join(MODELS))
    options = parser.parse_args()
    names = options.models.split(",")
    measured = [measure(name, options.repeat) for name in names]
    PATH.write_text(PAGE.format(
        date=time.strftime("%Y-%m-%d"), repeat=options.repeat, python=platform.python_version(),
        threads=torch.get_num_threads(), packages=installed(),
        times="\n".join(table(names, measured, 0)), numbers="\n".join(table(names, measured, 1)),
    ), encoding="utf-8")  # fmt: skip


if __name__ == "__main__":
    main()
