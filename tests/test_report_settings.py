"""Each report's settings, as its listing and its text give them, in the recipes of its rows."""

import numpy as np
import pytest
from declared_experiments import ALL, cell_of, find, recipe_of

from kmodels import recipes
from kmodels.data.splits import split_indices
from kmodels.results.matching import match_runs
from kmodels.results.runs import REVISION, Run
from kmodels.running.session import Amount
from kmodels.spec.tasks import tasks


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
