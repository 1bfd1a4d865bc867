"""Every row and claim of the five reports is declared by the scripts whose question it answers, and can be measured."""

import inspect

import pytest
from declared_experiments import ALL, EXPERIMENTS, find

from kmodels.spec.claims import MEASURES


def ids(prefix, *numbers):
    return [f"{prefix}{number}" for number in numbers]


ROWS = [
    *ids("A-1.", 1, 2),
    *ids("A-2.", 1, 2),
    *ids("A-3.", 1, 2, 3),
    *ids("B-1.", *range(1, 7)),
    *ids("B-2.", *range(1, 7)),
    *ids("B-3.", *range(1, 5)),
    *ids("B-4.", *range(1, 5)),
    *ids("B-5.", *range(1, 4)),
    "B-6",
    *ids("C-", *range(1, 7)),
    *ids("D-", *range(1, 6)),
    *ids("E-T", *range(1, 12)),
    *ids("E-L", 2, 3),
]
QUESTIONS = {  # one script is one question, with the rows of all reports that asked it
    "ablation_dropout": ["A-1.2", "A-2.1", *ids("E-T", 4, 5, 6)],
    "ablation_normalization": ["A-2.2", *ids("E-T", 7, 8)],
    "ablation_batch_size": ["A-1.1", *ids("B-4.", 1, 2, 3, 4), "B-5.3"],
    "ablation_optimizer": [*ids("B-3.", 1, 2, 3, 4), *ids("C-", 4, 5, 6)],
    "ablation_schedule": [*ids("C-", 1, 2, 3), *ids("E-T", 1, 2, 3)],
    "ablation_augmentation": ids("B-2.", *range(1, 7)),
    "ablation_kernel": ids("E-T", 9, 10),
    "ablation_depth": ["A-3.1", "A-3.2", "B-1.6", *ids("E-L", 2, 3)],
    "ablation_attention": [*ids("B-1.", *range(1, 7)), *ids("D-", 2, 4)],
    "ablation_skip_connections": ids("D-", *range(1, 6)),
    "ablation_ensemble": ["A-3.3"],
    "ablation_precision": ["B-6"],
    "ablation_head": ids("B-5.", 1, 2),
    "best_model": ["E-T11", *ids("E-L", 2, 3)],
}

OBSERVED = {"gradient_ratio": "gradient_norms", "initial_gradient_ratio": "gradient_norms"}
OBSERVED |= {"parameters": "size", "macs": "size", "train_loss_sum": "loss_sum"}
OF_MEMBERS = {"mean_probabilities_validation_accuracy", "majority_validation_accuracy"}
OF_EPOCHS = {"best_validation_accuracy", "mean_train_loss", "train_loss", "train_accuracy", "accuracy_gap", "loss_gap"}
OF_EPOCHS |= {"late_train_loss_fall", "late_accuracy_gain", "validation_loss_rise"}
SAID = {  # everything that the reports say of their runs: experiment -> how the claim's text goes on after the row's id
    "A-lenet-batch-size": ["highest validation accuracy", "lowest validation loss"],
    "A-lenet-dropout": ["without dropout LeNet is best", "most stable"],
    "A-alexnet-dropout": ["validation loss is nearer", "accuracy is higher", "0.5 is best", "more easily than LeNet"],
    "A-alexnet-normalization": ["loss falls faster", "train and test accuracy are closer", "generalises better"],
    "A-depth": [
        "AlexNet is better than LeNet",
        "falls more slowly",
        "plateau",
        "ResNet-50 is the most accurate",
        "lowest loss",
    ],
    "A-ensemble": [
        "ResNet-18 is better than AlexNet",
        "AverageNet is better than AlexNet",
        "are close",
        "reaches the better",
    ],
    "B-attention": [
        "every convolution does not help",
        "every stage does not help",
        "help ResNet-18",
        "every convolution is slightly worse",
        "every stage is slightly worse",
        "ResNet-18 with SE is slightly worse",
        "costs less",
    ],
    "B-size": ["fewer parameters than VGG", "fewer parameters than after every convolution"],
    "B-resnet-depth": ["no better than ResNet-18"],
    "B-vgg16-augmentation": [
        "flip is better than rotation, rotation than crop",
        "crop is about equal to none",
        "not every kind",
        "lower the test loss",
        "once the training loss is 0 test accuracy stops rising",
    ],
    "B-resnet18-augmentation": ["ResNet-18 gains", "SE-ResNet-18 gains"],
    "B-optimizer": [
        "Adam is better than SGD",
        "fast early",
        "slows late",
        "robustly",
        "depends on the rate",
        "swing",
        "profits from steps",
        "over-fitting of the test loss",
        "nothing else",
    ],
    "B-batch-size": ["the smaller the batch", "batch 64", "takes longer"],
    "B-resnet18-batch-size": ["lifts ResNet"],
    "B-head": ["are best", "over-fits more"],
    "B-precision": ["float16, mixed is faster", "float16, mixed takes less memory"],
    "C-schedule": ["steps end better", "about 1 point", "than warming up", "more steadily"],
    "C-optimizer": [
        "validates better than Adam",
        "validation loss swings",
        "given enough epochs",
        "tests worse",
        "after 128 epochs either",
        "validates as well as Adam",
        "trains as well as Adam",
    ],
    "A-lenet-rotation": ["rotation helps", "linear transforms help"],
    "D-skip-connections": [
        "near convergence",
        "does not over-fit",
        "above Net and below ResNet",
        "over-fits less",
        "rises again",
        "make training easier",
    ],
    "D-attention": ["converged", "about equal to ResNet", "SE improves further"],
    "D-gradients": ["vanish with depth", "does not hurt a ResNet", "hurts a net without", "need more parameters"],
    "D-size": ["more complex"],
    "E-schedule": ["0.9 is most accurate", "losses the other way round"],
    "E-dropout": ["more dropout is worse", "helps once training has converged"],
    "E-normalization": ["stem helps", "2.6 points"],
    "E-kernel": ["small stem kernel is better", "about 9 points", "it is the size"],
    "E-depth": ["26 layers are better", "about 4 points", "longer to train"],
    "E-limit": ["limit is higher", "about 4 points", "does not reach the limit"],
}


def numbers_of(experiment):
    """What an experiment asks for each row: of which run, which measure, and what was reported."""
    return [(row.id, repr(experiment.recipe(row.cell)), row.measure, row.reported) for row in experiment.rows]


def test_every_row_is_declared_by_the_scripts_whose_question_it_answers():
    where = {script: {row.id for e in parts for row in e.rows} for script, parts in EXPERIMENTS.items()}
    assert where == {script: set(QUESTIONS.get(script, ())) for script in EXPERIMENTS}
    assert set().union(*where.values()) == set(ROWS)


def test_scripts_that_ask_about_one_row_ask_for_the_same_numbers_of_the_same_runs():
    numbers = [{number for e in parts for number in numbers_of(e)} for parts in EXPERIMENTS.values()]
    for row_id in ROWS:
        of_row = [{n for n in found if n[0] == row_id} for found in numbers]
        assert len({frozenset(found) for found in of_row if found}) == 1, row_id


@pytest.mark.parametrize("name", SAID)
def test_every_claim_of_the_reports_is_declared(name):
    claims = [claim for claim in find(name).claims if not claim.ours]
    texts = [claim.text for claim in claims]
    assert all(text[0] in "ABCDE" for text in texts)
    for said in SAID[name]:
        assert any(said in text for text in texts), said


def test_no_claim_is_made_twice():
    for experiment in ALL:
        said = [(claim.measure, claim.kind, claim.pairs()) for claim in experiment.claims]
        assert len(set(said)) == len(said), experiment.name
        assert len({claim.text for claim in experiment.claims}) == len(said), experiment.name


@pytest.mark.parametrize("name", ["A-alexnet-dropout", "A-alexnet-normalization", "A-depth", "A-ensemble"])
def test_beside_each_cell_that_report_a_validates_on_the_test_images_stands_one_that_does_not(name):
    experiment = find(name)
    for cell in experiment.cells:
        ours = experiment.recipe(cell)
        assert ours.split.kind == "test"
        mended = experiment.recipe(f"{cell}, own validation images")
        assert mended.split.kind == "holdout"
        assert mended.change(split=ours.split) == ours


def test_what_may_be_validation_or_training_accuracy_is_judged_as_both():
    for row_id, bound in (("D-2", 0.80), ("D-3", 0.75), ("D-4", 0.80)):
        rows = [row for experiment in ALL for row in experiment.rows if row.id == row_id]
        assert {row.measure for row in rows} == {"validation_accuracy", "train_accuracy"}
        assert {(row.reported.value, row.reported.bound) for row in rows} == {(bound, "at least")}


def test_report_cs_rows_show_all_four_combinations_of_its_test():
    ways = {"test_accuracy", "test_accuracy_sampled", "test_accuracy_training_mode"}
    ways |= {"test_accuracy_training_mode_sampled"}
    for row_id in ids("C-", *range(1, 7)):
        assert ways <= {row.measure for experiment in ALL for row in experiment.rows if row.id == row_id}, row_id


def test_no_row_is_declared_twice():
    for experiment in ALL:
        rows = [(row.id, row.cell, row.measure) for row in experiment.rows]
        assert len(set(rows)) == len(rows), experiment.name


def test_experiments_have_names_of_their_own():
    names = [experiment.name for experiment in ALL]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("experiment", ALL, ids=lambda experiment: experiment.name)
def test_what_is_asked_of_a_run_is_measured_in_it(experiment):
    asked = [(row.measure, row.cell) for row in experiment.rows]
    asked += [(claim.measure, cell) for claim in experiment.claims for pair in claim.pairs() for cell in pair]
    for measure, cell in asked:
        folds = experiment.recipe(cell).split.folds
        assert measure != "test_nll" or folds == 1, f"{cell}: runs over folds keep no probabilities"
        over_folds = MEASURES[measure].spread or MEASURES[measure].last_fold
        assert not over_folds or folds > 1, f"{cell}: no folds, no {measure}"
        recipe, needed = experiment.recipe(cell), OBSERVED.get(measure)
        assert needed is None or needed in recipe.observe, f"{cell}: {measure} needs observe={needed}"
        assert measure not in OF_MEMBERS or recipe.train_members == "apart", f"{cell}: no members for {measure}"
        assert measure not in OF_EPOCHS or recipe.train_members == "jointly", f"{cell}: no epochs for {measure}"
        recipe = experiment.recipe(cell)
        drawn = measure.startswith("test_accuracy_")
        assert not drawn or recipe.testing == "report_c", f"{cell}: tested in the standard way alone"
        watched = recipe.split.kind == "test" or recipe.keep == "best_test_accuracy"
        assert measure != "maximum_test_accuracy" or watched, f"{cell}: no test accuracy for every epoch"


@pytest.mark.parametrize("experiment", ALL, ids=lambda experiment: experiment.name)
def test_every_cell_is_asked_by_a_row_or_a_claim(experiment):
    asked = {row.cell for row in experiment.rows}
    asked |= {cell for claim in experiment.claims for pair in claim.pairs() for cell in pair}
    assert asked == set(experiment.all_cells())


@pytest.mark.parametrize("experiment", ALL, ids=lambda experiment: experiment.name)
def test_cells_differ_and_say_what_was_assumed(experiment):
    resolved = [experiment.recipe(cell) for cell in experiment.all_cells()]
    assert all(one != other for i, one in enumerate(resolved) for other in resolved[:i])
    assert experiment.assumptions
    assert len(set(experiment.assumptions)) == len(experiment.assumptions)


def expanded(source):
    """The rows that a network's source names: `A-2.1 … A-2.2, B-6; a paper` has three."""
    parts = [part.split(" … ") for part in source.split(";")[0].split(", ")]
    known = [part for part in parts if set(part) <= set(ROWS)]
    return [row for part in known for row in ROWS[ROWS.index(part[0]) : ROWS.index(part[-1]) + 1]]


def test_a_network_names_the_rows_that_train_it():
    from kmodels.models import MODELS
    from kmodels.site.networks import networks, trained_network

    rows = {name: set() for name in MODELS}
    for experiment in ALL:
        for row in experiment.rows:
            trained = trained_network(experiment.recipe(row.cell), networks())
            assert trained is not None, row
            rows[trained[0].name].add(row.id)
    assert {name: set(expanded(preset.source)) for name, preset in MODELS.items()} == rows


def test_every_network_is_known_and_takes_its_arguments():
    from kmodels.models import MODELS

    for experiment in ALL:
        for recipe in map(experiment.recipe, experiment.all_cells()):
            known = set(inspect.signature(MODELS[recipe.model].builder).parameters) - {"name"}
            assert set(recipe.model_args) <= known, (experiment.name, recipe.model)
