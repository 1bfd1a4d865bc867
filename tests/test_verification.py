"""`python -m kmodels verify`: runs made by hand, true and forged, in files of their own."""

import dataclasses
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from kmodels.__main__ import run_command
from kmodels.data.catalog import CATALOG
from kmodels.data.errors import DataDamaged
from kmodels.data.labels import KEPT, labels_of
from kmodels.data.splits import split_indices
from kmodels.results.predictions import Predictions
from kmodels.results.runs import REVISION, Run, read_run, run_key, write_run
from kmodels.spec.claims import Claim, Reported, Row
from kmodels.spec.declarations import Script
from kmodels.spec.experiment import Experiment, Recipe, Split
from kmodels.stats.scoring import scores_on_test
from kmodels.verification.rows import conclusion, described, near, read_results, verify_all, verify_row
from kmodels.verification.stored_run import check_run

ROOT = Path(__file__).resolve().parents[1]
MNIST = labels_of("mnist")
BASE = Recipe(
    model="lenet",
    model_args={"dropout": 0.0},
    dataset="mnist",
    split=Split(kind="batches"),
    epochs=2,
    batch_size=128,
    learning_rate=1e-3,
)
FOLDS = BASE.change(split=Split(kind="kfold", folds=2))
ON_TEST = BASE.change(split=Split(kind="test"))
EXPERIMENT = Experiment(
    name="X-one",
    question="Is it so?",
    base=BASE,
    cells={"plain": {}, "dropout": {"dropout": 0.5}},
    repaired={"mended": {"head": "softmax"}},
    rows=[
        Row("X-1.1", "plain", Reported(0.9, 0.05)),
        Row("X-1.2", "dropout", Reported(0.5, 0.005), "test_accuracy"),
        Row("X-1.2", "plain", None, "test_nll"),
    ],
    claims=[Claim(text="X-1.2: dropout is worse", best=["plain", "dropout"])],
)
SCRIPTS = (Script(Path("experiments/ablation_x.py"), "Is it so?", (EXPERIMENT,)),)


def guesses(labels, right, seed):
    """Classes of which a share is right, and the probabilities that were given, in steps."""
    random = np.random.default_rng(seed)
    hit = random.random(len(labels)) < right
    classes = np.where(hit, labels, (labels + 1) % 10).astype("uint8")
    confidence = random.integers(40_000, 65_536, len(labels)).astype("uint16")
    true = np.where(hit, confidence, 65_535 - confidence.astype(int)).astype("uint16")
    return classes, true, confidence


def make(recipe=BASE, seed=0, fold=0, right=0.9, **changes):
    held = split_indices(recipe.split, MNIST.train)[fold][1]
    classes, true, confidence = guesses(MNIST.test, right, seed)
    folds = recipe.split.folds > 1
    predictions = Predictions(classes) if folds else Predictions(classes, true, confidence)
    scores = {"train_loss": 0.3, "train_accuracy": 0.9, "validation_loss": 0.4}
    if held is None:
        validation = None
        scores["validation_accuracy"] = float(np.mean(classes == MNIST.test))
    else:
        validation = guesses(MNIST.train[held], right, seed)[0]
        scores["validation_accuracy"] = float(np.mean(validation == MNIST.train[held]))
    asked = {"seed": seed, "fold": fold, "backend": "torch", "revision": REVISION}
    values = {
        "key": run_key(recipe, data_digest=MNIST.digest, **asked),
        "experiment": "X-one",
        "cell": "plain",
        "protocol": "report",
        "recipe": recipe.as_dict(),
        "data": {"name": "mnist", "digest": MNIST.digest, "source": "by hand", "test_images": 10_000},
        "scores": {**scores, **scores_on_test(predictions, MNIST.test)},
        "curves": {"loss": [1.0, 0.3], "accuracy": [0.5, 0.9], "val_loss": [0.9, 0.4], "val_accuracy": [0.5, 0.9]},
        "predictions": predictions,
        "validation_classes": validation,
        **asked,
    }
    return Run(**{**values, **changes})


def rescored(run, **scores):
    return dataclasses.replace(run, scores={**run.scores, **scores})


@pytest.mark.parametrize("recipe", [BASE, FOLDS, ON_TEST], ids=["held out", "folds", "on the test images"])
def test_a_true_run_is_the_same_in_every_score(recipe):
    checked = check_run(make(recipe), MNIST)
    assert checked.same
    assert checked.differences() == []
    names = {score.name for score in checked.scores}
    assert {"validation_accuracy", "test_accuracy", "train_loss", "validation_loss"} <= names
    assert ("test_nll" in names) == ("test_ece" in names) == (recipe is not FOLDS)
    assert checked.recomputed.scores == checked.run.scores


@pytest.mark.parametrize(
    ("name", "by"),
    [
        ("test_accuracy", 0.0001),
        ("validation_accuracy", -1 / 12_000),
        ("test_ece", 1e-12),
        ("test_nll", 1e-9),
        ("train_loss", 1e-6),
        ("train_accuracy", 1e-6),
        ("validation_loss", -1e-6),
    ],
)
def test_a_changed_score_is_found_and_named(name, by):
    true = make()
    checked = check_run(rescored(true, **{name: true.scores[name] + by}), MNIST)
    assert not checked.same
    (line,) = checked.differences()
    assert line.startswith(f"{name}: stored {true.scores[name] + by!r}, recomputed ")
    assert checked.recomputed.scores[name] == pytest.approx(true.scores[name], abs=1e-12)


def test_the_last_bits_of_a_logarithm_are_no_difference():
    true = make()
    nll = true.scores["test_nll"]
    assert check_run(rescored(true, test_nll=np.nextafter(nll, 9)), MNIST).same
    assert check_run(rescored(true, test_accuracy=np.nextafter(true.scores["test_accuracy"], 1)), MNIST).differences()


def test_a_changed_prediction_is_found():
    true = make()
    classes = true.predictions.classes.copy()
    classes[7] = (classes[7] + 1) % 10
    forged = dataclasses.replace(true.predictions, classes=classes)
    lines = check_run(dataclasses.replace(true, predictions=forged), MNIST).differences()
    assert {line.partition(":")[0] for line in lines} >= {"test_accuracy", "test_ece"}
    validation = true.validation_classes.copy()
    validation[7] = (validation[7] + 1) % 10
    (line,) = check_run(dataclasses.replace(true, validation_classes=validation), MNIST).differences()
    assert line.startswith("validation_accuracy: ")


def test_a_probability_that_cannot_be_is_found():
    true = make()
    right = int(np.flatnonzero(true.predictions.classes == MNIST.test)[0])
    confidence = true.predictions.confidence.copy()
    confidence[right] -= 1
    forged = dataclasses.replace(true.predictions, confidence=confidence)
    lines = check_run(dataclasses.replace(true, predictions=forged), MNIST).differences()
    assert lines[0].startswith("confidence: expected the right class's probability")
    assert lines[0].endswith("another one for 1 images")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"data": {"name": "mnist", "digest": "0" * 64}}, "data: expected the content of mnist, sha256 06b0d1f124c4…"),
        ({"predictions": Predictions(np.zeros(9, "uint8"))}, "expected one for each of 10000 images. Received: 9"),
        ({"predictions": Predictions(np.full(10_000, 10, "uint8"))}, "expected classes below 10. Received: 10"),
        ({"predictions": None}, "test_accuracy: stored 0.9"),
        ({"validation_classes": None}, "validation_accuracy: stored 0.9"),
        ({"validation_classes": np.zeros(9, "uint8")}, "labels: expected as many as predicted classes"),
        ({"recipe": {}}, "predictions: expected those of the recipe's images. KeyError: 'split'"),
        ({"fold": 1}, "IndexError"),
        ({"curves": {}}, "train_loss: stored 0.3, but nothing is kept to compute it from"),
    ],
)
def test_what_does_not_fit_is_a_difference_and_no_crash(changes, message):
    checked = check_run(dataclasses.replace(make(), **changes), MNIST)
    assert not checked.same
    assert any(message in line for line in checked.differences())


def test_a_score_that_was_left_out_is_a_difference_and_one_that_cannot_be_computed_is_said():
    true = make()
    left_out = {name: value for name, value in true.scores.items() if name != "test_ece"}
    (line,) = check_run(dataclasses.replace(true, scores=left_out), MNIST).differences()
    assert line.startswith("test_ece: not stored, although it can be computed: ")
    other = check_run(rescored(true, test_accuracy_drawn=0.5), MNIST)
    assert (other.same, other.unchecked) == (True, ("test_accuracy_drawn",))


def with_further(recipe=BASE):
    """A run that was tested in other ways too: by drawing, and as an ensemble's vote."""
    run = make(recipe)
    held = split_indices(recipe.split, MNIST.train)[0][1]
    further = {
        "test_accuracy_sampled": guesses(MNIST.test, 0.8, 11)[0],
        "majority_test_accuracy": guesses(MNIST.test, 0.7, 12)[0],
    }
    scores = {name: float(np.mean(classes == MNIST.test)) for name, classes in further.items()}
    if held is None:
        scores["majority_validation_accuracy"] = scores["majority_test_accuracy"]
    else:
        validated = guesses(MNIST.train[held], 0.6, 13)[0]
        further["majority_validation_accuracy"] = validated
        scores["majority_validation_accuracy"] = float(np.mean(validated == MNIST.train[held]))
    predictions = dataclasses.replace(run.predictions, further=further)
    return rescored(dataclasses.replace(run, predictions=predictions), **scores)


@pytest.mark.parametrize("recipe", [BASE, FOLDS, ON_TEST], ids=["held out", "folds", "on the test images"])
def test_each_way_of_testing_is_recomputed(recipe, tmp_path):
    run = read_run(write_run(with_further(recipe), tmp_path))
    checked = check_run(run, MNIST)
    assert (checked.same, checked.unchecked) == (True, ())
    names = {"test_accuracy_sampled", "majority_test_accuracy", "majority_validation_accuracy"}
    assert names <= {score.name for score in checked.scores}
    for name in names:
        (line,) = check_run(rescored(run, **{name: run.scores[name] + 0.0001}), MNIST).differences()
        assert line.startswith(f"{name}: stored ")
    # a file from before the classes were kept says the same numbers, which nothing is left to compute from
    bare = dataclasses.replace(run, predictions=dataclasses.replace(run.predictions, further={}))
    checked = check_run(bare, MNIST)
    assert checked.same
    assert set(checked.unchecked) == names


def test_a_changed_class_of_another_way_of_testing_is_found():
    run = with_further()
    for name, classes in run.predictions.further.items():
        changed = classes.copy()
        changed[3] = (changed[3] + 1) % 10
        forged = dataclasses.replace(run.predictions, further={**run.predictions.further, name: changed})
        (line,) = check_run(dataclasses.replace(run, predictions=forged), MNIST).differences()
        assert line.startswith(f"{name}: stored ")
    more = {**run.predictions.further, "test_accuracy_training_mode": run.predictions.classes}
    forged = dataclasses.replace(run.predictions, further=more)
    (line,) = check_run(dataclasses.replace(run, predictions=forged), MNIST).differences()
    assert line.startswith("test_accuracy_training_mode: not stored, although it can be computed: ")


@pytest.mark.parametrize(
    ("name", "classes", "message"),
    [
        ("test_accuracy_sampled", np.full(10_000, 10, "uint8"), "test_accuracy_sampled: expected classes below 10"),
        ("majority_validation_accuracy", np.zeros(9, "uint8"), "majority_validation_accuracy: expected one for each"),
    ],
)
def test_classes_of_another_way_that_do_not_fit_are_no_run(tmp_path, name, classes, message):
    run = with_further()
    forged = dataclasses.replace(run.predictions, further={name: classes})
    data = {**run.data, "validation_images": 12_000, "num_classes": 10}
    path = write_run(dataclasses.replace(run, predictions=forged, data=data), tmp_path)
    with pytest.raises(ValueError, match=message):
        read_run(path)
    assert check_run(dataclasses.replace(run, predictions=forged), MNIST).differences()


def test_the_epoch_that_was_kept_gives_the_losses():
    first = {"train_loss": 1.0, "train_accuracy": 0.5, "validation_loss": 0.9, "kept_epoch": 1}
    assert check_run(rescored(make(), **first), MNIST).same
    assert not check_run(rescored(make(), **{**first, "kept_epoch": 3}), MNIST).same
    assert not check_run(rescored(make(), **{**first, "kept_epoch": -2}), MNIST).same
    assert not check_run(rescored(make(), kept_epoch=1), MNIST).same


def test_validation_images_that_fill_no_batch_are_left_out_as_the_recipe_says():
    recipe = BASE.change(validation_drop_last=True)
    run = make(recipe)
    full = run.validation_classes[: 12_000 // 128 * 128]
    share = float(np.mean(full == MNIST.train[48_000:][: len(full)]))
    run = dataclasses.replace(run, validation_classes=full)
    assert check_run(rescored(run, validation_accuracy=share), MNIST).same


@pytest.fixture
def results(tmp_path):
    for seed, right in enumerate([0.90, 0.91, 0.92]):
        write_run(make(seed=seed, right=right), tmp_path)
    for seed, right in enumerate([0.5, 0.51]):
        write_run(make(BASE.change(dropout=0.5), seed, right=right, cell="dropout"), tmp_path)
    return tmp_path


def test_a_rows_runs_numbers_and_verdict_are_recomputed(results):
    found = verify_row("X-1.1", SCRIPTS, read_results(results))
    assert (found.same, found.runs) == (True, 3)
    (line,) = found.summary
    assert line.startswith("X-1.1, plain, validation_accuracy: reported 90 | ours 9")
    assert line.endswith("(3) | cannot tell")  # three seeds a point apart
    both = verify_row("X-1.2", SCRIPTS, read_results(results))
    assert (both.runs, len(both.summary)) == (5, 2)
    assert [cell.cell for cell in both.cells] == ["dropout", "plain"]


def test_a_seed_without_all_its_folds_is_checked_and_said_to_be_unfinished(tmp_path):
    experiment = dataclasses.replace(EXPERIMENT, base=FOLDS, rows=EXPERIMENT.rows[:1], claims=[])
    scripts = (dataclasses.replace(SCRIPTS[0], experiments=(experiment,)),)
    write_run(make(FOLDS, fold=1), tmp_path)
    found = verify_row("X-1.1", scripts, read_results(tmp_path))
    assert (found.same, found.runs) == (True, 1)
    assert found.summary[0].endswith("ours not run yet | not run yet (unfinished: seed 0 has 1 of 2 folds)")


def test_repaired_cells_are_checked_where_asked(results):
    write_run(make(BASE.change(head="softmax"), cell="mended"), results)
    stored = read_results(results)
    assert [cell.cell for cell in verify_row("X-1.1", SCRIPTS, stored).cells] == ["plain"]
    asked = verify_row("X-1.1", SCRIPTS, stored, repaired=True)
    assert [(cell.cell, len(cell.runs)) for cell in asked.cells] == [("plain", 3), ("mended", 1)]


def test_a_forged_score_changes_the_rows_line_too(results):
    path = write_run(rescored(make(), validation_accuracy=0.999), results)
    found = verify_row("X-1.1", SCRIPTS, read_results(results))
    assert not found.same
    assert any(line.startswith(f"X-one/{path.name}: validation_accuracy: stored 0.999") for line in found.differences)
    assert any("; recomputed X-1.1, plain" in line for line in found.differences)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('"epochs": 2', '"epochs": 3', "expected the key of its recipe, data, seed and fold"),
        ('"seed": 1', '"seed": 9', "expected the key of its recipe, data, seed and fold"),
        (f'"digest": "{MNIST.digest}"', f'"digest": "{"0" * 64}"', "expected the key of its recipe, data, seed"),
        ('"format": 1', '"format": 2', "format: expected 1"),
    ],
)
def test_a_file_that_is_not_what_its_name_says_is_a_difference_and_stays(results, old, new, message):
    path = results / "X-one" / f"{make(seed=1).key}.json"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    found = verify_row("X-1.2", SCRIPTS, read_results(results))
    assert not found.same
    (line,) = [line for line in found.differences if path.name in line]
    assert message in line
    assert path.exists()


def test_every_run_is_checked_whether_a_row_asks_for_it_or_not(results):
    path = write_run(make(seed=7, right=0.3, experiment="X-old", cell="gone"), results)
    found = verify_all(read_results(results))
    assert (found.same, found.runs) == (True, 6)
    assert any("X-old, gone: 1 run, 7 of 7 scores the same" in line for line in described(found, every_run=False))
    write_run(rescored(make(seed=7, right=0.3, experiment="X-old"), test_accuracy=0.31), results)
    (line,) = verify_all(read_results(results)).differences
    assert line.startswith(f"{path}: test_accuracy: stored 0.31, recomputed 0.")


@pytest.mark.parametrize("name", ["mine", ["mnist"], None])
def test_data_that_nobody_knows_is_a_difference(results, name):
    digest = "1" * 64
    key = run_key(BASE, data_digest=digest, seed=0, fold=0, backend="torch", revision=REVISION)
    write_run(make(key=key, data={"name": name, "digest": digest}), results)
    (line,) = verify_all(read_results(results)).differences
    assert "data: expected a" in line


def test_nothing_run_is_nothing_verified(tmp_path):
    found = verify_row("X-1.1", SCRIPTS, read_results(tmp_path))
    assert (found.same, found.differences) == (False, ())
    assert next(iter(described(found, every_run=True))) == "X-one, plain: not run yet"
    assert conclusion(found) == "Nothing has been run yet: nothing to check."


def test_the_last_line_names_what_was_not_checked(results):
    write_run(rescored(make(), test_accuracy_drawn=0.5), results)
    found = verify_row("X-1.1", SCRIPTS, read_results(results))
    assert conclusion(found).endswith("as stored, but for what only training again could tell: test_accuracy_drawn.")


def test_every_score_of_every_run_is_shown_within_80_columns(results):
    lines = list(described(verify_row("X-1.1", SCRIPTS, read_results(results)), every_run=True))
    table = [line for line in lines if line.startswith("  ")]
    assert len(table) == 1 + 3 * 7
    assert all(len(line) <= 80 for line in table)
    assert all(line.endswith(" yes") for line in table[1:])
    write_run(with_further(), results)
    lines = list(described(verify_row("X-1.1", SCRIPTS, read_results(results)), every_run=True))
    assert all(len(line) <= 80 for line in lines if line.startswith("  "))
    (at,) = [i for i, line in enumerate(lines) if line.endswith("majority_validation_accuracy")]
    assert lines[at + 1].endswith(" yes")
    assert lines[at + 1].index(" yes") == lines[at - 1].index(" yes")


def test_a_row_that_is_not_there_brings_those_that_are_written_like_it():
    assert near("x1.1", SCRIPTS)[0] == "X-1.1"
    with pytest.raises(ValueError, match=r"row: expected one like X-1\.\d, X-1\.\d\. Received: 'X1\.1'"):
        verify_row("X1.1", SCRIPTS, read_results(ROOT))
    with pytest.raises(ValueError, match="row: expected one that a script declares"):
        verify_row("@@@@", SCRIPTS, read_results(ROOT))


DECLARED = '''"""Is it so?"""
from kmodels import Experiment, Recipe, Reported, Row, Split

BASE = Recipe(model="lenet", model_args={"dropout": 0.0}, dataset="mnist", split=Split(kind="batches"), epochs=2,
              batch_size=128, learning_rate=1e-3)
ONE = Experiment(name="X-one", question="?", base=BASE, cells={"plain": {}},
                 rows=[Row("X-1.1", "plain", Reported(0.9, 0.05))])
'''


@pytest.fixture
def call(results, capsys):
    scripts = results / "scripts"
    scripts.mkdir()
    (scripts / "ablation_x.py").write_text(DECLARED)

    def run(*argv, folder=results):
        declared = [] if "--all" in argv else ["--experiments", str(scripts)]
        status = run_command(["verify", *argv, *declared, "--results", str(folder)])
        said = capsys.readouterr()
        return status, said.out.splitlines(), said.err

    return run


def test_the_command_says_what_it_found(call, results, tmp_path):
    status, lines, wrong = call("X-1.1")
    assert (status, wrong) == (0, "")
    assert lines[0] == "X-one, plain: 3 runs, 21 of 21 scores the same"
    assert lines[-1] == "3 runs checked: everything is as stored."
    assert call("--all")[1][-1] == "5 runs checked: everything is as stored."
    path = write_run(rescored(make(), test_accuracy=1.0), results)
    status, lines, _ = call("X-1.1")
    assert status == 1
    assert lines[-1] == "3 runs checked: 1 DIFFERENT."
    assert lines[-2].startswith(f"DIFFERENT: X-one/{path.name}: test_accuracy: stored 1.0, recomputed 0.")
    empty = tmp_path / "empty"
    empty.mkdir()
    assert call("X-1.1", folder=empty)[:2] == (
        1,
        ["X-one, plain: not run yet", *call("X-1.1", folder=empty)[1][1:]],
    )


def test_weights_do_not_hide_what_is_wrong_with_the_predictions(call, results, monkeypatch):
    monkeypatch.setattr("kmodels.verification.kept_weights.check_weights", lambda runs, folder, say: True)
    assert call("X-1.1", "--weights")[0] == 0
    path = write_run(rescored(make(), test_accuracy=1.0), results)
    status, (line,), _ = call("X-1.1", "--weights")
    assert status == 1
    assert line.startswith(f"DIFFERENT: X-one/{path.name}: test_accuracy: stored 1.0")


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (("X-11",), "row: expected one like X-1.1. Received: 'X-11'"),
        ((), "one of the arguments ROW --all is required"),
        (("X-1.1", "--all"), "not allowed with argument"),
        (("--all", "--repaired"), "argument --repaired: expected with a row"),
        (("--all", "--experiments", "none"), "argument --experiments: expected with a row"),
    ],
)
def test_a_wrong_use_costs_one_line(call, argv, message):
    status, lines, wrong = call(*argv)
    assert (status, lines) == (2, [])
    assert message in wrong
    assert wrong.count("\n") == 1


def test_folders_that_are_not_there_are_named(capsys, tmp_path):
    for argv, message in (
        (("--results", str(tmp_path / "none")), "results: expected a folder"),
        (("--results", str(tmp_path), "--experiments", str(tmp_path / "none")), "folder: expected a folder of exp"),
    ):
        assert run_command(["verify", "X-1.1", *argv]) == 2
        assert message in capsys.readouterr().err


def test_checking_loads_neither_keras_nor_pytorch(results):
    code = (
        "import sys\nfrom kmodels.__main__ import run_command\n"
        f"status = run_command(['verify', '--all', '--results', {str(results)!r}])\n"
        "print(status, sorted({'keras', 'torch', 'tensorflow', 'jax'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "0 []"


def test_every_committed_run_is_what_it_says():
    listed = subprocess.run(["git", "ls-files", "results"], cwd=ROOT, capture_output=True, text=True, check=True)
    committed = {ROOT / line for line in listed.stdout.splitlines()}
    stored = read_results(ROOT / "results")
    runs = {path: run for path, run in stored.runs.items() if path in committed}
    found = verify_all(dataclasses.replace(stored, runs=runs))
    assert found.differences == ()
    assert found.runs == len(runs)


def test_all_tracked_files_together_stay_below_20_megabytes():
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True)
    sizes = [(ROOT / name).stat().st_size for name in listed.stdout.split("\0") if name and (ROOT / name).exists()]
    assert len(sizes) > 100
    assert sum(sizes) < 20e6


def test_kept_labels_are_those_that_the_keys_of_runs_are_about():
    for name in KEPT:
        labels, facts = labels_of(name), CATALOG[name]
        assert (labels.digest, labels.num_classes) == (facts.digest, len(facts.class_names))
        assert (len(labels.train), len(labels.test)) == (facts.train_images, facts.test_images)
    assert np.bincount(labels_of("cifar10").test).tolist() == [1000] * 10
    assert labels_of("digits").test.shape == (297,)


def test_labels_that_were_changed_are_found_out(monkeypatch):
    monkeypatch.setitem(KEPT, "mnist", KEPT["cifar10"])
    with pytest.raises(DataDamaged, match=r"mnist\.npz: expected the labels of mnist, sha256 3edb456524"):
        labels_of.__wrapped__("mnist")


@pytest.mark.network
@pytest.mark.slow
@pytest.mark.parametrize("name", ["mnist", "cifar10"])
def test_kept_labels_are_those_of_the_images(name):
    from kmodels import data

    try:
        dataset = data.load(name, report=lambda line: None)
    except data.DataUnavailable as error:
        pytest.skip(f"{name} is out of reach: {error}")
    labels, (_, test) = labels_of(name), dataset.open_test("to compare labels", log=lambda line: None)
    assert labels.digest == dataset.digest
    np.testing.assert_array_equal(labels.train, dataset.y_train)
    np.testing.assert_array_equal(labels.test, test)
