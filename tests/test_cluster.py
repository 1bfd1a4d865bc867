"""The queue on a real Ray cluster of this machine: runs arrive, though a worker is killed in the middle."""

import io
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from kmodels import data
from kmodels.results.runs import load_runs
from kmodels.running import runner
from kmodels.running.cluster import Cluster, Share, connected, run
from kmodels.running.key_lock import is_locked, locked
from kmodels.training.task_data import key_of
from tests.tiny_experiment import task
from tests.tiny_scripts import REPRODUCE

ROOT = Path(__file__).resolve().parents[1]

# Ray leaves sockets and pipes of its processes to the garbage collector when it is shut down
pytestmark = [
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


@pytest.mark.parametrize(
    ("cpus", "gpus", "share", "at_once"),
    [
        (2, 0, Share(), 2),
        (5, 0, Share(cpus=2), 2),
        (16, 1, Share(), 1),
        (16, 1, Share(gpus=0.25), 4),
        (16, 2, Share(gpus=0.4), 4),
        (3, 1, Share(gpus=0.25), 3),
        (16, 4, Share(gpus=2), 2),
        (16, 4, Share(gpus=0), 16),
    ],
)
def test_as_many_runs_at_once_as_there_is_room_for(cpus, gpus, share, at_once):
    assert Cluster(cpus, gpus, local=True).at_once(share) == at_once


@pytest.mark.parametrize("share", [Share(cpus=3), Share(gpus=0.5)])
def test_more_than_the_cluster_has_is_refused(share):
    with pytest.raises(ValueError, match=r"(cpus|gpus)_per_run: expected . or fewer, as the cluster has"):
        Cluster(2, 0, local=True).at_once(share)


@pytest.fixture(scope="module")
def digits():
    return {"digits": data.load("digits", report=lambda _: None)}


@pytest.fixture(scope="module")
def cluster():
    with connected("", os.environ["KERAS_BACKEND"]) as found:
        yield found


def work(queue, digits, folder, cluster, **options):
    out = Console(file=io.StringIO(), width=200)
    outcome = run(queue, digits, folder, cluster, Share(), pipeline="memory", console=out, **options)
    return outcome, out.file.getvalue()


def workers():
    """Processes of this test's cluster that are training."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            training = (path / "cmdline").read_text().startswith("ray::_train_there")
            if training and os.getpid() in ancestors(int(path.name)):
                found.append(int(path.name))
        except OSError:
            continue
    return found


def ancestors(number):
    found = []
    while number > 1:
        number = int(Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[1])
        found.append(number)
    return found


@pytest.mark.slow
def test_runs_are_those_of_one_process(digits, cluster, tmp_path):
    # of the report's protocol, the last fold of seed 0 keeps its weights
    queue = [replace(task(fold=fold, epochs=1), protocol="report") for fold in (0, 1)]
    outcome, said = work(queue, digits, tmp_path / "cluster", cluster)
    assert (outcome.trained, outcome.failed) == (2, []), said
    assert "[2/2]" in said
    runner.run(queue, digits, tmp_path / "here", pipeline="memory", console=Console(file=io.StringIO()))
    files = [{path.name for path in (tmp_path / name).glob("*/*") if path.is_file()} for name in ("cluster", "here")]
    assert files[0] == files[1]
    assert {Path(name).suffix for name in files[0]} == {".json", ".npz"}
    there, here = (load_runs(tmp_path / name, pytest.fail) for name in ("cluster", "here"))
    assert there.keys() == here.keys()
    for key, stored in there.items():
        assert stored.scores["validation_accuracy"] == pytest.approx(here[key].scores["validation_accuracy"], abs=0.05)
    assert work(queue, digits, tmp_path / "cluster", cluster)[0].trained == 0


@pytest.mark.slow
def test_a_run_whose_worker_is_killed_still_arrives(digits, cluster, tmp_path):
    queue = [task(seed=seed, epochs=150) for seed in (0, 1)]  # seconds each
    keys, killed = [key_of(one, digits["digits"], "memory") for one in queue], []

    def kill():
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline and not killed:
            training = [number for number in workers() if "libtorch" in Path(f"/proc/{number}/maps").read_text()]
            if len(training) == 2:
                os.kill(training[0], signal.SIGKILL)
                time.sleep(0.6)
                # a run that had ended would have been written by now, and its lock given back
                killed.append(all(is_locked(tmp_path, key) for key in keys))
            time.sleep(0.02)

    watcher = threading.Thread(target=kill)
    watcher.start()
    outcome, said = work(queue, digits, tmp_path, cluster)
    watcher.join()
    assert killed == [True]
    assert (outcome.trained, outcome.failed) == (2, []), said
    assert len(load_runs(tmp_path, pytest.fail)) == 2


@pytest.mark.slow
def test_a_run_that_raises_is_named_and_the_others_arrive(digits, cluster, tmp_path):
    queue = [task(image_size=1, epochs=1), task(epochs=1)]
    outcome, _ = work(queue, digits, tmp_path, cluster)
    assert outcome.trained == 1
    (line,) = outcome.failed
    assert line.startswith("A-tiny · c · seed 0 · fold 1 of 2: ")


@pytest.mark.slow
def test_what_another_process_trains_or_does_not_fit_is_left(digits, cluster, tmp_path):
    class Never:
        def fits(self, tasks):
            return False

    queue = [task(epochs=1)]
    with locked(tmp_path, key_of(queue[0], digits["digits"], "memory")):
        assert work(queue, digits, tmp_path, cluster)[0].elsewhere == queue
    assert work(queue, digits, tmp_path, cluster, budget=Never())[0].unfit == queue


def listening():
    """Addresses that processes of this test's cluster listen at, as the kernel writes them: hexadecimal, reversed."""
    sockets = set()
    for path in Path("/proc").glob("[0-9]*"):
        try:
            if os.getpid() in (int(path.name), *ancestors(int(path.name))):
                sockets |= {
                    str(link.readlink()).removeprefix("socket:").strip("[]") for link in (path / "fd").iterdir()
                }
        except OSError:
            continue
    lines = [line.split() for name in ("tcp", "tcp6") for line in Path(f"/proc/net/{name}").read_text().splitlines()]
    return {line[1].partition(":")[0] for line in lines if line[3] == "0A" and line[9] in sockets}


@pytest.mark.slow
def test_a_local_cluster_listens_on_loopback_alone(cluster):
    assert os.environ["RAY_USAGE_STATS_ENABLED"] == "0"
    found = listening()
    assert found
    assert found <= {"0100007F", "0000000000000000FFFF00000100007F", "00000000000000000000000001000000"}


@pytest.mark.slow
def test_a_cluster_that_others_could_reach_is_refused(cluster, monkeypatch):
    import ray

    monkeypatch.setattr(ray, "init", lambda **_: None)
    monkeypatch.setattr(ray, "shutdown", lambda: None)
    monkeypatch.setattr(ray, "nodes", lambda: [{"NodeManagerAddress": "192.0.2.7"}])
    with pytest.raises(OSError, match=r"on 127.0.0.1 alone. Received: 192.0.2.7"), connected("", "torch"):
        pass


@pytest.mark.slow
def test_the_command_line_trains_on_a_cluster_of_its_own(tmp_path):
    folder = tmp_path / "experiments"
    folder.mkdir()
    (folder / "ablation_tiny.py").write_text("from tests.tiny_experiment import TINY")
    (folder / "reproduce.py").write_text(REPRODUCE)
    command = [sys.executable, str(folder / "reproduce.py"), "--ray", "--cpus-per-run", "1"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "KMODELS_DATA": str(tmp_path / "data")}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert (done.returncode, done.stdout) == (0, "4 runs: 4 done; none left\n"), done.stderr
    assert "[4/4]" in done.stderr
    assert len(load_runs(tmp_path / "results" / "quick", pytest.fail)) == 4


@pytest.mark.slow
def test_no_cluster_at_an_address_is_one_error(monkeypatch):
    import ray

    def unreachable(**_):
        raise ConnectionError("ray client connection timeout")

    monkeypatch.setattr(ray, "init", unreachable)
    with pytest.raises(OSError, match="Ray: ray://nowhere: ray client connection timeout"):
        connected("ray://nowhere", "torch").__enter__()
