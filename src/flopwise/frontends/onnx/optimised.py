"""A file as onnxruntime rewrites it before running: fused, and laid out for this machine."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

from flopwise.errors import MissingPackage, UnreadableModel


def rewritten(path: Path) -> bytes:
    """The model that onnxruntime writes after all its optimisations. Nothing is run.

    Raises MissingPackage without onnxruntime, and UnreadableModel where it refuses the file.
    """
    try:
        import onnxruntime
    except ImportError:
        raise MissingPackage(
            "reading a model as onnxruntime runs it needs onnxruntime: pip install onnxruntime"
        ) from None
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    with TemporaryDirectory() as folder:
        target = Path(folder) / "optimised.onnx"
        options.optimized_model_filepath = str(target)
        try:
            onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime's own classes have only Exception in common
            reason = " ".join(str(error).split())
            raise UnreadableModel(f"{path}: onnxruntime refuses it ({reason})") from None
        return target.read_bytes()
