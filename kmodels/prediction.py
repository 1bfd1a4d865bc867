"""What a saved network says of a picture."""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
import numpy.typing as npt

from kmodels import models  # also registers the layers that saved networks may hold
from kmodels.augment import Transform, normalise
from kmodels.checks import require
from kmodels.data.catalog import CATALOG
from kmodels.geometry import Images
from kmodels.image_input import as_batch, fit, read_image

__all__ = ["Prediction", "load_network", "predict"]

_BATCH = 32


@dataclass(frozen=True)
class Prediction:
    """A network's answer for one picture.

    Attributes:
        class_index: the class with the largest probability, counted from 0; the first of equal ones.
        probabilities: one a class, the softmax of the network's logits, together 1.
        class_name: name of that class, or None where no names were given.

    Example:
        >>> Prediction(1, (0.25, 0.75)).probability
        0.75
    """

    class_index: int
    probabilities: tuple[float, ...]
    class_name: str | None = None

    @property
    def probability(self) -> float:
        """Probability of the chosen class, 0 to 1."""
        return self.probabilities[self.class_index]


def predict(
    model: keras.Model | str | Path,
    image: npt.NDArray[np.uint8] | str | Path,
    *,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    class_names: Sequence[str] | str | None = None,
    resize: str = "pad",
) -> Prediction | tuple[Prediction, ...]:
    """Classifies a picture, or several of one size.

    Channels and size are brought to those of the model's input, as `kmodels.image_input.fit` states. Brightness is not
    touched: a network trained on MNIST expects light digits on a dark ground.

    Args:
        model: a functional model from images to logits, or the path of a `.keras` file (loaded without its optimizer,
            safe mode on).
        image: path of a PNG, JPEG or WebP file, or uint8 `(height, width)`, `(height, width, channels)` or
            `(n, height, width, channels)`, 1 or 3 channels.
        mean: one number a channel of the model's input, in units of pixel / 255, for a model that takes floating point;
            None for one that takes uint8 (see `kmodels.models.with_normalization`).
        std: like `mean`, above 0.
        class_names: one a class, or the name of a data set that `kmodels.data` knows; None for none.
        resize: `pad` or `bilinear`, as the network was trained.

    Returns:
        One prediction, or a tuple of n where the array has four axes.

    Raises:
        ValueError: a file or an argument that does not fit; the message names it.

    Example:
        >>> from kmodels.models.initial_weights import initialize
        >>> model = models.with_normalization(models.build("lenet", (32, 32, 1)), [0.1307], [0.3081])
        >>> initialize(model, seed=0)
        >>> answer = predict(model, np.zeros((28, 28), np.uint8), class_names="mnist")
        >>> answer.class_name == str(answer.class_index), len(answer.probabilities)
        (True, 10)
    """
    network = load_network(model) if isinstance(model, str | Path) else model
    shape, num_classes = _ends(network)
    names = _names(class_names, num_classes)
    if isinstance(image, str | Path):
        single, batch = True, read_image(image)[None]
    else:
        require(isinstance(image, np.ndarray), "image", "a path or an array of uint8", type(image).__name__)
        single, batch = image.ndim < 4, as_batch(image)
    transform = _transform(network, shape, mean, std)
    predictions: list[Prediction] = []
    for start in range(0, len(batch), _BATCH):
        pixels = fit(batch[start : start + _BATCH], shape, resize)
        for row in _probabilities(network, pixels, transform):
            best = int(row.argmax())
            predictions.append(Prediction(best, tuple(row.tolist()), names[best] if names else None))
    return predictions[0] if single else tuple(predictions)


def load_network(path: str | Path) -> keras.Model:
    """Loads a `.keras` file without its optimizer, so that it does not matter which backend saved it; safe mode on.

    Args:
        path: a file that `keras.Model.save` wrote; layers of `kmodels.models` are known.

    Raises:
        ValueError: no such file, or one that Keras cannot load safely.
    """
    file = Path(path)
    require(file.suffix == ".keras" and file.is_file(), "model", "a path to a .keras file", str(path))
    require(zipfile.is_zipfile(file), "model", "an undamaged .keras file", str(path))
    try:
        return keras.saving.load_model(file, compile=False, safe_mode=True)
    except Exception as error:  # whatever a damaged or unsafe file makes of Keras, the cause stays attached
        why = next(iter(str(error).strip().splitlines()), type(error).__name__)
        raise ValueError(
            f"model: expected a file that Keras can load ({why}). Received: model={str(path)!r}"
        ) from error


def _ends(network: keras.Model) -> tuple[tuple[int, int, int], int]:
    """Input shape `(height, width, channels)` and number of classes of a model that can be asked."""
    expected = "a functional keras.Model from (batch, height, width, 1 or 3 channels) to logits (batch, classes)"
    received = getattr(network, "name", type(network).__name__)
    inputs, outputs = (getattr(network, side, None) or [] for side in ("inputs", "outputs"))
    require(isinstance(network, keras.Model) and len(inputs) == len(outputs) == 1, "model", expected, received)
    shape, classes = inputs[0].shape[1:], outputs[0].shape[1:]
    fits = len(shape) == 3 and None not in shape and shape[2] in (1, 3) and len(classes) == 1 and (classes[0] or 0) >= 2
    require(fits, "model", expected, f"{received}: {inputs[0].shape} to {outputs[0].shape}")
    last = outputs[0]._keras_history.operation
    softmax = isinstance(last, keras.layers.Softmax) or getattr(last, "activation", None) is keras.activations.softmax
    require(not softmax, "model", "outputs that are logits, not a softmax's", received)
    return shape, classes[0]


def _names(class_names: Sequence[str] | str | None, num_classes: int) -> Sequence[str]:
    if class_names is None:
        return ()
    names: Sequence[str] = class_names
    if isinstance(class_names, str):
        known = f"class names, or a data set out of {', '.join(CATALOG)}"
        require(class_names in CATALOG, "class_names", known, class_names)
        names = CATALOG[class_names].class_names
    require(len(names) == num_classes, "class_names", f"{num_classes} names, one a class of the model", class_names)
    return names


def _transform(
    network: keras.Model, shape: tuple[int, int, int], mean: Sequence[float] | None, std: Sequence[float] | None
) -> Transform | None:
    """How pixels become input; None where the model does it."""
    if models.takes_stored_images(network):
        for name, value in (("mean", mean), ("std", std)):
            require(value is None, name, "None for a model that takes uint8 images", value)
        return None
    for name, value in (("mean", mean), ("std", std)):
        given = value is not None and len(value) == shape[2]
        require(given, name, f"{shape[2]} numbers for a model that takes floating point", value)
    assert mean is not None and std is not None
    return Transform(mean=tuple(mean), std=tuple(std))


def _probabilities(network: keras.Model, pixels: Images, transform: Transform | None) -> npt.NDArray[np.float64]:
    """Softmax of the logits, in float64 so that a row sums to 1 closely."""
    inputs = pixels if transform is None else normalise(pixels, transform)
    logits = np.asarray(network.predict_on_batch(inputs), np.float64)
    require(bool(np.isfinite(logits).all()), "model", "finite logits", network.name)
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    probabilities: npt.NDArray[np.float64] = powers / powers.sum(axis=1, keepdims=True)
    return probabilities
