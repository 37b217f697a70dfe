"""Branches, loops, and the lists of tensors that loops fill.

A list is a tensor whose first axis counts its elements. One that a loop sets an element of
in every turn is stacked from what its turns make.
"""

from __future__ import annotations

from collections.abc import Sequence

from flopwise.frontends.tensorflow.model import Body
from flopwise.frontends.tensorflow.native import Native, data, lowers
from flopwise.graph import Graph, Node, Tensor


@lowers("If", "StatelessIf")
def if_(n: Native) -> None:
    branches = []
    for name in ("then_branch", "else_branch"):
        body = n.block.enter(n.attrs[name]["func"], n.inputs[1:], n.block.prefix)
        outputs = tuple(body.results())
        branches.append(Graph((), outputs, tuple(body.nodes), name, "tensorflow"))
    n.emit("if", n.given(0), branches=tuple(branches), results=len(branches[0].outputs))


@lowers("While", "StatelessWhile")
def while_(n: Native) -> None:
    """Of what the body carries, that which it hands on as it is stays outside."""
    body = n.block.enter(n.attrs["body"]["func"], n.inputs, n.block.prefix)
    kept = {i for i, name in enumerate(body.arguments) if _source(body, i) == name}
    entered = [t if i in kept else _inner(n, i, t) for i, t in enumerate(n.inputs)]
    body.values.update((k, (t,)) for k, t in zip(body.arguments, entered))
    test = n.block.enter(n.attrs["cond"]["func"], entered, n.block.prefix)
    (go,), made = test.results(), body.results()
    nodes = [*test.nodes, *body.nodes]
    lists = {i: item for i, t in enumerate(made) if (item := _put(nodes, entered[i], t))}
    nodes = [m for m in nodes if not any(made[i] in m.outputs for i in lists)]
    carried = [i for i in range(len(made)) if i not in kept and i not in lists]
    limits = [_limit(n, node, entered, made, nodes) for node in _tests(go, test.nodes)]
    known = [t for t in limits if t is not None]
    step, on = (Tensor(n.block.model.unique(f"{n.name}/{k}"), (), d)
                for k, d in (("step", "int64"), ("go", "bool")))  # fmt: skip
    inputs = step, on, *(entered[i] for i in carried)
    ends = on if len(known) == len(limits) else go, *(made[i] for i in carried), *lists.values()
    inside = Graph(inputs, ends, tuple(nodes), n.label, "tensorflow")
    _forget(n, [n.inputs[i] for i in lists])
    operands = [n.inputs[i] for i in carried]
    limit = n.emit("min", *known, part="trips") if len(known) > 1 else next(iter(known), None)
    n.emit("loop", limit, None, *operands, body=inside, repeat=1, results=len(ends) - 1)
    results = dict(zip((*carried, *lists), n.block.values[n.label]))
    results |= {i: _cut(n, i, results[i]) for i in lists}
    n.give(*(results.get(i, t) for i, t in enumerate(n.inputs)))


def _inner(n: Native, i: int, outer: Tensor) -> Tensor:
    return Tensor(n.block.model.unique(f"{n.name}/carried{i}"), None, outer.dtype)


def _source(body: Body, i: int) -> str:
    """Where a result comes from, seen through identities."""
    name = body.split(body.returned[i])[0]
    while body.messages.get(name, {}).get("op") == "Identity":
        name = body.split(data(body.messages[name])[0])[0]
    return name


def _put(nodes: Sequence[Node], entered: Tensor, made: Tensor) -> Tensor | None:
    """What the body sets an element of a list to, where it does no more with it."""
    users = [m for m in nodes if any(t == entered for t in m.inputs)]
    if len(users) == 1 and users[0].origin == "TensorListSetItem" and made in users[0].outputs:
        return users[0].inputs[2]
    return None


def _forget(n: Native, lists: Sequence[Tensor]) -> None:
    """Lists that were only there to be filled."""
    n.block.nodes[:] = [m for m in n.block.nodes if not any(t in m.outputs for t in lists)]


def _cut(n: Native, i: int, stacked: Tensor) -> Tensor:
    """As many elements as the list was made for: one, where each turn overwrites it."""
    size = n.block.model.lists.get(n.inputs[i].name)
    if size is None or size.value is None:
        return stacked
    return n.emit("slice", stacked, part=f"list{i}", axes=(0,), starts=(0,),
                  ends=(size.value.ravel()[0],))  # fmt: skip


def _tests(go: Tensor, nodes: Sequence[Node]) -> list[Node | None]:
    """The comparisons that must all hold for the loop to go on."""
    made = {t.name: m for m in nodes for t in m.outputs}
    last = made.get(go.name)
    if last is not None and last.op == "and":
        return [made.get(t.name) for t in last.inputs if t is not None]
    return [last]


def _limit(
    n: Native, node: Node | None, entered: Sequence[Tensor], made: Sequence[Tensor],
    nodes: Sequence[Node],
) -> Tensor | None:  # fmt: skip
    """How often `counter < bound` holds: the bound itself where the body counts from 0 by 1,
    a number where all is constant; else None."""
    if node is None or node.op not in ("less", "less_equal"):
        return None
    counter, bound = node.inputs
    place = next((i for i, t in enumerate(entered) if t == counter), None)
    if place is None or bound is None:
        return None
    start = _number(n.inputs[place])
    step = _stride(entered[place], made[place], nodes)
    last = _number(bound)
    if start is None or step is None or step < 1:
        return None
    if last is not None:
        more = last + (node.op == "less_equal") - start
        return n.constant(max(-(-more // step), 0), "int64", f"trips{place}")
    outside = bound not in entered[place : place + 1] and not any(bound in m.outputs for m in nodes)
    return bound if (start, step, node.op) == (0, 1, "less") and outside else None


def _stride(before: Tensor, after: Tensor, nodes: Sequence[Node]) -> int | None:
    """What the body adds to a counter."""
    for node in nodes:
        if after in node.outputs and node.op == "add" and before in node.inputs:
            return next((_number(t) for t in node.inputs if t is not None and t != before), None)
    return None


def _number(tensor: Tensor) -> int | None:
    value = tensor.value
    return int(value.ravel()[0]) if value is not None and value.size == 1 else None


@lowers("TensorListReserve")
def reserve(n: Native) -> None:
    """Operands: the shape of an element, how many. Not counted unless a loop fills it."""
    made = n.emit("unknown", *n.inputs)
    n.block.model.lists[made.name] = n.given(1)


@lowers("TensorListGetItem")
def get_item(n: Native) -> None:
    n.emit("select", n.given(0), axis=0, dtype=n.dtype("element_dtype"))


@lowers("TensorListStack")
def stack(n: Native) -> None:
    n.give(n.given(0))


@lowers("TensorListLength")
def length(n: Native) -> None:
    n.emit("reshape", n.emit("shape_of", n.given(0), part="shape", start=0, end=1, dtype="int32"),
           shape=())  # fmt: skip
