"""What each network weighs and costs, read from `networks.json`, so that pages need no Keras.

The file is written by `python -m kmodels models --json kmodels/site/networks.json`; a test fails where it is stale.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from typing import Any

from kmodels.spec.recipe import Recipe

__all__ = ["Network", "networks", "trained_network"]


@dataclass(frozen=True)
class Network:
    """Counts of one network at the input it was made for.

    Attributes:
        name: a key of `kmodels.models.MODELS`.
        builder: the function that builds it.
        about: what it is, in a line.
        source: rows of the reports, or papers.
        input_shape: height, width, channels.
        num_classes: number of classes.
        arguments: the builder's arguments that the name stands for.
        defaults: what its builder takes for arguments that nobody gives.
        trainable: parameters that training moves.
        statistics: running means and variances of batch normalisations.
        macs: multiply-accumulate operations an image.
        stages: layers by the size of their outputs, in the order in which images pass.
    """

    name: str
    builder: str
    about: str
    source: str
    input_shape: tuple[int, ...]
    num_classes: int
    arguments: Mapping[str, Any]
    defaults: Mapping[str, Any]
    trainable: int
    statistics: int
    macs: int
    stages: tuple[Mapping[str, Any], ...]

    @property
    def settings(self) -> dict[str, Any]:
        """All arguments of its builder."""
        return {**self.defaults, **self.arguments}

    def unlike(self, wanted: Mapping[str, Any]) -> dict[str, Any]:
        """Returns those arguments, of all that its builder is to be given, that are not its own."""
        own = self.settings
        return {name: value for name, value in wanted.items() if name not in own or own[name] != value}

    @property
    def input(self) -> str:
        """Such as `32x32x3`."""
        return "x".join(map(str, self.input_shape))


def trained_network(recipe: Recipe, known: Sequence[Network]) -> tuple[Network, dict[str, Any]] | None:
    """Returns the network that a recipe trains, whatever name it is given there, and the arguments that it changes.

    It is the one with the same builder and the most arguments, defaults included, as the recipe gives them: `alexnet`
    with `normalize=True` is `alexnet_bn`. Of several as near it is the one that the recipe names, else the first.

    Args:
        recipe: what is trained.
        known: the networks.

    Returns:
        The network and the arguments; None where the recipe names none of `known`, such as one that is not yet in
        `networks.json`.

    Example:
        >>> from kmodels.recipes import RESNET18_E
        >>> network, changed = trained_network(RESNET18_E.change(blocks_per_stage=3, dropout=0.4), networks())
        >>> network.name, changed
        ('resnet26_e', {'dropout': 0.4})
    """
    named = next((network for network in known if network.name == recipe.model), None)
    if named is None:
        return None
    wanted = named.settings | _plain(recipe.model_args)
    family = [network for network in known if network.builder == named.builder]
    nearest = min(family, key=lambda network: (len(network.unlike(wanted)), network is not named))
    return nearest, nearest.unlike(wanted)


def _plain(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments as `networks.json` has them: it knows no tuples."""
    found: dict[str, Any] = json.loads(json.dumps(dict(arguments)))
    return found


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
