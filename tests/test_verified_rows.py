"""`verify ROW` and `verify --all`: which runs are checked, what is said of a row, and the command line."""

import dataclasses
import subprocess
import sys
from pathlib import Path

import pytest
from runs_by_hand import BASE, EXPERIMENT, FOLDS, MNIST, SCRIPTS, make, rescored, with_further

from kmodels.__main__ import run_command
from kmodels.results.runs import REVISION, run_key, write_run
from kmodels.spec.declarations import Script
from kmodels.verification.rows import conclusion, described, near, read_results, verify_all, verify_row

ROOT = Path(__file__).resolve().parents[1]


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
    assert line.startswith("X-1.1, plain, validation accuracy: reported 90 | ours 9")
    assert line.endswith("(3) | cannot tell")  # three seeds a point apart
    both = verify_row("X-1.2", SCRIPTS, read_results(results))
    assert (both.runs, len(both.summary)) == (5, 2)
    assert [cell.cell for cell in both.cells] == ["dropout", "plain"]


def test_a_row_is_found_in_upper_and_in_lower_case(results):
    stored = read_results(results)
    assert verify_row("x-1.1", SCRIPTS, stored) == verify_row("X-1.1", SCRIPTS, stored)


def test_a_seed_without_all_its_folds_is_checked_and_said_to_be_unfinished(tmp_path):
    experiment = dataclasses.replace(EXPERIMENT, base=FOLDS, rows=EXPERIMENT.rows[:1], claims=[])
    scripts = (dataclasses.replace(SCRIPTS[0], experiments=(experiment,)),)
    write_run(make(FOLDS, fold=1), tmp_path)
    found = verify_row("X-1.1", scripts, read_results(tmp_path))
    assert (found.same, found.runs) == (True, 1)
    assert found.summary[0].endswith("ours not run yet | not run yet (unfinished: seed 0 has 1 of 2 folds)")


def test_added_cells_are_checked_where_asked(results):
    write_run(make(BASE.change(head="softmax"), cell="mended"), results)
    stored = read_results(results)
    assert [cell.cell for cell in verify_row("X-1.1", SCRIPTS, stored).cells] == ["plain"]
    asked = verify_row("X-1.1", SCRIPTS, stored, added=True)
    assert [(cell.cell, len(cell.runs)) for cell in asked.cells] == [("plain", 3), ("mended", 1)]


def test_runs_that_two_scripts_ask_about_are_checked_once(results):
    again = dataclasses.replace(EXPERIMENT, name="X-two")
    scripts = (*SCRIPTS, Script(Path("experiments/ablation_y.py"), "Why?", (again,)))
    stored = read_results(results)
    assert verify_row("X-1.1", scripts, stored) == verify_row("X-1.1", SCRIPTS, stored)


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
        (("--all", "--added"), "argument --added: expected with a row"),
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
