"""What devices say to each other: bytes that each of them sends, and how long that takes.

Of B bytes between n devices, each sends 2 (n - 1)/n B for a sum that all get (a ring: Patarasuk
and Yuan 2009), and (n - 1)/n B where each gathers, keeps a part of a sum, or sends parts to all.
Where a group has r devices in each of N nodes, its rings share their r adapters.
"""

from __future__ import annotations

from dataclasses import dataclass

from flopwise.analyses.serving.timing import REDUCE
from flopwise.devices import Link
from flopwise.errors import FlopwiseError

# Of the nominal rate: 235 of 300 GB/s on NVLink 3, 368 of 450 on NVLink 4 with rings
# (https://github.com/stas00/ml-engineering, network/, commit 0030e63).
SHARE = 0.8
SENT = {"all-reduce": 2.0, "all-gather": 1.0, "reduce-scatter": 1.0, "all-to-all": 1.0, "send": 1.0}


@dataclass(frozen=True)
class Message:
    """`bytes` are those of the whole tensor that one device takes part in `times` in a step;
    `size` devices are in a group, `stride` apart. What is `hidden` goes on while devices compute:
    "step" beside the last backward, "micro" beside each micro-batch; else they wait for it."""

    what: str
    kind: str
    bytes: float
    size: int
    stride: int
    times: int
    hidden: str = ""

    @property
    def sent(self) -> float:
        """Bytes that each device sends in a step."""
        return self.times * self.each

    @property
    def each(self) -> float:
        share = 1.0 if self.kind == "send" else (self.size - 1) / self.size
        return SENT[self.kind] * share * self.bytes

    def seconds(self, link: Link) -> float:
        """In a step. Raises FlopwiseError where nothing tells the bandwidth between nodes."""
        near, far = self.paths(link)
        inside = near / (link.bandwidth * SHARE)
        if far and link.network is None:
            raise FlopwiseError(
                f"groups of {self.size} devices go beyond a node of {link.devices}: give "
                "--network, bytes/s from a device to other nodes (25G is 200 Gb/s)"
            )
        outside = far / (link.network * SHARE) if link.network else 0.0
        return self.times * (max(inside, outside) + REDUCE)

    def paths(self, link: Link) -> tuple[float, float]:
        """Bytes that one device sends each time inside its node, and to other nodes."""
        if self.kind == "send":
            return (self.each, 0.0) if 2 * self.stride <= link.devices else (0.0, self.each)
        here = min(self.size, max(1, link.devices // self.stride))
        nodes = -(-self.size // here)
        factor = SENT[self.kind] * self.bytes
        near = factor * (here - 1) / here
        if nodes == 1:
            return near, 0.0
        if self.kind == "all-to-all":
            return factor * (here - 1) / self.size, factor * (self.size - here) / self.size
        return near, factor * (nodes - 1) / nodes / here
