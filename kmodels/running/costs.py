"""What a recipe costs wherever it runs: images and multiply-accumulates, known without building a network."""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from kmodels.data.catalog import CATALOG
from kmodels.spec.experiment import Recipe

__all__ = ["TABLE", "Passes", "input_shape", "known_macs", "network", "passes", "work"]

TABLE = Path(__file__).with_name("macs.json")
"""Multiply-accumulates an image of the networks of `experiments`, written by
`python -m kmodels.running.counting experiments`."""


@dataclass(frozen=True)
class Passes:
    """How many images go through the network.

    Attributes:
        trained: images of all training steps.
        evaluated: images of all validations and of the test.
    """

    trained: int
    evaluated: int

    @property
    def equivalent(self) -> float:
        """Training images that take as long: forward alone is about a third of a training step."""
        return self.trained + self.evaluated / 3


def passes(recipe: Recipe) -> Passes:
    """Returns the images of one run of a recipe, all epochs; a training that stops early has fewer.

    Args:
        recipe: what is trained.

    Example:
        >>> from kmodels.recipes import LENET_A
        >>> passes(LENET_A)
        Passes(trained=810000, evaluated=106000)
    """
    facts, split = CATALOG[recipe.dataset], recipe.split
    if split.kind == "test":
        held, rest = facts.test_images, facts.train_images
    else:
        share = 1 / 5 if split.kind == "batches" else split.validation_fraction or 1 / split.folds
        held = round(facts.train_images * share)
        rest = facts.train_images - held
    trained, epochs = min(rest, recipe.train_images or rest), recipe.total_epochs
    tested = epochs + 1 if recipe.keep == "best_test_accuracy" else 1
    return Passes(epochs * trained, (epochs + 1) * held + tested * facts.test_images)


def input_shape(recipe: Recipe) -> tuple[int, int, int]:
    """Returns height, width and channels of what the network is given."""
    height, width, channels = CATALOG[recipe.dataset].image_shape
    side = recipe.image_size
    return (height, width, channels) if side is None else (side, side, channels)


def network(recipe: Recipe) -> str:
    """Returns what a network costs by, in one word: model, arguments without `dropout`, input and classes.

    Example:
        >>> from kmodels.recipes import LENET_A
        >>> network(LENET_A), network(LENET_A.change(dropout=0.5)) == network(LENET_A)
        ('lenet {} 32x32x1 10', True)
    """
    arguments = {name: value for name, value in recipe.model_args.items() if name != "dropout"}
    shape = "x".join(map(str, input_shape(recipe)))
    return f"{recipe.model} {json.dumps(arguments, sort_keys=True)} {shape} {len(CATALOG[recipe.dataset].class_names)}"


@functools.cache
def known_macs() -> Mapping[str, int]:
    """Returns the table: what `network` says -> multiply-accumulates an image."""
    return {name: int(macs) for name, macs in json.loads(TABLE.read_text(encoding="utf-8")).items()}


def work(recipe: Recipe, macs: Mapping[str, int]) -> float:
    """Returns the multiply-accumulates of one run, forward and backward, the same number on every machine.

    Args:
        recipe: what is trained.
        macs: as `known_macs` gives them, with this network.
    """
    return 3.0 * macs[network(recipe)] * passes(recipe).equivalent
