"""Of two processes one has a run's lock, and a killed one leaves none."""

import signal
import subprocess
import sys
from pathlib import Path

from kmodels.running.key_lock import is_locked, locked

ROOT = Path(__file__).resolve().parents[1]
HOLD = """
import sys, time
from pathlib import Path
from kmodels.running.key_lock import locked
with locked(Path(sys.argv[1]), "00") as mine:
    print(mine, flush=True)
    time.sleep(60)
"""
CONTEND = """
import os, sys
from pathlib import Path
from kmodels.running.key_lock import locked
folder, held = Path(sys.argv[1]), 0
while held < 300:
    with locked(folder, "00") as mine:
        if mine:
            os.close(os.open(folder / "held", os.O_CREAT | os.O_EXCL))  # raises where another one holds it too
            os.unlink(folder / "held")
            held += 1
"""


def holder(folder):
    """Starts a process that holds the lock, and waits until it does."""
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(folder)], stdout=subprocess.PIPE, text=True, cwd=ROOT)
    assert process.stdout.readline() == "True\n"
    return process


def test_another_process_is_refused_until_the_holder_is_killed(tmp_path):
    with holder(tmp_path) as process:
        assert is_locked(tmp_path, "00")
        with locked(tmp_path, "00") as mine, locked(tmp_path, "01") as other:
            assert (mine, other) == (False, True)
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert not is_locked(tmp_path, "00")  # its file is still there
    with locked(tmp_path, "00") as mine:
        assert mine


def test_a_lock_is_given_back_and_leaves_no_file(tmp_path):
    for _ in range(2):
        with locked(tmp_path, "00") as mine:
            assert mine
            assert is_locked(tmp_path, "00")
    assert not is_locked(tmp_path, "00")
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_a_lock_is_given_back_after_an_error(tmp_path):
    try:
        with locked(tmp_path, "00"):
            raise KeyboardInterrupt
    except KeyboardInterrupt:
        pass
    assert not is_locked(tmp_path, "00")


def test_the_file_says_who_holds_it(tmp_path):
    with holder(tmp_path) as process:
        assert (tmp_path / ".locks" / "00.lock").read_text().startswith(f"process {process.pid} on ")
        process.kill()


def test_no_two_hold_it_however_often_it_changes_hands(tmp_path):
    command = [sys.executable, "-c", CONTEND, str(tmp_path)]
    started = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True, cwd=ROOT) for _ in range(3)]
    said = [process.communicate(timeout=120)[1] for process in started]
    assert [process.returncode for process in started] == [0, 0, 0], said
