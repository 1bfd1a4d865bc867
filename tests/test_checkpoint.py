"""A killed training goes on to the very same result."""

import dataclasses

import keras
import numpy as np
import pytest

from kmodels import data
from kmodels.spec.experiment import Split
from kmodels.spec.rate import Restart, Schedule
from kmodels.training import checkpoint
from kmodels.training.checkpoint import Checkpointing
from kmodels.training.chosen_epoch import ChosenEpoch
from kmodels.training.train import train
from tests.tiny_experiment import task

RECIPE = {  # everything that has a state: dropout, augmentation, momentum, a schedule
    "dropout": 0.5,
    "epochs": 4,
    "train_images": 150,
    "batch_size": 64,
    "crop_padding": 1,
    "flip": True,
    "optimizer": "sgd",
    "momentum": 0.9,
    "learning_rate": 0.05,
    "head": "logits",
    "schedule": Schedule(kind="exponential", gamma=0.8, warmup_epochs=1),
}
HELD = Split(kind="stratified_holdout", validation_fraction=0.1)
STOPPED = {**RECIPE, "split": HELD, "learning_rate": 0.5, "epochs": 9, "keep": "best_loss", "patience": 1}
RESTARTED = {
    **RECIPE,
    "split": HELD,
    "learning_rate": 0.2,
    "epochs": 2,
    "restarts": (Restart(epochs=2, learning_rate=0.2), Restart(epochs=2, learning_rate=0.02)),
    "keep": "best_loss",
}


class _Killed(Exception):
    pass


def _kill(*_, **__):
    raise _Killed


class _Kill(keras.callbacks.Callback):
    """Raises in the middle of an epoch."""

    def __init__(self, epoch):
        super().__init__()
        self._epoch = epoch

    def on_epoch_begin(self, epoch, logs=None):
        self._now = epoch

    def on_train_batch_end(self, batch, logs=None):
        if (self._now, batch) == (self._epoch, 1):
            raise _Killed


class _Spoil(keras.callbacks.Callback):
    """Puts a NaN into the weights before an epoch."""

    def __init__(self, epoch):
        super().__init__()
        self._epoch = epoch

    def on_epoch_begin(self, epoch, logs=None):
        if epoch == self._epoch:
            self.model.trainable_variables[0].assign(self.model.trainable_variables[0] * np.nan)


@pytest.fixture(scope="module")
def digits():
    return data.load("digits")


def assert_the_same(resumed, whole):
    assert resumed.curves == whole.curves
    assert resumed.scores == whole.scores
    np.testing.assert_array_equal(resumed.predictions.classes, whole.predictions.classes)
    assert resumed.key == whole.key
    assert resumed.weights is not None and resumed.weights == whole.weights


def reported(recipe):
    """A task of the report protocol and of the last fold, which keeps its weights."""
    declared = task(**recipe)
    return dataclasses.replace(declared, protocol="report", fold=declared.recipe.split.folds - 1)


class _End(keras.callbacks.Callback):
    """Remembers the optimizer's variables at the end of the training."""

    def on_train_end(self, logs=None):
        self.optimizer = [keras.ops.convert_to_numpy(variable) for variable in self.model.optimizer.variables]


TORCH = keras.backend.backend() == "torch"


@pytest.mark.backend
@pytest.mark.parametrize("few", [1, 400] if TORCH else [None])
def test_a_killed_training_goes_on_to_the_very_same_result(digits, tmp_path, monkeypatch, few):
    monkeypatch.setattr("kmodels.training.checkpoint._SECONDS", 0.0)
    if TORCH:
        monkeypatch.setattr("kmodels.torch_step.allowance._ALL", few)
    ends = [_End(), _End()]
    whole = train(reported(RECIPE), digits, callbacks=ends[:1])
    assert whole.execution == ("recorded" if few == 1 else "keras")
    path = tmp_path / "run.state"
    for epoch in (1, 3):
        with pytest.raises(_Killed):
            train(reported(RECIPE), digits, checkpoint=path, callbacks=[_Kill(epoch)])
        assert path.exists()
    assert_the_same(train(reported(RECIPE), digits, checkpoint=path, callbacks=ends[1:]), whole)
    for one, other in zip(*(end.optimizer for end in ends), strict=True):
        np.testing.assert_array_equal(one, other)
    assert not path.exists()


@pytest.mark.parametrize(("took", "written"), [(0.5, [2, 3, 4, 5]), (1.5, [2, 4]), (1000.0, [2, 4])])
def test_every_epoch_is_written_once_a_minute_is_over_unless_writing_takes_long(
    digits, tmp_path, monkeypatch, took, written
):
    clock, epochs = [0.0], []

    def write(path, state):
        clock[0] += took
        epochs.append(state.epochs)

    class Slow(keras.callbacks.Callback):  # epochs of 40 s
        def on_epoch_begin(self, epoch, logs=None):
            clock[0] += 40.0

    monkeypatch.setattr(checkpoint.time, "monotonic", lambda: clock[0])
    monkeypatch.setattr(checkpoint, "write_state", write)
    train(task(**{**RECIPE, "epochs": 6}), digits, checkpoint=tmp_path / "run.state", callbacks=[Slow()])
    assert epochs == written


@pytest.mark.parametrize("few", [pytest.param(1, marks=pytest.mark.slow), 400] if TORCH else [None])
def test_one_that_stops_early_goes_on_and_stops_where_it_would_have(digits, tmp_path, monkeypatch, few):
    monkeypatch.setattr("kmodels.training.checkpoint._SECONDS", 0.0)
    if TORCH:
        monkeypatch.setattr("kmodels.torch_step.allowance._ALL", few)
    whole = train(reported(STOPPED), digits)
    trained, kept = len(whole.curves["loss"]), whole.scores["kept_epoch"]
    if TORCH:  # masks of dropout, and so the epochs, differ from backend to backend
        assert 1 < kept == trained - 2 < 7, "neither the choice nor the patience is put to the test"
    path = tmp_path / "run.state"
    for epoch in (1, kept, trained - 1):  # before the best epoch, after it, and where one more ends it
        with pytest.raises(_Killed):
            train(reported(STOPPED), digits, checkpoint=path, callbacks=[_Kill(epoch)])
        assert path.exists()
    resumed = train(reported(STOPPED), digits, checkpoint=path)
    assert_the_same(resumed, whole)
    assert not path.exists()


@pytest.mark.backend
@pytest.mark.parametrize("few", [pytest.param(1, marks=pytest.mark.slow), 400] if TORCH else [None])
def test_one_with_restarts_goes_on_in_any_of_them(digits, tmp_path, monkeypatch, few):
    monkeypatch.setattr("kmodels.training.checkpoint._SECONDS", 0.0)
    if TORCH:
        monkeypatch.setattr("kmodels.torch_step.allowance._ALL", few)
    whole = train(reported(RESTARTED), digits)
    losses = whole.curves["val_loss"]
    assert len(losses) == 6
    assert losses[0] < losses[1], "the second phase would begin with the last epoch's weights anyway"
    path = tmp_path / "run.state"
    for epoch in (2, 5):  # the beginning of a phase, and the middle of the one after it
        with pytest.raises(_Killed):
            train(reported(RESTARTED), digits, checkpoint=path, callbacks=[_Kill(epoch)])
    assert_the_same(train(reported(RESTARTED), digits, checkpoint=path), whole)


def test_one_killed_after_its_last_epoch_goes_on_too(digits, tmp_path, monkeypatch):
    monkeypatch.setattr("kmodels.training.checkpoint._SECONDS", 0.0)
    path = tmp_path / "run.state"
    with monkeypatch.context() as killed:
        killed.setattr("kmodels.training.train.finished_run", _kill)
        with pytest.raises(_Killed):
            train(task(**RECIPE), digits, checkpoint=path)
    resumed, whole = train(task(**RECIPE), digits, checkpoint=path), train(task(**RECIPE), digits)
    assert resumed.curves == whole.curves
    assert resumed.scores == whole.scores


def test_the_state_of_another_run_is_refused(digits, tmp_path, monkeypatch):
    monkeypatch.setattr("kmodels.training.checkpoint._SECONDS", 0.0)
    path = tmp_path / "run.state"
    with pytest.raises(_Killed):
        train(task(**RECIPE), digits, checkpoint=path, callbacks=[_Kill(1)])
    with pytest.raises(ValueError, match="checkpoint: expected the state of run"):
        train(task(**{**RECIPE, "learning_rate": 0.1}), digits, checkpoint=path)
    assert Checkpointing(None, "", last=1, chosen=ChosenEpoch("last", None)).epochs == 0


@pytest.mark.backend
@pytest.mark.parametrize("few", [1, 400] if TORCH else [None])
def test_a_training_that_diverges_names_the_state_that_is_good(digits, tmp_path, monkeypatch, few):
    monkeypatch.setattr("kmodels.training.checkpoint._SECONDS", 0.0)
    if TORCH:
        monkeypatch.setattr("kmodels.torch_step.allowance._ALL", few)
    path = tmp_path / "run.state"
    run = train(task(**RECIPE), digits, checkpoint=path, callbacks=[_Spoil(1)])
    assert run.diverged == "loss is nan in epoch 2, from step 1 of the epoch on; the state after epoch 1 is kept"
    assert len(run.curves["loss"]) == 1
    assert path.exists()
