"""What each network weighs and costs, read from `networks.json`, so that pages need no Keras.

The file is written by `python -m kmodels models --json kmodels/site/networks.json`; a test fails where it is stale.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from typing import Any

__all__ = ["Network", "networks"]


@dataclass(frozen=True)
class Network:
    """Counts of one network at the input it was made for.

    Attributes:
        name: a key of `kmodels.models.MODELS`.
        source: rows of the reports, or papers.
        input_shape: height, width, channels.
        num_classes: number of classes.
        arguments: the builder's arguments that the name stands for.
        trainable: parameters that training moves.
        statistics: running means and variances of batch normalisations.
        macs: multiply-accumulate operations an image.
        stages: layers by the size of their outputs, in the order in which images pass.
    """

    name: str
    builder: str
    source: str
    input_shape: tuple[int, ...]
    num_classes: int
    arguments: Mapping[str, Any]
    trainable: int
    statistics: int
    macs: int
    stages: tuple[Mapping[str, Any], ...]

    @property
    def input(self) -> str:
        """Such as `32x32x3`."""
        return "x".join(map(str, self.input_shape))


def networks() -> tuple[Network, ...]:
    """Returns all networks, in the order of `kmodels.models.MODELS`.

    Example:
        >>> lenet = next(network for network in networks() if network.name == "lenet")
        >>> lenet.trainable, lenet.input
        (83126, '32x32x3')
    """
    text = resources.files("kmodels.site").joinpath("networks.json").read_text(encoding="utf-8")
    return tuple(
        Network(
            **{
                **entry,
                "input_shape": tuple(entry["input_shape"]),
                "stages": tuple(entry["stages"]),
            }
        )
        for entry in json.loads(text)
    )
