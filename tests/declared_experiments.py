"""Every experiment of `experiments/`, as its script declares it, and how to find a row's cell and recipe."""

import runpy
from pathlib import Path

from kmodels.spec.experiment import Experiment

ROOT = Path(__file__).resolve().parents[1]
SCRIPTS = sorted([*(ROOT / "experiments").glob("ablation_*.py"), ROOT / "experiments" / "best_model.py"])


def declared(script):
    names = runpy.run_path(str(script), run_name="declarations")
    return [value for value in names.values() if isinstance(value, Experiment)]


EXPERIMENTS = {script.stem: declared(script) for script in SCRIPTS}
ALL = [experiment for parts in EXPERIMENTS.values() for experiment in parts]


def find(name):
    return next(experiment for experiment in ALL if experiment.name == name)


def cell_of(row_id):
    return next((e, row.cell) for e in ALL for row in e.rows if row.id == row_id)


def recipe_of(row_id):
    experiment, cell = cell_of(row_id)
    return experiment.recipe(cell)
