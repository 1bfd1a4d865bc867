"""The softmax head applies softmax twice on every backend, also inside a compiled training step."""

import keras
import numpy as np
import pytest

import kmodels
from kmodels.training.losses import LossSum, SoftmaxCrossEntropy, loss_for
from tests.equality import only_torch

LABELS = np.array([0, 2, 1])
LOGITS = np.array([[1.0, 2.0, 3.0], [0.0, 0.0, 5.0], [-1.0, 4.0, 0.5]], "float32")


def softmax(z):
    e = np.exp(z - z.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def cross_entropy(z):
    return float(-np.log(softmax(z)[np.arange(3), LABELS]).mean())


@pytest.mark.backend
@pytest.mark.parametrize(("head", "given"), [("softmax", softmax(LOGITS)), ("logits", LOGITS)])
def test_the_loss_is_the_cross_entropy_of_what_the_head_gives(head, given):
    assert float(loss_for(head)(LABELS, LOGITS)) == pytest.approx(cross_entropy(given), abs=1e-6)


@pytest.mark.backend
def test_the_quirk_survives_a_compiled_step():
    # TensorFlow's own cross-entropy looks behind a softmax and takes its logits; evaluate() runs as a graph there
    inputs = keras.Input((3,))
    model = keras.Model(inputs, keras.layers.Identity()(inputs))
    model.compile("sgd", loss_for("softmax"))
    assert model.evaluate(LOGITS, LABELS, verbose=0) == pytest.approx(cross_entropy(softmax(LOGITS)), abs=1e-6)


def test_ten_classes_cannot_go_below_the_reports_floor():
    certain = np.eye(10, dtype="float32") * 1e4
    assert float(SoftmaxCrossEntropy()(np.arange(10), certain)) == pytest.approx(np.log(1 + 9 / np.e), abs=1e-6)


@pytest.mark.backend
def test_a_short_last_batch_weighs_as_much_in_the_sum_as_the_others():
    inputs = keras.Input((3,))
    model = keras.Model(inputs, keras.layers.Identity()(inputs))
    model.compile("sgd", loss_for("logits"), metrics=[LossSum(loss_for("logits"))])
    found = model.evaluate(LOGITS, LABELS, batch_size=2, verbose=0, return_dict=True)
    each = [-np.log(softmax(LOGITS)[place, LABELS[place]]) for place in range(3)]
    assert found["loss_sum"] == pytest.approx((each[0] + each[1]) / 2 + each[2], abs=1e-6)
    assert found["loss"] == pytest.approx(np.mean(each), abs=1e-6)


@only_torch
def test_a_recorded_step_sums_as_keras_does():
    def trained(fast):
        keras.utils.set_random_seed(0)
        inputs = keras.Input((3,))
        model = keras.Model(inputs, keras.layers.Dense(4)(inputs))
        model.compile("sgd", loss_for("softmax"), metrics=[LossSum(loss_for("softmax"))])
        if fast:
            kmodels.accelerate(model, mode="record")
        x, y = np.tile(LOGITS, (5, 1)), np.tile(LABELS, 5)
        return model.fit(x, y, batch_size=4, epochs=3, verbose=0).history["loss_sum"]

    assert trained(True) == pytest.approx(trained(False), rel=1e-6)
