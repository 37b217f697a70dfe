"""The arguments of a forward, as they are put together."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch

from flopwise.errors import UnknownSize
from flopwise.frontends.huggingface.sizes import Sizes

WHOLE = torch.int64
LARGEST = 2**22  # elements of an input that is filled


@dataclass
class Call:
    """A model, its config, the sizes asked for, and the arguments and notes so far."""

    model: Any
    config: Any
    sizes: Sizes
    arguments: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    @property
    def main(self) -> str:
        """The input that the model names as its main one."""
        name = self.model.main_input_name
        return name if isinstance(name, str) else name[0]

    def has(self, part: str) -> bool:
        return getattr(self.config, part, None) is not None

    def empty(self, *shape: int, dtype: torch.dtype | None = None) -> torch.Tensor:
        """A shape without values, of the model's dtype."""
        return torch.empty(shape, dtype=dtype or self.model.dtype, device="meta")

    def given(self, name: str, shape: tuple[Any, ...]) -> torch.Tensor:
        """An input of a shape that the user gave: of whole numbers, where its name says so."""
        if not all(isinstance(size, int) for size in shape):
            raise UnknownSize(
                f"input '{name}' of {shape}: models of Hugging Face take numbers only"
            )
        if name.endswith("_mask"):
            return torch.ones(shape, dtype=WHOLE)
        if name.endswith("input_ids"):
            return self.filled(*shape)
        return self.empty(*shape, dtype=WHOLE if name.endswith(("_ids", "labels")) else None)

    def tokens(self, length: int) -> torch.Tensor:
        """So many tokens for each sample of the batch."""
        return self.filled(self.sizes.batch, length)

    def filled(self, *shape: int) -> torch.Tensor:
        """Tokens that mean nothing special, so that checks for padding and images find none."""
        size = 1
        for length in shape:
            size *= length
        if size > LARGEST:
            return self.empty(*shape, dtype=WHOLE)
        return torch.full(shape, self._ordinary(), dtype=WHOLE)

    def _ordinary(self) -> int:
        special: set[int] = set()
        for part in (self.config, getattr(self.config, "text_config", None)):
            for name, value in vars(part).items() if part is not None else ():
                if "token" in name:
                    special |= {value} if isinstance(value, int) else set()
                    special |= set(value) if isinstance(value, (list, tuple)) else set()
        return next(i for i in range(len(special) + 1) if i not in special)
