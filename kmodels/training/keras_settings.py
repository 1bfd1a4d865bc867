"""Keras' own settings, which `~/.keras/keras.json` and the environment may change, held at fixed values.

They are in no recipe and no key, so a number must not depend on them: with `"floatx": "float16"` in that file the loss
would be computed in half precision, with `KERAS_MAX_EPOCHS=1` a run would be stored after one epoch as if whole.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from keras import config

__all__ = ["fixed_settings"]


@contextmanager
def fixed_settings() -> Iterator[None]:
    """Holds Keras at float32, channels last, its default epsilon and whole epochs, while the block runs.

    Example:
        >>> from keras import config
        >>> config.set_epsilon(1e-3)
        >>> with fixed_settings():
        ...     config.epsilon()
        1e-07
        >>> config.epsilon()
        0.001
        >>> config.set_epsilon(1e-7)
    """
    settings = (
        (config.floatx, config.set_floatx, "float32"),
        (config.epsilon, config.set_epsilon, 1e-7),
        (config.image_data_format, config.set_image_data_format, "channels_last"),
        (config.max_epochs, config.set_max_epochs, None),
        (config.max_steps_per_epoch, config.set_max_steps_per_epoch, None),
    )
    before = [read() for read, _, _ in settings]
    for _, write, value in settings:
        write(value)
    try:
        yield
    finally:
        for (_, write, _), value in zip(settings, before, strict=True):
            write(value)
