"""Test images scored as report C scores them: by each image's own statistics, by a class that is drawn, and by both."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops

from kmodels.acceleration import accelerate
from kmodels.checks import require
from kmodels.data.feed import Feed
from kmodels.models.initial_weights import generator, layer_paths
from kmodels.training.network import logits_of

__all__ = ["drawn_classes", "one_image_at_a_time", "report_c_classes", "require_testable"]


class _OneImageNormalization(keras.layers.BatchNormalization):
    """Normalises each image by its own mean and variance, as in training with batches of one image.

    Its running statistics are neither used nor moved.
    """

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        x = ops.cast(inputs, "float32")
        last = len(x.shape) - 1
        if last == 1:  # one value a channel is its own mean
            mean, variance = x, ops.zeros_like(x)
        else:
            mean, variance = ops.moments(x, axes=tuple(range(1, last)), keepdims=True)
        factor = ops.rsqrt(variance + self.epsilon)
        outputs = (x - mean) * (factor * self.gamma if self.scale else factor)
        return ops.cast(outputs + self.beta if self.center else outputs, inputs.dtype)


def require_testable(model: Any) -> None:
    """Checks that a network can be tested as report C tests its own.

    Raises:
        ValueError: something in it draws random numbers in training mode, which would be part of the result.
    """
    for path, layer in layer_paths(model):
        expected = "'standard' for a network with dropout"
        require(getattr(layer, "seed_generator", None) is None, "testing", expected, f"report_c, with {path}")


def one_image_at_a_time(model: Any) -> Any:
    """Returns a network that says of every image what a network says of it in training mode, in a batch of its own.

    Only batch normalisation makes a difference there: here each image has its own statistics, whatever the size of the
    batch. The network that is given stays as it is, running statistics included.

    Args:
        model: a functional model, images with channels last.

    Raises:
        ValueError: it has dropout.

    Example:
        >>> from kmodels import models
        >>> model = models.build("convnet", (8, 8, 1), 10)
        >>> images = np.random.default_rng(0).random((3, 8, 8, 1), "float32")
        >>> one = ops.convert_to_numpy(model(images[:1], training=True))
        >>> bool(np.allclose(one_image_at_a_time(model).predict(images, verbose=0)[:1], one, atol=1e-5))
        True
    """
    require_testable(model)

    def clone(layer: Any) -> Any:
        kind = _OneImageNormalization if isinstance(layer, keras.layers.BatchNormalization) else type(layer)
        return kind.from_config(layer.get_config())

    plain = keras.Model(model.input, model.output)  # the same layers, without the loss, which would be cloned too
    cloned = keras.models.clone_model(plain, clone_function=clone, recursive=True)
    cloned.set_weights(plain.get_weights())
    return cloned


def drawn_classes(logits: np.ndarray, uniform: np.ndarray) -> np.ndarray:
    """Returns for each image a class drawn from the predicted distribution, the softmax of its logits.

    Args:
        logits: float64 `(images, classes)`.
        uniform: a number in [0, 1) for each image, `(images,)`, which decides.

    Example:
        >>> drawn_classes(np.log([[0.25, 0.5, 0.25]] * 4), np.array([0.2, 0.3, 0.7, 0.8])).tolist()
        [0, 1, 1, 2]
    """
    shares = np.exp(logits - logits.max(axis=1, keepdims=True)).cumsum(axis=1)
    return np.asarray((shares[:, :-1] <= uniform[:, None] * shares[:, -1:]).sum(axis=1))


def report_c_classes(model: Any, test: Feed, logits: np.ndarray, *, seed: int, fold: int) -> dict[str, np.ndarray]:
    """Returns the classes of the test images that report C's way of testing is made of, beside the usual ones.

    Each is `(images,)` and has the name of the accuracy that follows from it.
    `test_accuracy_sampled`: running statistics, the class drawn. `test_accuracy_training_mode`: each image's own
    statistics, the likeliest class. `test_accuracy_training_mode_sampled`: both, as the report does. The report's
    network ends with a softmax and its test draws from that, so logits go through one softmax, whatever the loss.

    Args:
        model: the trained network.
        test: the test images.
        logits: what the network says of them with running statistics, `(images, classes)`.
        seed: of the run, which the draws depend on.
        fold: likewise. Both modes are drawn by the same numbers.

    Raises:
        ValueError: the network has dropout.
    """
    own = logits_of(accelerate(one_image_at_a_time(model), mode="record"), test)
    uniform = generator("sampled classes", seed, fold).random(len(logits))
    return {
        "test_accuracy_sampled": drawn_classes(logits, uniform),
        "test_accuracy_training_mode": own.argmax(axis=1),
        "test_accuracy_training_mode_sampled": drawn_classes(own, uniform),
    }
