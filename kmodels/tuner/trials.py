"""What a search came to, read from its folder: trials as plain values. Nothing here imports Keras."""

from __future__ import annotations

import dataclasses
import json
import math
import statistics
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

__all__ = ["Search", "SearchFailed", "TrialResult", "read_search", "reported_metrics"]

_FOLD = "value_seed"


class SearchFailed(RuntimeError):
    """All trials of a search failed; the message holds the first cause."""


@dataclass(frozen=True, kw_only=True)
class TrialResult:
    """One trial.

    Attributes:
        name: KerasTuner's id of the trial, which counts them from 0.
        rank: 1 for the best; None for a trial without a score.
        hyperparameters: name -> value, without KerasTuner's own that begin with `tuner/`.
        status: `completed`, `failed`, `running` or another of KerasTuner's, in small letters.
        mean: mean over folds and seeds; None without a score.
        sd: standard deviation over seeds; None with one seed.
        fold_sd: standard deviation over the folds of a seed; None for a hold-out.
        values: (seed, fold) -> score.
        epochs: epochs that its models were trained in all, those of the trial that it goes on from included.
        seconds: time of its trainings.
        cause: why it failed; empty otherwise.
    """

    name: str
    rank: int | None
    hyperparameters: Mapping[str, Any]
    status: str
    mean: float | None = None
    sd: float | None = None
    fold_sd: float | None = None
    values: Mapping[tuple[int, int], float] = field(default_factory=dict)
    epochs: int | None = None
    seconds: float | None = None
    cause: str = ""

    @property
    def seeds(self) -> int:
        """Number of seeds."""
        return len({seed for seed, _ in self.values})

    @property
    def folds(self) -> int:
        """Number of folds."""
        return len({fold for _, fold in self.values})


@dataclass(frozen=True, kw_only=True)
class Search:
    """All trials of one search, in the order in which they began.

    Attributes:
        name: name of the project.
        objective: what the scores are.
        direction: `max` or `min`.
        trials: one entry each.
    """

    name: str
    objective: str
    direction: str
    trials: tuple[TrialResult, ...]

    @property
    def metric(self) -> str:
        """What the scores are, without the word for held-out samples that Keras puts before it."""
        return self.objective.removeprefix("val_")

    @property
    def is_share(self) -> bool:
        """Whether the scores are fractions that people read in percent."""
        return "acc" in self.metric

    def best(self, count: int = 1) -> tuple[TrialResult, ...]:
        """Returns the best trials, best first; fewer where fewer have a score."""
        ranked = sorted((t for t in self.trials if t.rank is not None), key=lambda t: t.rank or 0)
        return tuple(ranked[:count])

    def check(self) -> None:
        """Does nothing if a trial has a score.

        Raises:
            SearchFailed: trials failed and none has a score.
        """
        failed = [trial for trial in self.trials if trial.status == "failed"]
        if failed and not self.best():
            first = failed[0]
            raise SearchFailed(f"all {len(failed)} trials failed; the first one, trial {first.name}:\n{first.cause}")


def reported_metrics(objective: str, values: Mapping[tuple[int, int], float], found: Any) -> dict[str, float]:
    """Returns what a trial stores: mean, standard deviations, every fold's value, epochs and seconds.

    Args:
        objective: name that the oracle looks for.
        values: (seed, fold) -> score.
        found: the `CrossValidation`.
    """
    numbers = {objective: found.mean, "sd": found.sd, "fold_sd": found.fold_sd}
    numbers |= {f"{_FOLD}{seed}_fold{fold}": value for (seed, fold), value in values.items()}
    numbers |= {"epochs": statistics.fmean(score.epochs for score in found.scores), "seconds": found.seconds}
    return {name: float(value) for name, value in numbers.items() if not math.isnan(value)}


def read_search(folder: str | Path) -> Search:
    """Returns what a search has found so far, also while it is running.

    Args:
        folder: folder of the project: `directory/project_name` of the tuner.

    Raises:
        OSError: there is no search in the folder.
    """
    home = Path(folder)
    state = json.loads((home / "oracle.json").read_text(encoding="utf-8"))
    objective, direction = state["objective"], state["direction"]
    trials = [_trial(values, objective) for values in state["trials"].values()]
    sign = -1 if direction == "max" else 1
    order = sorted((t for t in trials if t.mean is not None), key=lambda t: (sign * (t.mean or 0.0), t.name))
    ranks = {trial.name: number for number, trial in enumerate(order, 1)}
    ranked = tuple(dataclasses.replace(trial, rank=ranks.get(trial.name)) for trial in trials)
    return Search(name=home.name, objective=objective, direction=direction, trials=ranked)


def _trial(state: Mapping[str, Any], objective: str) -> TrialResult:
    observed = state["metrics"]["metrics"]
    numbers = {name: entry["observations"][0]["value"][-1] for name, entry in observed.items()}
    completed = state["status"] == "COMPLETED"
    names = [name for name in numbers if name.startswith(_FOLD)]
    keys = {name: tuple(map(int, name.removeprefix(_FOLD).split("_fold"))) for name in names}
    return TrialResult(
        name=state["trial_id"],
        rank=None,
        hyperparameters={
            name: value for name, value in state["hyperparameters"]["values"].items() if not name.startswith("tuner/")
        },
        status=state["status"].lower(),
        mean=numbers.get(objective) if completed else None,
        sd=numbers.get("sd"),
        fold_sd=numbers.get("fold_sd"),
        values={(key[0], key[1]): numbers[name] for name, key in keys.items()},
        epochs=round(numbers["epochs"]) if "epochs" in numbers else None,
        seconds=numbers.get("seconds"),
        cause="" if completed else (state["message"] or "").strip(),
    )
