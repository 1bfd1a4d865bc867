"""Every row of the five reports is declared by exactly one script, or is known to wait, and why."""

import inspect
import runpy
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from kmodels import recipes
from kmodels.data.splits import split_indices
from kmodels.results.matching import match_runs
from kmodels.results.runs import REVISION, Run
from kmodels.running.session import Amount
from kmodels.spec.claims import MEASURES
from kmodels.spec.experiment import Experiment
from kmodels.spec.tasks import tasks

ROOT = Path(__file__).resolve().parents[1]
SCRIPTS = sorted([*(ROOT / "experiments").glob("ablation_*.py"), ROOT / "experiments" / "best_model.py"])


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

WAITING = {}


OBSERVED = {"gradient_ratio": "gradient_norms", "parameters": "size", "macs": "size"}
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
    "B-attention": ["every convolution does not help", "every stage does not help", "help ResNet-18", "costs less"],
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


def test_every_row_is_declared_in_one_script_or_waits():
    where = {script: {row.id for e in parts for row in e.rows} for script, parts in EXPERIMENTS.items()}
    count = Counter(row_id for found in where.values() for row_id in found)
    assert {row_id: n for row_id, n in count.items() if n > 1} == {}
    assert set(count) | set(WAITING) == set(ROWS)
    assert set(count) & set(WAITING) == set()


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
        assert not MEASURES[measure].spread or folds > 1, f"{cell}: no folds, no spread over them"
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
def test_cells_differ_and_say_what_was_assumed(experiment):
    resolved = [experiment.recipe(cell) for cell in experiment.all_cells()]
    assert all(one != other for i, one in enumerate(resolved) for other in resolved[:i])
    assert experiment.assumptions
    assert len(set(experiment.assumptions)) == len(experiment.assumptions)


def test_every_network_is_known_and_takes_its_arguments():
    from kmodels.models import MODELS

    for experiment in ALL:
        for recipe in map(experiment.recipe, experiment.all_cells()):
            known = set(inspect.signature(MODELS[recipe.model].builder).parameters) - {"name"}
            assert set(recipe.model_args) <= known, (experiment.name, recipe.model)


@pytest.mark.parametrize(
    "same",
    [("E-T2", "E-T6", "E-T7", "E-T9"), ("B-1.1", "B-2.1", "B-4.3")],
    ids=lambda same: "=".join(same),
)
def test_rows_of_several_scripts_share_a_run(same):
    first = recipe_of(same[0])
    task = tasks(*cell_of(same[0])[:1], quick=False, seeds=1, folds=1, cells=[cell_of(same[0])[1]])[0]
    done = Run(
        key="k",
        experiment=task.experiment,
        cell=task.cell,
        protocol="report",
        recipe=task.recipe.as_dict(),
        seed=0,
        fold=0,
        data={"name": "cifar10", "digest": "d", "train_images": 40_000},
        scores={"validation_accuracy": 0.78},
        curves={},
        backend="torch",
        revision=REVISION,
    )
    for row_id in same:
        experiment, cell = cell_of(row_id)
        assert experiment.recipe(cell) == first
        assert match_runs(experiment, [done], quick=False, backend="torch")[cell] == {(0, 0): done}


def test_cells_beside_a_row_share_its_run():
    assert find("D-attention").recipe("ResNet") == recipe_of("D-2")
    assert find("D-skip-connections").recipe("Net") == recipe_of("D-1")
    assert find("A-lenet-loss").recipe("softmax") == find("A-lenet-dropout").recipe("dropout=0.0")
    assert find("C-loss").recipe("softmax") == find("C-optimizer").recipe("Adam") == recipe_of("C-2")
    assert find("C-loss").recipe("logits") == find("C-schedule").recipe("steps, logits")
    assert find("E-loss").recipe("logits") == find("E-kernel").recipe("3x3, stride 1, logits")
    assert find("E-depth").recipe("18 layers") == recipe_of("E-T2")
    assert find("B-resnet-depth").recipe("ResNet-18") == recipe_of("B-1.2")
    assert find("B-vgg-depth").recipe("D: 16 layers") == recipe_of("B-1.1")


def test_report_a_feeds_softmax_for_lenet_alone_and_folds_where_it_says():
    first, second = recipe_of("A-1.1"), recipe_of("A-2.1")
    assert (first.head, first.split.kind, first.split.folds, first.dataset) == ("softmax", "kfold", 10, "mnist")
    assert (first.epochs, first.batch_size, first.learning_rate, first.optimizer) == (10, 256, 1e-3, "adam")
    assert (second.head, second.split.kind, second.image_size, second.resize) == ("logits", "test", 224, "pad")
    assert (second.epochs, second.batch_size, second.learning_rate) == (30, 128, 5e-4)
    depth = find("A-depth")
    assert {depth.recipe(cell).head for cell in ("LeNet", "AlexNet", "ResNet-50")} == {"softmax", "logits"}
    assert {depth.recipe(cell).dataset for cell in depth.all_cells()} == {"cifar10"}
    settings = {cell: depth.recipe(cell) for cell in depth.all_cells() if not cell.endswith("30 epochs")}
    assert {(r.epochs, r.batch_size, r.learning_rate) for r in settings.values()} == {(15, 256, 1e-3)}


def test_report_b_steps_down_thrice_and_watches_the_test_images():
    for row_id in ("B-1.1", "B-1.5", "B-2.5", "B-3.2", "B-4.1", "B-5.1"):
        recipe = recipe_of(row_id)
        assert (recipe.epochs, recipe.split.kind, recipe.head) == (50, "test", "logits")
        assert (recipe.schedule.kind, recipe.schedule.milestones, recipe.schedule.gamma) == (
            "multistep",
            (20, 30, 40),
            0.1,
        )
    constant = recipe_of("B-3.3")
    assert (constant.schedule.kind, constant.optimizer, constant.momentum) == ("constant", "sgd", 0.9)
    assert recipe_of("B-4.1").batch_size == recipe_of("B-5.3").batch_size == 32


def test_report_c_is_its_listing():
    base = recipe_of("C-2")
    assert base == recipes.CONVNET_C
    assert (base.epochs, base.batch_size, base.drop_last, base.validation_drop_last) == (64, 16, True, True)
    assert (base.optimizer, base.learning_rate, base.l2, base.clip_norm) == ("adam", 3e-4, 1e-5, 10.0)
    assert (base.schedule.kind, base.schedule.step_epochs, base.schedule.gamma) == ("step", 2, 0.9)
    assert (base.keep, base.patience, base.testing, base.head) == ("best_accuracy", 48, "report_c", "softmax")
    [(train, held)] = split_indices(base.split, np.arange(60_000) % 10)
    assert (len(train) // 16, len(held), len(held) // 16) == (3_123, 10_020, 626)
    slow = recipe_of("C-5")
    assert (slow.optimizer, slow.momentum, slow.l2, slow.learning_rate) == ("sgd", 1e-5, 0.0, 3e-4)
    assert recipe_of("C-6") == slow.change(epochs=128)
    assert (recipe_of("C-4").optimizer, recipe_of("C-4").l2) == ("nadam", 1e-5)
    assert recipe_of("C-3").schedule.warmup_epochs == 5


def test_report_es_limit_is_chosen_by_the_test_images_and_mended_by_the_validation_images():
    once, shallow, deep = recipe_of("E-T11"), recipe_of("E-L2"), recipe_of("E-L3")
    assert once == recipes.RESNET18_E.change(epochs=60)
    assert deep == shallow.change(blocks_per_stage=3)
    assert (shallow.keep, shallow.total_epochs, len(shallow.restarts)) == ("best_test_accuracy", 120, 3)
    mended = find("E-limit").recipe("18 layers, restarts, validated")
    assert mended == shallow.change(keep="best_accuracy")


def test_report_e_is_its_listing():
    base = recipe_of("E-T2")
    assert base == recipes.RESNET18_E
    assert (base.split.kind, base.normalization, base.crop_padding, base.flip) == ("batches", "report_e", 4, True)
    assert (base.batch_size, base.epochs, base.learning_rate, base.schedule.gamma) == (512, 30, 1e-3, 0.9)
    assert base.head == "softmax"
    assert recipe_of("E-T3").schedule.gamma == 0.45
    assert (recipe_of("E-T10").model_args["stem_kernel"], recipe_of("E-T10").model_args["stem_stride"]) == (7, 2)


def test_the_quick_protocol_is_for_small_networks_only():
    quick = {experiment.name for experiment in ALL if experiment.quick is not None}
    assert quick == {"A-lenet-dropout", "A-lenet-batch-size", "A-lenet-rotation", "A-lenet-loss", "D-net"}
    for name in quick:
        experiment = find(name)
        recipes_of = [experiment.recipe(cell, quick=True) for cell in experiment.all_cells()]
        assert {r.model for r in recipes_of} <= {"lenet", "plain_net"}
        images = sum(r.epochs * (r.train_images or 60_000) for r in recipes_of) * Amount("quick").folds_of(experiment)
        assert images <= 1_500_000  # two minutes at 12,000 images a second
        assert min(r.epochs * (r.train_images or 54_000) // r.batch_size for r in recipes_of) >= 450


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.stem)
def test_a_scripts_plan_and_help_need_no_keras(script):
    code = (
        "import runpy, sys\n"
        "for flag in ('--list', '--help'):\n"
        f"    sys.argv = ['{script.name}', flag]\n"
        "    try:\n"
        f"        runpy.run_path({str(script)!r}, run_name='__main__')\n"
        "    except SystemExit as ended:\n"
        "        assert not ended.code, ended.code\n"
        "print('loaded', sorted({'keras', 'torch', 'numpy', 'scipy', 'matplotlib'} & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip().endswith("loaded []")
    for experiment in EXPERIMENTS[script.stem]:
        assert f"{experiment.name}: {experiment.question}" in done.stdout
    assert "usage:" in done.stdout


def test_a_script_says_its_own_commands():
    for script in SCRIPTS:
        text = script.read_text(encoding="utf-8")
        said = [line for line in text.split('"""')[1].splitlines() if line.strip().startswith("python ")]
        assert len(said) >= 3
        assert all(f"python experiments/{script.name}" in line for line in said), script.name


def test_gradients_are_observed_beside_runs_that_are_as_they_were():
    gradients = find("D-gradients")
    assert all("gradient_norms" in gradients.recipe(cell).observe for cell in gradients.all_cells())
    assert find("D-skip-connections").base.observe == ()
    for depth, blocks in ((14, 2), (26, 4), (50, 8)):
        pair = [gradients.recipe(f"{kind}, {depth} layers") for kind in ("ResNet", "without shortcuts")]
        assert pair[0] == pair[1].change(model="resnet14_d")
        assert pair[0].model_args["blocks_per_stage"] == blocks


def test_members_trained_apart_are_those_trained_together():
    jointly, apart = map(find("A-ensemble").recipe, ("AverageNet", "AverageNet, members trained apart"))
    assert apart.change(train_members="jointly") == jointly
    assert (jointly.image_size, jointly.epochs, jointly.batch_size) == (224, 15, 256)


def test_precisions_differ_in_nothing_else():
    cells = [find("B-precision").recipe(cell) for cell in find("B-precision").all_cells()]
    assert [recipe.precision for recipe in cells] == ["float32", "mixed_float16", "mixed_bfloat16"]
    assert {repr(recipe.change(precision="float32")) for recipe in cells} == {repr(recipe_of("B-1.1"))}
    assert [recipe.needs_gpu for recipe in cells] == [False, True, False]
