"""What is said of runs: measures, numbers that a report prints, and claims over cells. Standard library only."""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from kmodels.checks import require

__all__ = ["MEASURES", "POINTS", "Claim", "Measure", "Reported", "Row"]

Kind = Literal["order", "best", "worst", "no_better", "equal", "difference"]
_KINDS: tuple[Kind, ...] = ("order", "best", "worst", "no_better", "equal", "difference")
_WITH_MARGIN = ("no_better", "equal", "difference")


@dataclass(frozen=True)
class Measure:
    """One thing that is measured of a run: how it is called, its unit and which way is better.

    Attributes:
        label: words for tables and axes.
        unit: `%` for fractions shown as percent, else the unit as text (may be empty).
        higher_is_better: direction in which a claim's "better" points.
        spread: the value of a cell and seed is the standard deviation over folds, not the mean.
        last_fold: the value of a cell and seed is that of its last fold alone.
        probabilities: needs the probabilities of test images, which runs over folds do not keep.
        of_machine: says something of the machine too, so that only runs of one are compared.
        threshold: for epochs until something is reached, what: a validation accuracy in (0, 1]; 0 otherwise.
        exact: counted from the network alone, so that every seed gives the same: there is nothing to test.
    """

    label: str
    unit: str
    higher_is_better: bool
    spread: bool = False
    last_fold: bool = False
    probabilities: bool = False
    of_machine: bool = False
    threshold: float = 0.0
    exact: bool = False

    def on_test_images(self) -> Measure:
        """Returns the measure as it is called where the validation images are the test images.

        Example:
            >>> MEASURES["epochs_to_90"].on_test_images().label
            'epochs to 90 % test accuracy'
        """
        return dataclasses.replace(self, label=self.label.replace("validation", "test"))


MEASURES: dict[str, Measure] = {
    "validation_accuracy": Measure("validation accuracy", "%", True),
    "test_accuracy": Measure("test accuracy", "%", True),
    "last_fold_test_accuracy": Measure("test accuracy of the last fold's weights", "%", True, last_fold=True),
    "test_accuracy_sampled": Measure("test accuracy, class drawn", "%", True),
    "test_accuracy_training_mode": Measure("test accuracy, each image's own statistics", "%", True),
    "test_accuracy_training_mode_sampled": Measure("test accuracy, own statistics and class drawn", "%", True),
    "test_accuracy_lost": Measure("test accuracy lost by own statistics and drawing", "%", False),
    "maximum_test_accuracy": Measure("test accuracy, maximum over the epochs", "%", True),
    "validation_loss": Measure("validation loss", "", False),
    "test_nll": Measure("test negative log-likelihood", "nats", False, probabilities=True),
    "test_ece": Measure("test expected calibration error", "%", False, probabilities=True),
    "train_loss": Measure("training loss", "", False),
    "train_accuracy": Measure("training accuracy", "%", True),
    "validation_accuracy_spread": Measure(
        "validation accuracy, standard deviation over folds", "%", False, spread=True
    ),
    "accuracy_gap": Measure("training and validation accuracy, distance", "%", False),
    "loss_gap": Measure("training and validation loss, distance", "", False),
    "mean_train_loss": Measure("training loss, mean over the epochs", "", False),
    "late_train_loss_fall": Measure("training loss, share of its fall in the second half of the epochs", "%", True),
    "train_loss_sum": Measure("training loss, sum over the last epoch's batches", "", False),
    "late_accuracy_gain": Measure("validation accuracy, gained in the second half of the epochs", "%", True),
    "validation_accuracy_swing": Measure("validation accuracy, mean change from epoch to epoch", "%", False),
    "validation_loss_rise": Measure("validation loss, rise from its lowest epoch to the last", "", False),
    "validation_loss_swing": Measure("validation loss, mean change from epoch to epoch", "", False),
    "seconds": Measure("training time", "s", False, of_machine=True),
    "images_per_second": Measure("training images a second", "images/s", True, of_machine=True),
    "peak_memory": Measure("peak memory", "GiB", False, of_machine=True),
    "best_validation_accuracy": Measure("validation accuracy, best epoch", "%", True),
    "mean_probabilities_validation_accuracy": Measure("validation accuracy, probabilities averaged", "%", True),
    "majority_validation_accuracy": Measure("validation accuracy, majority vote", "%", True),
    "gradient_ratio": Measure("gradient norm, first over last convolution, log10, mean over the epochs", "", True),
    "initial_gradient_ratio": Measure("gradient norm, first over last convolution, log10, before training", "", True),
    "parameters": Measure("trainable parameters", "thousand", False, exact=True),
    "macs": Measure("multiply-accumulates an image", "million", False, exact=True),
}

MEASURES |= {
    f"epochs_to_{percent}": Measure(
        f"epochs to {percent} % validation accuracy", "epochs", False, threshold=percent / 100
    )
    for percent in (50, 60, 70, 80, 85, 90, 95, 98, 99)
}

POINTS = 0.005
"""Margin below which a difference between two shares counts as none, unless a claim names another: half a point."""


@dataclass(frozen=True)
class Reported:
    """A number as a report prints it.

    Attributes:
        value: the number; accuracies as fractions in [0, 1].
        rounding: half a unit of the last printed digit, in the units of `value` ("78.71 %" has 0.00005).
        bound: `point`, or `at least` / `at most` where the report gives only a bound ("over 80 %").
        other_images: on how many validation images that are not ours the number was measured, 1 or more, as where
            report and runs each drew their own; None where they are the same, as test images are.

    Raises:
        ValueError: `other_images` is below 1.
    """

    value: float
    rounding: float = 0.0
    bound: Literal["point", "at least", "at most"] = "point"
    other_images: int | None = None

    def __post_init__(self) -> None:
        count = self.other_images
        require(count is None or count >= 1, "other_images", "None, or 1 or more", count)


@dataclass(frozen=True)
class Row:
    """One row of a report's table: where it stands, which cell trains it, what the report says.

    Attributes:
        id: the row's id in the digest of the reports, such as `A-1.2` or `E-T4`.
        cell: name of a cell of the experiment; rows may share one.
        reported: the number, or None where the report prints none.
        measure: a key of `MEASURES`.

    Raises:
        ValueError: there is no such measure, or it is no share of validation images and `reported.other_images` is set.
    """

    id: str
    cell: str
    reported: Reported | None = None
    measure: str = "validation_accuracy"

    def __post_init__(self) -> None:
        require(self.measure in MEASURES, "measure", f"one of {', '.join(MEASURES)}", self.measure)
        if self.reported is not None and self.reported.other_images is not None:
            of_validation = self.measure.endswith("validation_accuracy")
            require(of_validation, "measure", "a validation accuracy where other_images is set", self.measure)


@dataclass(frozen=True, kw_only=True)
class Claim:
    """A statement over cells that the runs can confirm or refute, of exactly one kind.

    Attributes:
        text: the statement in words, beginning with the row id it comes from, or, for one of ours, with
            `Repaired:`, `Ours:` or `Beyond` and that id.
        measure: a key of `MEASURES`; its direction says what "better" means.
        order: cells from best to worst; every neighbour must beat the next.
        best: the first cell must beat each of the others.
        worst: each of the others must beat the first cell.
        no_better: the first cell beats none of the others by `margin` or more.
        equal: no two of the cells are `margin` or more apart.
        difference: two cells; the first is `size` better than the second, give or take less than `margin`.
        share: for `worst`, the share of its comparisons that must hold, in (0, 1]: 2/3 of three is two of them.
        size: for `difference`, how much better, in the measure's units, above 0.
        margin: for the last three kinds, above 0, in the measure's units; None for 0.5 points of a share, and not to
            be left out for measures without points.

    Raises:
        ValueError: not exactly one kind is given, its cells are not two or more different ones (exactly two for
            `difference`), or a number does not go with the kind.

    Example:
        >>> Claim(text="B-2: flip beats none", best=["flip", "none"]).pairs()
        (('flip', 'none'),)
        >>> Claim(text="D-4: about equal", equal=["SE-ResNet", "ResNet"]).width
        0.005
    """

    text: str
    measure: str = "validation_accuracy"
    order: Sequence[str] = ()
    best: Sequence[str] = ()
    worst: Sequence[str] = ()
    no_better: Sequence[str] = ()
    equal: Sequence[str] = ()
    difference: Sequence[str] = ()
    share: float = 1.0
    size: float = 0.0
    margin: float | None = None

    def __post_init__(self) -> None:
        require(self.measure in MEASURES, "measure", f"one of {', '.join(MEASURES)}", self.measure)
        given = {name: tuple(getattr(self, name)) for name in _KINDS if getattr(self, name)}
        require(len(given) == 1, ", ".join(_KINDS), "exactly one of them", given)
        cells = given[self.kind]
        require(len(cells) >= 2 and len(set(cells)) == len(cells), self.kind, "two or more different cells", cells)
        is_difference = self.kind == "difference"
        require(not is_difference or len(cells) == 2, "difference", "two cells", cells)
        if is_difference:
            require(0.0 < self.size < math.inf, "size", "a finite number above 0", self.size)
        else:
            require(self.size == 0.0, "size", f"0 for {self.kind}", self.size)
        require(0.0 < self.share <= 1.0, "share", "a number in (0, 1]", self.share)
        require(self.kind == "worst" or self.share == 1.0, "share", f"1 for {self.kind}", self.share)
        if self.kind not in _WITH_MARGIN:
            require(self.margin is None, "margin", f"None for {self.kind}", self.margin)
        elif self.margin is None:
            in_points = MEASURES[self.measure].unit == "%"
            require(in_points, "margin", f"a number above 0 for {self.measure}", self.margin)
        else:
            require(0.0 < self.margin < math.inf, "margin", "a finite number above 0", self.margin)

    @property
    def ours(self) -> bool:
        """Whether it is a statement of ours, and not a report's."""
        return self.text.startswith(("Repaired:", "Beyond ", "Ours:"))

    @property
    def kind(self) -> Kind:
        """Which of the kinds this claim is."""
        return next(name for name in _KINDS if getattr(self, name))

    @property
    def width(self) -> float:
        """The margin in force; 0 for kinds without one."""
        if self.kind not in _WITH_MARGIN:
            return 0.0
        return POINTS if self.margin is None else self.margin

    def pairs(self) -> tuple[tuple[str, str], ...]:
        """Returns the comparisons that the claim is about, as (first cell, second cell).

        The first is the better one, except that it is the one that is not better for `no_better`, and either for
        `equal`.
        """
        cells: Sequence[str] = getattr(self, self.kind)
        if self.kind in ("order", "difference"):
            return tuple(itertools.pairwise(cells))
        if self.kind == "equal":
            return tuple(itertools.combinations(cells, 2))
        if self.kind == "worst":
            return tuple((other, cells[0]) for other in cells[1:])
        return tuple((cells[0], other) for other in cells[1:])

    def needed(self) -> int:
        """Returns how many of the comparisons must hold.

        Example:
            >>> Claim(text="B-2: mostly", worst=["none", "flip", "rotation", "crop"], share=2 / 3).needed()
            2
        """
        return math.ceil(self.share * len(self.pairs()) - 1e-9)
