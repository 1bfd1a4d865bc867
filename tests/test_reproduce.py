"""All scripts through one queue: every run once, within the time given, in parts, and on after any end."""

import re
from dataclasses import replace

import pytest

from kmodels.results.runs import load_runs
from kmodels.running import reproduction, runner, timing
from kmodels.training.task_data import key_of
from kmodels.training.train import train
from tests.tiny_experiment import run_files, task
from tests.tiny_scripts import QUICK_RUNS, scripts


@pytest.fixture
def experiments(tmp_path):
    return scripts(tmp_path / "experiments")


@pytest.fixture(scope="module")
def trained():
    from kmodels import data

    return train(task(epochs=1), data.load("digits", report=lambda _: None))


@pytest.fixture
def instant(trained, monkeypatch):
    """Lets every training take no time; gives the tasks in the order they were trained."""
    done = []

    def at_once(one, dataset, **_):
        done.append(one)
        if one.cell == "softmax" and "fail" in done:
            raise RuntimeError("no such thing")
        changes = {name: getattr(one, name) for name in ("experiment", "cell", "protocol", "seed", "fold")}
        key = key_of(one, dataset, "memory")
        return replace(trained, key=key, recipe=one.recipe.as_dict(), **changes)

    monkeypatch.setattr(runner, "train", at_once)
    monkeypatch.setattr(runner.keras.utils, "clear_session", lambda: None)  # takes longer than all the rest
    monkeypatch.setattr(timing, "measure_rate", lambda *_, **__: 1000.0)
    return done


def call(folder, *argv):
    return reproduction.run_command(folder, [str(word) for word in argv])


def test_it_trains_all_once_and_nothing_the_second_time(experiments, capsys):
    assert call(experiments) == 0
    said = capsys.readouterr()
    assert f"{QUICK_RUNS} runs to train: about" in said.err
    assert f"[{QUICK_RUNS}/{QUICK_RUNS}]" in said.err
    assert re.search(r"A-long: not run here, about .* for 12 runs of --protocol report", said.err)
    assert said.out == f"{QUICK_RUNS} runs: {QUICK_RUNS} done; none left\n"
    files = run_files(experiments.parent / "results" / "quick")
    assert len(files) == QUICK_RUNS
    before = {path: path.stat().st_mtime_ns for path in files}
    assert call(experiments) == 0
    assert "to train" not in capsys.readouterr().err
    assert {path: path.stat().st_mtime_ns for path in files} == before


def test_the_shortest_come_first_whatever_script_they_are_of(experiments, instant):
    text = (experiments / "ablation_dropout.py").read_text()
    (experiments / "ablation_dropout.py").write_text(text.replace('"epochs": 1', '"epochs": 50'))
    assert call(experiments, "--folds", 1) == 0
    assert [one.recipe.epochs for one in instant] == [1, 1, 50, 50]


def test_the_list_shows_the_queue_and_trains_nothing(experiments, instant, capsys):
    assert call(experiments, "--list", "--protocol", "report", "--seeds", 1, "--folds", 1) == 0
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 80
    assert [line.endswith("waiting") for line in lines[:4]] == [False, True, True, True]
    assert lines[4].startswith("3 runs; 3 left, about ") and len(lines) > 5
    assert " ".join(lines[4:]).endswith("nothing has run here yet)")
    assert instant == []
    assert call(experiments, "--protocol", "report", "--seeds", 1, "--folds", 1, "--only", "A-one") == 0
    capsys.readouterr()
    call(experiments, "--list", "--protocol", "report", "--seeds", 1, "--folds", 1)
    assert capsys.readouterr().out.count(" done") == 3


def test_a_budget_ends_the_call_in_good_order(experiments, capsys):
    assert call(experiments, "--time-budget", "0.001s") == 0
    said = capsys.readouterr()
    assert f"not begun, as it would not have ended within 0 s: {QUICK_RUNS} runs" in said.err
    assert max(map(len, said.out.splitlines())) <= 80
    words = " ".join(said.out.split())
    assert words.startswith(f"{QUICK_RUNS} runs; {QUICK_RUNS} left, about ")
    assert words.endswith("; the same command goes on")
    assert run_files(experiments.parent / "results") == []


def test_a_budget_is_used_for_what_fits_and_the_next_call_goes_on(experiments, instant, capsys):
    text = (experiments / "ablation_head.py").read_text()
    (experiments / "ablation_head.py").write_text(text.replace('"epochs": 1', '"epochs": 10**7'))
    assert call(experiments, "--time-budget", "9m") == 0
    assert {one.recipe.epochs for one in instant} == {1}
    assert "not begun, as it would not have ended within 9.0 min: 4 runs" in capsys.readouterr().err
    assert call(experiments) == 0
    assert len(instant) == 8


def test_parts_are_all_together_and_merge_as_files(experiments, instant, tmp_path):
    for index in (1, 2, 3):
        out = tmp_path / f"machine {index}"
        assert call(experiments, "--shard", f"{index}/3", "--out", out) == 0
        assert len(run_files(out)) == 2
    merged = [path.name for index in (1, 2, 3) for path in run_files(tmp_path / f"machine {index}")]
    assert call(experiments, "--out", tmp_path / "whole") == 0
    assert sorted(merged) == sorted(path.name for path in run_files(tmp_path / "whole"))


def test_parts_of_the_work_do_not_move_as_it_is_done(experiments, instant, tmp_path):
    assert call(experiments, "--only", "A-two", "--out", tmp_path) == 0
    del instant[:]
    assert call(experiments, "--shard", "1/2", "--out", tmp_path) == 0
    assert call(experiments, "--shard", "2/2", "--out", tmp_path) == 0
    assert len(instant) == QUICK_RUNS - 4


@pytest.mark.parametrize("text", ["head", "ablation_head", "A-two", "softmax"])
def test_scripts_experiments_and_cells_can_be_chosen(experiments, instant, text):
    assert call(experiments, "--only", text) == 0
    assert "softmax" in {one.cell for one in instant}
    assert {one.experiment for one in instant} == {"A-two"}


def test_a_letter_is_a_report(experiments, instant, capsys):
    assert call(experiments, "--only", "h") == 2  # not the script `ablation_head`
    assert "--only: expected the beginning of" in capsys.readouterr().err
    assert call(experiments, "--only", "a") == 0
    assert {one.experiment for one in instant} == {"A-one", "A-two"}


def test_a_failure_costs_one_run_and_the_exit_status(experiments, instant, capsys):
    instant.append("fail")
    assert call(experiments) == 1
    said = capsys.readouterr()
    assert said.err.count("failed: A-two · softmax") == 2
    assert said.out.startswith(f"{QUICK_RUNS} runs: 4 done; 2 left")


def test_a_damaged_run_is_set_aside_and_trained_again(experiments, instant, capsys):
    assert call(experiments, "--only", "A-two") == 0
    file = run_files(experiments.parent / "results")[0]
    file.write_text(file.read_text()[:100])
    assert call(experiments, "--only", "A-two") == 0
    assert "damaged run set aside" in capsys.readouterr().err
    assert len(instant) == 5


def test_data_out_of_reach_cost_the_runs_that_need_them(experiments, instant, capsys, monkeypatch):
    from kmodels import data

    load = data.load

    def unreachable(name, **options):
        if name != "digits":
            raise data.DataUnavailable(f"{name}: no source has it")
        return load(name, **options)

    monkeypatch.setattr(data, "load", unreachable)
    text = (experiments / "ablation_head.py").read_text()
    far = text.replace("quick={", 'base=tiny_experiment.TINY.base.change(dataset="mnist"), quick={"train_images": 64, ')
    (experiments / "ablation_head.py").write_text(far)
    report = ("--protocol", "report", "--seeds", 1, "--folds", 1)
    assert call(experiments, *report) == 1
    said = capsys.readouterr()
    assert "left out without data: 2 runs" in said.err
    assert {one.experiment for one in instant} == {"A-one"}
    assert call(experiments, "--folds", 1) == 0
    assert "training on digits" in capsys.readouterr().err
    stored = load_runs(experiments.parent / "results" / "quick", pytest.fail)
    assert {run.experiment for run in stored.values()} == {"A-one", "A-two"}


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["--seeds", "0"], "--seeds: expected an integer, 1 or more"),
        (["--list", "--time-budget", "9m"], "--time-budget: expected without --list"),
        (["--list", "--pipeline", "tfdata"], "--pipeline: expected without --list"),
        (["--time-budget", "9"], "--time-budget: expected a number above 0 with its unit"),
        (["--shard", "3/2"], "--shard: expected I/N with I from 1 to N"),
        (["--shard", "0/2"], "--shard: expected I/N"),
        (["--shard", "1"], "--shard: expected I/N"),
        (["--only", "zebra"], "--only: expected the beginning of"),
        (["--precision", "float8"], "--precision"),
        (["--protocol", "long"], "--protocol"),
        (["--pipeline", "csv"], "--pipeline"),
        (["--out", __file__], "--out: expected a folder"),
        (["--cpus-per-run", "2"], "--cpus-per-run"),
        (["--ray", "--gpus-per-run", "1.5"], "--gpus-per-run"),
        (["--lst"], "--lst"),
    ],
)
def test_a_wrong_value_costs_one_line_and_status_2(experiments, argv, words, capsys):
    assert call(experiments, *argv) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert len(said.err.splitlines()) == 1
    assert words in said.err


def test_what_the_environment_says_of_large_weights_is_not_ignored(experiments, capsys, monkeypatch):
    monkeypatch.setenv("KMODELS_KEEP_WEIGHTS", "yes")
    assert call(experiments, "--list") == 2
    assert "KMODELS_KEEP_WEIGHTS: expected all" in capsys.readouterr().err


def test_without_ray_one_line_says_what_to_install(experiments, capsys, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    assert call(experiments, "--ray") == 2
    assert 'pip install "kmodels[ray]"' in capsys.readouterr().err


def test_a_script_that_cannot_be_read_is_named(experiments, capsys):
    (experiments / "ablation_broken.py").write_text("raise KeyError('x')")
    assert call(experiments, "--list") == 1
    said = capsys.readouterr().err
    assert "ablation_broken.py" in said
    assert "Traceback" not in said


def test_an_interrupted_call_goes_on_with_the_next(experiments, instant, capsys, monkeypatch):
    def interrupted(one, dataset, **options):
        if len(instant) == 2:
            raise KeyboardInterrupt
        return at_once(one, dataset, **options)

    at_once = runner.train
    monkeypatch.setattr(runner, "train", interrupted)
    assert call(experiments) == 130
    assert "goes on from there" in capsys.readouterr().err
    monkeypatch.setattr(runner, "train", at_once)
    assert call(experiments) == 0
    assert len(instant) == QUICK_RUNS
