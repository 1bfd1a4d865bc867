"""What a run said of the test images: arrays as they are kept, and the text they are kept as."""

from __future__ import annotations

import base64
import re
import reprlib
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

__all__ = ["STEPS", "Predictions", "check_classes", "of_validation", "pack", "unpack"]

STEPS = 65535
"""A kept probability is a whole number of this many equal steps from 0 to 1."""

_LARGEST = 2**24  # bytes of one array: a few kB of zeros could else claim all memory
_MOST_FURTHER = 64  # arrays, likewise: an ensemble of ten members has 26
_FURTHER = re.compile(r"test_accuracy_[a-z0-9_]+|[a-z0-9_]+_(test|validation)_accuracy")


@dataclass(frozen=True)
class Predictions:
    """What a run said of the test images, in their canonical order.

    Attributes:
        classes: predicted class of each image, uint8 of shape `(images,)`.
        true_class_probability: probability given to the right class, in 1/65535 steps, uint16 of shape `(images,)`;
            None where it was not kept (K folds keep the class only).
        confidence: probability given to the predicted class, likewise; None where it was not kept (K folds, and runs
            from before it was).
        further: classes that the same weights come to in another way, uint8 of shape `(images,)`, by the name of the
            accuracy that follows from them: `test_accuracy_sampled` and its like where the recipe tests as report C
            does, `majority_test_accuracy` and `member1_test_accuracy` of an ensemble whose members were trained apart.
            Those named `…_validation_accuracy` are of the validation images, and are there only where these are not
            the test images. Empty for most runs, and for those from before it was kept.

    Raises:
        ValueError: the arrays are of different lengths, or one of `further` has a name that no accuracy has.
    """

    classes: np.ndarray
    true_class_probability: np.ndarray | None = None
    confidence: np.ndarray | None = None
    further: Mapping[str, np.ndarray] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("true_class_probability", "confidence"):
            kept = getattr(self, name)
            if kept is not None and kept.shape != self.classes.shape:
                expected = f"one number for each of the {len(self.classes)} predicted classes"
                raise ValueError(f"{name}: expected {expected}. Received: {name} of shape {kept.shape}")
        for name, classes in self.further.items():
            if not _FURTHER.fullmatch(name):
                raise ValueError(f"further: expected names of accuracies. Received: {name!r}")
            if not of_validation(name) and classes.shape != self.classes.shape:
                expected = f"one class for each of {len(self.classes)} images"
                raise ValueError(f"{name}: expected {expected}. Received: {name} of shape {classes.shape}")

    def as_dict(self) -> dict[str, Any]:
        """Returns the arrays as base64 of their zlib-compressed little-endian bytes.

        Beside a probability of the right class, the confidence is kept as what it is above that, which is 0 wherever
        the prediction is right: so it takes a tenth of the bytes. Further classes of the test images are kept as how
        far they are from the predicted ones, as most are the same. `further` is left out where it is empty.
        """
        true, confidence = self.true_class_probability, self.confidence
        if true is not None and confidence is not None:
            confidence = confidence.astype("u2") - true.astype("u2")  # modulo 65536, and back when it is read
        said = self.classes.astype("<u1")
        further = {
            name: pack(kept.astype("<u1") if of_validation(name) else kept.astype("<u1") - said)  # modulo 256
            for name, kept in self.further.items()
        }
        return {
            "classes": pack(said),
            "true_class_probability": None if true is None else pack(true.astype("<u2")),
            "confidence": None if confidence is None else pack(confidence.astype("<u2")),
            **({"further": further} if further else {}),
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Predictions:
        """Returns the predictions that `as_dict` wrote, now or before it had a confidence and further classes.

        Raises:
            ValueError: an array is damaged, or they are of different lengths; or `further` is not texts by name.
        """
        classes, true, confidence = values["classes"], values["true_class_probability"], values.get("confidence")
        if classes is None:
            raise ValueError("predictions: expected the predicted classes. Received: None")
        probability = None if true is None else unpack(true, "<u2")
        sure = None if confidence is None else unpack(confidence, "<u2")
        if probability is not None and sure is not None and len(probability) == len(sure):
            sure = sure + probability
        said = unpack(classes, "<u1")
        return cls(said, probability, sure, _further(values.get("further", {}), said))


def of_validation(name: str) -> bool:
    """Returns whether further classes of this name are of the validation images; else they are of the test images.

    Example:
        >>> of_validation("majority_validation_accuracy"), of_validation("test_accuracy_sampled")
        (True, False)
    """
    return name.endswith("_validation_accuracy")


def _further(values: Any, said: np.ndarray) -> dict[str, np.ndarray]:
    """What `as_dict` made of `further`, read again; of a hostile file only so many arrays."""
    texts = isinstance(values, Mapping) and all(isinstance(text, str) for text in values.values())
    if not texts or len(values) > _MOST_FURTHER:
        expected = f"texts by name, {_MOST_FURTHER} or fewer"
        raise ValueError(f"further: expected {expected}. Received: {reprlib.repr(values)}")
    found = {}
    for name, text in values.items():
        classes = unpack(text, "<u1")
        if not of_validation(name):
            if len(classes) != len(said):
                expected = f"one class for each of {len(said)} images"
                raise ValueError(f"{name}: expected {expected}. Received: {len(classes)}")
            classes = classes + said
        found[name] = classes
    return found


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
