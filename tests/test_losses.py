"""The softmax head applies softmax twice on every backend, also inside a compiled training step."""

import keras
import numpy as np
import pytest

from kmodels.training.losses import SoftmaxCrossEntropy, loss_for

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
