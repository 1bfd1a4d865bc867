"""The benchmarks: twins that are the networks they stand for, programs that run, tables that say what was measured."""

import copy
import json
import math
import os
import subprocess
import sys
from pathlib import Path

import keras
import pytest

if keras.backend.backend() != "torch":
    pytest.skip("the benchmarks compare with PyTorch", allow_module_level=True)

import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks import folds, gpu_table, short, table, throughput
from benchmarks.compare import alternate, ratio
from benchmarks.fast import RECIPES, network
from benchmarks.twins import CASES, parameters
from kmodels import models
from kmodels.models.macs import count_macs

ROOT = Path(__file__).resolve().parent.parent
README = ROOT / "benchmarks" / "README.md"

ROW = {
    "model": "LeNet",
    "preset": "lenet",
    "batch": 128,
    "optimizer": "adam",
    "precision": "float32",
    "parameters": {"kmodels": 83126, "twin": 83126},
    "must": 0.95,
    "aim": 1.1,
    "auto": "compiled after 3 steps",
    "twin": {"variant": "compiled, NHWC, fused optimizer, float images"},
    "images_per_second": {"twin": 15000.4, "record": 12000.0, "compile": 16500.0, "stock": 7400.0},
    "first_step_seconds": {"twin": 21.3, "record": 0.5, "compile": 15.2, "stock": 0.1},
    "ratios": {
        "record": {"median": 0.8, "least": 0.75, "most": 0.85},
        "compile": {"median": 1.1, "least": 1.05, "most": 1.149},
        "stock": {"median": 0.493, "least": 0.4, "most": 0.5},
    },
    "memory": {side: {"growth": mib * 2**20} for side, mib in (("twin", 100), ("record", 105), ("compile", 98))},
}
RESULT = {
    "smoke": False,
    "date": "2030-01-31",
    "device": "CPU: A",
    "threads": 2,
    "versions": {"python": "3.12.1", "torch": "2.11.0", "keras": "3.15.1"},
    "settings": {"rounds": 7, "seconds": 2.0, "images": 8192},
    "rows": [ROW],
}


@pytest.mark.parametrize("name", CASES)
def test_a_twin_is_the_preset_in_weights_and_multiplications(name):
    case = CASES[name]
    model, twin = models.build(case.preset, case.shape, 10), case.twin()
    assert parameters(twin) == model.count_params()
    height, width, channels = case.shape
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        outputs = twin.eval()(torch.zeros(1, channels, height, width))
    assert outputs.shape == (1, 10)
    assert counter.get_total_flops() == 2 * count_macs(model)


@pytest.mark.parametrize("target", RECIPES)
def test_a_fast_recipe_has_a_network(target):
    model = network((32, 32, 3), RECIPES[target])
    assert model.output_shape == (None, 10)
    assert RECIPES[target].target == pytest.approx(float(target.split()[0]) / 100)


class Counted:
    """A side that does nothing and remembers its steps in a list that it shares."""

    def __init__(self, name, log):
        self.name, self.log = name, log

    def run(self, steps):
        self.log.append((self.name, steps))


def test_sides_take_turns_and_every_round_begins_with_another():
    log = []
    rates = alternate({n: Counted(n, log) for n in "abc"}, 4, rounds=3, seconds=1e-4, multiple=8)
    assert [len(values) for values in rates.values()] == [3, 3, 3]
    turns = log[-9:]
    assert "".join(name for name, _ in turns) == "abc" + "bca" + "cab"
    assert all(steps % 8 == 0 for _, steps in turns)


def test_a_ratio_is_of_measurements_of_the_same_round():
    assert ratio([1.0, 4.0, 9.0], [2.0, 4.0, 6.0]) == {"median": 1.0, "least": 0.5, "most": 1.5}


def test_the_table_has_a_row_for_each_measurement():
    lines = table.render(RESULT).split("\n\n| model")[0].splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[:3]]
    assert len(cells[0]) == len(cells[1]) == len(cells[2])
    row = dict(zip(cells[0], cells[2], strict=True))
    assert row["model"] == "LeNet"
    assert row["twin, images/s"] == "15,000 (compiled, NHWC, fused optimizer, float images)"
    assert row["compiled"] == "**1.10** (1.05 to 1.15)"
    assert row["must / aim"] == "0.95 / 1.10"
    assert row["compile, s: twin / ours"] == "21 / 15"
    assert lines[-1].startswith("CPU: A, 2 threads; python 3.12.1, torch 2.11.0, keras 3.15.1; 2030-01-31; median of 7")
    assert "trial" not in lines[-1]
    assert "A trial of the program, not a measurement." in table.render({**RESULT, "smoke": True})


def test_a_run_that_has_just_compiled_is_held_against_stock_keras():
    row = {
        **ROW,
        "auto": "compiled after 1000 steps",
        "first_step_seconds": {**ROW["first_step_seconds"], "stock": 0.2},
    }
    line = table.render({**RESULT, "rows": [row]}).splitlines()[-1]
    # recorded: 128 / 12,000 s a step and 0.5 s to record; stock: 128 / 7,400 s a step and 0.2 s
    steps = math.ceil(0.3 / (128 / 7400 - 128 / 12000))
    share = (0.5 + 1000 * 128 / 12000 + 15.2) / (0.2 + 1000 * 128 / 7400)
    assert line == f"| LeNet | 128 | adam | {steps} steps, {steps * 128 / 7400:.1f} s | 1,000 steps | **{share:.2f}** |"
    slower = {**row, "images_per_second": {**ROW["images_per_second"], "record": 7000.0}}
    assert "| never |" in table.render({**RESULT, "rows": [slower]}).splitlines()[-1]


def test_a_table_goes_between_its_marks_and_nowhere_else(tmp_path):
    file = tmp_path / "README.md"
    file.write_text("before\n<!-- throughput -->\nold\n<!-- end of throughput -->\nafter\n")
    table.put_into(file, "throughput", "new\n")
    table.put_into(file, "throughput", "newer\n")
    assert file.read_text() == "before\n<!-- throughput -->\nnewer\n<!-- end of throughput -->\nafter\n"
    with pytest.raises(ValueError, match="expected the marks"):
        table.put_into(file, "gpu", "new")


def test_the_gpu_tables_name_what_was_not_there():
    row = copy.deepcopy(ROW)
    row["teraflops"] = dict.fromkeys(row["images_per_second"], 12.345)
    row["share_of_matmul"] = dict.fromkeys(row["images_per_second"], 0.456)
    result = {**RESULT, "matmul_teraflops": 700.0, "table": {"rows": [row], "left_out": ["VGG16-BN"]}}
    result["folds"] = {"not available": "no reason"}
    accuracy, seconds = {"mean": 0.9412, "spread": 0.001}, {"mean": 9.13, "spread": 0.2}
    reached = {"accuracy": accuracy, "seconds": seconds, "reached": True, "runs": [{}, {}], "compile_seconds": 31.0}
    result["fast"] = {"94 %": reached, "part_seconds": 60.0}
    text = gpu_table.render(result)
    assert "| 16,500, 12.3, 45.6% |" in text
    assert "- rows left out, the time was up: VGG16-BN" in text
    assert "(one by one: 10): not available: no reason" in text
    assert "94 % reached: 94.12% ± 0.10% in 9.1 ± 0.2 s, n = 2; compiling 31 s apart" in text


@pytest.mark.parametrize(
    ("block", "result", "render"),
    [
        ("throughput", ROOT / "results" / "benchmarks" / "cpu.json", table.render),
        ("throughput of an Intel Xeon", ROOT / "results" / "benchmarks" / "cpu-xeon.json", table.render),
        ("short trainings", ROOT / "results" / "benchmarks" / "short.json", short.render),
        ("folds", ROOT / "results" / "benchmarks" / "folds.json", folds.render),
        ("gpu", ROOT / "results" / "gpu" / "gpu.json", gpu_table.render),
    ],
)
def test_the_readme_shows_the_committed_result(block, result, render):
    shown = table.block(README.read_text(encoding="utf-8"), block)
    if result.exists():
        content = json.loads(result.read_text(encoding="utf-8"))
        assert not content["smoke"]
        assert shown == render(content).strip()
    else:
        assert shown == "not measured yet"


def run(module, *arguments, **settings):
    environment = {**os.environ, "KERAS_BACKEND": "torch", **{name: str(value) for name, value in settings.items()}}
    environment.setdefault("OMP_NUM_THREADS", "1")
    command = [sys.executable, "-m", module, *map(str, arguments)]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def test_short_trainings_are_timed_side_by_side(tmp_path):
    path = tmp_path / "out.json"
    shown = run("benchmarks.short", "--smoke", "--json", path)
    result = json.loads(path.read_text(encoding="utf-8"))
    assert result["smoke"] and [len(row["ratios"]) for row in result["rows"]] == [1, 1]
    assert result["rows"][0]["training"] == "`fit`, 125 steps" and min(result["rows"][0]["ratios"]) > 0
    assert short.render({**result, "rows": [{**result["rows"][0], "ratios": [0.5, 1.25, 1.0]}]}).splitlines()[2] == (
        "| `fit`, 125 steps | **1.00** (0.50 to 1.25) |"
    )
    assert "not a measurement" in shown


def measured_row(name, case, data, settings, **_):
    return {**ROW, "model": name, "batch": settings.batch, "optimizer": settings.optimizer}


def test_rows_that_are_measured_anew_stand_beside_the_others(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("benchmarks.throughput.measure_row", measured_row)
    path = tmp_path / "out.json"
    common = ["--no-memory", "--json", str(path), "--models"]
    assert throughput.main([*common, "SimpleDenseNet", "LeNet", "--rounds", "5"]) == 0
    assert throughput.main([*common, "LeNet", "--optimizer", "adam", "sgd", "--add", "--rounds", "9"]) == 0
    rows = json.loads(path.read_text())["rows"]
    found = [(row["model"], row["optimizer"], row["measured"]["settings"]["rounds"]) for row in rows]
    assert found == [("LeNet", "adam", 9), ("LeNet", "sgd", 9), ("SimpleDenseNet", "adam", 5)]
    assert "median of 5 or 9 rounds" in capsys.readouterr().out
    other = json.loads(path.read_text()) | {"threads": 999}
    path.write_text(json.dumps(other))
    assert throughput.main([*common, "LeNet", "--add"]) == 2
    assert "threads" in capsys.readouterr().err


def test_memory_alone_is_measured_anew_as_the_median_of_processes(tmp_path, monkeypatch, capsys):
    grown = iter([90, 92, 100, 120, 70, 300, 10, 30, 5, 5, 5, 8, 9, 7])  # of two sides the first compiles
    monkeypatch.setattr("benchmarks.throughput.measure_row", measured_row)
    monkeypatch.setattr("benchmarks.throughput.measure_memory", lambda *_, **__: {"growth": next(grown)})
    path = tmp_path / "out.json"
    row = {**ROW, "twin": {**ROW["twin"], "fields": {"layout": "NHWC"}}}
    assert throughput.main(["--json", str(path), "--models", "LeNet", "--no-memory"]) == 0
    before = json.loads(path.read_text())
    before["rows"][0] |= {"twin": row["twin"]}
    path.write_text(json.dumps(before))
    assert throughput.main(["--json", str(path), "--models", "LeNet", "--add", "--memory-only"]) == 0
    after = json.loads(path.read_text())["rows"][0]
    assert [value["growth"] for value in after["memory"].values()] == [100, 30, 5, 8]
    assert list(after["memory"]) == ["twin", "record", "compile", "stock"]
    assert after["images_per_second"] == before["rows"][0]["images_per_second"]
    assert set(after["measured"]["memory"]) == {"date", "command", "commit"}
    assert throughput.main(["--json", str(path), "--models", "VGG16-BN", "--add", "--memory-only"]) == 2
    assert "VGG16-BN, 128, adam" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        throughput.main(["--memory-only"])
    assert "--add" in capsys.readouterr().err


@pytest.mark.slow
def test_throughput_runs_and_writes_what_it_prints(tmp_path):
    printed = run("benchmarks.throughput", "--smoke", "--json", tmp_path / "out.json")
    result = json.loads((tmp_path / "out.json").read_text())
    assert printed.strip() == table.render(result).strip()
    assert result["command"].startswith("python -m benchmarks.throughput --smoke")
    assert {"torch", "keras", "python"} <= set(result["versions"])
    for row in result["rows"]:
        assert row["parameters"]["kmodels"] == row["parameters"]["twin"]
        assert set(row["ratios"]) == {"record", "stock"}
        for side, value in row["ratios"].items():
            assert 0 < value["least"] <= value["median"] <= value["most"]
            assert len(row["rounds"][side]) == len(row["rounds"]["twin"]) == result["settings"]["rounds"]
    assert set(result["rows"][0]["memory"]) == {"twin", "record", "stock"}


@pytest.mark.slow
def test_ten_folds_are_timed_against_one_after_the_other(tmp_path):
    printed = run("benchmarks.folds", "--smoke", "--json", tmp_path / "out.json")
    result = json.loads((tmp_path / "out.json").read_text())
    assert printed.strip() == folds.render(result) and "A trial of the program" in printed
    (row,) = result["rows"]
    paired = ratio(row["rounds"]["one fold"], row["rounds"]["vectorised"])
    assert row["ratio"] == pytest.approx({name: value / 10 for name, value in paired.items()}, abs=1e-3)
    assert row["folds"] == 10 and result["threads"] == 1


@pytest.mark.slow
def test_the_gpu_command_runs_on_a_cpu(tmp_path):
    printed = run("benchmarks.gpu", "--smoke", "--out", tmp_path)
    result = json.loads((tmp_path / "gpu-smoke.json").read_text())
    assert printed.strip() == gpu_table.render(result).strip()
    parts = ("table", "graphs", "feeding", "tfdata", "jax", "folds", "fast")
    assert [part for part in parts if "failed" in result[part]] == []
    assert result["graphs"]["captures"] >= 1 and "a stand-in without CUDA, not a measurement" in printed
    assert result["tfdata"]["images_per_second"] > 0
    assert result["jax"]["images_per_second"] > 0
    assert result["folds"]["ratio"]["median"] > 0
    assert result["fast"]["tiny"]["runs"][0]["seconds"] > 0
    assert result["table"]["rows"][0]["share_of_matmul"]["record"] > 0


@pytest.mark.slow
def test_the_gpu_command_needs_no_tensorflow(tmp_path):
    blocked = tmp_path / "tensorflow"
    blocked.mkdir()
    error = 'ModuleNotFoundError("No module named tensorflow", name="tensorflow")'
    (blocked / "__init__.py").write_text(f"raise {error}\n")
    parts = ("table", "graphs", "feeding", "tfdata", "folds", "fast")
    run("benchmarks.gpu", "--smoke", "--out", tmp_path, "--parts", *parts, PYTHONPATH=tmp_path)
    result = json.loads((tmp_path / "gpu-smoke.json").read_text())
    assert "No module named tensorflow" in result["tfdata"]["not available"]
    assert [part for part in parts if "failed" in result[part] or "left out" in result[part]] == []
