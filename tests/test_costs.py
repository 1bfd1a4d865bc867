"""What a recipe costs: images as the splits have them, multiply-accumulates as networks are counted."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from kmodels.data.catalog import CATALOG
from kmodels.data.splits import split_indices
from kmodels.recipes import LENET_A
from kmodels.running.costs import known_macs, network, passes, work
from kmodels.running.counting import count, counted
from kmodels.spec.declarations import load_scripts
from kmodels.spec.experiment import Split
from kmodels.spec.rate import Restart

FOLDER = Path(__file__).resolve().parents[1] / "experiments"
SPLITS = [
    Split(kind="kfold", folds=10),
    Split(kind="stratified_kfold", folds=7),
    Split(kind="holdout", validation_fraction=0.15),
    Split(kind="stratified_holdout", validation_fraction=0.1),
    Split(kind="batches"),
    Split(kind="test"),
]


def recipes_of_scripts():
    experiments = [experiment for script in load_scripts(FOLDER) for experiment in script.experiments]
    recipes = [experiment.recipe(cell) for experiment in experiments for cell in experiment.all_cells()]
    quick = [experiment for experiment in experiments if experiment.quick is not None]
    return recipes + [experiment.recipe(cell, quick=True) for experiment in quick for cell in experiment.all_cells()]


@pytest.mark.parametrize("split", SPLITS, ids=lambda split: split.kind)
def test_images_are_those_of_the_split(split):
    facts = CATALOG["mnist"]
    labels = np.arange(facts.train_images) % 10
    train, held = split_indices(split, labels)[0]
    held = facts.test_images if held is None else len(held)
    recipe = LENET_A.change(split=split, epochs=3)
    found = passes(recipe)
    assert found.trained == pytest.approx(3 * len(train), abs=3 * 10)
    assert found.evaluated == pytest.approx(4 * held + facts.test_images, abs=4 * 10)
    assert passes(recipe.change(train_images=500)).trained == 1500


def test_restarts_and_looks_at_the_test_images_count():
    plain = passes(LENET_A.change(epochs=3))
    longer = passes(LENET_A.change(epochs=3, restarts=(Restart(epochs=2, learning_rate=1e-4),)))
    assert longer.trained == plain.trained * 5 / 3
    looked = passes(LENET_A.change(epochs=3, keep="best_test_accuracy"))
    assert looked.evaluated - plain.evaluated == 3 * CATALOG["mnist"].test_images


def test_a_network_is_named_by_what_it_costs():
    assert network(LENET_A) == network(LENET_A.change(dropout=0.5, batch_size=7, head="logits"))
    assert network(LENET_A) != network(LENET_A.change(image_size=28))
    assert network(LENET_A) != network(LENET_A.change(dataset="cifar10"))
    assert network(LENET_A) != network(replace(LENET_A, model="alexnet"))


def test_the_table_has_every_network_of_the_scripts():
    missing = {network(recipe) for recipe in recipes_of_scripts()} - set(known_macs())
    assert not missing, "python -m kmodels.running.counting experiments"


def test_the_table_says_what_is_counted():
    small = [recipe for recipe in recipes_of_scripts() if known_macs()[network(recipe)] < 10_000_000]
    for recipe in {network(recipe): recipe for recipe in small}.values():
        assert known_macs()[network(recipe)] == count(recipe), "python -m kmodels.running.counting experiments"


@pytest.mark.slow
def test_the_whole_table_says_what_is_counted():
    recipes = recipes_of_scripts()
    assert counted(recipes, {}) == dict(known_macs()), "python -m kmodels.running.counting experiments"


def test_what_the_table_lacks_is_counted():
    recipe = LENET_A.change(image_size=20)
    table = counted([LENET_A, recipe], {network(LENET_A): 7})
    assert table[network(LENET_A)] == 7
    assert table[network(recipe)] == count(recipe) > 7


def test_work_is_three_times_the_forward_pass_of_every_image():
    assert work(LENET_A, {network(LENET_A): 10}) == pytest.approx(30 * passes(LENET_A).equivalent)
    assert work(LENET_A.change(epochs=30), known_macs()) > 1.9 * work(LENET_A.change(epochs=15), known_macs())
