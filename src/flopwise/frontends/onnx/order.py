"""Nodes in an order in which they can run."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

from flopwise.errors import UnreadableModel
from flopwise.frontends.wire import Message


def place(message: Message) -> str:
    """A node as messages name it."""
    name = message.get("name") or next(iter(message.get("output", ())), "")
    return f"node '{name}' ({message.get('op_type', '')})"


def in_order(messages: list[Message]) -> list[Message]:
    """The nodes such that each comes after those it needs. Raises UnreadableModel.

    The format asks for that order; files that differ are put right.
    """
    makers = {o: i for i, m in enumerate(messages) for o in m.get("output", ()) if o}
    for i, message in enumerate(messages):
        if any(makers.get(name, -1) >= i for name in message.get("input", ())):
            return _sorted(messages, makers)
    return messages


def _sorted(messages: list[Message], makers: dict[str, int]) -> list[Message]:
    needs = [{makers[n] for n in reads(m) if n in makers} for m in messages]
    users: dict[int, list[int]] = {}
    for i, sources in enumerate(needs):
        for source in sources:
            users.setdefault(source, []).append(i)
    waiting = [len(sources) for sources in needs]
    ready, order = deque(i for i, n in enumerate(waiting) if n == 0), []
    while ready:
        i = ready.popleft()
        order.append(messages[i])
        for user in users.get(i, ()):
            waiting[user] -= 1
            if waiting[user] == 0:
                ready.append(user)
    if len(order) < len(messages):
        stuck = next(m for m, n in zip(messages, waiting) if n)
        raise UnreadableModel(f"{place(stuck)}: waits for its own result (a cycle)")
    return order


def reads(message: Message) -> Iterator[str]:
    """The names that a node reads, those inside its sub-graphs too."""
    yield from message.get("input", ())
    for attribute in message.get("attribute", ()):
        for graph in (*attribute.get("graphs", ()), attribute.get("g", {})):
            for node in graph.get("node", ()):
                yield from reads(node)
