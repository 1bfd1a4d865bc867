"""The loss that a recipe's head asks for."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

__all__ = ["LossSum", "SoftmaxCrossEntropy", "loss_for"]


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


class LossSum(keras.metrics.Metric):
    """The sum of the batches' mean losses, as report E prints it: a short last batch weighs as much as the others.

    Args:
        loss: of labels and logits, a mean over the images of a batch.

    Example:
        >>> import numpy as np
        >>> metric = LossSum(loss_for("logits"))
        >>> for images in (4, 1):
        ...     metric.update_state(np.zeros(images, "int64"), np.zeros((images, 10), "float32"))
        >>> round(float(metric.result()), 4)  # twice ln 10
        4.6052
    """

    def __init__(self, loss: keras.losses.Loss) -> None:
        super().__init__(name="loss_sum")
        self._loss = loss
        self._sum = self.add_weight(name="sum", initializer="zeros")

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Adds the loss of a batch; images have no weights here."""
        self._sum.assign_add(self._loss(y_true, y_pred))

    def result(self) -> Any:
        """Returns the sum since the epoch began."""
        return self._sum + 0.0  # a value of its own: validation begins a new sum before the epoch is told of this one


def loss_for(head: str) -> keras.losses.Loss:
    """Returns the loss over labels `(batch,)` and logits `(batch, classes)` for `Recipe.head`."""
    if head == "softmax":
        return SoftmaxCrossEntropy(name="softmax_cross_entropy")
    return keras.losses.SparseCategoricalCrossentropy(from_logits=True)
