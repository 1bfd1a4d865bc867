"""A search is repeatable, and one that was killed anywhere ends as if it had never been."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from kmodels.crossval import validate
from kmodels.tuner import read_search
from tests.tuner_search import KINDS, pretend_build, pretend_train, run, told, without_training

ROOT = Path(__file__).resolve().parents[1]


class Killed(BaseException):
    """Ends everything at once, as a signal does that cannot be caught."""


def killed_at_a_write(monkeypatch, number):
    """Raises `Killed` instead of replacing a file for the `number`th time; the list that is returned counts down."""
    replace, left = Path.replace, [number]

    def killing(self, target):
        left[0] -= 1
        if left[0] < 0:
            raise Killed
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", killing)
    return left


@pytest.fixture
def pretend(monkeypatch):
    without_training(monkeypatch)


@pytest.mark.parametrize("kind", KINDS)
def test_issue_421_one_seed_gives_one_search(kind, tmp_path, pretend):
    first, again = (run(kind, tmp_path / name, build=pretend_build) for name in "ab")
    assert told(first) == told(again)
    assert len(first.trials) == {"RandomSearch": 4, "BayesianOptimization": 5, "Hyperband": 14, "GridSearch": 9}[kind]
    other = run(kind, tmp_path / "c", build=pretend_build, seed=4)
    assert told(other) != told(first)


def test_seed_zero_is_a_seed(tmp_path, pretend):
    assert told(run("RandomSearch", tmp_path / "a", build=pretend_build, seed=0)) == told(
        run("RandomSearch", tmp_path / "b", build=pretend_build, seed=0)
    )


@pytest.mark.parametrize("every", [pytest.param(1, marks=pytest.mark.slow), 13])
@pytest.mark.parametrize("kind", KINDS)
def test_killed_between_any_two_writes_it_ends_as_if_never_interrupted(kind, every, tmp_path, pretend, monkeypatch):
    left = killed_at_a_write(monkeypatch, 10**9)
    whole = told(run(kind, tmp_path / "whole", build=pretend_build))
    writes = 10**9 - left[0]
    assert writes > 4 * len(whole)
    for number in range(0, writes, every):
        left[0] = number
        with pytest.raises(Killed):
            run(kind, tmp_path / str(number), build=pretend_build)
        left[0] = 10**9
        assert told(run(kind, tmp_path / str(number), build=pretend_build)) == whole, f"killed at write {number}"
        ended = json.loads((tmp_path / str(number) / kind / "oracle.json").read_text())["end_order"]
        assert sorted(ended) == [trial[0] for trial in whole]  # each once


def test_killed_again_and_again_it_still_comes_to_the_same_end(tmp_path, pretend, monkeypatch):
    left = killed_at_a_write(monkeypatch, 10**9)
    whole = told(run("GridSearch", tmp_path / "whole", build=pretend_build))
    for attempt in range(200):
        left[0] = 7 + attempt % 5
        try:
            found = run("GridSearch", tmp_path / "often", build=pretend_build)
            break
        except Killed:
            continue
    assert attempt > 5
    assert told(found) == whole


@pytest.mark.parametrize("ended", range(1, 9))
def test_issue_1055_a_grid_search_keeps_its_order_when_it_is_resumed(ended, tmp_path, pretend, monkeypatch):
    whole = run("GridSearch", tmp_path / "whole", build=pretend_build)
    calls = []

    def stopping(*arguments, **keys):
        calls.append(1)
        if len(calls) > 2 * ended:
            raise Killed
        return pretend_train(*arguments, **keys)

    monkeypatch.setattr(validate, "train_fold", stopping)
    with pytest.raises(Killed):
        run("GridSearch", tmp_path / "two", build=pretend_build)
    monkeypatch.setattr(validate, "train_fold", pretend_train)
    assert told(run("GridSearch", tmp_path / "two", build=pretend_build)) == told(whole)


@pytest.mark.slow
def test_killed_with_kill_9_while_it_trains_it_ends_as_if_never_interrupted(tmp_path):
    def start(kind):
        command = [sys.executable, "-m", "tests.tuner_search", kind, str(tmp_path / "killed"), "14"]
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        return subprocess.Popen(command, cwd=ROOT, env=environment, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL)

    for kind, process in {kind: start(kind) for kind in KINDS}.items():
        assert process.wait(300) == -signal.SIGKILL, process.stderr.read()[-2000:]
        process.stderr.close()
        unfinished = read_search(tmp_path / "killed" / kind)
        assert len(unfinished.trials) > 0
        whole = run(kind, tmp_path / "whole")
        assert len(unfinished.trials) < len(whole.trials)
        assert told(run(kind, tmp_path / "killed")) == told(whole)


@pytest.mark.backend
@pytest.mark.parametrize("kind", ["RandomSearch", "Hyperband"])
def test_a_search_that_trains_is_repeatable_and_resumable_on_each_backend(kind, tmp_path, monkeypatch):
    few = {"max_trials": 2} if kind == "RandomSearch" else {"max_epochs": 2}
    whole = run(kind, tmp_path / "whole", **few)
    left = killed_at_a_write(monkeypatch, 11)
    with pytest.raises(Killed):
        run(kind, tmp_path / "killed", **few)
    left[0] = 10**9
    assert told(run(kind, tmp_path / "killed", **few)) == told(whole)
    assert whole.best()[0].mean > 0.15


def test_issue_702_finished_folds_of_an_unfinished_trial_are_not_trained_again(tmp_path, monkeypatch):
    trained = []

    def stopping(build, x, y, parts, training, *, seed, fold, **keys):
        if len(trained) == 2:
            trained.append("killed")
            raise Killed
        trained.append((seed, fold))
        return pretend_train(build, x, y, parts, training, seed=seed, fold=fold, **keys)

    monkeypatch.setattr(validate, "train_fold", stopping)
    with pytest.raises(Killed):
        run("RandomSearch", tmp_path, build=pretend_build, max_trials=1, folds=4)
    run("RandomSearch", tmp_path, build=pretend_build, max_trials=1, folds=4)
    assert trained == [(3, 0), (3, 1), "killed", (3, 2), (3, 3)]
