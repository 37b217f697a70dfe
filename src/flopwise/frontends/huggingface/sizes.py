"""The sizes that a model of transformers is called with: from options, else from its config."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from flopwise.dims import Dim
from flopwise.errors import UnknownSize
from flopwise.frontends import Request
from flopwise.sizes import parse, positive

PARTS = ("vision_config", "text_config", "audio_config", "encoder", "decoder", "backbone_config",
         "vision", "encoder_config", "question_encoder", "generator")  # fmt: skip


@dataclass(frozen=True)
class Sizes:
    """Batch, tokens and pixels; those that nobody gave raise UnknownSize when asked for. Batch and
    tokens may be free."""

    batch: Any
    _prompt: Any
    _image: tuple[int, int] | None
    channels: int

    @property
    def has_prompt(self) -> bool:
        return self._prompt is not None

    @property
    def prompt(self) -> Any:
        if self._prompt is None:
            raise UnknownSize(
                "the number of tokens is not in the config: give it, as in --prompt 128"
            )
        return self._prompt

    @property
    def image(self) -> tuple[int, int]:
        """Height and width."""
        if self._image is None:
            raise UnknownSize(
                "the size of the image is not in the config: give it, as in --image 640x480 "
                "(height x width)"
            )
        return self._image


def sizes_of(config: Any, request: Request, preprocessor: Mapping[str, Any]) -> Sizes:
    """Options first, then the config, then what stands in preprocessor_config.json."""
    options = request.options
    prompt, image = options.get("prompt"), options.get("image")
    pixels = _pair(image, "--image") if image is not None else None
    channels = first(config, "num_channels", "in_channels", "in_chans")
    return Sizes(
        batch=1 if request.batch is None else _size(request.batch, "--batch"),
        _prompt=None if prompt is None else _size(prompt, "--prompt"),
        _image=pixels or _stated(first(config, "image_size")) or _prepared(preprocessor),
        channels=channels if isinstance(channels, int) else 3,
    )


def _size(value: Any, option: str) -> Dim:
    return positive(parse(value) if isinstance(value, str) else value, option)


def _number(value: Any, option: str) -> int:
    size = _size(value, option)
    if not isinstance(size, int):
        raise UnknownSize(f"{option} {value}: models of Hugging Face take images of numbers only")
    return size


def _pair(value: Any, option: str) -> tuple[int, int]:
    parts = value.lower().split("x") if isinstance(value, str) else value
    parts = list(parts) if isinstance(parts, (list, tuple)) else [parts]
    if len(parts) not in (1, 2):
        raise UnknownSize(f"{option} {value}: write one number, or height x width")
    height, width = (_number(p, option) for p in (parts[0], parts[-1]))
    return height, width


def _stated(size: Any) -> tuple[int, int] | None:
    """One number for both, or two."""
    if isinstance(size, int):
        return size, size
    if isinstance(size, (list, tuple)) and len(size) == 2 and all(isinstance(s, int) for s in size):
        return size[0], size[1]
    return None


def _prepared(preprocessor: Mapping[str, Any]) -> tuple[int, int] | None:
    """What images are cropped or resized to before the model sees them."""
    crop = preprocessor.get("do_center_crop") and preprocessor.get("crop_size")
    for size in (crop, preprocessor.get("size")):
        if isinstance(size, Mapping) and {"height", "width"} <= size.keys():
            return _stated([size["height"], size["width"]])
        if found := _stated(size):
            return found
    return None


def first(config: Any, *names: str) -> Any:
    """The first of these hyperparameters that a config or one of its parts states."""
    for part in _parts(config):
        for name in names:
            if getattr(part, name, None) is not None:
                return getattr(part, name)
    return None


def _parts(config: Any) -> Iterator[Any]:
    yield config
    for name in PARTS:
        part = getattr(config, name, None)
        if part is not None and hasattr(part, "to_dict"):
            yield from _parts(part)
