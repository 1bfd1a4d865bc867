"""Kept weights say again what their run says they said; others do not."""

import dataclasses
import hashlib
import io

import keras
import numpy as np
import pytest

from kmodels import data
from kmodels.results.runs import read_run, write_run
from kmodels.results.weights import LARGEST, KeptWeights, keep
from kmodels.spec.tasks import Task
from kmodels.torch_step.float32 import without_tf32
from kmodels.training.finished_run import named_weights
from kmodels.training.many import train_many
from kmodels.training.train import train
from kmodels.verification.kept_weights import Evaluation, check_weights, evaluate_weights
from tests.tiny_experiment import BASE

LENET = Task(experiment="A-tiny", cell="c", protocol="report", recipe=BASE.change(epochs=1), seed=0, fold=1)


@pytest.fixture(scope="module")
def digits():
    return data.load("digits", report=lambda line: None)


@pytest.fixture(scope="module")
def run(digits):
    return train(LENET, digits)


@pytest.fixture
def stored(run, tmp_path):
    return read_run(write_run(run, tmp_path)), tmp_path / run.experiment


def said_of(run, folder):
    lines = []
    return check_weights([run], folder.parent, lines.append), lines


def replaced(run, folder, arrays):
    """A run whose weights are others, in a file that fits what the run says of it."""
    kept = keep(arrays, run.key)
    (folder / kept.file).write_bytes(kept.content)
    return dataclasses.replace(run, weights=kept)


def arrays_of(folder, run):
    with np.load(folder / run.weights.file) as file:
        return [(name.partition(" ")[2], file[name]) for name in file.files]


def test_a_single_step_keeps_no_weights(digits):
    one = LENET.recipe.change(train_images=64, batch_size=64)
    assert train(dataclasses.replace(LENET, recipe=one), digits).weights is None
    two = one.change(train_images=65)
    assert train(dataclasses.replace(LENET, recipe=two), digits).weights is not None


def test_weights_are_kept_beside_the_run_and_say_the_same_again(stored, digits):
    run, folder = stored
    assert run.weights.file == f"{run.key}.npz"
    assert hashlib.sha256((folder / run.weights.file).read_bytes()).hexdigest() == run.weights.sha256
    found = evaluate_weights(run, folder, digits)
    assert found.images == 297
    assert (found.right, found.flipped, found.same_device) == (found.right_then, 0, True)
    assert found.right / 297 == run.scores["test_accuracy"]
    holds, (line,) = said_of(run, folder)
    assert holds
    assert f"{found.right} of 297 images right on the same kind of device" in line


def test_another_networks_weights_are_found_out(stored, digits):
    run, folder = stored
    others = [(name, np.roll(array, 1)) for name, array in arrays_of(folder, run)]
    forged = replaced(run, folder, others)
    found = evaluate_weights(forged, folder, digits)
    assert found.flipped > 0
    assert found.right != found.right_then
    holds, (line,) = said_of(forged, folder)
    assert not holds
    assert line.startswith("DIFFERENT: A-tiny/")


def test_a_changed_file_is_found_out_by_its_digest(stored):
    run, folder = stored
    path = folder / run.weights.file
    content = bytearray(path.read_bytes())
    content[-300] ^= 1
    path.write_bytes(content)
    holds, (line,) = said_of(run, folder)
    assert not holds
    assert "expected sha256" in line


def test_weights_that_do_not_fit_or_are_gone_are_named(stored):
    run, folder = stored
    holds, (line,) = said_of(replaced(run, folder, arrays_of(folder, run)[:-1]), folder)
    assert (holds, "weights: expected variables of shapes" in line) == (False, True)
    (folder / run.weights.file).unlink()
    holds, (line,) = said_of(run, folder)
    assert (holds, "No such file" in line) == (False, True)


def test_what_is_not_kept_is_not_verified(run, tmp_path):
    holds, lines = said_of(dataclasses.replace(run, weights=None), tmp_path / "x")
    assert (holds, lines) == (False, ["No weights are kept of these runs."])
    large = KeptWeights("0" * 64, LARGEST + 1)
    holds, lines = said_of(dataclasses.replace(run, weights=large), tmp_path / "x")
    assert not holds
    assert lines[0].endswith(f"{LARGEST + 1} bytes with sha256 {'0' * 64}, not kept here")


def test_larger_weights_stay_on_the_machine_that_was_asked_to_keep_them(digits, tmp_path, monkeypatch):
    monkeypatch.setattr("kmodels.results.weights.LARGEST", 1000)
    path = write_run(train(LENET, digits), tmp_path)
    assert [file.name for file in path.parent.iterdir()] == [path.name]
    monkeypatch.setenv("KMODELS_KEEP_WEIGHTS", "all")
    said = path.read_text()
    write_run(train(LENET, digits), tmp_path)
    assert sorted(file.name for file in path.parent.iterdir()) == [path.name, f"{path.stem}.large.npz"]
    run = read_run(path)
    assert f'"sha256": "{run.weights.sha256}"' in said  # the run says the same, whether they are there or not
    assert (run.weights.file, said_of(run, path.parent)[0]) == ("", True)


@pytest.mark.parametrize("changes", [{"seed": 1}, {"fold": 0}, {"protocol": "quick"}])
def test_weights_are_kept_of_one_run_of_a_cell(digits, changes):
    task = dataclasses.replace(LENET, recipe=LENET.recipe.change(train_images=32), **changes)
    assert train(task, digits).weights is None


@pytest.mark.skipif(keras.backend.backend() != "torch", reason="tasks are trained at once on PyTorch")
def test_of_tasks_that_were_trained_at_once_each_keeps_its_own_weights(digits, run, stored, tmp_path):
    other, together = train_many([dataclasses.replace(LENET, seed=1), LENET], digits)  # seeds begin elsewhere
    assert other.weights is None
    write_run(together, tmp_path)  # in the place of the run that was trained alone
    alone = np.load(io.BytesIO(run.weights.content))
    for (name, array), before in zip(arrays_of(stored[1], together), alone.files, strict=True):
        assert before.endswith(name)
        np.testing.assert_allclose(array, alone[before], atol=1e-4, err_msg=name)
    assert evaluate_weights(together, stored[1], digits).flipped == 0


@pytest.mark.parametrize(
    ("right", "flipped", "same_device", "holds"),
    [(90, 0, True, True), (90, 2, True, True), (89, 1, True, False), (89, 1, False, True), (90, 2, False, False)],
)
def test_on_the_same_device_as_many_are_right_and_elsewhere_few_change(right, flipped, same_device, holds):
    found = Evaluation("CPU: x", 100, right, 90, flipped, same_device)
    assert found.holds == holds
    assert f"{flipped} of another class" in str(found)


@pytest.mark.parametrize(("right", "flipped", "holds"), [(89, 1, True), (90, 2, False)])
def test_a_run_in_half_precision_may_change_a_little_in_float32(right, flipped, holds):
    found = Evaluation("CPU: x", 100, right, 90, flipped, same_device=True, precision="mixed_bfloat16")
    assert found.holds == holds
    assert "on the same kind of device in float32 instead of mixed_bfloat16, 90 then" in str(found)


def test_the_precision_of_the_run_is_told(digits, tmp_path):
    task = dataclasses.replace(LENET, recipe=LENET.recipe.change(precision="mixed_bfloat16", train_images=64))
    run = read_run(write_run(train(task, digits), tmp_path))
    assert evaluate_weights(run, tmp_path / run.experiment, digits).precision == "mixed_bfloat16"


def test_running_statistics_are_kept_and_states_of_dropout_are_not():
    inputs = keras.Input((4,))
    outputs = keras.layers.Dropout(0.5, seed=1)(keras.layers.BatchNormalization()(keras.layers.Dense(3)(inputs)))
    model = keras.Model(inputs, outputs)
    names = [name.rpartition("/")[2] for name, _ in named_weights(model)]
    assert sorted(names) == ["beta", "bias", "gamma", "kernel", "moving_mean", "moving_variance"]
    assert len(model.variables) > len(names)
    stream = io.BytesIO(keep(named_weights(model), "0" * 20).content)
    assert len(np.load(stream).files) == 6


def test_products_are_not_rounded_to_tf32_while_weights_are_evaluated():
    if keras.backend.backend() != "torch":
        return
    import torch

    before = torch.backends.cudnn.allow_tf32
    with pytest.raises(ZeroDivisionError), without_tf32():
        assert (torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32) == (False, False)
        raise ZeroDivisionError
    assert torch.backends.cudnn.allow_tf32 == before
