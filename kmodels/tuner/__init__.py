"""Hyper-parameter search with cross-validation: KerasTuner's four tuners for a plain `build(hp)` and arrays.

The tuners need KerasTuner: `pip install kmodels[tuner]`. Reading a search, its table and its figures needs neither
KerasTuner nor Keras; so the names are loaded when they are first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kmodels.tuner.plots import write_search_figures
    from kmodels.tuner.stages import Candidate, Winner, compare_best, train_winner
    from kmodels.tuner.table import to_csv, to_terminal, trial_table
    from kmodels.tuner.trials import Search, SearchFailed, TrialResult, read_search
    from kmodels.tuner.tuners import BayesianOptimization, GridSearch, Hyperband, RandomSearch

__all__ = ["BayesianOptimization", "GridSearch", "Hyperband", "RandomSearch"]
__all__ += ["Search", "SearchFailed", "TrialResult", "read_search"]
__all__ += ["Candidate", "Winner", "compare_best", "train_winner"]
__all__ += ["to_csv", "to_terminal", "trial_table", "write_search_figures"]

_HOME = {
    **dict.fromkeys(("BayesianOptimization", "GridSearch", "Hyperband", "RandomSearch"), "tuners"),
    **dict.fromkeys(("Search", "SearchFailed", "TrialResult", "read_search"), "trials"),
    **dict.fromkeys(("Candidate", "Winner", "compare_best", "train_winner"), "stages"),
    **dict.fromkeys(("to_csv", "to_terminal", "trial_table"), "table"),
    "write_search_figures": "plots",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'kmodels.tuner' has no attribute {name!r}")
    return getattr(import_module(f"kmodels.tuner.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
