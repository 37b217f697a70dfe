"""An uploaded file: kept for the time of one count, read as data, never run."""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flopwise import api, plugins
from flopwise.errors import FlopwiseError, UnknownFormat
from flopwise.frontends import choose
from flopwise.profile import Profile
from flopwise.reports.html import render

# Formats of files that are read as data. Not torch and huggingface: they call a model's code.
FILES = frozenset(
    {"caffe", "coreml", "darknet", "keras", "mxnet", "ncnn", "onnx", "openvino", "tensorflow",
     "tflite"}
)  # fmt: skip
CHUNK = 2**20
DISCARDED = 2**26
LONGEST = 100
_UNSAFE = re.compile(r"[^\w.-]+")


class Body:
    """What a sender still has to send, of a known length."""

    def __init__(self, stream: Any, length: int) -> None:
        self.stream, self.left = stream, length

    def read(self, most: int) -> bytes:
        piece: bytes = self.stream.read(min(most, self.left))
        self.left -= len(piece)
        return piece

    def discard(self) -> None:
        """Read what is not wanted, so that the sender gets to hear why; not without end."""
        for _ in range(DISCARDED // CHUNK):
            if not self.left or not self.read(CHUNK):
                return


@dataclass(frozen=True)
class Settings:
    """What the page was told beside the file."""

    name: str
    inputs: tuple[str, ...] = ()
    batch: str | None = None
    dtype: str = ""
    convention: str = "flops"


def settings(fields: Mapping[str, Sequence[str]]) -> Settings:
    """The fields of a query. Raises FlopwiseError for one that does not exist."""
    known = {"name", "input", "batch", "dtype", "convention"}
    for field in fields:
        if field not in known:
            raise FlopwiseError(f"no field '{field}' (there are {', '.join(sorted(known))})")
    last = {field: values[-1].strip() for field, values in fields.items()}
    inputs = [line.strip() for text in fields.get("input", ()) for line in re.split(r"[\n;]", text)]
    return Settings(
        safe(last.get("name", "")),
        tuple(text.removeprefix("--input").strip() for text in inputs if text),
        last.get("batch") or None,
        last.get("dtype", ""),
        last.get("convention") or "flops",
    )


def safe(name: str) -> str:
    """The last part of a file's name, of letters, digits and `._-`: its suffix tells formats
    that have no mark of their own."""
    last = re.split(r"[/\\]", name)[-1]
    kept = _UNSAFE.sub("_", last).lstrip(".")
    return kept[-LONGEST:].lstrip(".") or "model"


def received(body: Body, path: Path) -> None:
    """Write what is sent to a file, a piece at a time. Raises FlopwiseError when the sender
    stops before its end, or the disk is full."""
    if shutil.disk_usage(path.parent).free < body.left:
        raise FlopwiseError(f"{path.name}: no room for {body.left:,} bytes on this disk")
    try:
        with path.open("wb") as file:
            while piece := body.read(CHUNK):
                file.write(piece)
    except OSError as error:
        raise FlopwiseError(f"{path.name}: {error.strerror or error}") from None
    if body.left:
        raise FlopwiseError(f"{path.name}: the last {body.left:,} bytes did not come")


def report(body: Body, asked: Settings) -> tuple[Profile, str]:
    """Count an uploaded file; the file is gone afterwards. Raises FlopwiseError."""
    with tempfile.TemporaryDirectory(prefix="flopwise-") as folder:
        path = Path(folder) / asked.name
        received(body, path)
        try:
            profile = counted(path, asked)
            return profile, render(profile)
        except FlopwiseError as error:
            raise type(error)(str(error).replace(f"{folder}/", "")) from None


def counted(path: Path, asked: Settings) -> Profile:
    """Count a file of a format that is only data. Raises FlopwiseError."""
    formats = ", ".join(readable())
    try:
        name, _ = choose(path)
    except UnknownFormat:
        raise UnknownFormat(f"{path.name}: not a file that this page reads ({formats})") from None
    if name not in FILES:
        raise UnknownFormat(
            f"{path.name}: this page reads {formats}; for {name} there is the command, flopwise"
        )
    shapes = {name: shape for name, _, shape in (text.rpartition("=") for text in asked.inputs)}
    options: dict[str, Any] = {"batch": asked.batch, "dtype": asked.dtype}
    return api.count(path, inputs=shapes, convention=asked.convention, **options)


def readable() -> list[str]:
    """The formats that the page takes."""
    return sorted(FILES & plugins.available("frontends").keys())
