"""Language models that see and hear: places among the tokens for what they are shown.

How many places an image takes is asked of the model itself: the features that it makes of
the image are counted, one place each.
"""

from __future__ import annotations

import inspect
from typing import Any

import torch

from flopwise.errors import UnknownSize, UnreadableModel
from flopwise.frontends import Request
from flopwise.frontends.huggingface.call import WHOLE, Call
from flopwise.frontends.huggingface.sizes import first

KINDS = ("mm_token_type_ids",)
# The names of a place in a config, the method that fills it, and the input it takes.
PLACES = (
    (("image_token_id", "image_token_index"), "get_image_features", "pixel_values"),
    (("audio_token_id", "audio_token_index"), "get_audio_features", "input_features"),
)
# These take several images per sample, and look which of them are empty.
SEVERAL = ("idefics2", "idefics3", "smolvlm")


class Features(torch.nn.Module):
    """A model that stops at the features of an image or a sound."""

    def __init__(self, model: Any, method: str) -> None:
        super().__init__()
        self.model = model
        self.method = method

    def forward(self, **inputs: Any) -> Any:
        found = getattr(self.model, self.method)(**inputs)
        return getattr(found, "pooler_output", found)


def tokens(call: Call) -> torch.Tensor:
    """The places of images and sounds, then the prompt."""
    length = call.sizes.prompt
    marks: list[int] = []
    for names, method, source in PLACES:
        mark = next((m for n in names if isinstance(m := getattr(call.config, n, None), int)), None)
        if mark is not None and source in call.arguments:
            marks += [mark] * _places(call, method)
    ids = call.tokens(len(marks) + length)
    if marks:
        if ids.is_meta:
            raise UnknownSize(f"{len(marks) + length} tokens are too many beside an image")
        ids[:, : len(marks)] = torch.tensor(marks, dtype=WHOLE)
        call.notes.append(f"what is seen or heard takes {len(marks)} tokens beside the prompt")
    return ids


def _places(call: Call, method: str) -> int:
    """How many features the model makes of what it is shown, for one sample."""
    from flopwise.frontends.torch import module

    if not hasattr(call.model, method):
        raise UnreadableModel(
            f"{type(call.model).__name__} does not say how many tokens an image or a sound "
            "takes: give its inputs as tensors in Python"
        )
    wanted = inspect.signature(getattr(call.model, method)).parameters
    given = {k: v for k, v in call.arguments.items() if k in wanted}
    traced = module.graph(Features(call.model, method), Request(arguments=given))
    rows = sum(t.size // t.sizes[-1] for t in traced.outputs if t.sizes)
    return int(rows) // call.sizes.batch


def marked(call: Call) -> bool:
    """Whether any token stands for an image or a sound."""
    return any(source in call.arguments for *_, source in PLACES)


def kinds(call: Call) -> torch.Tensor:
    """Which tokens stand for an image: 1, as processors mark them."""
    ids = call.arguments["input_ids"]
    mark = first(call.config, "image_token_id", "image_token_index")
    return (ids == mark).to(torch.int32) if mark is not None else torch.zeros_like(ids)


def places(call: Call) -> torch.Tensor:
    """Frame, row and column of each token: sizes alone matter, and a model would look at the
    values of its tokens to work them out."""
    ids = call.arguments["input_ids"]
    return torch.arange(ids.shape[-1]).expand(3, *ids.shape).contiguous()


def image(call: Call) -> torch.Tensor:
    """One image per sample, or as many frames as the model is made for."""
    if takes_patches(call):
        return patches(call)
    frames = first(call.config, "num_frames") if call.main == "pixel_values" else None
    several = call.config.model_type in SEVERAL
    between = (frames,) if isinstance(frames, int) else (1,) if several else ()
    pixels = (call.sizes.batch, *between, call.sizes.channels, *call.sizes.image)
    return torch.ones(pixels, dtype=call.model.dtype) if several else call.empty(*pixels)


def beside(call: Call, name: str) -> tuple[str, ...]:
    """What goes with an image or a sound, where a model asks for it."""
    if name == "pixel_values":
        vision = getattr(call.config, "vision_config", None)
        asks = getattr(vision, "model_type", "") == "pixtral"
        return ("image_grid_thw", *(("image_sizes",) if asks else ()))
    return ("feature_attention_mask", "input_features_mask")


def takes_patches(call: Call) -> bool:
    """Whether images come cut into patches, all in one row (as of Qwen2-VL)."""
    names = inspect.signature(call.model.forward).parameters
    return "image_grid_thw" in names and call.has("vision_config")


def _grid(call: Call) -> tuple[int, int]:
    """Rows and columns of patches."""
    vision = call.config.vision_config
    patch, merge = vision.patch_size, getattr(vision, "spatial_merge_size", 1)
    height, width = call.sizes.image
    if height % (patch * merge) or width % (patch * merge):
        raise UnknownSize(
            f"--image {height}x{width}: this model takes multiples of {patch * merge} pixels"
        )
    return height // patch, width // patch


def patches(call: Call) -> torch.Tensor:
    """Every patch of every image with its pixels, repeated over the frames of one step."""
    vision = call.config.vision_config
    rows, columns = _grid(call)
    channels = first(vision, "in_channels", "in_chans", "num_channels") or 3
    depth = getattr(vision, "temporal_patch_size", 1)
    return call.empty(call.sizes.batch * rows * columns, channels * depth * vision.patch_size**2)


def grid(call: Call) -> torch.Tensor:
    """Frames, rows and columns of the patches of each image."""
    return torch.tensor([[1, *_grid(call)]] * call.sizes.batch, dtype=WHOLE)


def image_sizes(call: Call) -> torch.Tensor:
    """Height and width of each image."""
    return torch.tensor([[*call.sizes.image]] * call.sizes.batch, dtype=WHOLE)
