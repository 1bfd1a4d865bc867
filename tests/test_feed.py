"""Batches in the order and with the choices that were drawn, the same from both pipelines, and what is refused."""

import dataclasses
import os
import subprocess
import sys

import keras
import numpy as np
import pytest

from kmodels.augment import Transform, draw_epoch
from kmodels.data.feed import evaluation_feed, training_feed
from tests.drawn_batches import CROP_AND_FLIP, IMAGES, LABELS, PART, PIPELINES, PLAIN, batches, expected_batches, feed

# Leaves the grey levels themselves: what is equal in it is equal byte for byte.
LEVELS = Transform(mean=(0.0,) * 3, std=(1 / 255,) * 3)


def assert_same(left, right):
    assert len(left) == len(right)
    for (images, labels), (other_images, other_labels) in zip(left, right, strict=True):
        assert labels.dtype == other_labels.dtype and images.dtype == other_images.dtype == np.float32
        np.testing.assert_array_equal(labels, other_labels)
        np.testing.assert_allclose(images, other_images, rtol=0, atol=1e-6)


# Batches


@pytest.mark.parametrize("drop_last", [False, True])
@pytest.mark.parametrize("pipeline", PIPELINES)
def test_each_epoch_is_its_own_draws_and_a_short_last_batch_moves_none(pipeline, drop_last):
    made = feed(pipeline, CROP_AND_FLIP, drop_last=drop_last)
    assert (made.steps_per_epoch, made.images) == ((3, 96) if drop_last else (4, 107))
    seen = batches(made, epochs=3)
    assert_same(seen, expected_batches(CROP_AND_FLIP, [0, 1, 2], drop_last=drop_last))
    if not drop_last:
        for epoch in range(3):
            labels = np.concatenate([labels for _, labels in seen[4 * epoch : 4 * epoch + 4]])
            assert sorted(labels) == sorted(PART)


@pytest.mark.parametrize("pipeline", PIPELINES)
def test_any_epoch_can_be_regenerated(pipeline):
    later = batches(feed(pipeline, CROP_AND_FLIP), skip=2)
    assert_same(batches(feed(pipeline, CROP_AND_FLIP, first_epoch=2)), later)
    assert_same(later, expected_batches(CROP_AND_FLIP, [2]))


def test_memory_batches_do_not_depend_on_what_was_asked_before():
    made = feed("memory", CROP_AND_FLIP)
    in_order = batches(made, epochs=3)
    for index in (7, 0, 11, 4, 4):
        assert_same([made.x[index]], [in_order[index]])


@pytest.mark.parametrize("changes", [{"seed": 4}, {"fold": 2}])
def test_seed_and_fold_change_the_order(changes):
    assert batches(feed("memory"))[0][1].tolist() != batches(feed("memory", **changes))[0][1].tolist()


@pytest.mark.parametrize("drop_last", [False, True])
@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"flip": True},
        {"crop_padding": 3},
        {"rotation_degrees": 180.0},
        {"image_size": 13},
        {"image_size": 15, "resize": "bilinear"},
        {"image_size": 7, "resize": "bilinear"},
        {"crop_padding": 1, "flip": True, "rotation_degrees": 20.0, "image_size": 12, "resize": "bilinear"},
    ],
    ids=lambda changes: "+".join(changes) or "plain",
)
def test_both_pipelines_give_the_same_batches(changes, drop_last):
    levels = dataclasses.replace(LEVELS, **changes)
    left, right = (batches(feed(pipeline, levels, drop_last=drop_last), epochs=2) for pipeline in PIPELINES)
    assert len(left) == (6 if drop_last else 8)
    for (images, labels), (other_images, other_labels) in zip(left, right, strict=True):
        assert images.tobytes() == other_images.tobytes()
        assert labels.tobytes() == other_labels.tobytes()
    scaled = dataclasses.replace(PLAIN, **changes)
    assert_same(*(batches(feed(pipeline, scaled, drop_last=drop_last)) for pipeline in PIPELINES))


@pytest.mark.parametrize("pipeline", PIPELINES)
def test_evaluation_sees_each_image_once_in_order_and_unchanged(pipeline):
    transform = dataclasses.replace(LEVELS, crop_padding=2, flip=True, rotation_degrees=90.0, image_size=12)
    made = evaluation_feed(pipeline, IMAGES, LABELS, PART, transform, batch_size=50)
    assert (made.steps_per_epoch, made.images) == (3, 107)
    for _ in range(2):
        seen = [(np.asarray(images), np.asarray(labels)) for images, labels in made.x]
        assert [len(labels) for _, labels in seen] == [50, 50, 7]
        np.testing.assert_array_equal(np.concatenate([labels for _, labels in seen]), LABELS[PART])
        images = np.concatenate([images for images, _ in seen])
        np.testing.assert_array_equal(images[:, 1:11, 2:10], IMAGES[PART])
        assert images.sum(dtype=float) == IMAGES[PART].sum(dtype=float)


@pytest.mark.parametrize("pipeline", PIPELINES)
def test_labels_may_be_one_hot(pipeline):
    one_hot = np.eye(150, dtype=np.float32)
    made = training_feed(
        pipeline, IMAGES, one_hot, PART, PLAIN, batch_size=50, drop_last=False, seed=3, fold=1, epochs=1
    )
    order = draw_epoch(len(PART), PLAIN, seed=3, fold=1, epoch=0).order
    np.testing.assert_array_equal(batches(made)[2][1], one_hot[PART[order[100:]]])


@pytest.mark.parametrize("pipeline", PIPELINES)
def test_a_feed_may_be_read_one_epoch_ahead_and_no_further(pipeline):
    made = feed(pipeline, epochs=2)
    assert len(batches(made, skip=2)) == made.steps_per_epoch
    with pytest.raises(Exception, match="steps_per_epoch: expected fit"):
        batches(made, skip=3)


# What is imported


@pytest.mark.parametrize("backend", ["torch", "jax"])
def test_the_memory_pipeline_never_imports_tensorflow(backend):
    pytest.importorskip(backend)
    code = """
import sys
import keras, numpy as np
from kmodels.augment import Transform
from kmodels.data.feed import evaluation_feed, training_feed
images, labels, part = np.zeros((20, 4, 4, 1), np.uint8), np.zeros(20, np.int32), np.arange(20)
transform = Transform(mean=(0.0,), std=(1.0,), crop_padding=1, flip=True, rotation_degrees=5.0, image_size=6)
model = keras.Sequential([keras.Input((6, 6, 1)), keras.layers.Flatten(), keras.layers.Dense(2)])
model.compile(loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True))
sizes = {"batch_size": 8, "drop_last": False, "seed": 0, "fold": 0, "epochs": 2}
train = training_feed("memory", images, labels, part, transform, **sizes)
held = evaluation_feed("memory", images, labels, part, transform)
model.fit(train.x, steps_per_epoch=train.steps_per_epoch, epochs=2, validation_data=held.x, shuffle=False, verbose=0)
model.predict(held.x, verbose=0)
assert not [name for name in sys.modules if name.split(".")[0] == "tensorflow"], "imported"
"""
    environment = {**os.environ, "KERAS_BACKEND": backend}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr


def test_tensorflow_is_kept_off_the_gpu_unless_it_trains(monkeypatch):
    tf = pytest.importorskip("tensorflow")
    hidden = []
    monkeypatch.setattr(tf.config, "get_visible_devices", lambda kind: [f"{kind}:0"])
    monkeypatch.setattr(tf.config, "set_visible_devices", lambda devices, kind: hidden.append((devices, kind)))
    for backend, expected in (("tensorflow", []), ("torch", [([], "GPU")])):
        monkeypatch.setattr(keras.backend, "backend", lambda backend=backend: backend)
        evaluation_feed("tfdata", IMAGES, LABELS, PART, PLAIN)
        assert hidden == expected


# Errors


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"pipeline": "grain"}, r"pipeline: expected 'memory', 'tfdata' or 'resident'\. Received: pipeline='grain'"),
        ({"images": IMAGES[0]}, r"images: expected shape .* Received: images=\(10, 8, 3\)"),
        ({"images": IMAGES / 255}, r"images: expected dtype uint8\. Received: images='float64'"),
        ({"labels": LABELS[:-1]}, r"labels: expected 150 of them.* Received: labels=149"),
        ({"indices": np.array([0, 150])}, r"indices: expected numbers from 0 to 149\. Received: indices=150"),
        ({"indices": np.array([-1, 3])}, r"indices: expected numbers from 0 to 149\. Received: indices=-1"),
        ({"indices": PART[:0]}, r"indices: .* Received: indices=\(0,\)"),
        ({"indices": PART / 1}, r"indices: expected an integer dtype\. Received: indices='float64'"),
        ({"batch_size": 0}, r"batch_size: expected 1 or more\. Received: batch_size=0"),
        ({"transform": Transform(mean=(0.0,), std=(1.0,))}, r"mean: expected 3 numbers.* Received: mean=\(0.0,\)"),
        ({"transform": dataclasses.replace(PLAIN, image_size=9)}, r"image_size: expected 10 or more .*=9"),
        ({"transform": dataclasses.replace(PLAIN, crop_padding=8)}, r"crop_padding: expected less than .*=8"),
    ],
)
def test_errors_name_the_argument_what_was_expected_and_what_came(changes, message):
    arguments = {"pipeline": "memory", "images": IMAGES, "labels": LABELS, "indices": PART, "transform": PLAIN}
    arguments |= {"batch_size": 32} | changes
    with pytest.raises(ValueError, match=message):
        evaluation_feed(**arguments)
    with pytest.raises(ValueError, match=message):
        training_feed(**arguments, drop_last=False, seed=0, fold=0, epochs=1)


def test_training_needs_an_epoch_and_a_full_batch():
    with pytest.raises(ValueError, match=r"first_epoch: expected 0 or more, below epochs=4\. Received: first_epoch=4"):
        feed("memory", first_epoch=4)
    with pytest.raises(ValueError, match=r"batch_size: expected 107 or less.* Received: batch_size=108"):
        feed("memory", batch_size=108, drop_last=True)
