"""An ensemble of members that were trained apart, against the members alone and against sums by hand."""

import keras
import numpy as np
import pytest
from scipy.special import log_softmax, logsumexp

from kmodels import data
from kmodels.models.ensemble import RULES
from kmodels.spec.experiment import Split
from kmodels.training.many import train_many
from kmodels.training.train import train
from kmodels.verification.stored_run import check_run
from tests.tiny_experiment import task

PAIR = {
    "model": "average_net",
    "model_args": {"members": ("lenet", "plain_net"), "rule": "mean_logits"},
    "head": "logits",
    "epochs": 2,
    "train_images": 600,
    "learning_rate": 5e-3,
}
ALONE = {**PAIR, "model_args": {}}


@pytest.fixture(scope="module")
def digits():
    return data.load("digits", report=lambda line: None)


@pytest.fixture(scope="module")
def alone(digits):
    """Each member trained alone, and what it said of the validation and the test images."""
    found = {}
    for model in ("lenet", "plain_net"):
        said = []
        found[model] = train(task(**{**ALONE, "model": model}), digits, outputs=said), said
    return found


@pytest.fixture(scope="module")
def apart(digits):
    return train(task(**PAIR, train_members="apart"), digits)


def shares(said, part, rule):
    """Combined logits of some images, by hand."""
    logits = np.stack([outputs[part][0] for outputs in said])
    if rule == "mean_logits":
        return logits.mean(axis=0)
    if rule == "mean_probabilities":
        return logsumexp(log_softmax(logits, axis=-1), axis=0)
    return np.eye(10)[logits.argmax(axis=-1)].sum(axis=0)


def test_members_are_the_networks_that_they_are_alone(alone, apart):
    for number, (run, _) in enumerate(alone.values(), start=1):
        for name, curve in run.curves.items():
            assert apart.curves[f"member{number}_{name}"] == curve
        for name in ("validation_accuracy", "test_accuracy"):
            assert apart.scores[f"member{number}_{name}"] == run.scores[name]
    assert not {"loss", "val_accuracy"} & set(apart.curves)


@pytest.mark.parametrize("rule", RULES)
def test_every_rule_is_scored(alone, apart, rule):
    said = [outputs for _, outputs in alone.values()]
    for part, name in enumerate(("validation", "test")):
        labels = said[0][part][1]
        wanted = np.mean(shares(said, part, rule).argmax(axis=1) == labels)
        assert apart.scores[f"{rule}_{name}_accuracy"] == pytest.approx(wanted)


def test_the_runs_own_scores_are_those_of_its_rule(alone, apart):
    said = [outputs for _, outputs in alone.values()]
    held, labels = shares(said, 0, "mean_logits"), said[0][0][1]
    assert len({shares(said, 1, rule).argmax(axis=1).tobytes() for rule in RULES}) == 3  # else it would not show
    assert apart.scores["validation_accuracy"] == apart.scores["mean_logits_validation_accuracy"]
    assert apart.scores["test_accuracy"] == apart.scores["mean_logits_test_accuracy"]
    loss = -log_softmax(held, axis=1)[np.arange(len(labels)), labels].mean()
    assert apart.scores["validation_loss"] == pytest.approx(loss, rel=1e-5)
    np.testing.assert_array_equal(apart.predictions.classes, shares(said, 1, "mean_logits").argmax(axis=1))


def test_it_is_another_run_than_the_joint_one(digits, apart):
    jointly = train(task(**{**PAIR, "epochs": 1}), digits)
    assert "loss" in jointly.curves
    assert jointly.recipe["train_members"] == "jointly"
    assert apart.recipe["train_members"] == "apart"
    assert len(apart.test_openings) == 2  # once a member, after its training


def test_its_file_can_be_checked(digits, apart):
    from kmodels.data.labels import Labels

    labels = Labels(
        name=digits.name,
        digest=digits.digest,
        num_classes=10,
        train=digits.y_train,
        test=digits.open_test("a test", lambda line: None)[1],
    )
    checked = check_run(apart, labels)
    assert checked.same, checked.differences()
    assert checked.unchecked == ("validation_loss",)  # an ensemble of members trained apart has no curve of its own
    names = {score.name for score in checked.scores}
    assert {f"{rule}_{part}_accuracy" for rule in RULES for part in ("validation", "test")} <= names
    on_test = train(task(**{**PAIR, "epochs": 1, "split": Split(kind="test")}, train_members="apart"), digits)
    assert not any(name.endswith("_validation_accuracy") for name in on_test.predictions.further)  # kept once
    checked = check_run(on_test, labels)
    assert checked.same, checked.differences()
    assert {score.name for score in checked.scores} >= {"majority_validation_accuracy", "member2_validation_accuracy"}


@pytest.mark.backend
def test_a_preset_that_comes_twice_is_trained_from_two_seeds(digits):
    twice = {**PAIR, "model_args": {"members": ("lenet", "lenet"), "rule": "majority"}, "epochs": 1}
    run = train(task(**twice, train_members="apart"), digits)
    assert run.curves["member1_loss"] != run.curves["member2_loss"]
    assert run.scores["validation_accuracy"] == run.scores["majority_validation_accuracy"]


class _Killed(Exception):
    pass


class _KillSecond(keras.callbacks.Callback):
    """Raises at the end of the second training it sees, or of its first where that is the second member's."""

    def __init__(self):
        super().__init__()
        self.trained = []

    def on_train_begin(self, logs=None):
        self.trained.append(self.model.name)
        if len(self.trained) == 2:
            raise _Killed


def test_a_killed_training_goes_on_with_the_member_that_was_not_done(digits, tmp_path, apart):
    path, seen = tmp_path / "key.state", _KillSecond()
    with pytest.raises(_Killed):
        train(task(**PAIR, train_members="apart"), digits, checkpoint=path, callbacks=[seen])
    assert [file.name for file in tmp_path.iterdir()] == ["key.member1.done"]
    again = _KillSecond()
    run = train(task(**PAIR, train_members="apart"), digits, checkpoint=path, callbacks=[again])
    assert (len(seen.trained), len(again.trained)) == (2, 1)
    assert (run.scores, run.curves) == (apart.scores, apart.curves)
    assert not list(tmp_path.iterdir())
    with pytest.raises(_Killed):
        train(task(**PAIR, train_members="apart"), digits, checkpoint=path, callbacks=[_KillSecond()])
    with pytest.raises(ValueError, match="checkpoint: expected a member of run"):
        train(task(**{**PAIR, "learning_rate": 1e-2}, train_members="apart"), digits, checkpoint=path)


def test_a_member_that_diverges_is_named(digits):
    wild = {**PAIR, "model_args": {"members": ("plain_net", "lenet")}, "optimizer": "sgd", "learning_rate": 1e30}
    run = train(task(**wild, train_members="apart"), digits)
    assert run.diverged.startswith("member 1: loss is")
    assert "validation_loss" not in run.scores


def test_a_model_without_members_is_refused(digits):
    with pytest.raises(ValueError, match="train_members: expected 'jointly' for a model without members"):
        train(task(model="lenet", model_args={"members": ("lenet", "plain_net")}, train_members="apart"), digits)
    with pytest.raises(ValueError, match="train_members: expected 'jointly' where model_args do not name"):
        task(train_members="apart")


def test_several_at_once_are_trained_one_by_one_and_say_so(digits):
    short = {**PAIR, "epochs": 1, "train_members": "apart"}
    with pytest.warns(UserWarning, match="trained one by one: the recipe has train_members='apart'"):
        runs = train_many([task(**short)], digits)
    assert "majority_test_accuracy" in runs[0].scores
