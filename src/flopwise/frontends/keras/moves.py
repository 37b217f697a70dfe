"""Layers of Keras that compute nothing."""

from __future__ import annotations

from flopwise.frontends.keras.native import Native, lowers, same_meaning

same_meaning((
    "Dropout", "SpatialDropout1D", "SpatialDropout2D", "SpatialDropout3D", "GaussianNoise",
    "GaussianDropout", "AlphaDropout", "ActivityRegularization", "Masking", "Identity",
    "RandomFlip", "RandomRotation", "RandomZoom", "RandomTranslation", "RandomContrast",
    "RandomBrightness", "RandomColorDegeneration", "RandomColorJitter", "RandomElasticTransform",
    "RandomErasing", "RandomGaussianBlur", "RandomGrayscale", "RandomHue", "RandomInvert",
    "RandomPerspective", "RandomPosterization", "RandomSaturation", "RandomSharpness",
    "RandomShear", "RandAugment", "AugMix", "CutMix", "MixUp", "StochasticDepth",
), "dropout")  # fmt: skip


@lowers("InputLayer")
def input_layer(n: Native) -> None:
    """An input that is none of the model's."""
    shape = n.config.get("batch_input_shape") or n.config.get("batch_shape")
    n.made.append(n.model.input("/".join(n.path), shape))


@lowers("Flatten")
def flatten(n: Native) -> None:
    n.emit("flatten", n.inputs[0], axis=1)


@lowers("Reshape")
def reshape(n: Native) -> None:
    """Behind the batch."""
    n.emit("reshape", n.inputs[0], shape=tuple(n.config["target_shape"]), axis=1, allowzero=True)


@lowers("Permute")
def permute(n: Native) -> None:
    """Axes count from 1, behind the batch."""
    n.emit("transpose", n.inputs[0], perm=(0, *n.config["dims"]))


@lowers("RepeatVector")
def repeat_vector(n: Native) -> None:
    row = n.emit("unsqueeze", n.inputs[0], part="row", axes=[1])
    n.emit("repeat_axis", row, repeats=int(n.config["n"]), axis=1)
