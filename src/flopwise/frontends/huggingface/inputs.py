"""What to call a model of transformers with: tokens, images, sound, by its task."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch

from flopwise.errors import UnknownName, UnknownSize, nearest
from flopwise.frontends import Request
from flopwise.frontends.huggingface import seen
from flopwise.frontends.huggingface.call import WHOLE, Call
from flopwise.frontends.huggingface.sizes import first, sizes_of

# Inputs beside the tokens of a model that has such a part.
PARTS = {"pixel_values": "vision_config", "input_features": "audio_config"}


def call_of(
    model: Any, config: Any, request: Request, preprocessor: Mapping[str, Any]
) -> Call:  # fmt: skip
    """The arguments for `model`: those that are given, the others by its task.

    Raises UnknownSize naming the option where a size is in no config, and UnknownName.
    """
    call = Call(model, config, sizes_of(config, request, preprocessor))
    known = list(inspect.signature(model.forward).parameters)
    if isinstance(request.arguments, Mapping):
        call.arguments |= request.arguments
    for name, shape in request.inputs.items():
        name = name or call.main
        if name not in known:
            raise UnknownName(f"no input '{name}'; {nearest(name, known)}")
        call.arguments[name] = call.given(name, shape)
    for name in _needed(call, known):
        if name not in call.arguments:
            call.arguments[name] = _make(call, name)
    call.freed()
    if "use_cache" in known:  # one pass without a cache: what is counted is the network
        call.arguments["use_cache"] = False
    return call


def _needed(call: Call, known: list[str]) -> Iterator[str]:
    """The inputs that the task has, in an order in which they can be made."""
    beside = [name for name, part in PARTS.items() if name in known and call.has(part)]
    beside = [name for name in beside if name == call.main or not _left_out(call, name)]
    if call.main == "input_ids" or "input_ids" not in known:
        for name in beside:
            yield from (n for n in (name, *seen.beside(call, name)) if n in known)
    if call.main in known:
        yield call.main
    elif "input_ids" not in known:
        raise UnknownSize(
            f"what {type(call.model).__name__} is called with does not follow from its config: "
            "give its inputs, as in --input NAME=1x3x224x224"
        )
    if "input_ids" in known and call.main != "input_ids" and call.has("text_config"):
        yield "input_ids"
    if "decoder_input_ids" in known and call.config.is_encoder_decoder:
        yield "decoder_input_ids"
    yield from (n for n in seen.KINDS if n in known and seen.marked(call))
    if "position_ids" in known and seen.takes_patches(call):
        yield "position_ids"


def _left_out(call: Call, name: str) -> bool:
    """Sound that a language model may be given, of a length that nobody states."""
    if name != "input_features" or name in call.arguments or call.main != "input_ids":
        return False
    if hasattr(call.model, "get_audio_features") and _spectrogram(call):
        return False
    call.notes.append("counted without sound: its length is not in the config")
    return True


def _make(call: Call, name: str) -> torch.Tensor:
    if name not in MAKERS:
        raise UnknownSize(
            f"the size of input '{name}' of {type(call.model).__name__} is not in its config: "
            f"give it, as in --input {name}=1x3x224x224"
        )
    return MAKERS[name](call)


def _first_step(call: Call) -> torch.Tensor:
    """The prompt, where the encoder takes none; else one token for the decoder to start from."""
    if call.main != "input_ids" and call.sizes.has_prompt:
        return call.tokens(call.sizes.prompt)
    call.notes.append(
        "the decoder is counted for its first token; for n of them give "
        f"--input decoder_input_ids={call.sizes.batch}xn"
    )
    return call.tokens(1)


def _features(call: Call) -> torch.Tensor:
    """Frames of a spectrogram, as many as the model is made for."""
    found = _spectrogram(call)
    if found is None:
        raise UnknownSize(
            "the length of the sound is not in the config: give what the feature extractor "
            "makes, as in --input input_features=1x80x3000"
        )
    return call.empty(call.sizes.batch, *found)


def _spectrogram(call: Call) -> tuple[int, int] | None:
    """Bins and frames, where an encoder halves the frames and then has so many positions."""
    mels, positions = first(call.config, "num_mel_bins"), first(call.config, "max_source_positions")
    return None if mels is None or positions is None else (mels, 2 * positions)


def _sound(call: Call) -> torch.Tensor:
    """A spectrogram of the length that the model is made for; of a waveform it is not known."""
    mels, frames = first(call.config, "num_mel_bins"), first(call.config, "max_length")
    if mels is None or frames is None or call.has("conv_kernel"):
        raise UnknownSize(
            "the length of the sound is not in the config: give its samples, as in "
            "--input input_values=1x16000 for one second"
        )
    return call.empty(call.sizes.batch, frames, mels)


def _heard(call: Call) -> torch.Tensor:
    """Every frame counts."""
    frames = call.arguments["input_features"].shape[-1]
    return torch.ones((call.sizes.batch, frames), dtype=WHOLE)


MAKERS: dict[str, Callable[[Call], torch.Tensor]] = {
    "input_ids": seen.tokens,
    "decoder_input_ids": _first_step,
    "pixel_values": seen.image,
    "image_grid_thw": seen.grid,
    "image_sizes": seen.image_sizes,
    "input_features": _features,
    "input_values": _sound,
    "feature_attention_mask": _heard,
    "input_features_mask": _heard,
    "mm_token_type_ids": seen.kinds,
    "position_ids": seen.places,
}
