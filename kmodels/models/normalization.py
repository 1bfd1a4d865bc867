"""The data set's mean and standard deviation inside the model: a saved model then takes images as they are stored."""

from __future__ import annotations

from collections.abc import Sequence

import keras

from kmodels.models.checks import require

__all__ = ["takes_stored_images", "with_normalization"]


def with_normalization(
    model: keras.Model, mean: Sequence[float], std: Sequence[float], *, name: str | None = None
) -> keras.Model:
    """Puts `(pixel / 255 - mean) / std` before a model.

    The model's own layers are used, not copies: what is trained later in one is trained in the other. The new layer is
    Keras' `Rescaling`, always in float32, with the product and the sum that `kmodels.augment.normalise` computes, so a
    saved model needs no class of this package for it, and an exported one no preparation but the image's size.

    Args:
        model: a built model from `(batch, height, width, channels)` in floating point.
        mean: one number a channel, in units of pixel / 255.
        std: one number above 0 a channel, in the same units.
        name: name of the new model; None for the old one's with `_uint8` behind.

    Returns:
        A functional model from uint8 `(batch, height, width, channels)`, 0 to 255, to what `model` gives.

    Raises:
        ValueError: the model is of another kind or takes uint8 already, or the numbers do not fit its channels.

    Example:
        >>> from kmodels.models.lenet import lenet
        >>> model = with_normalization(lenet((32, 32, 1), 10), mean=[0.1307], std=[0.3081])
        >>> model.name, model.inputs[0].dtype, model.input_shape
        ('lenet_uint8', 'uint8', (None, 32, 32, 1))
    """
    inputs = getattr(model, "inputs", None) or []
    fits = isinstance(model, keras.Model) and len(inputs) == 1 and len(inputs[0].shape) == 4
    require(fits, "model", "a built model from (batch, height, width, channels)", getattr(model, "name", model))
    require(not takes_stored_images(model), "model", "one that takes floating point, not uint8", model.name)
    channels = inputs[0].shape[-1]
    require(len(mean) == channels, "mean", f"{channels} numbers, one a channel", mean)
    require(len(std) == channels, "std", f"{channels} numbers, one a channel", std)
    require(all(value > 0 for value in std), "std", "numbers above 0", std)
    # Three axes: Keras turns a vector of scales by the data format in force where the model is loaded.
    scale = [[[1.0 / (255.0 * float(deviation)) for deviation in std]]]
    offset = [[[-float(centre) / float(deviation) for centre, deviation in zip(mean, std, strict=True)]]]
    images = keras.Input(inputs[0].shape[1:], dtype="uint8", name="images")
    scaled = keras.layers.Rescaling(scale, offset, dtype="float32", name="normalization")(images)
    return keras.Model(images, model(scaled), name=f"{model.name}_uint8" if name is None else name)


def takes_stored_images(model: keras.Model) -> bool:
    """Returns whether a functional model of one input takes uint8 images, as `with_normalization` makes it.

    Example:
        >>> from kmodels.models.lenet import lenet
        >>> takes_stored_images(lenet((32, 32, 1), 10))
        False
    """
    return bool(keras.backend.standardize_dtype(model.inputs[0].dtype) == "uint8")
