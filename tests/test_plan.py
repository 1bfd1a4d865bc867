"""The queue: every run once, shortest first, in parts that machines can take without asking each other."""

import itertools
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kmodels.results.runs import REVISION, run_key
from kmodels.running.costs import known_macs, network
from kmodels.running.estimates import Speed, Speeds
from kmodels.running.plan import PlannedRun, estimated, planned, shard, shortest_first, with_states
from kmodels.running.plan_text import lines, not_run_here, what_is_left
from kmodels.spec.amount import Amount
from kmodels.spec.tasks import Task
from tests.simulated_runs import BASE, EXPERIMENT

REPORT, QUICK = Amount("report"), Amount("quick")
TWIN = replace(EXPERIMENT, name="A-twin", cells={"another name": {}}, repaired={}, rows=[], claims=[])


def plan(*experiments, amount=REPORT):
    parts = [("ablation_dropout", experiment) for experiment in experiments]
    return planned(parts, amount, known_macs(), backend="torch")


def test_every_cell_seed_and_fold_is_there_once():
    runs = plan(EXPERIMENT)
    places = [(run.task.cell, run.task.seed, run.task.fold) for run in runs]
    assert len(set(places)) == len(places) == 4 * 3 * 2
    assert plan(EXPERIMENT, TWIN) == runs  # its one cell is trained already
    assert [run.task.experiment for run in plan(TWIN, EXPERIMENT)[:6]] == ["A-twin"] * 6


def test_keys_are_those_of_the_run_files():
    from kmodels.data.catalog import CATALOG

    run = plan(EXPERIMENT)[5]
    asked = {"seed": run.task.seed, "fold": run.task.fold, "backend": "torch", "revision": REVISION}
    assert run.key == run_key(run.task.recipe, data_digest=CATALOG["mnist"].digest, **asked)


def test_the_amount_is_asked_for():
    assert len(plan(EXPERIMENT, amount=Amount("report", seeds=1, folds=1))) == 4
    quick = plan(EXPERIMENT, replace(EXPERIMENT, name="A-none", quick=None), amount=QUICK)
    assert len(quick) == 4 * 2
    assert {run.task.recipe.epochs for run in quick} == {4}


def test_states_say_what_has_become_of_a_run():
    runs = plan(replace(EXPERIMENT, base=BASE.change(precision="mixed_float16")))[:5]
    keys = [run.key for run in runs]
    states = with_states(runs, done=keys[:1], begun=keys[:3], running=keys[2:3], gpu=True)
    assert [run.state for run in states] == ["done", "begun", "running", "waiting", "waiting"]
    states = with_states(runs, done=keys[:1], begun=keys[:3], running=keys[2:3], gpu=False)
    assert [run.state for run in states] == ["done", "needs GPU", "running", "needs GPU", "needs GPU"]


def made(number, *, seconds=0.0, work=1.0, **changes):
    task = Task(experiment="A-x", cell="c", protocol="report", recipe=BASE.change(**changes), seed=number, fold=0)
    return PlannedRun(script="s", task=task, key=f"{number:020x}", work=work, seconds=seconds)


@given(st.lists(st.floats(0.0, 1e7), max_size=30))
def test_shorter_runs_come_first_and_none_is_lost(seconds):
    runs = [made(number, seconds=value) for number, value in enumerate(seconds)]
    ordered = shortest_first(runs)
    assert sorted(ordered, key=lambda run: run.key) == runs
    assert all(a.seconds <= 1.1 * b.seconds for a, b in itertools.pairwise(ordered))


def test_where_estimates_tie_runs_that_share_a_compiled_step_stand_side_by_side():
    sizes = [128, 64, 128, 64, 128, 64]
    runs = [made(n, seconds=100 + n / 10, batch_size=size) for n, size in enumerate(sizes)]
    assert [run.task.recipe.batch_size for run in shortest_first(runs)] == [64] * 3 + [128] * 3


def test_the_first_seed_of_every_cell_comes_before_any_second():
    speed = Speed(network(BASE), 1000, 128, "float32", 1000.0)
    runs = shortest_first(estimated(plan(EXPERIMENT), Speeds((speed,), known_macs())))
    assert [run.task.seed for run in runs] == [0] * 8 + [1] * 8 + [2] * 8
    assert {(run.seconds, run.basis) for run in runs} == {(runs[0].seconds, "measured")}


@given(st.lists(st.floats(1.0, 1e18), max_size=40), st.integers(1, 9), st.randoms())
def test_parts_are_disjoint_complete_and_about_equal(works, count, random):
    runs = [made(number, work=value) for number, value in enumerate(works)]
    parts = [shard(runs, index, count) for index in range(1, count + 1)]
    keys = [run.key for part in parts for run in part]
    assert sorted(keys) == [run.key for run in runs]
    loads = [sum(run.work for run in part) for part in parts]
    assert max(loads) - min(loads) <= max(works, default=0.0) * 1.000001
    shuffled = random.sample(runs, len(runs))
    assert {run.key for run in shard(shuffled, 1, count)} == {run.key for run in parts[0]}


def test_parts_do_not_depend_on_this_machine():
    runs = plan(EXPERIMENT)
    slow = Speeds((Speed("other", 10, 1, "float32", 0.1),), known_macs())
    there = with_states(estimated(runs, slow), done=[run.key for run in runs[:7]])
    assert [run.key for run in shard(there, 2, 3)] == [run.key for run in shard(runs, 2, 3)]


@pytest.mark.parametrize(("index", "count", "word"), [(0, 2, "index"), (3, 2, "index"), (1, 0, "count")])
def test_a_part_that_is_none_is_refused(index, count, word):
    with pytest.raises(ValueError, match=f"{word}: expected"):
        shard([], index, count)


def test_the_list_has_a_line_a_run_of_80_columns():
    long = replace(EXPERIMENT, name="A-" + "long" * 20)
    runs = with_states(estimated(plan(long), Speeds((), known_macs())), done=(), running=[plan(long)[0].key])
    table = list(lines(runs))
    assert len(table) == 1 + len(runs)
    assert max(map(len, table)) <= 80
    assert table[0].split() == ["#", "script", "cell", "seed", "fold", "estimate", "state"]
    assert table[1].split()[:2] == ["1", "dropout"]
    assert table[1].endswith(" running")
    assert "1/2" in table[1]
    assert " dropout=0.0 " in table[1]  # of the two names the cell's is the one to keep
    assert "~" in table[1]  # nothing has been measured here
    assert max(map(len, lines(runs, 120))) > 80


@pytest.mark.parametrize(("count", "said"), [(1, "1 needs a GPU"), (3, "3 need a GPU")])
def test_how_many_need_a_gpu_is_said_in_words(count, said):
    runs = plan(EXPERIMENT)
    states = ["needs GPU"] * count + ["done"] * (len(runs) - count)
    some = [replace(run, state=state) for run, state in zip(runs, states, strict=True)]
    assert what_is_left(some) == f"24 runs: {24 - count} done, {said}; none left"


def test_what_is_left_is_one_sentence():
    runs = estimated(plan(EXPERIMENT), Speeds((), known_macs()))
    assert what_is_left(runs).startswith("24 runs; 24 left, about ")
    some = with_states(runs, done=[run.key for run in runs[:20]], begun=[run.key for run in runs[:21]])
    assert what_is_left(some).startswith("24 runs: 20 done, 1 begun; 4 left, about ")
    assert "by multiply-accumulates" in what_is_left(some)
    assert what_is_left(with_states(runs, done=[run.key for run in runs])) == "24 runs: 24 done; none left"


def test_what_is_not_run_here_says_how_long_it_takes():
    speeds = Speeds((Speed(network(BASE), 1000, 128, "float32", 450.0),), known_macs())
    said = not_run_here("A-x", [speeds.estimate(BASE)] * 10)
    assert said.startswith("A-x: not run here, about 7.5 h for 10 runs of --protocol report (as runs of the same")
