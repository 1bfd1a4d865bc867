"""A chief and workers on this machine: one of them lost, all of them failing, and nothing left running."""

import os
import re
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from kmodels.tuner.roles import environment_of, main, supervise
from kmodels.tuner.trials import read_search
from kmodels.tuner.workers import warn_of_open_port
from tests.tuner_search import run, told

ROOT = Path(__file__).resolve().parents[1]

SEARCH = f"""
import os, signal, sys
from pathlib import Path
sys.path.insert(0, {str(ROOT)!r})
from tests.tuner_search import build, digits, make
x, y = digits()
folder = Path(sys.argv[1])
fail = len(sys.argv) > 2
me = os.environ["KERASTUNER_TUNER_ID"]

def callbacks(seed, fold):
    if fail:  # inside a trial: a model that cannot be built at all ends its process instead
        raise ZeroDivisionError("it never works")
    if fold == 1:  # whoever comes first: on a busy machine one worker may do all trials before the other has started
        try:
            (folder / "killed").touch(exist_ok=False)
        except FileExistsError:
            return []
        os.kill(os.getpid(), signal.SIGKILL)
    return []

tuner = make("RandomSearch", folder, build=build)
assert tuner.role == ("chief" if me == "chief" else "worker")
tuner.search(x, y, epochs=2, batch_size=16, callbacks=callbacks, verbose=False)
"""


@pytest.fixture
def script(tmp_path):
    path = tmp_path / "search.py"
    path.write_text(SEARCH)
    return path


@pytest.mark.slow
def test_a_worker_that_is_killed_comes_back_and_the_search_is_the_same(script, tmp_path, capfd):
    status = supervise([str(script), str(tmp_path / "shared")], workers=2, time_limit_seconds=300)
    assert status == 0
    assert (tmp_path / "shared" / "killed").exists()
    assert re.search(r"worker [01] was lost \(exit status -9\) and is started again", capfd.readouterr().err)
    found = read_search(tmp_path / "shared" / "RandomSearch")
    assert told(found) == told(run("RandomSearch", tmp_path / "alone"))


@pytest.mark.slow
def test_where_every_trial_fails_the_chief_ends_with_the_cause(script, tmp_path, capfd):
    status = supervise([str(script), str(tmp_path / "shared"), "fail"], workers=2, time_limit_seconds=300)
    assert status == 1
    said = capfd.readouterr().err
    assert "all 4 trials failed" in said and "ZeroDivisionError: it never works" in said


PRETEND = """
import os, sys, time
from pathlib import Path
Path(sys.argv[1], os.environ["KERASTUNER_TUNER_ID"] + "_" + str(os.getpid())).touch()
{body}
"""


def pretend(tmp_path, body):
    path = tmp_path / "script.py"
    path.write_text(PRETEND.format(body=textwrap.dedent(body)))
    (tmp_path / "started").mkdir()
    return [str(path), str(tmp_path / "started")]


def alive(tmp_path):
    found = []
    for path in (tmp_path / "started").iterdir():
        try:
            os.kill(int(path.name.partition("_")[2]), 0)
            found.append(path.name)
        except ProcessLookupError:
            continue
    return found


def test_a_worker_lost_too_often_ends_the_search(tmp_path, capfd):
    command = pretend(tmp_path, "sys.exit(3) if os.environ['KERASTUNER_TUNER_ID'] == 'tuner0' else time.sleep(60)")
    began = time.monotonic()
    assert supervise(command, workers=2, restarts=2) == 1
    assert time.monotonic() - began < 50
    assert "worker 0 was lost 3 times (exit status 3)" in capfd.readouterr().err
    names = [path.name.partition("_")[0] for path in (tmp_path / "started").iterdir()]
    assert names.count("tuner0") == 3 and names.count("tuner1") == 1
    assert alive(tmp_path) == []


def test_at_the_time_limit_nothing_goes_on_running(tmp_path):
    assert supervise(pretend(tmp_path, "time.sleep(60)"), workers=1, time_limit_seconds=2.0) == 124
    assert alive(tmp_path) == []


def test_the_chiefs_exit_status_is_passed_on_and_workers_are_ended(tmp_path, monkeypatch):
    monkeypatch.setattr("kmodels.tuner.roles._wait", lambda processes, seconds, w=sys.modules["time"]: w.sleep(0.5))
    command = pretend(tmp_path, "sys.exit(7) if os.environ['KERASTUNER_TUNER_ID'] == 'chief' else time.sleep(60)")
    assert supervise(command, workers=1) == 7
    assert alive(tmp_path) == []


def test_a_chief_that_is_killed_ends_the_search(tmp_path, capfd):
    command = pretend(
        tmp_path, f"os.kill(os.getpid(), {int(signal.SIGKILL)}) if os.environ['KERASTUNER_TUNER_ID'] == 'chief' else 0"
    )
    assert supervise(command, workers=1) == 1
    assert "the chief was lost (signal 9)" in capfd.readouterr().err


def test_a_supervisor_that_is_terminated_takes_all_with_it(tmp_path):
    command = [sys.executable, "-m", "kmodels.tuner.roles", "supervise", "--workers", "2"]
    supervisor = subprocess.Popen([*command, *pretend(tmp_path, "time.sleep(60)")], cwd=ROOT)
    until = time.monotonic() + 30
    while len(list((tmp_path / "started").iterdir())) < 3:
        assert time.monotonic() < until
        time.sleep(0.05)
    supervisor.terminate()
    assert supervisor.wait(30) == 128 + signal.SIGTERM
    assert alive(tmp_path) == []


def test_a_role_is_one_command(tmp_path, monkeypatch, capsys):
    script = tmp_path / "script.py"
    script.write_text("import os, sys; print(os.environ['KERASTUNER_TUNER_ID'], sys.argv[1:], __name__)")
    for name in environment_of("chief"):
        monkeypatch.setenv(name, "")
    monkeypatch.setattr(sys, "argv", sys.argv)
    monkeypatch.setattr(sys, "path", [*sys.path])
    assert main(["worker", "1", "--port", "9000", str(script), "--quick"]) == 0
    assert capsys.readouterr().out == "tuner1 ['--quick'] __main__\n"
    assert os.environ["KERASTUNER_ORACLE_IP"] == "127.0.0.1" and os.environ["KERASTUNER_ORACLE_PORT"] == "9000"


def test_an_address_that_others_can_reach_is_warned_of():
    for address in ("127.0.0.1", "::1", "localhost"):
        warn_of_open_port(address)
    for address in ("0.0.0.0", "10.0.0.3", "chief.example"):
        with pytest.warns(RuntimeWarning, match="without any authentication"):
            warn_of_open_port(address)


@pytest.mark.parametrize(("changes", "said"), [({"workers": 0}, "workers"), ({"restarts": -1}, "restarts")])
def test_wrong_numbers_are_named(changes, said):
    with pytest.raises(ValueError, match=said):
        supervise(["script.py"], **{"workers": 1, **changes})
