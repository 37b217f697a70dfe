"""The zip of a TorchScript archive: its pickles, code and small constants.

Entries of weights (`data/`) are not opened. Nothing is written anywhere, so names of entries
are only ever looked up; what is read is bounded, however far it would unpack.
"""

from __future__ import annotations

import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flopwise.errors import UnreadableModel
from flopwise.frontends.torch.script import pickled

MOST_BYTES = 2**26  # of pickles and code together
SMALL = 2**19  # bytes of a constant, whose values may decide sizes
BROKEN = (zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError, NotImplementedError)


@dataclass(frozen=True)
class Package:
    """`model` is the object that was saved, `constants` what its code calls CONSTANTS, `code`
    the source files by their names, `bytes` the elements of small constants by their
    entry, and `traced` the inputs of each method that was traced."""

    model: Any
    constants: tuple[Any, ...]
    code: dict[str, str]
    bytes: dict[str, bytes]
    traced: Any


def read(path: Path) -> Package:
    """The contents of an archive. Raises UnreadableModel."""
    try:
        with zipfile.ZipFile(path) as file:
            return _Reader(file).package()
    except UnicodeDecodeError:
        raise UnreadableModel("code that is not UTF-8") from None
    except BROKEN as error:
        raise UnreadableModel(f"a broken archive ({error})") from None


class _Reader:
    def __init__(self, file: zipfile.ZipFile) -> None:
        self._file, self._left = file, MOST_BYTES
        names = [n for n in file.namelist() if n.endswith("/data.pkl")]
        self._names = set(file.namelist())
        self._top = min(names, key=len, default="").removesuffix("data.pkl")
        if not self._top:
            raise UnreadableModel("an archive without data.pkl")

    def package(self) -> Package:
        code = self._top + "code/"
        files = sorted(n for n in self._names if n.startswith(code) and n.endswith(".py"))
        constants = self._pickle("constants.pkl") or ()
        if not isinstance(constants, tuple):
            raise UnreadableModel("constants.pkl holds no tuple")
        return Package(
            self._pickle("data.pkl"),
            constants,
            {n.removeprefix(code): self._bytes(n).decode() for n in files},
            self._small(constants),
            self._pickle("traced_inputs.pkl"),
        )

    def _pickle(self, name: str) -> Any:
        whole = self._top + name
        return pickled.read(self._bytes(whole), name) if whole in self._names else None

    def _small(self, constants: tuple[Any, ...]) -> dict[str, bytes]:
        """The elements of those that are few, in the order of bytes of this machine's kind."""
        order = self._top + "byteorder"
        if order in self._names and self._bytes(order) != b"little":
            return {}
        found = {}
        for constant in constants:
            entry = getattr(constant, "storage", "")
            name = self._top + entry
            if entry and name in self._names and self._file.getinfo(name).file_size <= SMALL:
                found[entry] = self._bytes(name)
        return found

    def _bytes(self, name: str) -> bytes:
        with self._file.open(name) as entry:
            found = entry.read(self._left + 1)
        self._left -= len(found)
        if self._left < 0:
            raise UnreadableModel(f"more than {MOST_BYTES // 2**20} MiB of pickles and code")
        return found
