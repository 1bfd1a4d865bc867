"""The quick protocol on real MNIST: what it trains must rise well above chance."""

import pytest

from kmodels import data
from kmodels.tasks import Task
from kmodels.training import train


def quick_tasks():
    import runpy
    from pathlib import Path

    script = Path(__file__).resolve().parents[1] / "experiments" / "ablation_dropout.py"
    experiment = runpy.run_path(str(script), run_name="declarations")["LENET"]
    for cell in experiment.all_cells():
        recipe = experiment.recipe(cell, quick=True)
        yield Task(experiment=experiment.name, cell=cell, protocol="quick", recipe=recipe, seed=0, fold=0)


@pytest.mark.slow
@pytest.mark.network
@pytest.mark.parametrize("task", list(quick_tasks()), ids=lambda task: task.cell)
def test_every_quick_cell_ends_well_above_chance_on_mnist(task):
    try:
        dataset = data.load("mnist")
    except data.DataUnavailable as error:
        pytest.skip(f"MNIST is out of reach: {error}")
    assert train(task, dataset).scores["validation_accuracy"] > 0.6
