"""The flags of `experiments/reproduce.py`."""

from __future__ import annotations

import argparse
import importlib.util
from collections.abc import Sequence
from pathlib import Path

from kmodels.command_line import PIPELINES, WrongUse, check_backend, check_kept_weights, positive, script_parser
from kmodels.durations import seconds_in
from kmodels.spec.experiment import Precision

__all__ = ["parsed"]


def parsed(folder: Path, argv: Sequence[str]) -> argparse.Namespace:
    """Returns what a command line asks for.

    Args:
        folder: of the scripts; results go beside it.
        argv: the arguments after the script's name.

    Raises:
        WrongUse: a value is wrong.
    """
    parser = script_parser()
    add = parser.add_argument
    add(
        "--protocol",
        choices=("quick", "report"),
        default="quick",
        help="quick (default): minutes a script; report: as the reports trained, days in all",
    )
    add("--seeds", type=positive, metavar="N", help="train seeds 0 to N-1 (quick: 1; report: what each script says)")
    add("--folds", type=positive, metavar="N", help="train only the first N folds of a split")
    add(
        "--only",
        metavar="TEXT",
        help="only scripts, experiments, rows or cells that begin with TEXT; a letter is a report",
    )
    add("--precision", choices=Precision.__args__, help="arithmetic of training")  # type: ignore[attr-defined]
    add("--pipeline", choices=PIPELINES, default="memory", help="how images are fed (default: memory)")
    add("--out", type=Path, metavar="DIR", help="results folder (default: results beside the scripts' folder)")
    add("--list", action="store_true", help="the queue with its estimates; train nothing")
    add("--time-budget", type=_budget, metavar="TIME", help="begin nothing that would not end in time: 90s, 9m, 1.5h")
    add(
        "--shard",
        type=_part,
        metavar="I/N",
        help="only part I of N, the same on every machine; give all of them the same flags",
    )
    add(
        "--ray",
        nargs="?",
        const="",
        metavar="ADDRESS",
        help="train on a Ray cluster; without ADDRESS on one of this machine",
    )
    add("--cpus-per-run", type=positive, metavar="N", help="with --ray: CPUs of one run (default: 1)")
    add(
        "--gpus-per-run",
        type=_fraction,
        metavar="X",
        help="with --ray: GPUs of one run, such as 0.25 (default: 1 where there are any)",
    )
    asked = parser.parse_args(argv)
    asked.backend = check_backend()
    check_kept_weights()
    asked.out = folder.parent / "results" if asked.out is None else asked.out
    if asked.out.exists() and not asked.out.is_dir():
        raise WrongUse(f"argument --out: expected a folder. Received: {str(asked.out)!r}")
    if asked.list and asked.time_budget is not None:
        raise WrongUse("argument --time-budget: expected without --list, which shows the queue whole")
    if asked.list and asked.pipeline != "memory":
        raise WrongUse("argument --pipeline: expected without --list, which trains nothing")
    if asked.ray is None and not (asked.cpus_per_run is None and asked.gpus_per_run is None):
        raise WrongUse("arguments --cpus-per-run, --gpus-per-run: expected with --ray alone")
    if asked.ray is not None and importlib.util.find_spec("ray") is None:
        raise WrongUse('argument --ray: expected Ray to be installed: pip install "kmodels[ray]"')
    return asked


def _budget(text: str) -> float:
    try:
        return seconds_in(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _part(text: str) -> tuple[int, int]:
    words = text.split("/")
    if len(words) == 2 and all(word.isascii() and word.isdigit() for word in words):
        index, count = map(int, words)
        if 1 <= index <= count:
            return index, count
    raise argparse.ArgumentTypeError(f"expected I/N with I from 1 to N. Received: {text!r}")


def _fraction(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not (0.0 <= value <= 1.0 or value in range(2, 65)):
        raise argparse.ArgumentTypeError(f"expected a share of one GPU in [0, 1], or whole GPUs. Received: {text!r}")
    return value
