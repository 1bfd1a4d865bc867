"""The four tuners: what a trial is, what it is scored by, and what is said when one fails."""

import inspect
import json
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

from kmodels.crossval import validate
from kmodels.crossval.validate import carry_out, cross_validate
from kmodels.tuner import GridSearch, Hyperband, RandomSearch, SearchFailed
from tests.tuner_search import build, digits, make, pretend_build, pretend_train, run, without_training

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def pretend(monkeypatch):
    without_training(monkeypatch)


@pytest.mark.parametrize("kind", ["BayesianOptimization", "GridSearch"])
def test_the_other_two_train_as_well(kind, tmp_path):
    found = run(kind, tmp_path, max_trials=2, folds=2)
    assert [t.status for t in found.trials] == ["completed"] * 2


def test_issue_139_a_trial_is_a_cross_validation(tmp_path):
    x, y = digits()
    found = run("RandomSearch", tmp_path, max_trials=1, folds=3, executions_per_trial=2)
    [trial] = found.trials
    hp = make("RandomSearch", tmp_path, max_trials=1, folds=3, executions_per_trial=2).get_best_hyperparameters()[0]
    own = cross_validate(lambda: build(hp), x, y, folds=3, seeds=[3, 4], split_seed=3, epochs=2, batch_size=16)
    assert dict(trial.values) == own.values
    assert (trial.mean, trial.sd, trial.fold_sd) == pytest.approx((own.mean, own.sd, own.fold_sd), rel=1e-12)
    assert (trial.folds, trial.seeds, trial.epochs) == (3, 2, 2)


def test_the_score_is_never_the_best_epoch_of_the_scored_part(tmp_path):
    """A returned History would have been reduced to its best epoch."""
    x, y = digits()

    class Ruin(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            if epoch == 2:
                self.model.layers[-1].bias.assign(np.array([1e4] + [0.0] * 9, "float32"))

    search = make("RandomSearch", tmp_path, max_trials=1)
    found = search.search(x, y, epochs=3, batch_size=16, callbacks=lambda seed, fold: [Ruin()], verbose=False)
    assert found.trials[0].mean < 0.2


def test_issue_1018_nothing_but_the_training_samples_can_be_reached(tmp_path, monkeypatch):
    parameters = set(inspect.signature(RandomSearch.search).parameters)
    assert not parameters & {"validation_data", "validation_split", "x_test", "kwargs"}
    x, y = digits()
    seen = []

    def spy(build, x_given, y_given, parts, training, **keys):
        assert x_given is x and y_given is y
        train, held = parts
        assert not set(train.tolist()) & set(held.tolist())
        seen.append(sorted([*train.tolist(), *held.tolist()]))
        return pretend_train(build, x_given, y_given, parts, training, **keys)

    monkeypatch.setattr(validate, "train_fold", spy)
    search = make("RandomSearch", tmp_path, build=pretend_build, max_trials=2, folds=3)
    search.search(x, y, epochs=1, batch_size=8, verbose=False)
    assert seen == [list(range(len(y)))] * 6
    with pytest.raises(TypeError, match="validation_data"):
        search.search(x, y, epochs=1, batch_size=8, validation_data=(x, y))


def test_a_promoted_trial_is_the_one_trained_at_once(tmp_path):
    found = run("Hyperband", tmp_path, max_epochs=4)
    state = json.loads((tmp_path / "Hyperband" / "oracle.json").read_text())["trials"]
    promoted = [name for name, t in state.items() if t["hyperparameters"]["values"]["tuner/initial_epoch"] > 0]
    assert promoted
    x, y = digits()
    tuner = make("Hyperband", tmp_path, max_epochs=4)
    by_name = {trial.name: trial for trial in found.trials}
    for name in promoted[-2:]:
        hp = tuner.oracle.get_trial(name).hyperparameters
        epochs = hp.values["tuner/epochs"]
        own = cross_validate(lambda hp=hp: build(hp), x, y, folds=2, seeds=[3], split_seed=3, epochs=epochs,
                             batch_size=16)  # fmt: skip
        assert dict(by_name[name].values) == own.values
        assert by_name[name].epochs == epochs


def test_a_promoted_trial_does_not_train_its_first_epochs_again(tmp_path, monkeypatch):
    spans = []

    def spy(planned, *arguments, **keys):
        spans.append((planned.training.initial_epoch, planned.training.epochs, keys["go_on_from"] is not None))
        return carry_out(planned, *arguments, **keys)

    monkeypatch.setattr("kmodels.tuner.trial.carry_out", spy)
    run("Hyperband", tmp_path, max_epochs=2)
    assert (1, 2, True) in spans and (0, 1, False) in spans and (0, 2, True) not in spans


def failing(hp):
    value = pretend_build(hp)
    if hp.get("a") == 0.2:
        raise ZeroDivisionError("no network has a = 0.2")
    return value


def test_a_failing_trial_says_why_and_the_search_goes_on(tmp_path, pretend):
    # the builds before the search try every branch, not every value
    found = run("GridSearch", tmp_path, build=failing)
    failed = [trial for trial in found.trials if trial.status == "failed"]
    assert len(found.trials) == 9 and len(failed) == 3
    assert all(t.hyperparameters["a"] == 0.2 and "no network has a = 0.2" in t.cause for t in failed)
    assert all(t.rank is None and t.mean is None for t in failed)
    assert found.best()[0].hyperparameters["a"] == 0.3


def test_a_search_in_which_all_trials_fail_ends_with_the_first_cause(tmp_path):
    x, y = digits()

    def diverging(hp):
        model = build(hp)
        rate = 1e30 * hp.Choice("large", [1.0, 2.0])
        model.compile(keras.optimizers.SGD(rate), model.loss, metrics=["accuracy"])
        return model

    search = make("RandomSearch", tmp_path, build=diverging, max_trials=2)
    with pytest.raises(SearchFailed, match=r"(?s)all 2 trials failed.*FloatingPointError.*loss is"):
        search.search(x, y, epochs=2, batch_size=16, verbose=False)
    assert [trial.status for trial in search.results().trials] == ["failed", "failed"]


def test_another_search_in_the_same_folder_is_refused(tmp_path, pretend):
    run("RandomSearch", tmp_path, build=pretend_build)
    with pytest.raises(ValueError, match=r"project_name: expected a new one, or overwrite=True.*training"):
        x, y = digits()
        make("RandomSearch", tmp_path, build=pretend_build).search(x, y, epochs=3, batch_size=16)
    again = run("RandomSearch", tmp_path, build=pretend_build, overwrite=True, folds=3)
    assert again.trials[0].folds == 3


def test_progress_has_the_best_so_far_and_the_time_left(tmp_path, pretend, capfd):
    x, y = digits()
    make("RandomSearch", tmp_path, build=pretend_build).search(x, y, epochs=1, batch_size=16)
    lines = [line for line in capfd.readouterr().err.splitlines() if line.startswith("[")]
    assert len(lines) == 4
    assert "best 0." in lines[0] and "left" in lines[0] and lines[0].startswith("[1/4] trial 0: accuracy 0.")
    assert "left" not in lines[3]


def test_the_number_of_trials_is_known_beforehand(tmp_path, pretend):
    assert Hyperband(pretend_build, "accuracy", max_epochs=4, factor=2, folds=2, directory=str(tmp_path),
                     project_name="h").oracle.expected_trials() == 15  # fmt: skip
    assert (
        GridSearch(build, "accuracy", folds=2, directory=str(tmp_path), project_name="g").oracle.expected_trials() == 9
    )


@pytest.mark.parametrize(
    ("changes", "said"),
    [({"seed": -1}, "seed"), ({"executions_per_trial": 0}, "executions_per_trial"), ({"folds": 0}, "folds")],
)
def test_wrong_arguments_are_named(changes, said, tmp_path):
    with pytest.raises(ValueError, match=said):
        run("RandomSearch", tmp_path, build=pretend_build, **changes)


def test_epochs_are_hyperbands_own(tmp_path):
    x, y = digits()
    with pytest.raises(ValueError, match="epochs: expected None for Hyperband"):
        make("Hyperband", tmp_path, build=pretend_build).search(x, y, epochs=3, batch_size=16)
    with pytest.raises(ValueError, match="epochs"):
        make("RandomSearch", tmp_path, build=pretend_build).search(x, y, batch_size=16)


def test_importing_kmodels_or_cross_validate_does_not_import_keras_tuner():
    code = "import sys, kmodels, kmodels.crossval.validate; print('keras_tuner' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.strip() == "False"


MEMORY = """
import sys
from pathlib import Path
from tests.tuner_search import build, digits, make
x, y = digits()
resident = []
def note(hp):
    status = Path("/proc/self/status").read_text()
    resident.append(int(status.split("VmRSS:")[1].split()[0]))
    hp.Int("width", 1, 10_000)
    return build(hp)
search = make("RandomSearch", sys.argv[1], build=note, max_trials=60)
start = len(resident)
search.search(x, y, epochs=1, batch_size=16, verbose=False)
trials = resident[start::3]
assert len(trials) == 60, len(trials)
print(trials[10], trials[-1])
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the resident set is read from /proc")
def test_issues_395_and_873_sixty_trials_do_not_grow_the_process(tmp_path):
    command = [sys.executable, "-c", MEMORY, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stderr[-2000:]
    after_ten, after_sixty = map(int, done.stdout.split()[-2:])
    assert after_sixty <= 1.1 * after_ten
