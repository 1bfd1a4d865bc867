"""What to train: plain frozen values, standard library only.

`Recipe` says how one network is trained, `Experiment` which recipes answer one question and what is said of them.
Nothing here trains, reads files or imports Keras, so a script's declarations load in milliseconds.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from kmodels.checks import require
from kmodels.claims import Claim, Row

__all__ = ["Experiment", "Recipe", "Split", "grid"]

SplitKind = Literal["kfold", "stratified_kfold", "holdout", "stratified_holdout", "batches", "test"]
Head = Literal["logits", "softmax"]
Precision = Literal["float32", "mixed_bfloat16", "mixed_float16"]
Normalization = Literal["unit", "standard", "report_e"]
Resize = Literal["pad", "bilinear"]


@dataclass(frozen=True, kw_only=True)
class Split:
    """How the training images are divided into a training and a validation part.

    Attributes:
        kind: `kfold` / `stratified_kfold` (K parts, each the validation part once), `holdout` / `stratified_holdout`
            (one random validation part), `batches` (the last fifth in the data set's own order: report E's batch 5) or
            `test` (validate on the test set itself: a quirk of reports A and B).
        folds: number of parts K for the K-fold kinds, 1 otherwise.
        validation_fraction: share of the images held out, in (0, 1), for the hold-out kinds; 0 otherwise.
        random_state: seed of the division; the same for every run, so that all seeds see the same folds.

    Raises:
        ValueError: a field is outside its range.

    Example:
        >>> Split(kind="kfold", folds=10).folds
        10
    """

    kind: SplitKind
    folds: int = 1
    validation_fraction: float = 0.0
    random_state: int = 0

    def __post_init__(self) -> None:
        kinds = SplitKind.__args__  # type: ignore[attr-defined]
        require(self.kind in kinds, "kind", f"one of {', '.join(kinds)}", self.kind)
        if self.kind.endswith("kfold"):
            require(self.folds >= 2, "folds", "2 or more for a K-fold split", self.folds)
        else:
            require(self.folds == 1, "folds", f"1 for kind={self.kind!r}", self.folds)
        if self.kind.endswith("holdout"):
            require(
                0.0 < self.validation_fraction < 1.0,
                "validation_fraction",
                "a number in (0, 1)",
                self.validation_fraction,
            )
        else:
            require(
                self.validation_fraction == 0.0,
                "validation_fraction",
                f"0 for kind={self.kind!r}",
                self.validation_fraction,
            )


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How one network is trained; every setting that can move a number, none left to a default elsewhere.

    Attributes:
        model: name of a builder or preset in `kmodels.models.MODELS`.
        model_args: the builder's own arguments, all those that the experiment varies spelled out.
        head: what the loss is given: `logits`, or `softmax` for the reports' quirk of feeding softmax outputs to a
            cross-entropy that applies softmax again (reports A's LeNet, C and E).
        dataset: name known to `kmodels.data.load`.
        split: how validation images are held out.
        train_images: use only the first this many images of the training part; None for all.
        image_size: height and width in pixels that images are brought to; None leaves them as they are.
        resize: `pad` with zeros around the image, or `bilinear` interpolation.
        normalization: `unit` (divide by 255), `standard` (training part's mean and standard deviation per channel) or
            `report_e` (that report's constants for CIFAR-10).
        crop_padding: pixels of zero padding before a random crop back to size; 0 for no cropping.
        flip: mirror half of the images left to right.
        rotation_degrees: rotate by an angle drawn evenly from ± this many degrees; 0 for none.
        epochs: passes over the training part, 1 or more.
        batch_size: images a step, 1 or more.
        drop_last: leave out a last batch that is not full.
        optimizer: `adam`.
        learning_rate: step size, above 0.
        precision: `float32`, `mixed_bfloat16` or `mixed_float16`.

    Raises:
        ValueError: a field is outside its range; the message names it.

    Example:
        >>> recipe = Recipe(model="lenet", model_args={"dropout": 0.0}, dataset="mnist", image_size=32,
        ...                 split=Split(kind="kfold", folds=10), epochs=30, batch_size=128, learning_rate=5e-4)
        >>> recipe.change(dropout=0.5, epochs=2).model_args["dropout"]
        0.5
    """

    model: str
    model_args: Mapping[str, Any] = field(default_factory=dict)
    head: Head = "logits"
    dataset: str
    split: Split
    train_images: int | None = None
    image_size: int | None = None
    resize: Resize = "pad"
    normalization: Normalization = "unit"
    crop_padding: int = 0
    flip: bool = False
    rotation_degrees: float = 0.0
    epochs: int
    batch_size: int
    drop_last: bool = False
    optimizer: Literal["adam"] = "adam"
    learning_rate: float
    precision: Precision = "float32"

    def __post_init__(self) -> None:
        object.__setattr__(self, "model_args", {name: _frozen(value) for name, value in self.model_args.items()})
        kinds = {"head": Head, "precision": Precision, "normalization": Normalization, "resize": Resize}
        for name, kind in kinds.items():
            allowed = kind.__args__  # type: ignore[attr-defined]
            require(getattr(self, name) in allowed, name, f"one of {', '.join(allowed)}", getattr(self, name))
        require(self.optimizer == "adam", "optimizer", "'adam'", self.optimizer)
        for name in ("epochs", "batch_size"):
            value = getattr(self, name)
            require(type(value) is int and value >= 1, name, "an integer, 1 or more", value)
        for name in ("train_images", "image_size"):
            value = getattr(self, name)
            require(value is None or (type(value) is int and value >= 1), name, "None or an integer, 1 or more", value)
        require(
            isinstance(self.crop_padding, int) and self.crop_padding >= 0,
            "crop_padding",
            "an integer, 0 or more",
            self.crop_padding,
        )
        require(
            0.0 <= self.rotation_degrees <= 180.0, "rotation_degrees", "a number in [0, 180]", self.rotation_degrees
        )
        require(0.0 < self.learning_rate < float("inf"), "learning_rate", "a finite number above 0", self.learning_rate)

    def change(self, **changes: Any) -> Recipe:
        """Returns this recipe with some fields, or some of the builder's arguments in `model_args`, changed.

        Args:
            **changes: a field of the recipe, or a key already present in `model_args`.

        Raises:
            ValueError: a name is neither.
        """
        fields = {f.name for f in dataclasses.fields(self)}
        model_args = dict(changes.get("model_args", self.model_args))
        own = {}
        for name, value in changes.items():
            if name in fields:
                own[name] = value
            elif name in model_args:
                model_args[name] = value
            else:
                expected = f"a field of Recipe or an argument in model_args ({', '.join(model_args) or 'empty'})"
                raise ValueError(f"change: expected {expected}. Received: {name}={value!r}")
        return dataclasses.replace(self, **{**own, "model_args": model_args})

    def as_dict(self) -> dict[str, Any]:
        """Returns every field as JSON-ready values, nested values included."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Recipe:
        """Returns the recipe that `as_dict` wrote.

        Raises:
            ValueError: a field is missing, unknown or out of range.
        """
        try:
            return cls(**{**values, "split": Split(**values["split"])})
        except (TypeError, KeyError) as error:
            raise ValueError(f"recipe: expected the fields of Recipe. Received: {dict(values)!r} ({error})") from error


def _frozen(value: Any) -> Any:
    """JSON has no tuples: with lists as tuples a recipe read from a run file equals the one that was declared."""
    return tuple(map(_frozen, value)) if isinstance(value, list | tuple) else value


def grid(**axes: Sequence[Any]) -> dict[str, dict[str, Any]]:
    """Returns the cells of a full grid: the name of each is its changes, such as `dropout=0.4`.

    Args:
        **axes: a field of the recipe or an argument of its builder, and the values it takes.

    Raises:
        ValueError: an axis has no values or a value twice.

    Example:
        >>> grid(dropout=[0.0, 0.4])
        {'dropout=0.0': {'dropout': 0.0}, 'dropout=0.4': {'dropout': 0.4}}
    """
    for name, values in axes.items():
        require(
            len(values) > 0 and len(set(map(repr, values))) == len(values),
            name,
            "different values, at least one",
            values,
        )
    combinations = (dict(zip(axes, values, strict=True)) for values in itertools.product(*axes.values()))
    return {", ".join(f"{k}={v}" for k, v in changes.items()): changes for changes in combinations}


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """One question: a base recipe, the cells that vary it, and what is said of them.

    Attributes:
        name: folder name of its results; letters, digits and hyphens.
        question: one line for the table's title.
        base: the recipe that every cell changes.
        cells: cell name -> changes (see `Recipe.change`), as the report ran them.
        repaired: further cells with a quirk of the report mended; shown beside, never as the report's.
        rows: the report's rows; each names a cell.
        claims: statements over cells.
        seeds: how many seeds the report protocol trains by default.
        quick: changes that make a run short enough for the quick protocol; None where no cell can rise above chance
            in that time.
        quick_folds: how many folds the quick protocol trains, 1 or 2.
        assumptions: settings that the report does not state, and what was chosen; shown under the table.

    Raises:
        ValueError: a row or claim names an unknown cell, a name is taken twice, or a change is not one of the recipe's.
    """

    name: str
    question: str
    base: Recipe
    cells: Mapping[str, Mapping[str, Any]]
    repaired: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    rows: Sequence[Row] = ()
    claims: Sequence[Claim] = ()
    seeds: int = 3
    quick: Mapping[str, Any] | None = None
    quick_folds: int = 2
    assumptions: Sequence[str] = ()

    def __post_init__(self) -> None:
        ok = bool(self.name) and all(c.isalnum() or c == "-" for c in self.name)
        require(ok, "name", "letters, digits and hyphens", self.name)
        require(bool(self.cells), "cells", "at least one cell", self.cells)
        require(self.seeds >= 1, "seeds", "1 or more", self.seeds)
        require(self.quick_folds in (1, 2), "quick_folds", "1 or 2", self.quick_folds)
        twice = set(self.cells) & set(self.repaired)
        require(not twice, "repaired", "names that are not among cells", sorted(twice))
        names = set(self.all_cells())
        used = [r.cell for r in self.rows] + [cell for c in self.claims for pair in c.pairs() for cell in pair]
        for cell in used:
            require(cell in names, "cell", f"one of {', '.join(sorted(names))}", cell)
        for cell in names:
            self.recipe(cell)
        if self.quick is not None:
            self.base.change(**self.quick)

    def all_cells(self) -> tuple[str, ...]:
        """Returns the names of all cells, the report's first, then the repaired ones."""
        return (*self.cells, *self.repaired)

    def recipe(self, cell: str, quick: bool = False) -> Recipe:
        """Returns the resolved recipe of a cell.

        Args:
            cell: name of a cell, among `cells` or `repaired`.
            quick: apply the changes of the quick protocol as well.

        Raises:
            ValueError: there is no such cell, or no quick protocol.
        """
        changes = self.cells.get(cell, self.repaired.get(cell))
        if changes is None:
            raise ValueError(f"cell: expected one of {', '.join(self.all_cells())}. Received: cell={cell!r}")
        recipe = self.base.change(**changes)
        if not quick:
            return recipe
        if self.quick is None:
            raise ValueError(f"quick: expected an experiment with a quick protocol. Received: {self.name!r}")
        return recipe.change(**self.quick)
