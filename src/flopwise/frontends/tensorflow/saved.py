"""What a file is asked for: a signature of a SavedModel, or the ends of a GraphDef."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from flopwise.errors import UnknownName, UnreadableModel, nearest, printable
from flopwise.frontends.tensorflow.model import Block, Model
from flopwise.frontends.tensorflow.native import data
from flopwise.frontends.tensorflow.schema import GRAPH, SAVED_MODEL, dtype_of
from flopwise.frontends.tensorflow.tensors import shape_of
from flopwise.frontends.wire import Message, Wire
from flopwise.graph import Graph, Tensor

# The last version of GraphDef that could not tell a scalar from a placeholder of any shape:
# the shape function of Placeholder in tensorflow/core/ops/array_ops.cc.
LOOSE = 21

# What ends in itself and is no result.
SILENT = ("NoOp", "Assert", "SaveV2", "RestoreV2", "MergeV2Checkpoints", "PrintV2", "Const",
          "Placeholder", "PlaceholderWithDefault")  # fmt: skip


def saved(wire: Wire, name: str, asked: str) -> Graph:
    """One signature of a SavedModel. Raises UnreadableModel and UnknownName."""
    metas = wire.message(SAVED_MODEL).get("meta_graphs", ())
    serving = [m for m in metas if "serve" in m.get("info", {}).get("tags", ())]
    meta = next(iter([*serving, *metas]), None)
    if meta is None or "graph" not in meta:
        raise UnreadableModel(f"{wire.where}: holds no graph")
    signatures = {s.get("key", ""): s.get("value", {}) for s in meta.get("signatures", ())}
    chosen = signatures[_chosen(wire.where, sorted(signatures), asked)]
    model = Model(wire, meta["graph"], _variables(meta))
    block = _main(wire, model, meta["graph"])
    try:
        inputs = [_input(block, k, v) for k, v in _sorted(chosen.get("inputs", ()))]
        refs = [v.get("name", "") for _, v in _sorted(chosen.get("outputs", ()))]
        return _graph(block, inputs, refs, name)
    except UnreadableModel as error:
        raise UnreadableModel(f"{wire.where}: {printable(str(error))}") from None


def _chosen(where: str, signatures: Sequence[str], asked: str) -> str:
    """The signature asked for; else the one to serve, or the only one."""
    names = [s for s in signatures if not s.startswith("__saved_model")]
    if asked and asked not in names:
        raise UnknownName(f"{where}: no signature '{asked}'; {nearest(asked, names)}")
    if not names:
        raise UnreadableModel(f"{where}: has no signature: export it with `signatures=`")
    if asked or "serving_default" in names or len(names) == 1:
        return asked or next((n for n in names if n == "serving_default"), names[0])
    raise UnknownName(f"{where}: has the signatures {', '.join(names)}: choose by --signature NAME")


def _variables(meta: Message) -> Mapping[str, Message]:
    """What the objects that were saved say of the variables, by the node of their handle: the
    last operands of a call are what its function has captured."""
    objects = meta.get("objects", {})
    saved = [o.get("variable", {}) for o in objects.get("nodes", ())]
    captured = {f.get("key"): f.get("value", {}) for f in objects.get("functions", ())}
    found: dict[str, Message] = {}
    for node in meta["graph"].get("node", ()):
        for attribute in node.get("attr", ()):
            name = attribute.get("value", {}).get("func", {}).get("name")
            bound = captured.get(name, {}).get("bound", ())
            pairs = zip(reversed(data(node)), reversed(bound)) if bound else ()
            found |= {ref: saved[i] for ref, i in pairs if saved[i]}
    return found


def _sorted(entries: Sequence[Message]) -> list[tuple[str, Message]]:
    return sorted(((e.get("key", ""), e.get("value", {})) for e in entries), key=lambda e: e[0])


def _input(block: Block, key: str, info: Message) -> Tensor:
    """An input under the name that the signature gives it."""
    name, place = block.split(info.get("name", ""))
    if name not in block.messages or place:
        raise UnreadableModel(f"input '{key}' is no plain tensor of the graph")
    shape = shape_of(info["shape"]) if "shape" in info else None
    tensor = Tensor(block.model.unique(key), shape, dtype_of(info.get("dtype", 0)), "input")
    block.values[name] = (tensor,)
    return tensor


def frozen(wire: Wire, name: str) -> Graph:
    """All that a GraphDef makes and does not use. Raises UnreadableModel."""
    message = wire.message(GRAPH)
    model = Model(wire, message, {})
    block = _main(wire, model, message)
    used = {block.split(r)[0] for m in message.get("node", ()) for r in data(m)}
    ends = [n for n, m in block.messages.items() if n not in used and m.get("op") not in SILENT]
    try:
        placeholders = [n for n, m in block.messages.items() if m.get("op") == "Placeholder"]
        old = message.get("versions", {}).get("producer", LOOSE + 1) <= LOOSE
        inputs = [_fed(block, n, old) for n in placeholders if n in used]
        return _graph(block, inputs, ends, name)
    except UnreadableModel as error:
        raise UnreadableModel(f"{wire.where}: {printable(str(error))}") from None


def _fed(block: Block, name: str, old: bool) -> Tensor:
    """A placeholder; in `old` graphs one without axes is one of any shape."""
    attrs = {a.get("key"): a.get("value", {}) for a in block.messages[name].get("attr", ())}
    shape = attrs["shape"].get("shape", {}) if "shape" in attrs else {"unknown": 1}
    dtype = dtype_of(attrs.get("dtype", {}).get("type", 0))
    sizes = shape_of(shape) or (None if old else shape_of(shape))
    block.values[name] = (Tensor(block.model.unique(name), sizes, dtype, "input"),)
    return block.values[name][0]


def _main(wire: Wire, model: Model, graph: Message) -> Block:
    try:
        return Block(model, graph.get("node", ()))
    except UnreadableModel as error:
        raise UnreadableModel(f"{wire.where}: {error}") from None


def _graph(block: Block, inputs: Sequence[Tensor], refs: Sequence[str], name: str) -> Graph:
    outputs = block.lower(refs)
    return Graph(tuple(inputs), tuple(outputs), tuple(block.nodes), name, "tensorflow")
