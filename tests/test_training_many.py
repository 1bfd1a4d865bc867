"""Tasks trained at once: the runs that training them one by one gives."""

import dataclasses
import io
import json

import keras
import numpy as np
import pytest
from rich.console import Console

from kmodels import data
from kmodels.acceleration import accelerate
from kmodels.results.runs import Run, load_runs
from kmodels.running import runner
from kmodels.spec.experiment import Split
from kmodels.spec.rate import Restart, Schedule
from kmodels.training import many, task_data
from kmodels.training import train as training
from kmodels.training.many import train_many, vectorised_by_default
from kmodels.training.train import train
from tests.tiny_experiment import BASE, task

only_torch = pytest.mark.skipif(keras.backend.backend() != "torch", reason="steps are vectorised on PyTorch")
SAME_IN_EVERY_RUN = ("seconds", "images_per_second", "peak_memory_bytes", "finished", "execution", "curves", "scores")
SETTINGS = {
    "folds, dropout, augmented, Adam": {"dropout": 0.5, "crop_padding": 2, "rotation_degrees": 5.0},
    "each fold's own statistics, SGD with a schedule": {
        "normalization": "standard",
        "optimizer": "sgd",
        "momentum": 0.9,
        "learning_rate": 0.05,
        "schedule": Schedule(kind="cosine", warmup_epochs=1),
        "head": "softmax",
    },
    "a short last batch, L2": {"train_images": 100, "l2": 1e-3, "optimizer": "nadam"},
}


@pytest.fixture(scope="module")
def digits():
    return data.load("digits")


@pytest.fixture(autouse=True)
def recorded(monkeypatch):
    """Single trainings by recorded steps: Keras' own, which very short ones are left to, draw other dropout masks."""
    monkeypatch.setattr(training, "accelerate", lambda model, **_: accelerate(model, mode="record"))


def assert_same(together, alone):
    """One run like the other, but for rounding in curves and scores, and what only tells of the machine."""
    left, right = together.as_dict(), alone.as_dict()
    for name in left:
        if name not in (*SAME_IN_EVERY_RUN, "predictions", "validation_classes"):
            assert left[name] == right[name], name
    assert (together.execution, alone.execution) == ("vectorised", "recorded")
    assert sorted(together.curves) == sorted(alone.curves)
    for name, values in together.curves.items():
        np.testing.assert_allclose(values, alone.curves[name], atol=2e-5, err_msg=name)
    assert sorted(together.scores) == sorted(alone.scores)
    for name, value in together.scores.items():
        assert value == pytest.approx(alone.scores[name], abs=2e-5), name
    np.testing.assert_array_equal(together.predictions.classes, alone.predictions.classes)
    if alone.predictions.true_class_probability is not None:
        kept = (run.predictions.true_class_probability.astype(int) for run in (together, alone))
        assert np.abs(np.subtract(*kept)).max() <= 2
    if alone.validation_classes is not None:
        np.testing.assert_array_equal(together.validation_classes, alone.validation_classes)


@only_torch
@pytest.mark.parametrize("name", SETTINGS)
def test_folds_and_seeds_at_once_are_the_runs_of_one_by_one(digits, name):
    tasks = [task(seed, fold, **SETTINGS[name]) for seed, fold in ((0, 0), (0, 1), (2, 1))]
    runs = train_many(tasks, digits)
    for one, run in zip(tasks, runs, strict=True):
        assert_same(run, train(one, digits))
        assert Run.from_dict(json.loads(json.dumps(run.as_dict()))).key == run.key
    assert len({tuple(run.curves["loss"]) for run in runs}) == 3


@only_torch
@pytest.mark.parametrize("split", [Split(kind="test"), Split(kind="stratified_holdout", validation_fraction=0.2)])
def test_seeds_of_a_split_with_one_part_are_the_runs_of_one_by_one(digits, split):
    tasks = [task(seed, split=split, epochs=1) for seed in (0, 1)]
    for one, run in zip(tasks, train_many(tasks, digits), strict=True):
        assert_same(run, train(one, digits))
        assert len(run.test_openings) == (2 if split.kind == "test" else 1)


@only_torch
def test_a_task_that_diverges_ends_as_it_would_alone_and_disturbs_no_other(digits, monkeypatch):
    tasks = [task(seed, learning_rate=0.5, optimizer="sgd") for seed in (0, 1, 2)]
    undisturbed = train_many(tasks, digits)

    def spoilt(model, seed):
        initialize(model, seed)
        if seed == 1:
            kernel = model.layers[-1].kernel
            kernel.assign(keras.ops.full(kernel.shape, 1e38))

    initialize = many.initialize
    monkeypatch.setattr(many, "initialize", spoilt)
    monkeypatch.setattr("kmodels.training.network.initialize", spoilt)
    runs, alone = train_many(tasks, digits), train(tasks[1], digits)
    assert runs[1].diverged == alone.diverged != ""
    assert (runs[1].curves, runs[1].scores) == (alone.curves, alone.scores)
    np.testing.assert_array_equal(runs[1].predictions.classes, alone.predictions.classes)
    for i in (0, 2):
        assert runs[i].curves == undisturbed[i].curves
        assert runs[i].scores == undisturbed[i].scores


class Listener(keras.callbacks.Callback):
    def __init__(self, stop_at=None):
        super().__init__()
        self.heard, self._stop_at = [], stop_at

    def on_train_batch_begin(self, batch, logs=None):
        self.heard.append(batch)
        if self._stop_at is not None and len(self.heard) >= self._stop_at:
            raise KeyboardInterrupt

    def on_test_batch_begin(self, batch, logs=None):
        self.heard.append(f"test {batch}")

    def on_epoch_end(self, epoch, logs=None):
        self.heard.append(sorted(logs))


@only_torch
def test_callbacks_are_told_of_batches_and_epochs_and_can_interrupt(digits):
    tasks, listener = [task(fold=fold) for fold in (0, 1)], Listener()
    train_many(tasks, digits, callbacks=[listener])
    epoch = [0, 1, 2, "test 0", "test 1", ["accuracy", "loss", "val_accuracy", "val_loss"]]
    assert listener.heard == 2 * epoch
    assert listener.params["steps"] == 3
    with pytest.raises(KeyboardInterrupt):
        train_many(tasks, digits, callbacks=[Listener(stop_at=4)])


@pytest.mark.parametrize(
    ("changes", "pipeline", "cause"),
    [
        ({"clip_norm": 1.0}, "memory", "clips by a norm"),
        ({"split": Split(kind="kfold", folds=7), "train_images": None}, "memory", "the folds have 12.. to 12.. "),
        ({}, "tfdata", "tfdata"),
    ],
)
def test_what_cannot_be_vectorised_is_trained_one_by_one_and_said(digits, changes, pipeline, cause):
    tasks = [task(fold=fold, epochs=1, **changes) for fold in (0, 6 if "split" in changes else 1)]
    cause = cause if keras.backend.backend() == "torch" else "KERAS_BACKEND"
    with pytest.warns(UserWarning, match=f"2 tasks are trained one by one: .*{cause}"):
        runs = train_many(tasks, digits, pipeline=pipeline)
    assert [run.fold for run in runs] == [one.fold for one in tasks]
    assert "vectorised" not in {run.execution for run in runs}


def test_tasks_that_do_not_belong_together_are_refused(digits):
    with pytest.raises(ValueError, match="tasks: expected tasks of one recipe"):
        train_many([task(), task(dropout=0.5)], digits)
    with pytest.raises(ValueError, match="each seed and fold once"):
        train_many([task(), task()], digits)
    with pytest.raises(ValueError, match="at least one"):
        train_many([], digits)


@only_torch
def test_small_networks_are_trained_at_once_on_a_gpu_and_none_on_a_cpu(digits, monkeypatch):
    assert not vectorised_by_default(BASE, digits)
    monkeypatch.setattr("kmodels.torch_step.keras_internals.current_device", lambda: "cuda:0")
    assert vectorised_by_default(BASE, digits)
    assert not vectorised_by_default(BASE, digits, pipeline="tfdata")
    assert not vectorised_by_default(BASE.change(clip_norm=1.0), digits)
    large = dataclasses.replace(BASE, model="resnet20", model_args={}, image_size=32)
    assert not vectorised_by_default(large, digits)


# The runner


def train_queue(queue, digits, folder, **options):
    out = Console(file=io.StringIO(), width=200)
    return runner.run(queue, {"digits": digits}, folder, pipeline="memory", console=out, **options), out.file.getvalue()


@only_torch
def test_the_runner_trains_tasks_of_one_recipe_at_once_where_it_is_asked_to(digits, tmp_path, monkeypatch):
    queue = [task(seed, fold, epochs=1, dropout=rate) for seed in (0, 1) for rate in (0.0, 0.5) for fold in (0, 1)]
    monkeypatch.setattr(runner, "train", lambda *_, **__: pytest.fail("trained alone"))
    outcome, said = train_queue(queue[:6], digits, tmp_path, together=True)
    assert (outcome.diverged, outcome.interrupted) == ([], False)
    stored = load_runs(tmp_path, pytest.fail)
    assert {run.execution for run in stored.values()} == {"vectorised"}
    assert "[6/6]" in said
    groups = []
    monkeypatch.setattr(runner, "train_many", lambda tasks, *_, **__: groups.append(tasks) or [])
    with pytest.raises(ValueError, match="zip"):
        train_queue(queue, digits, tmp_path, together=True)
    assert groups == [queue[6:]]  # what is there is not trained again


@only_torch
def test_a_training_that_was_begun_alone_goes_on_alone(digits, tmp_path, monkeypatch):
    queue, alone = [task(0, fold, epochs=1) for fold in (0, 1)], []
    key = task_data.key_of(queue[1], digits, "memory")
    (tmp_path / "A-tiny").mkdir()
    (tmp_path / "A-tiny" / f"{key}.state").touch()

    def without_state(one, *arguments, checkpoint, **options):
        alone.append((one, checkpoint.exists()))
        return train(one, *arguments, **options)

    monkeypatch.setattr(runner, "train", without_state)
    train_queue(queue, digits, tmp_path, together=True)
    assert alone == [(queue[1], True)]
    executions = {run.fold: run.execution for run in load_runs(tmp_path, pytest.fail).values()}
    assert executions == {0: "vectorised", 1: "recorded"}


def test_a_cpu_trains_one_after_the_other(digits, tmp_path):
    train_queue([task(0, fold, epochs=1) for fold in (0, 1)], digits, tmp_path)
    assert "vectorised" not in {run.execution for run in load_runs(tmp_path, pytest.fail).values()}


@only_torch
@pytest.mark.parametrize(
    "changes",
    [
        {"keep": "best_loss"},
        {"keep": "best_loss", "patience": 1},
        {"restarts": (Restart(epochs=1, learning_rate=1e-3),)},
        {"testing": "report_c"},
    ],
    ids=lambda changes: ", ".join(changes),
)
def test_what_single_trainings_alone_act_on_is_trained_one_by_one(digits, monkeypatch, changes):
    monkeypatch.setattr(many, "train", lambda one, *_, **__: one)
    asked = [task(seed=seed, **changes) for seed in (0, 1)]
    assert not vectorised_by_default(asked[0].recipe, digits)
    with pytest.warns(UserWarning, match=f"2 tasks are trained one by one: the recipe has {next(iter(changes))}="):
        assert train_many(asked, digits) == asked


def test_every_field_of_a_recipe_is_acted_on_or_trained_one_by_one():
    # A new field belongs into one of these two: what a vectorised training ignores would be stored as if it had acted.
    acted_on = {
        *("model", "model_args", "head", "dataset", "split", "validation_drop_last", "train_images", "image_size"),
        *("resize", "normalization", "crop_padding", "flip", "rotation_degrees", "epochs", "batch_size", "drop_last"),
        *("optimizer", "learning_rate", "schedule", "momentum", "nesterov", "l2", "weight_decay", "clip_norm"),
        "precision",
    }
    fields = {field.name for field in dataclasses.fields(BASE)}
    assert acted_on | set(many._KNOWN) == fields
