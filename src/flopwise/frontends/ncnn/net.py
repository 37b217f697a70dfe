"""From the layers of a .param file to a Graph: blobs, their ranks, inputs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from flopwise.dims import Dim
from flopwise.errors import UnknownSize, UnreadableModel
from flopwise.frontends import Request, matches
from flopwise.frontends.ncnn.native import LEFT_OPEN, LOWERINGS, Native, NotSaid
from flopwise.frontends.ncnn.text import HINTS, Record
from flopwise.graph import Graph, Node, Tensor


class Net:
    """The blobs made so far, each with its rank (batch not counted), and the nodes."""

    def __init__(self, where: str, request: Request) -> None:
        self.where, self.request = where, request
        self.blobs: dict[str, Tensor] = {}
        self.ranks: dict[str, int] = {}
        self.used: set[str] = set()
        self.inputs: list[Tensor] = []
        self.nodes: list[Node] = []
        self.layers: set[str] = set()

    @property
    def batch(self) -> Dim:
        """The batch asked for: constants of the network are stretched to it."""
        if self.request.batch is not None:
            return self.request.batch
        return next((s[0] for s in self.request.inputs.values() if s), 1)

    def graph(self, records: Sequence[Record], stem: str) -> Graph:
        if not records:
            raise UnreadableModel(f"{self.where}: holds no layer")
        later = {top for r in records for top in r.tops}
        single = sum(r.kind == "Input" for r in records) == 1
        for record in records:
            record = self._named(record)
            if record.kind == "Input":
                for top in record.tops:  # more than one: the cache of a language model
                    self._input(record, top, single)
            else:
                self._lower(record, later)
        outputs = tuple(t for t in self.blobs.values() if t.name not in self.used)
        return Graph(tuple(self.inputs), outputs, tuple(self.nodes), stem, "ncnn")

    def _named(self, record: Record) -> Record:
        """ncnn does not mind layers of one name; ours are told apart by their first top."""
        if record.name in self.layers and record.tops:
            record = replace(record, name=f"{record.name}/{record.tops[0]}")
        if record.name in self.layers:
            raise UnreadableModel(f"{self.where}: layer '{record.name}' is there twice")
        self.layers.add(record.name)
        return record

    def _lower(self, record: Record, later: set[str]) -> None:
        where = f"{self.where}: layer '{record.name}' ({record.kind})"
        for bottom in record.bottoms:
            if bottom not in self.blobs:
                what = (
                    "is made only by a later layer (a cycle?)" if bottom in later else "is not made"
                )
                raise UnreadableModel(f"{where}: its bottom '{bottom}' {what}")
        for top in record.tops:
            if top in self.blobs:
                raise UnreadableModel(f"{where}: its top '{top}' is made twice")
        native, before = Native(self, record), len(self.nodes)
        try:
            LOWERINGS.get(record.kind, Native.unknown)(native)
        except NotSaid as unsaid:
            del self.nodes[before:]
            native.unknown(*unsaid.args)
        except UnreadableModel as error:
            raise UnreadableModel(f"{where}: {error}") from None
        except (IndexError, KeyError, TypeError, ValueError, ArithmeticError) as error:
            raise UnreadableModel(f"{where}: its parameters do not fit ({error})") from None

    def _input(self, record: Record, name: str, single: bool) -> None:
        """The shape in the layer, else as asked for, else as a tool saw it."""
        sizes = [record.params.get(k, 0) for k in (2, 11, 1, 0)]  # c, d, h, w
        sizes = [0 if size == LEFT_OPEN else size for size in sizes]
        shape = (1, *(None if s <= 0 else s for s in _kept(sizes)))
        asked = self.request.inputs.items()
        given = next((s for n, s in asked if matches(n, name) or (single and not n)), None)
        if len(shape) == 1:
            hints = record.params.get(HINTS, ())
            shape = (1, *reversed(hints[1 : 1 + hints[0]])) if hints and given is None else ()
            if not shape and given is None:
                raise UnknownSize(
                    f"the size of input '{name}' is not in the model: give it with a batch in"
                    f" front, as in --input {name}=1x3x224x224"
                )
            self.ranks[name] = len(shape or given or ()) - 1
        else:
            self.ranks[name] = len(shape) - 1
        tensor = Tensor(name, shape or None, role="input")
        self.blobs[name] = tensor
        self.inputs.append(tensor)


def _kept(sizes: list[int]) -> list[int]:
    """The axes that there are: from the outermost that has a size on."""
    c, d, h, w = sizes
    if c:
        return [c, d, h, w] if d else [c, h, w]
    return [h, w] if h else [w] if w else []
