"""The trainings that one recipe asks for, one after the other: the first, and one for each restart."""

from __future__ import annotations

from dataclasses import dataclass

from kmodels.spec.experiment import Recipe

__all__ = ["Phase", "phases"]


@dataclass(frozen=True)
class Phase:
    """One of them.

    Attributes:
        recipe: its own recipe, without restarts: its epochs, its rate, the schedule from its beginning.
        begin: epochs of the phases before it.
    """

    recipe: Recipe
    begin: int

    @property
    def end(self) -> int:
        """Epochs done when it has ended."""
        return self.begin + self.recipe.epochs


def phases(recipe: Recipe) -> tuple[Phase, ...]:
    """Returns the phases of a recipe in order; one where there are no restarts.

    Args:
        recipe: the recipe.

    Example:
        >>> from kmodels.spec.rate import Restart
        >>> from kmodels.spec.experiment import Split
        >>> recipe = Recipe(model="lenet", dataset="digits", split=Split(kind="kfold", folds=2), epochs=30,
        ...                 batch_size=8, learning_rate=0.1, restarts=[Restart(epochs=5, learning_rate=0.01)])
        >>> [(phase.begin, phase.end, phase.recipe.learning_rate) for phase in phases(recipe)]
        [(0, 30, 0.1), (30, 35, 0.01)]
    """
    goes = [(recipe.epochs, recipe.learning_rate)]
    goes += [(restart.epochs, restart.learning_rate) for restart in recipe.restarts]
    found: list[Phase] = []
    for epochs, rate in goes:
        begin = found[-1].end if found else 0
        found.append(Phase(recipe.change(epochs=epochs, learning_rate=rate, restarts=()), begin))
    return tuple(found)
