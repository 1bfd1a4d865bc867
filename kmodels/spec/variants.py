"""Experiments made from experiments: fewer cells, other images, other arithmetic."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

from kmodels.spec.experiment import Experiment, Precision

__all__ = ["in_precision", "narrowed", "on_dataset"]

_DIGITS_IMAGES = 1350  # nine tenths of the training images of `digits`


def narrowed(experiment: Experiment, start: str) -> Experiment | None:
    """Returns the experiment with only the cells that a text names, or None where it names none.

    Args:
        experiment: what to choose from.
        start: the beginning of the experiment's name (then all cells stay), of a report row or of a cell; any case.
            A single letter is a report's, and names no cell.
    """
    wanted = start.casefold()
    if experiment.name.casefold().startswith(wanted):
        return experiment
    named = {row.cell for row in experiment.rows if row.id.casefold().startswith(wanted)}
    if len(wanted) > 1:
        named |= {cell for cell in experiment.all_cells() if cell.casefold().startswith(wanted)}
    if not named:
        return None
    return dataclasses.replace(
        experiment,
        cells={name: changes for name, changes in experiment.cells.items() if name in named},
        repaired={name: changes for name, changes in experiment.repaired.items() if name in named},
        rows=[row for row in experiment.rows if row.cell in named],
        claims=[claim for claim in experiment.claims if {c for pair in claim.pairs() for c in pair} <= named],
    )


def on_dataset(experiment: Experiment, dataset: str) -> Experiment:
    """Returns the experiment on other images; its rows lose the reported numbers, which say nothing about those.

    `digits` has 8x8 images, enlarged instead of padded, and so few of them that the quick protocol makes as many more
    passes as keep the number of steps.

    Raises:
        ValueError: a recipe cannot be changed so.
    """
    if dataset == experiment.base.dataset:
        return experiment
    base, quick = experiment.base.change(dataset=dataset), experiment.quick
    if dataset == "digits":
        base = base.change(resize="bilinear")
        if quick is not None:
            recipe = experiment.base.change(**quick)
            passes = math.ceil(recipe.epochs * (recipe.train_images or _DIGITS_IMAGES) / _DIGITS_IMAGES)
            quick = {**quick, "epochs": passes, "train_images": None}
    return _elsewhere(experiment, dataset, base=base, quick=quick)


def in_precision(experiment: Experiment, precision: Precision) -> Experiment:
    """Returns the experiment in other arithmetic; its rows lose the reported numbers.

    Raises:
        ValueError: there is no such precision.
    """
    if precision == experiment.base.precision:
        return experiment
    return _elsewhere(experiment, precision, base=experiment.base.change(precision=precision))


def _elsewhere(experiment: Experiment, where: str, **changes: Any) -> Experiment:
    """What the report says is not about this: its numbers go, and question and claims say where they are asked."""
    return dataclasses.replace(
        experiment,
        question=f"{experiment.question} (here: {where})",
        rows=[dataclasses.replace(row, reported=None) for row in experiment.rows],
        claims=[
            dataclasses.replace(claim, text=f"{claim.text} (asked here of {where})") for claim in experiment.claims
        ],
        **changes,
    )
