"""A few timed steps of networks that no run here has told the speed of yet."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping

import keras

from kmodels.data import Dataset
from kmodels.running.costs import network, passes
from kmodels.running.estimates import Speed, Speeds
from kmodels.spec.experiment import Recipe
from kmodels.training.train import measure_rate

__all__ = ["timed"]

_STEPS = 60
_LONGEST = 4.0  # seconds one network may be expected to take


def timed(
    recipes: Iterable[Recipe],
    datasets: Mapping[str, Dataset],
    speeds: Speeds,
    *,
    pipeline: str = "memory",
    seconds: float = 20.0,
) -> Speeds:
    """Returns the speeds with those of further networks, cheapest first, as far as a few seconds go.

    A network that would take more than a few seconds for two steps is not timed: its estimate is scaled from those
    that are.

    Args:
        recipes: what will be trained; of one network, batch and precision only the first is timed, and one that cannot
            be trained is left out.
        datasets: the images they train on.
        speeds: what is known; what a run has told is not timed.
        pipeline: `memory` or `tfdata`.
        seconds: about how long this may take.
    """
    kinds: dict[tuple[str, int, str], Recipe] = {}
    for recipe in recipes:
        if speeds.estimate(recipe).basis not in ("measured", "timed"):
            kinds.setdefault((network(recipe), recipe.batch_size, recipe.precision), recipe)
    began = time.monotonic()
    for (name, batch_size, precision), recipe in sorted(
        kinds.items(), key=lambda item: (speeds.macs[item[0][0]] * item[1].batch_size, item[0])
    ):
        rate = passes(recipe).equivalent / speeds.estimate(recipe).seconds
        steps = min(_STEPS, int(_LONGEST * rate / (2 * batch_size)))  # two passes: one warms up
        if time.monotonic() - began > seconds or steps < 1:
            break
        try:
            rate = measure_rate(recipe, datasets[recipe.dataset], pipeline=pipeline, steps=steps)
        except Exception:  # its run will say what is wrong with it; an estimate is not worth ending the others
            continue
        keras.utils.clear_session()
        speed = Speed(name, speeds.macs[name], batch_size, precision, rate, basis="timed")
        speeds = speeds.with_speeds([speed])
    return speeds
