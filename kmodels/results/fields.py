"""What the fields of a stored run may hold, so that a file made elsewhere or by hand is found out when it is read."""

from __future__ import annotations

import math
import reprlib
from collections.abc import Callable, Mapping
from typing import Any

from kmodels.spec.observations import is_observations

__all__ = ["check_fields"]


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _text(value: Any) -> bool:
    return isinstance(value, str)


def _folder(value: Any) -> bool:
    return _text(value) and bool(value) and all(letter.isalnum() or letter == "-" for letter in value)


def _mapping(value: Any) -> bool:
    return isinstance(value, Mapping)


def _scores(value: Any) -> bool:
    if not (_mapping(value) and all(map(_number, value.values())) and "validation_accuracy" in value):
        return False
    return all(0 <= score <= 1 for name, score in value.items() if name.endswith("accuracy"))


def _data(value: Any) -> bool:
    counts = ("train_images", "validation_images", "test_images", "num_classes")
    texts = ("name", "digest", "source")
    return (
        _mapping(value)
        and all(_whole(value[name]) for name in counts if name in value)
        and all(_text(value[name]) for name in texts if name in value)
    )


def _curves(value: Any) -> bool:
    return _mapping(value) and all(isinstance(v, list) and v and all(map(_number, v)) for v in value.values())


def _seconds(value: Any) -> bool:
    return _mapping(value) and all(map(_number, value.values()))


def _versions(value: Any) -> bool:
    return _mapping(value) and all(map(_text, value.values()))


def _texts(value: Any) -> bool:
    return isinstance(value, list) and all(map(_text, value))


_KINDS: tuple[tuple[str, Callable[[Any], bool], str], ...] = (
    ("a name of letters, digits and hyphens", _folder, "experiment"),  # of the folder that its files are in
    ("text", _text, "key cell protocol diverged device backend pipeline execution commit sources finished"),
    ("a whole number, 0 or more", _whole, "seed fold peak_memory_bytes threads revision"),
    ("a finite number", _number, "images_per_second"),
    ("an object", _mapping, "recipe"),
    ("an object, its counts whole numbers, name, digest and source texts", _data, "data"),
    ("finite numbers by name, validation_accuracy among them, accuracies in [0, 1]", _scores, "scores"),
    ("lists of finite numbers by name", _curves, "curves"),
    ("finite numbers by name", _seconds, "seconds"),
    ("texts by name", _versions, "versions"),
    ("a list of texts", _texts, "test_openings"),
    ("what kmodels.spec.observations describes", is_observations, "observations"),
)


def check_fields(values: Mapping[str, Any]) -> None:
    """Checks those fields of a stored run that are there; whether any is missing is another question.

    Args:
        values: field -> value, as JSON gives them.

    Raises:
        ValueError: a field holds something else; the message names it.

    Example:
        >>> check_fields({"seed": 0, "device": "CPU"})
        >>> check_fields({"seed": "0"})
        Traceback (most recent call last):
        ValueError: seed: expected a whole number, 0 or more. Received: seed='0'
    """
    for expected, holds, names in _KINDS:
        for name in names.split():
            if name in values and not holds(values[name]):
                received = reprlib.repr(values[name])
                raise ValueError(f"{name}: expected {expected}. Received: {name}={received}")
