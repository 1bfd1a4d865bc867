"""The resident feed against the memory feed, and inside Keras' `fit` and `evaluate`."""

import dataclasses
import itertools
import os
import subprocess
import sys
import warnings

import keras
import numpy as np
import pytest

from kmodels.augment import Transform
from kmodels.data.feed import evaluation_feed, training_feed

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.skipif(keras.backend.backend() != "torch", reason="the resident feed is PyTorch's")

RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, (150, 10, 8, 3), dtype=np.uint8)
LABELS = np.arange(150, dtype=np.int32)  # an image's label tells which it is
PART = RNG.permutation(150)[:107]
PLAIN = Transform(mean=(0.49, 0.48, 0.44), std=(0.25, 0.2, 0.26))
CROP_AND_FLIP = dataclasses.replace(PLAIN, crop_padding=2, flip=True)
EVERYTHING = dataclasses.replace(CROP_AND_FLIP, rotation_degrees=20.0, image_size=12, resize="bilinear")


def feed(pipeline, transform=PLAIN, **changes):
    arguments = {"batch_size": 32, "drop_last": False, "seed": 3, "fold": 1, "epochs": 4, **changes}
    return training_feed(pipeline, IMAGES, LABELS, PART, transform, **arguments)


def prepared(feed, epochs=1):
    """The resident batches of some epochs as NumPy arrays."""
    batches = itertools.islice(feed.x.get_torch_dataloader(), epochs * feed.steps_per_epoch)
    return [tuple(tensor.numpy() for tensor in batch.source.prepare(batch.draws)) for batch in batches]


def assert_same_bytes(left, right):
    assert len(left) == len(right) > 0
    for batch, other in zip(left, right, strict=True):
        for array, expected in zip(batch, other, strict=True):
            assert (array.shape, array.dtype) == (expected.shape, expected.dtype)
            assert array.tobytes() == expected.tobytes()


# Batches


@pytest.mark.parametrize("drop_last", [False, True])
@pytest.mark.parametrize("transform", [PLAIN, CROP_AND_FLIP, EVERYTHING], ids=["plain", "crop+flip", "everything"])
def test_its_epochs_are_those_of_the_memory_feed(transform, drop_last):
    resident, memory = (feed(pipeline, transform, drop_last=drop_last) for pipeline in ("resident", "memory"))
    assert (resident.steps_per_epoch, resident.images) == (memory.steps_per_epoch, memory.images)
    steps = range(3 * memory.steps_per_epoch)
    assert_same_bytes(prepared(resident, epochs=3), [memory.x[step] for step in steps])
    assert_same_bytes(prepared(resident, epochs=3), [memory.x[step] for step in steps])  # starts again at epoch 0


def test_it_goes_on_where_a_run_stopped():
    later = prepared(feed("resident", CROP_AND_FLIP, first_epoch=2))
    assert_same_bytes(later, prepared(feed("resident", CROP_AND_FLIP), epochs=3)[-len(later) :])


def test_evaluation_is_one_pass_in_order_and_unchanged():
    resident, memory = (
        evaluation_feed(pipeline, IMAGES, LABELS, PART, EVERYTHING, batch_size=50)
        for pipeline in ("resident", "memory")
    )
    for _ in range(2):
        assert_same_bytes(prepared(resident, epochs=2), [memory.x[step] for step in range(3)])


def test_draws_are_a_few_bytes_an_image_and_the_source_is_one():
    x = feed("resident", EVERYTHING).x
    first, second = itertools.islice(x.get_torch_dataloader(), 2)
    assert {name: tuple(values.shape) for name, values in first.draws.items()} == {
        "indices": (32,),
        "offsets": (32, 2),
        "flips": (32,),
        "terms": (32, 2),
    }
    assert sum(values.nbytes for values in first.draws.values()) <= 32 * 20
    assert first.source is second.source is x.source
    assert len(first) == 32


def test_on_a_cpu_the_images_are_not_copied_and_may_be_read_only():
    images = IMAGES.copy()
    images.flags.writeable = False
    held = evaluation_feed("resident", images, LABELS, PART, PLAIN)
    assert held.x.source.images.data_ptr() == images.ctypes.data


def test_feeds_of_one_array_share_it_on_the_device_and_another_array_is_another():
    images = IMAGES.astype(np.uint8, order="F")  # must be copied
    first, second = (evaluation_feed("resident", images, LABELS, part, PLAIN).x for part in (PART, PART[:5]))
    assert first.source.images is second.source.images and first.source.labels is second.source.labels
    feeds = []
    for level in range(20):  # arrays of which only feeds are left: another array must not get the id of one
        images = np.full((2, 10, 8, 3), level, np.uint8, order="F")
        feeds.append(evaluation_feed("resident", images, np.arange(2), np.arange(2), PLAIN))
        del images
    assert [int(feed.x.source.images.max()) for feed in feeds] == list(range(20))


@pytest.mark.parametrize(("drop_last", "partial"), [(False, 11), (True, None)])
def test_keras_is_told_the_sizes(drop_last, partial):
    x = feed("resident", drop_last=drop_last).x
    assert (x.num_batches, x.batch_size, x.has_partial_batch, x.partial_batch_size) == (
        None,
        32,
        bool(partial),
        partial,
    )
    x = evaluation_feed("resident", IMAGES, LABELS, PART, PLAIN, batch_size=50).x
    assert (x.num_batches, x.batch_size, x.has_partial_batch, x.partial_batch_size) == (3, 50, True, 7)
    x = evaluation_feed("resident", IMAGES, LABELS, PART[:100], PLAIN, batch_size=50).x
    assert (x.num_batches, x.has_partial_batch, x.partial_batch_size) == (2, False, None)


# Inside Keras


class Preparing(keras.Model):
    """Prepares each batch of an execution in the step and does what stock Keras does with it."""

    def _functions(self, step):
        def run(batches):
            self.seen.append([None if batch is None else len(batch) for batch in batches])
            for batch in filter(None, batches):
                logs = step(batch.source.prepare(batch.draws))
            return logs

        return run

    def make_train_function(self, force=False):
        self.train_function = self._functions(self.train_step)

    def make_test_function(self, force=False):
        self.test_function = torch.no_grad()(self._functions(self.test_step))


def compiled(kind, steps_per_execution=1):
    """Any other batches, or the same in another order, leave it with other weights."""
    inputs = keras.Input((10, 8, 3))
    outputs = keras.layers.Dense(150, kernel_initializer="zeros")(keras.layers.Flatten()(inputs))
    model = kind(inputs, outputs)
    model.seen = []
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.SGD(0.05), loss=loss, metrics=["accuracy"], steps_per_execution=steps_per_execution)
    x, y = np.zeros((1, 10, 8, 3), np.float32), np.zeros(1, np.int32)
    model._symbolic_build(data_batch=(x, y, None))
    return model


def fit(model, pipeline, epochs=3, first_epoch=0, stock=False, **changes):
    train = feed(pipeline, CROP_AND_FLIP, epochs=epochs, first_epoch=first_epoch, **changes)
    changes = {name: value for name, value in changes.items() if name == "steps_per_execution"}
    held = evaluation_feed(pipeline, IMAGES, LABELS, np.arange(40), PLAIN, batch_size=15, **changes)
    x, held_x = (train.x.prepared(), held.x.prepared()) if stock else (train.x, held.x)
    sizes = {"steps_per_epoch": train.steps_per_epoch, "epochs": epochs, "initial_epoch": first_epoch}
    return model.fit(x, validation_data=held_x, shuffle=False, verbose=0, **sizes).history


@pytest.fixture(scope="module")
def by_memory():
    """Weights and history of three epochs from the memory feed."""
    model = compiled(keras.Model)
    history = fit(model, "memory")
    return model.get_weights(), history


def assert_trained_alike(model, history, by_memory):
    weights, expected = by_memory
    for left, right in zip(model.get_weights(), weights, strict=True):
        np.testing.assert_array_equal(left, right)
    assert history == expected


def test_fit_hands_its_batches_to_the_step(by_memory):
    model = compiled(Preparing)
    assert_trained_alike(model, fit(model, "resident"), by_memory)
    assert model.seen == [[32], [32], [32], [11], [15], [15], [10]] * 3


def test_a_stock_model_takes_it_prepared(by_memory):
    model = compiled(keras.Model)
    assert_trained_alike(model, fit(model, "resident", stock=True), by_memory)


def test_a_run_goes_on(by_memory):
    model = compiled(Preparing)
    first = fit(model, "resident", epochs=2)
    rest = fit(model, "resident", epochs=3, first_epoch=2)
    assert_trained_alike(model, {name: first[name] + rest[name] for name in first}, by_memory)


@pytest.mark.parametrize(
    ("steps", "epoch"),
    [
        (2, [[32, 32], [32, 11], [15, 15], [10, None]]),
        (3, [[32, 32, 32], [11, None, None], [15, 15, 10]]),
        (9, [[32, 32, 32, 11] + [None] * 5, [15, 15, 10] + [None] * 6]),
    ],
)
def test_executions_of_several_steps_end_with_the_epoch(steps, epoch, by_memory):
    model = compiled(Preparing, steps_per_execution=steps)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        history = fit(model, "resident", steps_per_execution=steps)
    assert_trained_alike(model, history, by_memory)
    assert model.seen == epoch * 3


def test_evaluate_may_be_repeated():
    model = compiled(Preparing)
    held = evaluation_feed("resident", IMAGES, LABELS, PART, PLAIN, batch_size=50)
    for steps in (None, 3, None):
        model.seen.clear()
        model.evaluate(held.x, steps=steps, verbose=0)
        assert model.seen == [[50], [50], [7]]


def test_a_stock_model_evaluates_and_predicts_it_prepared(by_memory):
    model = compiled(keras.Model)
    model.set_weights(by_memory[0])
    resident, memory = (evaluation_feed(each, IMAGES, LABELS, PART, PLAIN).x for each in ("resident", "memory"))
    np.testing.assert_array_equal(
        model.predict(resident.prepared(), verbose=0), model.predict(memory, verbose=0), strict=True
    )
    assert model.evaluate(resident.prepared(), verbose=0) == model.evaluate(memory, verbose=0)


def test_fit_without_steps_per_epoch_is_an_error():
    with pytest.raises(ValueError, match="steps_per_epoch: expected fit"):
        compiled(Preparing).fit(feed("resident", epochs=2).x, epochs=2, shuffle=False, verbose=0)


# What is refused, and imported


def test_other_backends_are_refused(monkeypatch):
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    message = "pipeline: expected 'memory' or 'tfdata' under KERAS_BACKEND=jax. Received: pipeline='resident'"
    with pytest.raises(ValueError, match=message):
        feed("resident")


@pytest.mark.parametrize(("pipeline", "steps"), [("memory", 2), ("tfdata", 2), ("resident", 0)])
def test_executions_of_several_steps_are_for_this_feed_alone(pipeline, steps):
    with pytest.raises(ValueError, match=f"steps_per_execution: expected 1.* Received: steps_per_execution={steps}"):
        feed(pipeline, steps_per_execution=steps)


def test_a_keras_without_the_private_names_is_named(monkeypatch):
    from keras.src.backend.torch import core

    from kmodels.torch_step.keras_internals import KerasInternalMissing

    monkeypatch.delattr(core, "get_device")
    with pytest.raises(KerasInternalMissing, match=r"has keras\.src\.backend\.torch\.core\.get_device, as 3\.15 has"):
        feed("resident")


@pytest.mark.parametrize("pipeline", ["memory", "tfdata"])
def test_the_other_pipelines_import_no_torch(pipeline):
    pytest.importorskip("tensorflow")
    code = f"""
import sys
import numpy as np
from kmodels.augment import Transform
from kmodels.data.feed import evaluation_feed
images, labels = np.zeros((20, 4, 4, 1), np.uint8), np.zeros(20, np.int32)
evaluation_feed({pipeline!r}, images, labels, np.arange(20), Transform(mean=(0.0,), std=(1.0,)))
assert "kmodels.torch_step.resident" not in sys.modules and "torch" not in sys.modules, "imported"
"""
    environment = {**os.environ, "KERAS_BACKEND": "tensorflow"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
