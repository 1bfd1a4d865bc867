"""The command line: what is known first, only what is missing is trained, wrong values cost one line."""

import json
import re
from dataclasses import replace

import pytest

from kmodels import cli
from kmodels.data import DataUnavailable
from kmodels.running import session
from tests.tiny_experiment import TINY, run_files


def call(*argv, experiments=(TINY,)):
    return cli.run_command(experiments, [str(word) for word in argv])


def test_it_trains_shows_and_trains_nothing_the_second_time(tmp_path, capsys, monkeypatch):
    assert call("--out", tmp_path) == 0
    said = capsys.readouterr()
    assert said.out.count("A-tiny: Does it run?") == 2  # what is known, then the quick run
    assert said.out.index("not run yet") < said.out.index("quick protocol")
    assert "[4/4]" in said.err
    files = run_files(tmp_path / "quick")
    assert len(files) == 4
    home = tmp_path / "quick" / "A-tiny"
    assert "quick protocol" in (home / "table.md").read_text()
    assert {p.suffix for p in home.iterdir()} == {".json", ".md", ".svg", ".png"}

    before = {path: path.stat().st_mtime_ns for path in files}
    monkeypatch.setattr(session, "load", lambda *_, **__: pytest.fail("loaded data with nothing to train"))
    assert call("--out", tmp_path) == 0
    assert {path: path.stat().st_mtime_ns for path in run_files(tmp_path / "quick")} == before


def test_more_seeds_and_fewer_folds_train_the_difference_only(tmp_path, capsys):
    assert call("--out", tmp_path, "--folds", 1, "--only", "dropout=0.0") == 0
    assert len(run_files(tmp_path)) == 1
    assert call("--out", tmp_path, "--folds", 1, "--seeds", 2, "--only", "dropout=0.0") == 0
    assert "[1/1]" in capsys.readouterr().err
    assert len(run_files(tmp_path)) == 2


def test_the_report_protocol_says_first_how_long_it_takes(tmp_path, capsys):
    assert call("--out", tmp_path, "--protocol", "report", "--seeds", 1, "--folds", 1, "--only", "A-1.2") == 0
    said = capsys.readouterr()
    assert "1 run on digits: about" in said.err
    (file,) = run_files(tmp_path)
    assert file.parent == tmp_path / "A-tiny"
    assert json.loads(file.read_text())["recipe"]["epochs"] == TINY.base.epochs
    assert "--protocol report" in " ".join(said.out.split())


def test_a_part_of_the_report_protocol_is_printed_but_does_not_replace_the_whole_ones_table(tmp_path, capsys):
    part = ("--out", tmp_path, "--protocol", "report", "--seeds", 1, "--only", "dropout=0.0")
    assert call(*part) == 0
    assert "written:" not in capsys.readouterr().out
    assert call("--out", tmp_path, "--report") == 0
    assert "written:" in capsys.readouterr().out
    whole = (tmp_path / "A-tiny" / "table.md").read_bytes()
    assert call(*part, "--precision", "mixed_bfloat16") == 0
    assert call("--out", tmp_path, "--report", "--only", "dropout=0.0") == 0
    assert (tmp_path / "A-tiny" / "table.md").read_bytes() == whole


def test_a_damaged_run_is_set_aside_and_trained_again(tmp_path, capsys):
    arguments = ("--out", tmp_path, "--folds", 1, "--only", "dropout=0.0")
    assert call(*arguments) == 0
    (file,) = run_files(tmp_path)
    file.write_text(file.read_text()[:100])
    assert call(*arguments) == 0
    assert "damaged run set aside" in capsys.readouterr().err
    assert file.exists()
    assert file.with_suffix(".json.damaged").exists()


def test_quick_falls_back_to_digits_and_the_title_says_so(tmp_path, capsys, monkeypatch):
    load = session.load

    def unreachable(name, **options):
        if name != "digits":
            raise DataUnavailable(f"{name}: no source has it")
        return load(name, **options)

    monkeypatch.setattr(session, "load", unreachable)
    far = replace(TINY, base=TINY.base.change(dataset="mnist"), quick={"epochs": 1, "train_images": 64})
    arguments = ("--out", tmp_path, "--folds", 1, "--only", "dropout=0.0")
    assert call(*arguments, experiments=[far]) == 0
    said = capsys.readouterr()
    assert "mnist: no source has it" in said.err
    assert "(here: digits)" in " ".join(said.out.split())
    assert call(*arguments, "--dataset", "mnist", experiments=[far]) == 1  # asked for by name: no fallback
    assert call(*arguments, "--protocol", "report", experiments=[far]) == 1
    assert {json.loads(f.read_text())["data"]["name"] for f in run_files(tmp_path)} == {"digits"}


def test_an_experiment_without_a_quick_protocol_is_named_and_left_out(tmp_path, capsys):
    assert call("--out", tmp_path, experiments=[replace(TINY, quick=None)]) == 0
    said = capsys.readouterr().err
    assert re.search(r"A-tiny: not run here, about \d+ s for 12 runs of --protocol report \(.*on two CPU cores", said)
    assert not run_files(tmp_path)


def test_what_is_not_run_here_is_estimated_from_runs_that_were(tmp_path, capsys):
    assert call("--out", tmp_path, "--folds", 1, "--only", "dropout=0.0") == 0
    assert call("--out", tmp_path, experiments=[replace(TINY, quick=None)]) == 0
    assert "(as runs of the same network took here)" in capsys.readouterr().err


def test_a_cell_that_needs_a_gpu_is_named_and_left_out(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert call("--out", tmp_path, "--precision", "mixed_float16") == 0
    said = capsys.readouterr().err
    assert "A-tiny · dropout=0.5: not run here: it needs a GPU" in said
    assert not run_files(tmp_path)


def test_what_another_process_trains_is_left_to_it_and_said(tmp_path, capsys):
    from kmodels.running.key_lock import locked

    arguments = ("--out", tmp_path, "--folds", 1, "--only", "dropout=0.0")
    assert call(*arguments) == 0
    (file,) = run_files(tmp_path)
    file.unlink()
    with locked(tmp_path / "quick", file.stem):
        assert call(*arguments) == 0
    assert "left to another process: 1 run; ask again" in capsys.readouterr().err
    assert not run_files(tmp_path)


def test_a_training_that_diverges_is_reported_and_the_others_are_kept(tmp_path, capsys):
    wild = replace(TINY, cells={**TINY.cells, "wild": {"learning_rate": 1e38}})
    assert call("--out", tmp_path, "--folds", 1, experiments=[wild]) == 0
    said = capsys.readouterr()
    assert "diverged: A-tiny · wild" in said.err
    assert re.search(r"wild .*diverged", said.out)
    assert len(run_files(tmp_path)) == 3


def test_list_names_cells_rows_and_claims(capsys):
    assert call("--list") == 0
    said = capsys.readouterr().out
    assert "dropout=0.0  [A-1.2]" in said
    assert "claim: A: no dropout is best" in said


def test_list_marks_the_cells_that_no_report_has(capsys):
    assert call("--list", experiments=[replace(TINY, repaired={"on logits": {"head": "logits"}})]) == 0
    said = capsys.readouterr().out
    assert "on logits  [added]" in said and "dropout=0.0  [A-1.2]" in said


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["--seeds", "0"], "--seeds: expected an integer, 1 or more"),
        (["--folds", "two"], "--folds: expected an integer, 1 or more"),
        (["--folds", "3"], "--folds: expected 2 or fewer"),
        (["--dataset", "imagenet"], "--dataset"),
        (["--precision", "float8"], "--precision"),
        (["--pipeline", "csv"], "--pipeline"),
        (["--protocol", "long"], "--protocol"),
        (["--only", "zebra"], "--only: expected the beginning of one of A-tiny"),
        (["--out", __file__], "--out: expected a folder"),
        (["--sedes", "1"], "--sedes"),
        (["--list", "--report"], "--report: expected without --list"),
        (["--list", "--protocol", "report"], "--protocol: expected without --list"),
        (["--list", "--seeds", "2"], "--seeds: expected without --list"),
        (["--list", "--folds", "2"], "--folds: expected without --list"),
        (["--list", "--out", "results"], "--out: expected without --list"),
        (["--list", "--pipeline", "tfdata"], "--pipeline: expected without --list"),
    ],
)
def test_a_wrong_value_costs_one_line_and_status_2(argv, words, capsys):
    assert call(*argv) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert len(said.err.splitlines()) == 1
    assert words in said.err


@pytest.mark.parametrize("experiments", [(), (TINY, replace(TINY, base=TINY.base.change(epochs=3)))])
def test_a_script_declares_experiments_with_names_of_their_own(experiments):
    with pytest.raises(ValueError, match="experiments: expected one or more, each with a name of its own"):
        call("--list", experiments=experiments)


def test_an_unknown_backend_is_named(capsys, monkeypatch):
    monkeypatch.setenv("KERAS_BACKEND", "caffe")
    assert call("--list") == 2
    assert "KERAS_BACKEND: expected one of torch, jax, tensorflow" in capsys.readouterr().err


def test_what_the_environment_says_of_large_weights_is_not_ignored(capsys, monkeypatch):
    monkeypatch.setenv("KMODELS_KEEP_WEIGHTS", "1")
    assert call("--list") == 2
    assert capsys.readouterr().err.endswith("KMODELS_KEEP_WEIGHTS: expected all, or nothing. Received: '1'\n")
    monkeypatch.setenv("KMODELS_KEEP_WEIGHTS", "all")
    assert call("--list") == 0


def test_a_folder_that_cannot_be_written_is_an_error_before_anything_is_loaded(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(session, "load", lambda *_, **__: pytest.fail("loaded data that cannot be trained on"))
    blocked = tmp_path / "quick"
    blocked.write_text("a file where the folder should be")
    assert call("--out", tmp_path, "--folds", 1, "--only", "dropout=0.0") == 1
    assert "Traceback" not in capsys.readouterr().err


def test_tables_are_printed_though_none_can_be_written(tmp_path, capsys, monkeypatch):
    def read_only(*_):
        raise OSError(30, "Read-only file system")

    arguments = ("--out", tmp_path, "--folds", 1, "--only", "dropout=0.0")
    twin = replace(TINY, name="A-twin")
    assert call(*arguments) == 0
    capsys.readouterr()
    monkeypatch.setattr(session, "write_atomically", read_only)
    assert call(*arguments, "--report", "--protocol", "quick", experiments=[TINY, twin]) == 1
    said = capsys.readouterr()
    assert "A-tiny: Does it run?" in said.out
    assert "A-twin: Does it run?" in said.out
    assert "Read-only file system" in said.err
