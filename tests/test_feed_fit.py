"""Keras trains, evaluates and predicts on feeds: on the drawn batches, in their order, from any epoch on."""

import keras
import numpy as np
import pytest

from kmodels.augment import apply
from kmodels.data.feed import evaluation_feed
from tests.drawn_batches import CROP_AND_FLIP, IMAGES, LABELS, PART, PIPELINES, PLAIN, expected_batches, feed


def compiled_model():
    """Any other batches, or the same in another order, leave it with other weights."""
    model = keras.Sequential(
        [
            keras.Input((10, 8, 3)),
            keras.layers.Flatten(),
            keras.layers.Dense(150, kernel_initializer="zeros"),
        ]
    )
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer=keras.optimizers.SGD(0.05), loss=loss, metrics=["accuracy"])
    return model


def weights_after(transform, epochs, **changes):
    """Weights after steps on batches made by hand."""
    model = compiled_model()
    for images, labels in expected_batches(transform, epochs, **changes):
        model.train_on_batch(images, labels)
    return model.get_weights()


def assert_close(left, right):
    for a, b in zip(left, right, strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-6)


@pytest.mark.backend
@pytest.mark.parametrize("drop_last", [False, True])
@pytest.mark.parametrize("pipeline", PIPELINES)
def test_fit_trains_on_the_drawn_epochs_and_goes_on_where_it_stopped(pipeline, drop_last):
    model = compiled_model()
    held = evaluation_feed(pipeline, IMAGES, LABELS, np.arange(20), PLAIN, batch_size=15)
    first = feed(pipeline, CROP_AND_FLIP, drop_last=drop_last, epochs=2)
    arguments = {"steps_per_epoch": first.steps_per_epoch, "shuffle": False, "verbose": 0}
    history = model.fit(first.x, epochs=2, validation_data=held.x, **arguments).history
    assert len(history["loss"]) == len(history["val_loss"]) == 2
    after_two = weights_after(CROP_AND_FLIP, [0, 1], drop_last=drop_last)
    assert_close(model.get_weights(), after_two)
    assert np.abs(weights_after(CROP_AND_FLIP, [1, 0], drop_last=drop_last)[0] - after_two[0]).max() > 1e-4

    # Keras looks at a batch before it trains a model that is not built, and does not for one that is.
    rest = feed(pipeline, CROP_AND_FLIP, drop_last=drop_last, epochs=3, first_epoch=2)
    model.fit(rest.x, epochs=3, initial_epoch=2, **arguments)
    assert_close(model.get_weights(), weights_after(CROP_AND_FLIP, [0, 1, 2], drop_last=drop_last))


@pytest.mark.backend
@pytest.mark.parametrize("pipeline", PIPELINES)
def test_an_epoch_may_be_a_single_step(pipeline):
    model = compiled_model()
    only = feed(pipeline, CROP_AND_FLIP, batch_size=200, epochs=1)
    assert only.steps_per_epoch == 1
    model.fit(only.x, steps_per_epoch=1, epochs=1, shuffle=False, verbose=0)
    assert_close(model.get_weights(), weights_after(CROP_AND_FLIP, [0], batch_size=200))


@pytest.mark.backend
@pytest.mark.parametrize("pipeline", PIPELINES)
def test_fit_without_steps_per_epoch_is_an_error(pipeline):
    made = feed(pipeline, epochs=2)
    with pytest.raises(Exception, match="steps_per_epoch: expected fit"):
        compiled_model().fit(made.x, epochs=2, shuffle=False, verbose=0)


@pytest.mark.backend
@pytest.mark.parametrize("pipeline", PIPELINES)
def test_evaluate_and_predict_take_an_evaluation_feed(pipeline):
    model = compiled_model()
    draw = np.random.default_rng(0)
    model.set_weights([draw.normal(size=weights.shape).astype(np.float32) for weights in model.get_weights()])
    made = evaluation_feed(pipeline, IMAGES, LABELS, PART, PLAIN, batch_size=40)
    logits = model.predict(made.x, verbose=0)
    direct = model.predict_on_batch(apply(IMAGES[PART], None, PLAIN))
    np.testing.assert_allclose(logits, direct, rtol=0, atol=1e-3)
    accuracy = float(np.mean(logits.argmax(axis=1) == LABELS[PART]))
    for steps in (None, made.steps_per_epoch):
        assert model.evaluate(made.x, steps=steps, verbose=0, return_dict=True)["accuracy"] == pytest.approx(accuracy)
