"""A search on several processes or machines: a chief chooses the trials, workers train them.

    python -m kmodels.tuner.roles supervise --workers 2 search.py    # one machine: lost workers are restarted
    python -m kmodels.tuner.roles chief search.py                    # or one command a role
    python -m kmodels.tuner.roles worker 0 search.py

All roles run the same script, which makes a tuner and calls its `search`, and share one folder. The port has no
authentication; --address is this machine's own by default, and should never be reachable from a public network.
"""

from __future__ import annotations

import argparse
import os
import runpy
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

from kmodels.checks import require
from kmodels.command_line import fitted, say

__all__ = ["environment_of", "main", "supervise"]


def environment_of(role: str, *, address: str = "127.0.0.1", port: int = 8000) -> dict[str, str]:
    """Returns the environment variables by which KerasTuner knows a process's part.

    Args:
        role: `chief`, or `worker` and a number.
        address: where the chief listens.
        port: its port.

    Example:
        >>> environment_of("worker 1")["KERASTUNER_TUNER_ID"]
        'tuner1'
    """
    name = "chief" if role == "chief" else f"tuner{role.removeprefix('worker').strip()}"
    return {"KERASTUNER_TUNER_ID": name, "KERASTUNER_ORACLE_IP": address, "KERASTUNER_ORACLE_PORT": str(port)}


def supervise(
    command: Sequence[str],
    *,
    workers: int,
    address: str = "127.0.0.1",
    port: int | None = None,
    restarts: int = 3,
    time_limit_seconds: float | None = None,
) -> int:
    """Runs a chief and its workers on this machine until the search is done or cannot go on.

    A worker that is lost is started again under its own id: KerasTuner gives its unfinished trial to nobody else.
    Finished folds of that trial are read, not trained again.

    Args:
        command: the script and its arguments, as Python's interpreter takes them.
        workers: how many, 1 or more.
        address: where the chief listens.
        port: its port; None for a free one.
        restarts: how often one worker is started again before the search is given up.
        time_limit_seconds: when to end everything; None for never.

    Returns:
        The chief's exit status; 1 where a worker was lost too often or the chief was, 124 at the time limit. Nothing
        goes on running, and the same call later goes on from there.

    Raises:
        ValueError: an argument is outside its range.
    """
    require(workers >= 1, "workers", "1 or more", workers)
    require(restarts >= 0, "restarts", "0 or more", restarts)
    port = port or _free_port(address)
    began = time.monotonic()

    def start(role: str) -> subprocess.Popen[bytes]:
        where = {**os.environ, **environment_of(role, address=address, port=port)}
        return subprocess.Popen([sys.executable, *command], env=where, start_new_session=True)

    chief = start("chief")
    running = {number: start(f"worker {number}") for number in range(workers)}
    lost = dict.fromkeys(running, 0)
    try:
        while chief.poll() is None:
            for number, process in list(running.items()):
                status = process.poll()
                if status is None:
                    continue
                if status == 0:  # it was told that there is nothing left to do
                    del running[number]
                    continue
                lost[number] += 1
                if lost[number] > restarts:
                    say(f"worker {number} was lost {lost[number]} times (exit status {status}): the search is ended")
                    return 1
                say(f"worker {number} was lost (exit status {status}) and is started again")
                running[number] = start(f"worker {number}")
            if time_limit_seconds is not None and time.monotonic() - began > time_limit_seconds:
                say(f"the time limit of {time_limit_seconds:g} s is over: the search is ended")
                return 124
            time.sleep(0.2)
        if chief.returncode < 0:
            say(f"the chief was lost (signal {-chief.returncode}): the search is ended; the same command goes on")
            return 1
        _wait(running.values(), 30.0)  # they were told, too
        return chief.returncode
    finally:
        _end([*running.values(), chief])


def _free_port(address: str) -> int:
    with socket.socket() as probe:
        probe.bind((address, 0))
        return int(probe.getsockname()[1])


def _wait(processes: Iterable[subprocess.Popen[bytes]], seconds: float) -> None:
    until = time.monotonic() + seconds
    for process in list(processes):
        while process.poll() is None and time.monotonic() < until:
            time.sleep(0.1)


def _end(processes: Sequence[subprocess.Popen[bytes]]) -> None:
    """Ends processes with what they started; each leads a session of its own."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        for process in processes:
            if process.poll() is None:
                os.killpg(process.pid, number)
        _wait(processes, 10.0)


def main(argv: Sequence[str]) -> int:
    """Does what the command line asks and returns the exit status.

    Args:
        argv: the arguments after `python -m kmodels.tuner.roles`.
    """
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(
        "python -m kmodels.tuner.roles", description=fitted(__doc__ or ""), formatter_class=raw
    )
    commands = parser.add_subparsers(dest="role", required=True, metavar="ROLE")
    for name, said in (
        ("chief", "chooses the trials"),
        ("worker", "trains them"),
        ("supervise", "a chief and workers on this machine"),
    ):
        each = commands.add_parser(name, help=said)
        each.add_argument("--address", default="127.0.0.1", help="where the chief listens (default: this machine only)")
        each.add_argument("--port", type=int, default=None if name == "supervise" else 8000, help="its port")
        if name == "worker":
            each.add_argument("number", type=int, help="0, 1, …: another one for each worker, the same after a restart")
        if name == "supervise":
            each.add_argument("--workers", type=int, default=2, help="how many (default: 2)")
            each.add_argument("--restarts", type=int, default=3, help="of one worker (default: 3)")
            each.add_argument("--time-limit", type=float, metavar="SECONDS", help="end everything after this long")
        each.add_argument("script", type=Path, help="makes a tuner and calls its `search`")
        each.add_argument("arguments", nargs=argparse.REMAINDER, help="of the script")
    asked = parser.parse_args(argv)
    if asked.role == "supervise":
        for name in ("SIGTERM", "SIGHUP"):  # else chief and workers would go on without their supervisor
            if hasattr(signal, name):
                signal.signal(getattr(signal, name), lambda number, frame: sys.exit(128 + number))
        return supervise(
            [str(asked.script), *asked.arguments],
            workers=asked.workers,
            address=asked.address,
            port=asked.port,
            restarts=asked.restarts,
            time_limit_seconds=asked.time_limit,
        )
    role = "chief" if asked.role == "chief" else f"worker {asked.number}"
    os.environ.update(environment_of(role, address=asked.address, port=asked.port))
    sys.argv = [str(asked.script), *asked.arguments]
    sys.path.insert(0, str(asked.script.resolve().parent))
    runpy.run_path(str(asked.script), run_name="__main__")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
