"""Networks measured on this machine beside what a calibration predicts of them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from flopwise import api, devices
from flopwise.analyses.roofline import Kernel, Prediction
from flopwise.errors import FlopwiseError
from flopwise.graph import Shape
from flopwise.measuring.calibration import start

ROUNDS = 9


@dataclass(frozen=True)
class Verified:
    """A prediction, and seconds measured: in the median, and how far rounds lie from it in the
    median. `layers` are measured seconds of kernels by name, where the runtime tells them."""

    prediction: Prediction
    measured_s: float
    scatter: float
    layers: dict[str, float]

    @property
    def error(self) -> float:
        """Relative to what was measured."""
        return self.prediction.latency_s / self.measured_s - 1

    @property
    def inside(self) -> bool:
        """Whether the measured time lies in the predicted band."""
        low, high = self.prediction.band_s
        return low <= self.measured_s <= high

    def rows(self) -> list[tuple[Kernel, float | None]]:
        """The kernels with what was measured of each, scaled to the time of a whole run."""
        total = sum(self.layers.values())
        scale = self.measured_s / total if total else 0.0
        found = self.layers
        return [
            (k, found[k.name] * scale if k.name in found else None) for k in self.prediction.kernels
        ]


def verify(
    model: str, device: str, rounds: int = ROUNDS, each: bool = False, **options: Any
) -> Verified:
    """Predict and measure one model. Raises FlopwiseError, also where it cannot be run."""
    target = devices.find(device)
    if not target.kernels:
        raise FlopwiseError(f"{device} is not calibrated: flopwise calibrate -o mine.toml")
    predicted = api.predict(model, target, **options)
    _, clock = start(target.runtime, target.threads or 1)
    run, layers = runner(model, target.runtime, clock.threads, each, **options)
    ratios = clock.ratios(run, rounds, limit=20.0)
    middle = median(ratios)
    scatter = median(abs(r / middle - 1) for r in ratios)
    return Verified(predicted, middle * unit(target, clock), scatter, layers)


def unit(target: devices.Device, clock: Any) -> float:
    """Seconds of the calibration product, undisturbed: as the calibration found it."""
    return float(target.calibration.get("product") or clock.unit)


def runner(
    model: str, runtime: str, threads: int, each: bool, inputs: Any = None, batch: Any = None,
    **options: Any,
) -> tuple[Any, dict[str, float]]:  # fmt: skip
    """Something that runs a model; with `each`, its operators measured besides."""
    graph = api.load(model, inputs=inputs, batch=batch, **options)
    shapes: dict[str, Shape] = {t.name: t.sizes for t in graph.inputs}
    if any(not isinstance(size, int) for shape in shapes.values() for size in shape):
        raise FlopwiseError("measuring needs numbers for all sizes: give --batch or --input")
    if runtime == "eager":
        from flopwise.measuring import torch

        module = torch.built(model)
        found = torch.layers(module, graph, threads) if each else {}
        return torch.network(module, graph.inputs, threads), found
    if graph.format != "onnx":
        raise FlopwiseError(f"{model}: onnxruntime runs ONNX files; this is {graph.format}")
    from flopwise.measuring import onnxruntime

    path = Path(model)
    try:
        run = onnxruntime.network(path, shapes, threads)  # type: ignore[arg-type]
        found = onnxruntime.layers(path, shapes, threads) if each else {}  # type: ignore[arg-type]
    except FlopwiseError:
        raise
    except Exception as error:  # onnxruntime's own classes have only Exception in common
        raise FlopwiseError(f"{model}: cannot be run ({' '.join(str(error).split())})") from None
    return run, found
