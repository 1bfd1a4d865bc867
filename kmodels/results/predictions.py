"""What a run said of the test images: arrays as they are kept, and the text they are kept as."""

from __future__ import annotations

import base64
import zlib
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

__all__ = ["STEPS", "Predictions", "check_classes", "pack", "unpack"]

STEPS = 65535
"""A kept probability is a whole number of this many equal steps from 0 to 1."""

_LARGEST = 2**24  # bytes of one array: a few kB of zeros could else claim all memory


@dataclass(frozen=True)
class Predictions:
    """What a run said of the test images, in their canonical order.

    Attributes:
        classes: predicted class of each image, uint8 of shape `(images,)`.
        true_class_probability: probability given to the right class, in 1/65535 steps, uint16 of shape `(images,)`;
            None where it was not kept (K folds keep the class only).
        confidence: probability given to the predicted class, likewise; None where it was not kept (K folds, and runs
            from before it was).

    Raises:
        ValueError: the arrays are of different lengths.
    """

    classes: np.ndarray
    true_class_probability: np.ndarray | None = None
    confidence: np.ndarray | None = None

    def __post_init__(self) -> None:
        for name in ("true_class_probability", "confidence"):
            kept = getattr(self, name)
            if kept is not None and kept.shape != self.classes.shape:
                expected = f"one number for each of the {len(self.classes)} predicted classes"
                raise ValueError(f"{name}: expected {expected}. Received: {name} of shape {kept.shape}")

    def as_dict(self) -> dict[str, str | None]:
        """Returns the arrays as base64 of their zlib-compressed little-endian bytes.

        Beside a probability of the right class, the confidence is kept as what it is above that, which is 0 wherever
        the prediction is right: so it takes a tenth of the bytes.
        """
        true, confidence = self.true_class_probability, self.confidence
        if true is not None and confidence is not None:
            confidence = confidence.astype("u2") - true.astype("u2")  # modulo 65536, and back when it is read
        return {
            "classes": pack(self.classes.astype("<u1")),
            "true_class_probability": None if true is None else pack(true.astype("<u2")),
            "confidence": None if confidence is None else pack(confidence.astype("<u2")),
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, str | None]) -> Predictions:
        """Returns the predictions that `as_dict` wrote, now or before it had a confidence.

        Raises:
            ValueError: an array is damaged, or they are of different lengths.
        """
        classes, true, confidence = values["classes"], values["true_class_probability"], values.get("confidence")
        if classes is None:
            raise ValueError("predictions: expected the predicted classes. Received: None")
        probability = None if true is None else unpack(true, "<u2")
        sure = None if confidence is None else unpack(confidence, "<u2")
        if probability is not None and sure is not None and len(probability) == len(sure):
            sure = sure + probability
        return cls(unpack(classes, "<u1"), probability, sure)


def pack(array: np.ndarray) -> str:
    """Returns an array's bytes as text: base64 of zlib."""
    return base64.b64encode(zlib.compress(array.tobytes(), 9)).decode("ascii")


def unpack(text: str, dtype: str) -> np.ndarray:
    """Returns the array, of one axis, that `pack` was given.

    Args:
        text: what `pack` returned.
        dtype: type of its elements, as NumPy names it.

    Raises:
        ValueError: it is not such a text, or holds more than 16 MiB.

    Example:
        >>> unpack(pack(np.arange(3, dtype="<u2")), "<u2").tolist()
        [0, 1, 2]
    """
    reader = zlib.decompressobj()
    try:
        content = reader.decompress(base64.b64decode(text, validate=True), _LARGEST)
    except zlib.error as error:
        raise ValueError(f"array: expected zlib-compressed bytes. {error}") from error
    if not reader.eof or reader.unused_data:
        expected = f"one whole zlib stream of {_LARGEST} bytes or fewer"
        raise ValueError(f"array: expected {expected}. Received: {len(text)} characters")
    return np.frombuffer(content, dtype=dtype)


def check_classes(classes: np.ndarray | None, images: int | None, num_classes: int | None, name: str) -> None:
    """Checks that there is one class an image, and that it is one of those there are.

    Args:
        classes: what was predicted; None for nothing to check.
        images: how many images there were; None where that is not known.
        num_classes: how many classes there are; None where that is not known.
        name: what the classes are called in the error.

    Raises:
        ValueError: there are more or fewer classes than images, or one is too large.

    Example:
        >>> check_classes(np.array([0, 12], "uint8"), images=2, num_classes=10, name="validation_classes")
        Traceback (most recent call last):
        ValueError: validation_classes: expected classes below 10. Received: 12
    """
    if classes is None:
        return
    if images is not None and len(classes) != images:
        raise ValueError(f"{name}: expected one for each of {images} images. Received: {len(classes)}")
    if num_classes is not None and len(classes) and int(classes.max()) >= num_classes:
        raise ValueError(f"{name}: expected classes below {num_classes}. Received: {int(classes.max())}")
