"""One study a script: a search over recipes, the best of it and what a report chose by K folds, the winner's test."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NoReturn

from rich.console import Console

from kmodels.atomic_file import write_atomically
from kmodels.command_line import WrongUse, check_backend, process, say, script_parser
from kmodels.crossval.folder import kept_folds
from kmodels.crossval.result import FoldFailed, FoldScore
from kmodels.data import Dataset, DataUnavailable, load
from kmodels.plural import counted
from kmodels.report.tables import Table, to_markdown
from kmodels.results.provenance import tally
from kmodels.script_folder import results_folder
from kmodels.spec.experiment import Recipe, Split
from kmodels.tuner import tuners
from kmodels.tuner.recipes import RecipeCandidate, compare_recipes, score_winner, search_recipes

__all__ = ["Study", "main", "run_command", "run_study"]


@dataclass(frozen=True, kw_only=True)
class Study:
    """What is searched, how, and what it is compared with.

    Attributes:
        name: folder name of its results.
        question: one line for the tables.
        base: the recipe that the space changes; its split scores the trials of the search.
        space: from KerasTuner's `hp` to changes of the recipe.
        kind: which tuner.
        options: the tuner's own arguments, such as `max_trials`.
        split: what the best trials are compared by, such as 10 folds.
        top: how many of them.
        seeds: how many seeds they are compared with.
        further: name -> changes of `base`: what a report chose, compared by the same folds and seeds.
        quick: changes of `base` for the quick protocol.
        quick_options: the tuner's arguments there.
        quick_split: what is compared by there: one trial and the first of `further`.
        quick_space: the space there; None for the same.
    """

    name: str
    question: str
    base: Recipe
    space: Callable[[Any], Mapping[str, Any]]
    kind: Literal["RandomSearch", "BayesianOptimization", "Hyperband", "GridSearch"] = "RandomSearch"
    options: Mapping[str, Any]
    split: Split
    top: int = 3
    seeds: int = 1
    further: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    quick: Mapping[str, Any]
    quick_options: Mapping[str, Any]
    quick_split: Split
    quick_space: Callable[[Any], Mapping[str, Any]] | None = None


def run_study(study: Study, dataset: Dataset, results: Path, *, quick: bool, command: str = "") -> list[Table]:
    """Runs what is missing of a study, writes its tables, CSV file and figures, and returns the tables.

    The test set is opened by the report protocol only, at its end, for the winner.

    Args:
        study: what is asked.
        dataset: images that its recipes name.
        results: results folder; this study's is `tuning/<name>` in it, or `quick/tuning/<name>`.
        quick: the quick protocol.
        command: what makes the numbers; printed under the tables.

    Raises:
        SearchFailed: every trial failed.
        OSError: a file cannot be written.
    """
    base = study.base.change(**study.quick) if quick else study.base
    home = (results / "quick" if quick else results) / "tuning"
    options = study.quick_options if quick else study.options
    search_by = getattr(tuners, study.kind)(
        (study.quick_space or study.space) if quick else study.space,
        "val_accuracy",
        directory=str(home),
        project_name=study.name,
        **options,
    )
    found = search_recipes(search_by, base, dataset)
    protocol = "quick protocol: which way it points, no more" if quick else "report protocol"
    folder = home / study.name
    trained = [score for part in sorted(folder.glob("trial_*/folds")) for score in kept_folds(part)]
    tables = [tuners.trial_table(found, notes=(f"{study.question}; {protocol}.", _made_with(trained)))]
    candidates = compare_recipes(
        search_by,
        base,
        dataset,
        study.quick_split if quick else study.split,
        top=1 if quick else study.top,
        seeds=1 if quick else study.seeds,
        further=dict(list(study.further.items())[: 1 if quick else None]),
    )
    test = None if quick else score_winner(search_by, candidates[0], dataset)
    tables.append(candidate_table(study, candidates, base, test, command))
    write_atomically(folder / "table.md", "\n".join(map(to_markdown, tables)).encode())
    write_atomically(folder / "trials.csv", tuners.to_csv(found).encode())
    tuners.write_search_figures(found, folder)
    return tables


def candidate_table(
    study: Study,
    candidates: Sequence[RecipeCandidate],
    base: Recipe,
    test: Mapping[int, float] | None,
    command: str,
) -> Table:
    """Returns what the best trials and the further recipes came to by the same folds and seeds, best first."""
    rows = []
    for candidate in candidates:
        found, recipe = candidate.found, candidate.recipe
        spread = f" ± {100 * found.sd:.2f}" if len(found.seeds) > 1 else ""
        fold_sd = f"{100 * found.fold_sd:.2f}" if found.folds > 1 else "–"
        rows.append((candidate.name, _changes(base, recipe), f"{100 * found.mean:.2f}{spread}", fold_sd))
    first = candidates[0].found
    parts = f"{first.folds} folds" if first.folds > 1 else "hold-out"
    seeds = f"seed{'s' if len(first.seeds) > 1 else ''} {', '.join(map(str, first.seeds))}"
    notes = [f"The same {parts} and {seeds} for all; the search had other ones."]
    if test is not None:
        scores = ", ".join(f"{100 * score:.2f}" for score in test.values())
        notes.append(f"Test accuracy of {candidates[0].name}, opened once, for it only: {scores} % (one value a seed).")
    notes.append(_made_with([score for candidate in candidates for score in candidate.found.scores]))
    notes += [f"Made by: {command}"] if command else []
    columns = ("candidate", "changes", "accuracy (%)", "fold sd")
    return Table(
        f"{study.name}: the best trials again, and what was compared with them", columns, tuple(rows), tuple(notes)
    )


def _made_with(scores: Sequence[FoldScore]) -> str:
    trainings = counted(len(scores), "training")
    if not any(score.made_with for score in scores):
        return f"Hardware and versions of {trainings}: not recorded, as kmodels did not yet keep them then."
    made_with = tally([score.made_with or "not recorded" for score in scores], "training")
    return f"Hardware and versions of {trainings}: {made_with}."


def _changes(base: Recipe, recipe: Recipe) -> str:
    before, after = ({**r.as_dict(), **r.model_args} for r in (base, recipe))
    changed = [name for name in after if after[name] != before.get(name) and name not in ("model_args", "split")]
    return ", ".join(f"{name}={after[name]}" for name in changed) or "none"


def main(study: Study, argv: Sequence[str] | None = None) -> NoReturn:
    """Runs a study as the command line asks, and ends the process.

    Exit status: 0 done, 1 something failed, 2 a wrong value on the command line, 130 interrupted, 143 terminated; the
    same command goes on from where it was.

    Args:
        study: what the script declares.
        argv: arguments instead of the process's own.
    """
    process(lambda: run_command(study, sys.argv[1:] if argv is None else argv))


def run_command(study: Study, argv: Sequence[str]) -> int:
    """Does what a command line asks of a study and returns the exit status.

    Args:
        study: what the script declares.
        argv: the arguments after the script's name.
    """
    script = Path(sys.argv[0])
    try:
        asked = _parse(argv)
    except WrongUse as error:
        say(f"{script.name}: {error}")
        return 2
    command = f"python {script.parent.name}/{script.name} --protocol {asked.protocol}"
    try:
        dataset = load(study.base.dataset, report=say)
        tables = run_study(study, dataset, asked.out, quick=asked.protocol == "quick", command=command)
    except KeyboardInterrupt:
        say("\nInterrupted. Finished trainings are kept; the same command goes on from there.")
        return 130
    except (DataUnavailable, tuners.SearchFailed, FoldFailed, FloatingPointError, ValueError, OSError) as error:
        first, *more = str(error).strip().splitlines()  # a traceback lies beside the folds
        say(f"{script.name}: {first}{f' {more[-1]}' if more else ''}")
        return 1
    console = Console()
    for table in tables:
        console.print(tuners.to_terminal(table))
    return 0


def _parse(argv: Sequence[str]) -> argparse.Namespace:
    parser = script_parser()
    parser.add_argument("--protocol", choices=("quick", "report"), default="quick", help="minutes (default), or hours")
    parser.add_argument("--out", type=Path, metavar="DIR", help="results (default: beside tuning/)")
    asked = parser.parse_args(argv)
    check_backend()
    asked.out = asked.out or results_folder()
    return asked
