"""Run files: what is written comes back, damaged files are set aside, keys stay as they were."""

import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from kmodels.atomic_file import write_atomically
from kmodels.results.predictions import Predictions
from kmodels.results.runs import Run, load_runs, read_run, run_key, write_run
from kmodels.spec.experiment import Recipe, Split
from kmodels.spec.rate import Restart, Schedule

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
KEY, OTHER = (run_key(RECIPE, **{**ASKED, "fold": 3, "seed": seed}) for seed in (0, 1))


def run(**changes):
    values = {
        "key": KEY,
        "experiment": "A-x",
        "cell": "c",
        "protocol": "report",
        "recipe": RECIPE.as_dict(),
        "seed": 0,
        "fold": 3,
        "data": {"digest": "06b0", "test_images": 3, "validation_images": 2, "num_classes": 10},
        "backend": "torch",
        "revision": 1,
        "scores": {"validation_accuracy": 0.975},
        "curves": {"loss": [2.3, 1.9]},
        "predictions": Predictions(np.array([3, 1, 4], "uint8"), *np.array([[65535, 0, 12], [65535, 9, 12]], "uint16")),
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
        "optimizer": "adamw",
        "learning_rate": 1e-3,
        "schedule": Schedule(kind="exponential", gamma=0.9),
        "l2": 1e-5,
        "weight_decay": 0.01,
        "clip_norm": 10.0,
        "precision": "mixed_bfloat16",
        "validation_drop_last": True,
        "restarts": (Restart(epochs=30, learning_rate=5e-4),),
        "keep": "best_accuracy",
        "testing": "report_c",
        "observe": ("size",),
    }
    sgd = RECIPE.change(optimizer="sgd", momentum=0.9)  # what only SGD has
    assert set(RECIPE.as_dict()) == {*other, "momentum", "nesterov", "patience", "train_members"}
    recipes = [RECIPE, *(RECIPE.change(**{name: value}) for name, value in other.items())]
    recipes += [sgd, sgd.change(momentum=0.5), sgd.change(nesterov=True)]
    best = RECIPE.change(keep="best_loss")
    recipes += [best, best.change(patience=0), best.change(patience=48)]
    both = RECIPE.change(model_args={"members": ("lenet", "alexnet")})
    recipes += [both, both.change(train_members="apart")]
    recipes += [RECIPE.change(restarts=(Restart(epochs=n, learning_rate=1e-3),)) for n in (30, 31)]
    assert len({run_key(recipe, **ASKED) for recipe in recipes}) == len(recipes)


def test_every_schedule_has_its_own_key():
    schedules = [
        Schedule(),
        Schedule(kind="step", step_epochs=2, gamma=0.9),
        Schedule(kind="step", step_epochs=3, gamma=0.9),
        Schedule(kind="multistep", milestones=(20, 30), gamma=0.1),
        Schedule(kind="multistep", milestones=(20,), gamma=0.1),
        Schedule(kind="exponential", gamma=0.9),
        Schedule(kind="exponential", gamma=0.9, warmup_epochs=1),
        Schedule(kind="cosine"),
        Schedule(kind="cosine", warmup_epochs=1),
        Schedule(kind="cosine", final_fraction=0.1),
    ]
    recipes = [RECIPE.change(schedule=schedule) for schedule in schedules]
    keys = [run_key(recipe, **ASKED) for recipe in recipes]
    assert len(set(keys)) == len(keys)
    read = [Recipe.from_dict(json.loads(json.dumps(recipe.as_dict()))) for recipe in recipes]
    assert [run_key(recipe, **ASKED) for recipe in read] == keys


def test_fields_that_came_later_leave_the_key_of_a_file_without_them(tmp_path):
    path = write_run(run(), tmp_path)
    values = json.loads(path.read_text())
    later = ("schedule", "momentum", "nesterov", "l2", "weight_decay", "clip_norm")
    values["recipe"] = {name: value for name, value in values["recipe"].items() if name not in later}
    path.write_text(json.dumps(values))
    found = read_run(path)
    assert found.key == KEY
    assert Recipe.from_dict(found.recipe) == RECIPE


def test_a_run_comes_back_as_it_was(tmp_path):
    before = run()
    path = write_run(before, tmp_path)
    assert path == tmp_path / "A-x" / f"{KEY}.json"
    after = read_run(path)
    np.testing.assert_array_equal(after.predictions.classes, before.predictions.classes)
    np.testing.assert_array_equal(after.predictions.true_class_probability, before.predictions.true_class_probability)
    np.testing.assert_array_equal(after.predictions.confidence, before.predictions.confidence)
    np.testing.assert_array_equal(after.validation_classes, before.validation_classes)
    assert replace(after, predictions=None, validation_classes=None) == replace(
        before, predictions=None, validation_classes=None
    )


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text[: len(text) // 2],
        lambda text: "",
        lambda text: "[]",
        lambda text: "\x00" * 50,
        lambda text: text.replace('"format": 1', '"format": 99'),
        lambda text: text.replace(KEY, OTHER),
        lambda text: text.replace('"seed"', '"sead"'),
        lambda text: text.replace('"experiment": "A-x"', '"experiment": "../../A-x"'),
        lambda text: text.replace('"classes": "', '"classes": "!!'),
        lambda text: "[" * 200_000,
        lambda text: text.replace('"dropout": 0.0', '"dropout": 0.5'),  # the numbers of another recipe
        lambda text: text.replace('"digest": "06b0"', '"digest": "80387ddb"'),
        lambda text: text.replace('"digest": "06b0",', ""),
        lambda text: text.replace('"test_images": 3', '"test_images": 4'),
        lambda text: text.replace('"test_images": 3', '"test_images": "3"'),
        lambda text: text.replace('"validation_images": 2', '"validation_images": 1'),
        lambda text: text.replace('"num_classes": 10', '"num_classes": 9'),
        lambda text: text.replace('"num_classes": 10', '"num_classes": 10.5'),
        lambda text: text.replace("0.975", "NaN"),
        lambda text: text.replace("0.975", "97.5"),
        lambda text: text.replace("0.975", '"high"'),
        lambda text: text.replace('"validation_accuracy": 0.975', ""),
        lambda text: text.replace("1.9", "Infinity"),
        lambda text: text.replace('"seed": 0', '"seed": "0"'),
        lambda text: text.replace('"seconds": {}', '"seconds": null'),
        lambda text: text.replace('"commit": ""', '"commit": null'),
    ],
)
def test_a_damaged_file_is_named_and_set_aside_and_the_others_load(tmp_path, damage):
    good = write_run(run(key=OTHER, seed=1, experiment="B-y"), tmp_path)
    bad = write_run(run(), tmp_path)
    text = bad.read_text()
    assert damage(text) != text
    bad.write_text(damage(text))
    said = []
    assert list(load_runs(tmp_path, said.append)) == [OTHER]
    assert good.exists()
    assert not bad.exists()
    assert bad.with_suffix(".json.damaged").exists()
    assert len(said) == 1
    assert str(bad) in said[0]
    assert list(load_runs(tmp_path, said.append)) == [OTHER]
    assert len(said) == 1


def test_what_is_no_file_under_a_runs_name_is_set_aside(tmp_path):
    folder = tmp_path / "A-x"
    (folder / f"{KEY}.json").mkdir(parents=True)
    (folder / f"{OTHER}.json").symlink_to("nowhere")
    os.mkfifo(folder / f"{'0' * 20}.json")
    said = []
    assert load_runs(tmp_path, said.append) == {}
    assert len(said) == 3
    assert {path.suffix for path in folder.iterdir()} == {".damaged"}


def test_a_second_damaged_file_does_not_replace_the_first(tmp_path):
    for text in ("first", "second"):
        write_run(run(), tmp_path).write_text(text)
        load_runs(tmp_path, lambda line: None)
    assert sorted(path.read_text() for path in (tmp_path / "A-x").iterdir()) == ["first", "second"]


def test_files_of_others_are_left_alone(tmp_path):
    # a results folder named by mistake, such as the folder of all one's projects
    (tmp_path / "project").mkdir()
    other = tmp_path / "project" / "package.json"
    other.write_text('{"name": "not a run"}')
    assert load_runs(tmp_path, pytest.fail) == {}
    assert other.read_text() == '{"name": "not a run"}'


def test_a_damaged_file_that_cannot_be_moved_stays_and_is_named(tmp_path, monkeypatch):
    bad = write_run(run(), tmp_path)
    bad.write_text("{")

    def read_only(*_):
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(Path, "replace", read_only)
    said = []
    assert load_runs(tmp_path, said.append) == {}
    assert "left in place, Read-only file system" in said[0]
    assert str(bad) in said[0]


def test_two_processes_that_find_the_same_damaged_file_both_go_on(tmp_path, monkeypatch):
    bad = write_run(run(), tmp_path)
    bad.write_text("{")
    monkeypatch.setattr(Path, "replace", lambda self, _: self.unlink() or (_ for _ in ()).throw(FileNotFoundError()))
    assert load_runs(tmp_path, pytest.fail) == {}


def test_no_folder_means_no_runs(tmp_path):
    assert load_runs(tmp_path / "none", pytest.fail) == {}


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch):
    path = tmp_path / "file"
    write_atomically(path, b"old")

    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match=f"No space left on device: '{path}'"):
        write_atomically(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]
