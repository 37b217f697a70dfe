"""The arguments of a forward, as they are put together."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch

from flopwise.dims import Expr
from flopwise.errors import UnknownSize
from flopwise.frontends.huggingface.sizes import Sizes

WHOLE = torch.int64
LARGEST = 2**22  # elements of an input that is filled


# Inputs whose sizes alone matter, so that these may be free.
PLAIN = {"input_ids", "decoder_input_ids", "pixel_values", "input_values", "input_features"}


def free(shape: Any) -> bool:
    """Whether some size of a shape has a name in place of a number."""
    return isinstance(shape, tuple) and any(isinstance(size, Expr) for size in shape)


@dataclass
class Call:
    """A model, its config, the sizes asked for, and the arguments and notes so far."""

    model: Any
    config: Any
    sizes: Sizes
    arguments: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    @property
    def free(self) -> bool:
        """Whether some input has a free size."""
        return any(map(free, self.arguments.values()))

    def freed(self) -> None:
        """Where some sizes are free, shapes for all inputs. Raises UnknownSize for inputs whose
        values follow from sizes."""
        tensors = {k: v for k, v in self.arguments.items() if isinstance(v, (tuple, torch.Tensor))}
        if not self.free:
            return
        if not tensors.keys() <= PLAIN or {"input_ids", "pixel_values"} <= tensors.keys():
            shown = ", ".join(sorted(tensors))
            raise UnknownSize(
                f"{type(self.model).__name__} is called with {shown}, whose values follow from "
                "sizes: give numbers"
            )
        self.arguments |= {k: tuple(v) if isinstance(v, tuple) else tuple(v.shape)
                           for k, v in tensors.items()}  # fmt: skip

    @property
    def main(self) -> str:
        """The input that the model names as its main one."""
        name = self.model.main_input_name
        return name if isinstance(name, str) else name[0]

    def has(self, part: str) -> bool:
        return getattr(self.config, part, None) is not None

    def empty(self, *shape: Any, dtype: torch.dtype | None = None) -> Any:
        """A shape without values, of the model's dtype; sizes alone where some are free."""
        if free(shape):
            return shape
        return torch.empty(shape, dtype=dtype or self.model.dtype, device="meta")

    def given(self, name: str, shape: tuple[Any, ...]) -> Any:
        """An input of a shape that the user gave: of whole numbers, where its name says so."""
        if free(shape):
            return shape
        if name.endswith("_mask"):
            return torch.ones(shape, dtype=WHOLE)
        if name.endswith("input_ids"):
            return self.filled(*shape)
        return self.empty(*shape, dtype=WHOLE if name.endswith(("_ids", "labels")) else None)

    def tokens(self, length: Any) -> Any:
        """So many tokens for each sample of the batch."""
        return self.filled(self.sizes.batch, length)

    def filled(self, *shape: Any) -> Any:
        """Tokens that mean nothing special, so that checks for padding and images find none."""
        if free(shape):
            return shape
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
