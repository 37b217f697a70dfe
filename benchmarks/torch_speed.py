"""Time to count PyTorch models on meta tensors, in multiples of one bare forward there.

    python benchmarks/torch_speed.py [--repeat 5] [--models resnet50,vit_h_14]

Each counter gets the same model and input on the meta device; the best of some runs is taken, after
one that is not timed. Counters that are not installed are left out; one that fails on meta
tensors shows why. "right" compares its multiply-accumulates (FLOPs halved) with ours, to 1 %.
torchvision must be importable (see tests/support/torchvision_ops.py); Llama needs transformers.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

import flopwise

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
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
    """The shortest time, and the result of the run before."""
    result, times = function(), []
    for _ in range(repeat):
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
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


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--models", default=",".join(MODELS))
    options = parser.parse_args()
    names = options.models.split(",")
    rows: dict[str, list[str]] = {name: [] for name in ("bare forward, s", *COUNTERS)}
    for name in names:
        module, args = MODELS[name]()
        # HF's mask code asks meta tensors for values; the bare forward then cannot run.
        base, said = quietly(lambda m=module, a=args: bare(m, a), options.repeat)
        _, truth = quietly(lambda m=module, a=args: ours(m, a), 1)
        rows["bare forward, s"].append(f"{base:.3f}" if base else said)
        for counter, function in COUNTERS.items():
            took, found = quietly(lambda f=function, m=module, a=args: f(m, a), options.repeat)
            if took is None or base is None:
                rows[counter].append(str(found) if took is None else f"{took:.2f} s")
                continue
            right = isinstance(truth, int) and abs(found / truth - 1) < 0.01
            rows[counter].append(f"{took / base:.2f}" + ("" if right else " (wrong)"))
    print("| counter | " + " | ".join(names) + " |")
    print("|---" * (len(names) + 1) + "|")
    for counter, cells in rows.items():
        print(f"| {counter} | " + " | ".join(cells) + " |")
    print(
        f"\ntorch {torch.__version__}, {torch.get_num_threads()} threads, best of {options.repeat}"
    )


if __name__ == "__main__":
    main()
