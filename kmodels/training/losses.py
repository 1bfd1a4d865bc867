"""The loss that a recipe's head asks for."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

__all__ = ["SoftmaxCrossEntropy", "loss_for"]


class SoftmaxCrossEntropy(keras.losses.Loss):
    """Cross-entropy of softmax outputs that are taken for logits: the quirk of reports A (LeNet), C and E.

    The network's softmax is applied to its logits, and the cross-entropy applies softmax to that once more. With ten
    classes the loss cannot fall below ln(1 + 9/e) = 1.46115, and gradients are damped.

    Keras' own losses are not used for it: under TensorFlow they notice the softmax and quietly take the logits.

    Example:
        >>> import numpy as np
        >>> sure = np.eye(10, dtype="float32")[:1] * 100
        >>> round(float(SoftmaxCrossEntropy()(np.array([0]), sure)), 5)
        1.46115
    """

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Returns one loss an image, `(batch,)`, from labels `(batch,)` and logits `(batch, classes)`."""
        outputs = ops.softmax(y_pred)
        wanted = ops.one_hot(ops.reshape(ops.cast(y_true, "int32"), (-1,)), y_pred.shape[-1], dtype=outputs.dtype)
        return ops.logsumexp(outputs, axis=-1) - ops.sum(wanted * outputs, axis=-1)


def loss_for(head: str) -> keras.losses.Loss:
    """Returns the loss over labels `(batch,)` and logits `(batch, classes)` for `Recipe.head`."""
    if head == "softmax":
        return SoftmaxCrossEntropy(name="softmax_cross_entropy")
    return keras.losses.SparseCategoricalCrossentropy(from_logits=True)
