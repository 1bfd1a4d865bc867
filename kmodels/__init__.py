"""Small image classifiers in Keras 3, and what can truly be said of them.

The public names are loaded when they are first used, so that `--help` and tables do not wait for Keras.
"""

import os
from importlib import import_module
from typing import TYPE_CHECKING, Any

# PyTorch unless the user says otherwise; Keras reads this when it is first imported.
os.environ.setdefault("KERAS_BACKEND", "torch")

if TYPE_CHECKING:
    from kmodels.acceleration import accelerate, explain
    from kmodels.cli import main
    from kmodels.crossval.validate import cross_validate
    from kmodels.prediction import predict
    from kmodels.spec.claims import Claim, Reported, Row
    from kmodels.spec.experiment import Experiment, Recipe, Split, grid

__version__ = "0.1.0"
__all__ = [
    "Claim",
    "Experiment",
    "Recipe",
    "Reported",
    "Row",
    "Split",
    "__version__",
    "accelerate",
    "cross_validate",
    "explain",
    "grid",
    "main",
    "predict",
]

_HOME = {
    **dict.fromkeys(("accelerate", "explain"), "kmodels.acceleration"),
    "cross_validate": "kmodels.crossval.validate",
    "main": "kmodels.cli",
    "predict": "kmodels.prediction",
    **dict.fromkeys(("Claim", "Reported", "Row"), "kmodels.spec.claims"),
    **dict.fromkeys(("Experiment", "Recipe", "Split", "grid"), "kmodels.spec.experiment"),
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'kmodels' has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
