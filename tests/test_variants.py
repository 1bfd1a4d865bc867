"""Other images and other arithmetic keep the question and drop the reported numbers."""

from dataclasses import replace

import pytest

from kmodels.spec.claims import Reported, Row
from kmodels.spec.variants import in_precision, narrowed, on_dataset
from tests.tiny_experiment import TINY

MNIST = replace(
    TINY,
    base=TINY.base.change(dataset="mnist", resize="pad", image_size=32),
    rows=[Row("A-1.2", "dropout=0.0", Reported(0.98))],
    quick={"epochs": 3, "train_images": 18_000},
)


def test_only_keeps_what_a_name_a_row_or_a_cell_begins_with():
    assert narrowed(TINY, "a-t") is TINY
    assert list(narrowed(TINY, "A-1").all_cells()) == ["dropout=0.0"]
    by_cell = narrowed(TINY, "dropout=0.5")
    assert list(by_cell.all_cells()) == ["dropout=0.5"]
    assert (by_cell.rows, by_cell.claims) == ([], [])
    assert len(narrowed(TINY, "dropout").claims) == 1
    assert narrowed(TINY, "nothing") is None
    assert narrowed(TINY, "D") is None  # report D's, and no cell that begins so


def test_a_repaired_cell_alone_can_be_chosen():
    part = narrowed(replace(TINY, repaired={"mended": {"head": "softmax"}}), "mended")
    assert list(part.all_cells()) == ["mended"]
    assert part.shown("mended") == "mended (added)"


def test_digits_are_enlarged_and_get_as_many_steps():
    moved = on_dataset(MNIST, "digits")
    recipe = moved.recipe("dropout=0.0", quick=True)
    assert (recipe.dataset, recipe.resize, recipe.train_images) == ("digits", "bilinear", None)
    assert recipe.epochs * 1350 == pytest.approx(3 * 18_000, rel=0.03)
    assert moved.rows[0].reported is None
    assert "digits" in moved.question
    assert all("digits" in claim.text for claim in moved.claims)


def test_the_reports_own_setting_changes_nothing():
    assert on_dataset(MNIST, "mnist") is MNIST
    assert in_precision(MNIST, "float32") is MNIST


def test_other_arithmetic_is_named_in_the_question():
    moved = in_precision(MNIST, "mixed_bfloat16")
    assert moved.recipe("dropout=0.5").precision == "mixed_bfloat16"
    assert "mixed_bfloat16" in moved.question
    assert moved.rows[0].reported is None
