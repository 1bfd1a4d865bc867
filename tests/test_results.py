"""Run files: what is written comes back, damaged files are set aside, keys stay as they were."""

import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from kmodels.results import Predictions, Run, load_runs, read_run, run_key, write_atomically, write_run
from kmodels.spec import Recipe, Split

RECIPE = Recipe(
    model="lenet",
    model_args={"dropout": 0.0},
    head="softmax",
    dataset="mnist",
    split=Split(kind="kfold", folds=10),
    image_size=32,
    epochs=30,
    batch_size=128,
    learning_rate=5e-4,
)
ASKED = {"data_digest": "06b0", "seed": 0, "fold": 0, "backend": "torch", "revision": 1}


def run(**changes):
    values = {
        "key": "k1",
        "experiment": "A-x",
        "cell": "c",
        "protocol": "report",
        "recipe": RECIPE.as_dict(),
        "seed": 0,
        "fold": 3,
        "data": {"digest": "06b0"},
        "scores": {"validation_accuracy": 0.975},
        "curves": {"loss": [2.3, 1.9]},
        "predictions": Predictions(np.array([3, 1, 4], "uint8"), np.array([65535, 0, 12], "uint16")),
        "validation_classes": np.array([9, 9], "uint8"),
        "test_openings": ["test split opened"],
    }
    return Run(**{**values, **changes})


def test_golden_keys():
    variants = [
        (RECIPE, ASKED),
        (RECIPE, {**ASKED, "seed": 1}),
        (RECIPE, {**ASKED, "fold": 9}),
        (RECIPE, {**ASKED, "backend": "jax"}),
        (RECIPE, {**ASKED, "data_digest": "80387ddb"}),
        (RECIPE, {**ASKED, "pipeline": "tfdata"}),
        (RECIPE, {**ASKED, "pipeline": "memory"}),
        (RECIPE.change(dropout=0.5), ASKED),
        (RECIPE.change(head="logits"), ASKED),
        (RECIPE.change(split=Split(kind="holdout", validation_fraction=0.1)), ASKED),
        (RECIPE.change(precision="mixed_bfloat16", train_images=1000), ASKED),
    ]
    keys = [run_key(recipe, **asked) for recipe, asked in variants]
    golden = Path(__file__).parent / "golden" / "keys.json"
    # A key that changes orphans every committed run: change this file only together with REVISION.
    assert keys == json.loads(golden.read_text())
    assert keys[0] == keys[6]
    assert len(set(keys)) == len(keys) - 1


def test_every_recipe_field_moves_the_key():
    other = {
        "model": "lenet2",
        "model_args": {},
        "head": "logits",
        "dataset": "digits",
        "split": Split(kind="test"),
        "train_images": 5,
        "image_size": 28,
        "resize": "bilinear",
        "normalization": "standard",
        "crop_padding": 4,
        "flip": True,
        "rotation_degrees": 15.0,
        "epochs": 29,
        "batch_size": 64,
        "drop_last": True,
        "learning_rate": 1e-3,
        "precision": "mixed_bfloat16",
    }
    missing = set(RECIPE.as_dict()) - set(other) - {"optimizer"}  # there is only one optimizer so far
    assert not missing
    keys = {run_key(RECIPE.change(**{name: value}), **ASKED) for name, value in other.items()}
    assert len(keys | {run_key(RECIPE, **ASKED)}) == len(other) + 1


def test_a_run_comes_back_as_it_was(tmp_path):
    before = run()
    path = write_run(before, tmp_path)
    assert path == tmp_path / "A-x" / "k1.json"
    after = read_run(path)
    np.testing.assert_array_equal(after.predictions.classes, before.predictions.classes)
    np.testing.assert_array_equal(after.predictions.true_class_probability, before.predictions.true_class_probability)
    np.testing.assert_array_equal(after.validation_classes, before.validation_classes)
    assert replace(after, predictions=None, validation_classes=None) == replace(
        before, predictions=None, validation_classes=None
    )


@given(hnp.arrays("uint8", st.integers(0, 300)), hnp.arrays("uint16", st.integers(0, 300)))
def test_predictions_survive_their_packing(classes, probability):
    after = Predictions.from_dict(Predictions(classes, probability).as_dict())
    np.testing.assert_array_equal(after.classes, classes)
    np.testing.assert_array_equal(after.true_class_probability, probability)


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text[: len(text) // 2],
        lambda text: "",
        lambda text: "[]",
        lambda text: "\x00" * 50,
        lambda text: text.replace('"format": 1', '"format": 99'),
        lambda text: text.replace('"key": "k1"', '"key": "k2"'),
        lambda text: text.replace('"seed"', '"sead"'),
        lambda text: text.replace('"classes": "', '"classes": "!!'),
    ],
)
def test_a_damaged_file_is_named_and_set_aside_and_the_others_load(tmp_path, damage):
    good = write_run(run(key="k2", experiment="B-y"), tmp_path)
    bad = write_run(run(), tmp_path)
    bad.write_text(damage(bad.read_text()))
    said = []
    assert list(load_runs(tmp_path, said.append)) == ["k2"]
    assert good.exists()
    assert not bad.exists()
    assert bad.with_suffix(".json.damaged").exists()
    assert len(said) == 1
    assert str(bad) in said[0]
    assert list(load_runs(tmp_path, said.append)) == ["k2"]
    assert len(said) == 1


def test_no_folder_means_no_runs(tmp_path):
    assert load_runs(tmp_path / "none", pytest.fail) == {}


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch):
    path = tmp_path / "file"
    write_atomically(path, b"old")

    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_atomically(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]
