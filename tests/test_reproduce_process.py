"""All scripts through one queue, as processes of their own: listed at once, killed, and twice at once."""

import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.tiny_experiment import run_files
from tests.tiny_scripts import QUICK_RUNS, scripts

ROOT = Path(__file__).resolve().parents[1]


def test_the_real_list_is_there_at_once(tmp_path):
    command = [sys.executable, "experiments/reproduce.py", "--list", "--protocol", "report", "--out", str(tmp_path)]
    environment = {**os.environ, "PYTHONPROFILEIMPORTTIME": "1", "COLUMNS": "80"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
    loaded = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines() if line.startswith("import time:")}
    assert "kmodels.running.plan" in loaded
    assert not loaded & {"keras", "torch", "scipy", "ray", "matplotlib"}
    lines = done.stdout.splitlines()
    assert max(map(len, lines)) <= 80
    total = next(
        place for place, line in enumerate(lines) if re.match(r"\d+ runs[:;]", line)
    )  # wrapped, after the table
    assert lines[total].startswith(f"{total - 1} runs")


@pytest.fixture
def process(tmp_path):
    """Starts the command as a process of its own, over runs that take seconds."""
    folder = scripts(tmp_path / "slow" / "experiments", epochs=15)
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "KMODELS_DATA": str(tmp_path / "data")}

    def start(*argv):
        return subprocess.Popen(
            [sys.executable, str(folder / "reproduce.py"), "--folds", "1", *argv],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    return start


@pytest.mark.slow
def test_a_killed_call_keeps_what_had_finished_and_the_next_trains_the_rest(process, tmp_path):
    started, folder = process(), tmp_path / "slow" / "results"
    deadline = time.monotonic() + 120
    while not run_files(folder):
        assert started.poll() is None, started.stderr.read()
        assert time.monotonic() < deadline
        time.sleep(0.02)
    started.kill()
    started.communicate(timeout=120)
    before = {path: path.read_bytes() for path in run_files(folder)}
    assert 1 <= len(before) < QUICK_RUNS // 2
    again = process()
    _, said = again.communicate(timeout=300)
    assert again.returncode == 0, said
    assert f"{QUICK_RUNS // 2 - len(before)} runs to train" in said
    after = {path: path.read_bytes() for path in run_files(folder)}
    assert len(after) == QUICK_RUNS // 2
    assert {path: after[path] for path in before} == before


@pytest.mark.slow
def test_two_calls_at_once_train_nothing_twice(process, tmp_path):
    calls = [process(), process()]
    said = [started.communicate(timeout=300)[1] for started in calls]
    assert [started.returncode for started in calls] == [0, 0], said
    assert len(run_files(tmp_path / "slow" / "results")) == QUICK_RUNS // 2
    assert sum(text.count("validation accuracy") for text in said) == QUICK_RUNS // 2
