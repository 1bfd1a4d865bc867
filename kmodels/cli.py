"""The command line that every experiment script shares: flags say how much and where, never what.

Keras, the data and matplotlib are imported only when something is trained or drawn, so `--help` and `--list` answer at
once.
"""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from kmodels.checks import require
from kmodels.command_line import (
    PIPELINES,
    WrongUse,
    check_backend,
    check_kept_weights,
    positive,
    process,
    say,
    script_parser,
)
from kmodels.script_folder import results_folder
from kmodels.spec.experiment import Experiment, Precision
from kmodels.spec.variants import in_precision, narrowed, on_dataset

__all__ = ["main", "run_command"]

DATASETS = ("mnist", "fashion_mnist", "cifar10", "cifar100", "digits")


def main(*experiments: Experiment, argv: Sequence[str] | None = None) -> NoReturn:
    """Runs a script's experiments as its command line asks, and ends the process.

    Exit status: 0 done, 1 something failed, 2 a wrong value on the command line, 130 interrupted, 143 terminated.

    Args:
        *experiments: what the script declares.
        argv: arguments instead of the process's own.
    """
    process(lambda: run_command(experiments, sys.argv[1:] if argv is None else argv))


def run_command(experiments: Sequence[Experiment], argv: Sequence[str]) -> int:
    """Does what a command line asks of a script's experiments and returns the exit status.

    Args:
        experiments: what the script declares.
        argv: the arguments after the script's name.

    Raises:
        ValueError: the script declares no experiment, or two of one name, whose results would be mixed up.
    """
    names = [experiment.name for experiment in experiments]
    require(0 < len(names) == len(set(names)), "experiments", "one or more, each with a name of its own", names)
    try:
        asked = _parse(argv)
        whole = _varied(experiments, asked)
        chosen = _selected(whole, asked)
    except WrongUse as error:
        say(f"{Path(sys.argv[0]).name}: {error}")
        return 2
    if asked.list:
        for experiment in chosen:
            _list(experiment)
        return 0
    where = {
        "backend": asked.backend,
        "command": _command(asked),
        "pipeline": asked.pipeline,
        "script": whole,
    }
    try:
        from kmodels.running import session  # NumPy, SciPy, matplotlib: not needed for what is above

        amount = session.Amount(asked.protocol or ("report" if asked.report else "quick"), asked.seeds, asked.folds)
        # the table that stands for an experiment is that of the whole experiment, as the report ran it
        draw = amount.quick or (not (asked.only or asked.folds or asked.dataset or asked.precision))
        if asked.report:
            session.show(chosen, asked.out, amount, **where, draw=draw)
            return 0
        return session.train(chosen, asked.out, amount, **where, fallback=not asked.dataset, draw=draw)
    except KeyboardInterrupt:
        say("\nInterrupted. Finished runs are kept; the same command goes on from there.")
        return 130
    except OSError as error:
        say(f"{Path(sys.argv[0]).name}: {error}")
        return 1


def _parse(argv: Sequence[str]) -> argparse.Namespace:
    parser = script_parser()
    add = parser.add_argument
    add(
        "--protocol", choices=("quick", "report"), help="quick (default): minutes; report: as the report trained, hours"
    )
    add("--seeds", type=positive, metavar="N", help="train seeds 0 to N-1 (quick: 1; report: what the script says)")
    add("--folds", type=positive, metavar="N", help="train only the first N folds of the split")
    add(
        "--only", metavar="TEXT", help="only experiments whose name, row or cell begins with TEXT; a letter is a report"
    )
    add("--dataset", choices=DATASETS, help="train on other images than the report did")
    add("--precision", choices=Precision.__args__, help="arithmetic of training")  # type: ignore[attr-defined]
    add("--pipeline", choices=PIPELINES, default="memory", help="how images are fed (default: memory)")
    add("--out", type=Path, metavar="DIR", help="results folder (default: results beside the experiments folder)")
    add("--report", action="store_true", help="tables and figures from results; train nothing")
    add("--list", action="store_true", help="experiments, cells, rows and claims; train nothing")
    asked = parser.parse_args(argv)
    if asked.list:
        for name in ("protocol", "seeds", "folds", "out", "report"):
            if getattr(asked, name):
                raise WrongUse(f"argument --{name}: expected without --list, which shows what the script declares")
        if asked.pipeline != "memory":
            raise WrongUse("argument --pipeline: expected without --list, which trains nothing")
    asked.backend = check_backend()
    check_kept_weights()
    asked.out = results_folder() if asked.out is None else asked.out
    if asked.out.exists() and not asked.out.is_dir():
        raise WrongUse(f"argument --out: expected a folder. Received: {str(asked.out)!r}")
    return asked


def _command(asked: argparse.Namespace) -> str:
    """The command line that makes the numbers, without its protocol: flags that only choose what is shown left out."""
    script = Path(sys.argv[0])
    words = ["python", f"{script.parent.name}/{script.name}"]
    for name in ("seeds", "folds", "only", "dataset", "precision"):
        if (value := getattr(asked, name)) is not None:
            words += [f"--{name}", str(value)]
    if asked.pipeline != "memory":
        words += ["--pipeline", asked.pipeline]
    return shlex.join(words)


def _selected(experiments: Sequence[Experiment], asked: argparse.Namespace) -> list[Experiment]:
    chosen = list(experiments)
    if asked.only is not None:
        chosen = [part for part in (narrowed(experiment, asked.only) for experiment in experiments) if part]
    if not chosen:
        names = dict.fromkeys(n for e in experiments for n in (e.name, *(row.id for row in e.rows), *e.all_cells()))
        raise WrongUse(
            f"argument --only: expected the beginning of one of {', '.join(names)}. Received: {asked.only!r}"
        )
    deepest = max(experiment.base.split.folds for experiment in chosen)
    if asked.folds is not None and asked.folds > deepest:
        raise WrongUse(f"argument --folds: expected {deepest} or fewer, as the split has. Received: {asked.folds}")
    return chosen


def _varied(experiments: Sequence[Experiment], asked: argparse.Namespace) -> list[Experiment]:
    chosen = list(experiments)
    try:
        if asked.dataset:
            chosen = [on_dataset(experiment, asked.dataset) for experiment in chosen]
        if asked.precision:
            chosen = [in_precision(experiment, asked.precision) for experiment in chosen]
    except ValueError as error:
        raise WrongUse(str(error)) from error
    return chosen


def _list(experiment: Experiment) -> None:
    print(f"{experiment.name}: {experiment.question}")
    for cell in experiment.all_cells():
        rows = ", ".join(dict.fromkeys(row.id for row in experiment.rows if row.cell == cell))
        kind = ", ".join(filter(None, (rows, "added" if cell in experiment.repaired else "")))
        print(f"  {cell}{f'  [{kind}]' if kind else ''}")
    for claim in experiment.claims:
        print(f"  claim: {claim.text}")
