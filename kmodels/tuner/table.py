"""A search as a table: for the terminal, as Markdown and as CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from typing import Any

from rich import box
from rich.console import Group
from rich.padding import Padding
from rich.table import Table as RichTable
from rich.text import Text

from kmodels.report.tables import Table
from kmodels.tuner.trials import Search, TrialResult

__all__ = ["to_csv", "to_terminal", "trial_table"]


def trial_table(search: Search, *, notes: Sequence[str] = ()) -> Table:
    """Returns the trials, best first, then those without a score.

    `to_terminal` and `kmodels.report.tables.to_markdown` show it.

    Args:
        search: what was found.
        notes: further lines below the table, such as the command that made it.

    Example:
        >>> trial = TrialResult(name="0", rank=1, hyperparameters={"dropout": 0.5}, status="completed", mean=0.9,
        ...                     fold_sd=0.01, values={(0, 0): 0.89, (0, 1): 0.91}, epochs=3, seconds=12.0)
        >>> found = Search(name="lenet", objective="val_accuracy", direction="max", trials=(trial,))
        >>> trial_table(found).rows
        (('1', 'dropout=0.5', '90.00', '1.00', '2', '3', '12', 'completed'),)
    """
    metric = search.metric
    scale, unit = (100, " (%)") if search.is_share else (1, "")
    several = any(trial.sd is not None for trial in search.trials)
    columns = ("rank", "hyper-parameters", f"{metric}{unit}", "fold sd", "folds", "epochs", "s", "status")
    order = sorted(search.trials, key=lambda trial: (trial.rank is None, trial.rank or 0, trial.name))
    rows = tuple(
        (
            "–" if trial.rank is None else str(trial.rank),
            ", ".join(f"{name}={_short(value)}" for name, value in trial.hyperparameters.items()) or "defaults",
            _score(trial, scale),
            "–" if trial.fold_sd is None else f"{scale * trial.fold_sd:.{_digits(scale)}f}",
            str(trial.folds) if trial.folds else "–",
            "–" if trial.epochs is None else str(trial.epochs),
            "–" if trial.seconds is None else f"{trial.seconds:.0f}",
            trial.status,
        )
        for trial in order
    )
    seeds = max((trial.seeds for trial in search.trials), default=0)
    spread = f"mean ± standard deviation over {seeds} seeds, each the mean of its folds" if several else "mean of folds"
    fold_sd = "how much the parts differ; folds share training samples, so it is no error of the mean."
    if {len(trial.values) for trial in search.trials if trial.values} == {1}:
        spread, fold_sd = "one held-out part and one seed", "none, as one part has no spread."
    below = [
        f"{metric}: {spread}, of samples not trained on; the best of several trials looks better than it is.",
        f"fold sd: {fold_sd}",
        "s: seconds of a trial's trainings.",
        *(f"trial {t.name} failed: {t.cause.strip().splitlines()[-1]}" for t in search.trials if t.cause),
    ]
    return Table(f"{search.name}: {len(search.trials)} trials", columns, rows, (*below, *notes))


def to_terminal(table: Table) -> Group:
    """Returns a table whose second column is wrapped, and no number cut, in a terminal of 80 columns."""
    grid = RichTable(box=box.SIMPLE_HEAD, show_edge=False, collapse_padding=True, pad_edge=False)
    for number, name in enumerate(table.columns):
        grid.add_column(name, no_wrap=number != 1, overflow="fold", min_width=0 if number == 1 else 4)
    for rank, settings, *rest in table.rows:
        wrapped = settings.replace("=", " = ")  # a line may end before a value, not inside it
        grid.add_row(*map(Text, (rank, wrapped, *rest)))
    notes = [Padding(Text(note, style="dim"), (0, 0, 0, 1)) for note in table.footnotes]
    return Group(Text(table.title, style="bold"), Text(""), grid, Text(""), *notes)


def to_csv(search: Search) -> str:
    """Returns the trials in the order in which they began: one line each, a column a hyper-parameter and fold.

    Numbers are fractions and seconds, as stored; an empty field is a number that there is not.
    """
    names = list(dict.fromkeys(name for trial in search.trials for name in trial.hyperparameters))
    keys = sorted({key for trial in search.trials for key in trial.values})
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    head = ["trial", "rank", "status", *names, "mean", "sd", "fold_sd", "folds", "seeds", "epochs", "seconds"]
    writer.writerow([*head, *(f"seed{seed}_fold{fold}" for seed, fold in keys), "cause"])
    for trial in search.trials:
        own = [trial.hyperparameters.get(name, "") for name in names]
        numbers = [trial.mean, trial.sd, trial.fold_sd, trial.folds, trial.seeds, trial.epochs, trial.seconds]
        values = [trial.values.get(key, "") for key in keys]
        cause = trial.cause.strip().splitlines()[-1] if trial.cause else ""
        line = [trial.name, trial.rank, trial.status, *own, *numbers, *values, cause]
        writer.writerow(["" if entry is None else entry for entry in line])
    return stream.getvalue()


def _score(trial: TrialResult, scale: int) -> str:
    if trial.mean is None:
        return "–"
    mean, digits = scale * trial.mean, _digits(scale)
    return f"{mean:.{digits}f}" + ("" if trial.sd is None else f" ± {scale * trial.sd:.{digits}f}")


def _digits(scale: int) -> int:
    return 2 if scale == 100 else 4


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
