"""Local response normalisation, which Keras lacks, written with `keras.ops` so that every backend has it.

It is registered with Keras: a saved model that holds it loads, safe mode on, wherever `kmodels.models` was imported.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from kmodels.models.checks import require, require_integer

__all__ = ["LocalResponseNormalization"]


@keras.saving.register_keras_serializable(package="kmodels")
class LocalResponseNormalization(keras.layers.Layer):
    """Divides each activation by a power of the mean square over its neighbouring channels.

    Channel `c` of the output is `x[c] / (k + alpha * m)^beta`, where `m` is the sum of the squares of channels
    `c - size // 2` to `c + (size - 1) // 2` (those that exist) divided by `size`: PyTorch's definition, equal to
    `torch.nn.LocalResponseNorm`. Half precision is computed in float32, because a square overflows float16 from 256
    on.

    Args:
        size: channels summed over, 1 or more.
        alpha: weight of the mean square, 0 or more.
        beta: exponent, 0 or more.
        k: additive constant, above 0.
        **kwargs: arguments of every Keras layer, such as `name`.

    Input and output shape: `(batch, ..., channels)`, channels last.

    Raises:
        ValueError: an argument is out of range; the message names it.

    Example:
        >>> import numpy as np
        >>> layer = LocalResponseNormalization(size=3, alpha=3.0, beta=1.0, k=1.0)
        >>> keras.ops.convert_to_numpy(layer(np.array([[1.0, 0.0, 2.0, 3.0]]))).astype(float).round(3).tolist()
        [[0.5, 0.0, 0.143, 0.214]]

    Reference:
        Krizhevsky et al., ImageNet classification with deep convolutional neural networks, 2012, section 3.3; used by
        report B's configuration A-LRN.
    """

    def __init__(self, size: int = 5, alpha: float = 1e-4, beta: float = 0.75, k: float = 2.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        require_integer("size", size, 1)
        require(alpha >= 0.0, "alpha", "0 or more", alpha)
        require(beta >= 0.0, "beta", "0 or more", beta)
        require(k > 0.0, "k", "a number above 0", k)
        self.size, self.alpha, self.beta, self.k = size, alpha, beta, k

    def call(self, inputs: Any) -> Any:
        """Returns the normalised activations, in the type of the inputs."""
        x = ops.cast(inputs, keras.backend.result_type(inputs.dtype, "float32"))
        channels = x.shape[-1]
        before, after = self.size // 2, (self.size - 1) // 2
        padded = ops.pad(ops.square(x), [(0, 0)] * (len(x.shape) - 1) + [(before, after)])
        total = padded[..., :channels]
        for shift in range(1, self.size):
            total = total + padded[..., shift : shift + channels]
        return ops.cast(x * ops.power(self.k + self.alpha / self.size * total, -self.beta), inputs.dtype)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """Returns the shape as it is."""
        return input_shape

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments that build this layer anew."""
        return {**super().get_config(), "size": self.size, "alpha": self.alpha, "beta": self.beta, "k": self.k}
