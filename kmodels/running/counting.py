"""Counts what the table of multiply-accumulates lacks.

python -m kmodels.running.counting experiments    # writes the table anew, for the networks of these scripts
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

from kmodels.atomic_file import write_atomically
from kmodels.command_line import say
from kmodels.data.catalog import CATALOG
from kmodels.running.costs import TABLE, input_shape, known_macs, network
from kmodels.spec.declarations import load_scripts
from kmodels.spec.experiment import Recipe

__all__ = ["count", "counted"]


def count(recipe: Recipe) -> int:
    """Returns the multiply-accumulates an image of a recipe's network, counted from its shapes.

    Raises:
        ValueError: the recipe does not fit its builder.
    """
    from kmodels.models import size_of  # Keras: only for a network that the table has not

    classes = len(CATALOG[recipe.dataset].class_names)
    return size_of(recipe.model, input_shape(recipe), classes, **recipe.model_args).macs


def counted(recipes: Iterable[Recipe], known: Mapping[str, int] | None = None) -> dict[str, int]:
    """Returns a table with all networks of some recipes.

    Args:
        recipes: whose networks are needed.
        known: what need not be counted again; None for the table that comes with the package.
    """
    table = dict(known_macs() if known is None else known)
    for recipe in recipes:
        name = network(recipe)
        if name not in table:
            table[name] = count(recipe)
    return table


def _write(folder: Path) -> None:
    experiments = [experiment for script in load_scripts(folder) for experiment in script.experiments]
    recipes = [experiment.recipe(cell) for experiment in experiments for cell in experiment.all_cells()]
    recipes += [e.recipe(cell, quick=True) for e in experiments if e.quick is not None for cell in e.all_cells()]
    table = counted(recipes, {})
    write_atomically(TABLE, json.dumps(table, indent=1, sort_keys=True).encode() + b"\n")
    known_macs.cache_clear()


if __name__ == "__main__":
    if len(sys.argv) != 2 or not Path(sys.argv[1]).is_dir():
        say("kmodels.running.counting: expected one folder of scripts, such as experiments")
        sys.exit(2)
    _write(Path(sys.argv[1]))
