"""The queue: what is there or in other hands is left alone, a failure costs one run, a budget is kept."""

import io
import json
from dataclasses import replace

import pytest
from rich.console import Console

from kmodels import data
from kmodels.results.runs import load_runs
from kmodels.running import runner
from kmodels.running.key_lock import locked
from kmodels.training.task_data import key_of
from kmodels.training.train import train
from tests.tiny_experiment import task


@pytest.fixture(scope="module")
def digits():
    return data.load("digits", report=lambda _: None)


@pytest.fixture(scope="module")
def trained(digits):
    return train(task(epochs=1), digits)


@pytest.fixture
def instant(digits, trained, monkeypatch):
    """Lets every training take no time; gives the list of those that were asked for."""
    asked = []

    def at_once(one, dataset, **_):
        asked.append(one)
        if one.cell == "broken":
            raise RuntimeError("no such thing")
        key = key_of(one, digits, "memory")
        recipe = one.recipe.as_dict()
        return replace(trained, key=key, cell=one.cell, seed=one.seed, fold=one.fold, recipe=recipe)

    monkeypatch.setattr(runner, "train", at_once)
    monkeypatch.setattr(runner.keras.utils, "clear_session", lambda: None)  # takes longer than all the rest
    return asked


def work(queue, digits, folder, **options):
    out = Console(file=io.StringIO(), width=200)
    outcome = runner.run(queue, {"digits": digits}, folder, pipeline="memory", console=out, **options)
    return outcome, out.file.getvalue()


class Allows:
    """A budget for so many runs."""

    def __init__(self, count):
        self.left, self.learnt = count, []

    def fits(self, tasks):
        return self.left > 0

    def learn(self, run):
        self.left -= 1
        self.learnt.append(run.key)


def test_each_run_is_written_and_none_trained_twice(digits, tmp_path, instant):
    queue = [task(fold=fold, epochs=1) for fold in (0, 1)]
    outcome, said = work(queue, digits, tmp_path)
    assert outcome.trained == 2
    assert {run.fold for run in load_runs(tmp_path, pytest.fail).values()} == {0, 1}
    outcome, said = work(queue, digits, tmp_path)
    assert (outcome.trained, said.count("already there")) == (0, 2)
    assert instant == queue


def test_what_another_process_is_training_is_left_to_it(digits, tmp_path, instant):
    queue = [task(fold=fold, epochs=1) for fold in (0, 1)]
    with locked(tmp_path, key_of(queue[0], digits, "memory")):
        outcome, said = work(queue, digits, tmp_path)
    assert outcome.elsewhere == queue[:1]
    assert instant == queue[1:]
    assert "left to another process" in said
    assert work(queue, digits, tmp_path)[0].trained == 1


def test_the_lock_is_held_while_a_run_is_trained_and_free_afterwards(digits, tmp_path, trained, monkeypatch):
    one, seen = task(epochs=1), []

    def look(*_, **__):
        with locked(tmp_path, trained.key) as mine:
            seen.append(mine)
        return trained

    monkeypatch.setattr(runner, "train", look)
    work([one], digits, tmp_path)
    with locked(tmp_path, trained.key) as mine:
        assert (seen, mine) == ([False], True)


def test_nothing_is_begun_beyond_the_budget(digits, tmp_path, instant):
    queue = [task(seed=seed, epochs=1) for seed in range(5)]
    budget = Allows(2)
    outcome, _ = work(queue, digits, tmp_path, budget=budget)
    assert (outcome.trained, outcome.unfit, instant) == (2, queue[2:], queue[:2])
    assert budget.learnt == [key_of(one, digits, "memory") for one in queue[:2]]
    assert work(queue, digits, tmp_path, budget=Allows(9))[0].trained == 3


def test_a_failure_costs_one_run_where_it_is_asked_to(digits, tmp_path, instant):
    queue = [replace(task(epochs=1), cell="broken"), task(epochs=1)]
    with pytest.raises(RuntimeError, match="no such thing"):
        work(queue, digits, tmp_path)
    outcome, said = work(queue, digits, tmp_path, keep_going=True)
    assert outcome.failed == ["A-tiny · broken · seed 0 · fold 1 of 2: RuntimeError: no such thing"]
    assert outcome.trained == 1
    assert "Traceback" in said


def test_a_disk_that_cannot_be_written_ends_the_queue(digits, tmp_path, instant, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(runner, "write_run", full)
    with pytest.raises(OSError, match="No space left"):
        work([task(epochs=1)], digits, tmp_path, keep_going=True)


def test_the_time_left_is_counted_by_estimates(digits, tmp_path, instant, monkeypatch):
    from kmodels import progress

    clock = iter(range(0, 1000, 10))
    monkeypatch.setattr(progress.time, "monotonic", lambda: float(next(clock)))
    queue = [task(seed=seed, epochs=1) for seed in range(2)]
    _, said = work(queue, digits, tmp_path, seconds=[1.0, 1080.0])
    assert "h left" in said.splitlines()[0]  # one of the two is done, but nearly all of the time is left


def test_runs_of_several_data_sets_stand_in_one_queue(digits, tmp_path, instant):
    other = replace(digits, name="mnist", digest="00")
    queue = [task(epochs=1), task(epochs=1, dataset="mnist")]
    out = Console(file=io.StringIO(), width=200)
    outcome = runner.run(queue, {"digits": digits, "mnist": other}, tmp_path, pipeline="memory", console=out)
    assert outcome.trained == 2
    assert {json.loads(path.read_text())["recipe"]["dataset"] for path in tmp_path.glob("*/*.json")} == {
        "digits",
        "mnist",
    }
