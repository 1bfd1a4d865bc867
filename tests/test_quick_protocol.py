"""The quick protocol on the real images: what it trains must rise well above chance."""

import runpy
from pathlib import Path

import pytest

from kmodels import data
from kmodels.spec.experiment import Experiment
from kmodels.spec.tasks import Task
from kmodels.training.train import train

FOLDER = Path(__file__).resolve().parents[1] / "experiments"
SCRIPTS = sorted([*FOLDER.glob("ablation_*.py"), FOLDER / "best_model.py"])
LEAST = {"mnist": 0.6, "cifar10": 0.25}


def quick_tasks():
    for script in SCRIPTS:
        for experiment in runpy.run_path(str(script), run_name="declarations").values():
            if not isinstance(experiment, Experiment) or experiment.quick is None:
                continue
            for cell in experiment.all_cells():
                recipe = experiment.recipe(cell, quick=True)
                yield Task(experiment=experiment.name, cell=cell, protocol="quick", recipe=recipe, seed=0, fold=0)


@pytest.mark.slow
@pytest.mark.network
@pytest.mark.parametrize("task", list(quick_tasks()), ids=lambda task: f"{task.experiment}: {task.cell}")
def test_every_quick_cell_ends_well_above_chance(task):
    try:
        dataset = data.load(task.recipe.dataset)
    except data.DataUnavailable as error:
        pytest.skip(f"{task.recipe.dataset} is out of reach: {error}")
    assert train(task, dataset).scores["validation_accuracy"] > LEAST[task.recipe.dataset]
