"""How long each operator of PyTorch takes in a run."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode


class Stopwatch(TorchDispatchMode):
    """Times operators as they are called, before they are taken apart: as a trace sees them."""

    def __init__(self, threads: int = 1) -> None:
        super().__init__()
        self._now = time.thread_time if threads == 1 else time.perf_counter
        self._ran: list[tuple[str, float]] = []

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """Do not wrap this mode for the compiler: that would import it, for seconds."""
        return False

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        start = self._now()
        result = func(*args, **(kwargs or {}))
        self._ran.append((func.name().partition(".")[0], self._now() - start))
        return result

    @contextmanager
    def looking(self) -> Iterator[None]:
        """For what runs inside."""
        with torch._C._AutoDispatchBelowAutograd(), self:
            yield

    def taken(self) -> list[tuple[str, float]]:
        """Native names with seconds, in order, since last asked."""
        ran, self._ran = self._ran, []
        return ran
