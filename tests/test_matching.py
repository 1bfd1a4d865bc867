"""Runs find their cells by recipe, and only there."""

from dataclasses import replace

import pytest

from kmodels.results.matching import match_runs
from kmodels.results.runs import REVISION, Run
from kmodels.spec.tasks import tasks
from tests.tiny_experiment import TINY


def run_of(cell, *, quick=True, **changes):
    values = {
        "key": f"{cell}{changes}",
        "experiment": "B-other",
        "cell": "another name",
        "protocol": "quick",
        "recipe": TINY.recipe(cell, quick).as_dict(),
        "seed": 0,
        "fold": 0,
        "data": {"name": "digits", "digest": "d"},
        "scores": {},
        "curves": {},
        "backend": "torch",
        "revision": REVISION,
    }
    return Run(**{**values, **changes})


def test_a_run_counts_for_every_cell_with_its_recipe_whoever_trained_it():
    run = run_of("dropout=0.5", seed=2, fold=1)
    found = match_runs(TINY, [run], quick=True, backend="torch")
    assert found == {"dropout=0.0": {}, "dropout=0.5": {(2, 1): run}}
    twin = replace(TINY, repaired={"the same again": {"dropout": 0.5}})
    assert match_runs(twin, [run], quick=True, backend="torch")["the same again"] == {(2, 1): run}


@pytest.mark.parametrize(
    "run",
    [
        run_of("dropout=0.0", revision=REVISION - 1),
        run_of("dropout=0.0", backend="jax"),
        run_of("dropout=0.0", pipeline="tfdata"),
        run_of("dropout=0.0", quick=False),
        run_of("dropout=0.0", data={"name": "digits", "digest": "other"}),
        run_of("dropout=0.0", recipe={**TINY.recipe("dropout=0.0", True).as_dict(), "batch_size": 33}),
        run_of("dropout=0.0", recipe={"written": "by another version"}),
    ],
)
def test_a_run_with_anything_else_matches_nothing(run):
    assert not any(match_runs(TINY, [run], quick=True, backend="torch", digests={"digits": "d"}).values())


def test_tasks_go_seed_by_seed_and_never_past_the_splits_folds():
    planned = tasks(TINY, quick=True, seeds=2, folds=5, cells=TINY.all_cells())
    assert [(t.seed, t.cell, t.fold) for t in planned] == [
        (seed, cell, fold) for seed in (0, 1) for cell in ("dropout=0.0", "dropout=0.5") for fold in (0, 1)
    ]
    assert {t.recipe.epochs for t in planned} == {1}
