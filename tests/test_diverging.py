"""A loss that is no number ends a training soon, or with the epoch where steps are recorded; both name the step."""

import re
import threading

import keras
import numpy as np
import pytest

from kmodels import data
from kmodels.training.train import train
from tests.tiny_experiment import task

TORCH = keras.backend.backend() == "torch"
WILD = {"learning_rate": 1e38, "head": "logits", "optimizer": "sgd"}  # the first step spoils the weights


class _Steps(keras.callbacks.Callback):
    """Counts steps; can put a NaN into the weights before an epoch."""

    def __init__(self, spoil=None):
        super().__init__()
        self.begun, self._spoil = 0, spoil

    def on_epoch_begin(self, epoch, logs=None):
        if epoch == self._spoil:
            first = self.model.trainable_variables[0]
            first.assign(first * np.nan)

    def on_train_batch_begin(self, batch, logs=None):
        self.begun += 1


@pytest.fixture(scope="module")
def digits():
    return data.load("digits", report=lambda _: None)


@pytest.mark.backend
@pytest.mark.parametrize("batch_size", [8, 48], ids=["in the middle of an epoch", "in its last step"])
def test_steps_of_keras_end_soon_after_the_first_bad_one(digits, batch_size):
    seen = _Steps()
    run = train(task(**WILD, batch_size=batch_size), digits, callbacks=[seen])
    said = r"loss is (nan|inf) in epoch 1, from step 2 of the epoch on; no state was kept yet"
    assert re.fullmatch(said, run.diverged)
    one_more = 0 if TORCH or batch_size == 48 else 1  # which the other backends have begun by then
    assert (run.execution, seen.begun, run.curves) == ("keras", 2 + one_more, {})


@pytest.mark.skipif(not TORCH, reason="steps are recorded on PyTorch only")
def test_recorded_steps_name_the_first_bad_one_when_the_epoch_ends(digits, monkeypatch):
    monkeypatch.setattr("kmodels.torch_step.allowance._ALL", 1)
    seen = _Steps()
    run = train(task(**WILD, batch_size=8), digits, callbacks=[seen])
    said = r"loss is (nan|inf) in epoch 1, from step 2 of the epoch on; no state was kept yet"
    assert re.fullmatch(said, run.diverged)
    assert (run.execution, seen.begun, run.curves) == ("recorded", 12, {})


@pytest.mark.skipif(not TORCH, reason="elsewhere all steps are Keras' own")
@pytest.mark.filterwarnings("ignore:kmodels.accelerate. Keras' own step is used for lenet. float16")
def test_half_precision_that_is_left_to_keras_ends_there_too(digits, monkeypatch):
    monkeypatch.setattr("kmodels.torch_step.allowance._ALL", 1)
    seen = _Steps(spoil=1)
    run = train(task(precision="mixed_float16", batch_size=32), digits, callbacks=[seen])
    assert run.diverged == "loss is nan in epoch 2, from step 1 of the epoch on; no state was kept yet"
    assert (run.execution, seen.begun, len(run.curves["loss"])) == ("keras", 4, 1)


@pytest.mark.backend
def test_a_loss_that_is_no_number_in_the_validation_alone_has_no_step(digits):
    run = train(task(**WILD, batch_size=96), digits)
    assert re.fullmatch(r"val_loss is (nan|inf) in epoch 1; no state was kept yet", run.diverged)


@pytest.mark.skipif(not TORCH, reason="steps are recorded on PyTorch only")
def test_nothing_waits_for_a_recorded_step(digits, monkeypatch):
    monkeypatch.setattr("kmodels.torch_step.allowance._ALL", 1)
    ends, kind = [], keras.callbacks.CallbackList
    end = kind._on_train_batch_end

    def noted(*arguments):
        ends.append(threading.current_thread() is threading.main_thread())
        end(*arguments)

    monkeypatch.setattr(kind, "_on_train_batch_end", noted)
    run = train(task(batch_size=8), digits)
    assert (run.execution, ends) == ("recorded", [False] * 24)
