"""A run's identity: the hash of everything that can move a number.

So asking twice trains once, and a changed default can never show a stale number.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from kmodels.spec.experiment import Recipe

__all__ = ["hashed", "run_key"]

# Recipe fields that came after the first committed run, with the value that means "as before": a field enters the key
# only when it differs from that value, so adding one leaves every earlier key as it was.
_NEUTRAL: dict[str, Any] = {
    "schedule": {"kind": "constant"},
    **dict.fromkeys(("momentum", "l2", "weight_decay"), 0.0),
    "nesterov": False,
    "clip_norm": None,
    "validation_drop_last": False,
    "restarts": [],
    "keep": "last",
    "patience": None,
    "testing": "standard",
    "observe": [],
    "train_members": "jointly",
}


def run_key(
    recipe: Recipe,
    *,
    data_digest: str,
    seed: int,
    fold: int,
    backend: str,
    revision: int,
    pipeline: str = "memory",
) -> str:
    """Returns the identity of a run: 20 hexadecimal digits of a hash over all that can move its numbers.

    Args:
        recipe: the resolved recipe.
        data_digest: sha256 of the data set's content.
        seed: seed of the run.
        fold: index of the validation part.
        backend: Keras backend, such as `torch`.
        revision: usually `REVISION`.
        pipeline: `memory`, or `tfdata`, whose normalised floats may differ in the last bit.

    Example:
        >>> from kmodels.spec.experiment import Recipe, Split
        >>> recipe = Recipe(model="lenet", dataset="digits", split=Split(kind="kfold", folds=2), epochs=1,
        ...                 batch_size=8, learning_rate=0.1)
        >>> key = run_key(recipe, data_digest="00", seed=0, fold=0, backend="torch", revision=1)
        >>> len(key), key == run_key(recipe, data_digest="00", seed=1, fold=0, backend="torch", revision=1)
        (20, False)
    """
    return hashed(recipe.as_dict(), data_digest, seed, fold, backend, revision, pipeline)


def hashed(
    recipe: Mapping[str, Any], digest: str, seed: int, fold: int, backend: str, revision: int, pipeline: str
) -> str:
    """Returns the key of a recipe as a run file holds it, which may lack fields of today; else as `run_key`."""
    fields = {k: v for k, v in recipe.items() if k not in _NEUTRAL or v != _NEUTRAL[k]}
    identity: dict[str, Any] = {
        "recipe": fields,
        "data": digest,
        "seed": seed,
        "fold": fold,
        "backend": backend,
        "revision": revision,
    }
    if pipeline != "memory":
        identity["pipeline"] = pipeline
    canonical = json.dumps(identity, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(canonical.encode()).hexdigest()[:20]
