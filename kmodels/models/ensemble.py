"""Several networks as one: trained together through the mean of their outputs, or combined once they are trained."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal

import keras
from keras import ops

from kmodels.models.checks import require

__all__ = ["RULES", "CombineLogits", "Rule", "ensemble"]

Rule = Literal["mean_logits", "mean_probabilities", "majority"]

RULES: tuple[Rule, ...] = ("mean_logits", "mean_probabilities", "majority")
"""Every rule."""


def ensemble(members: Sequence[keras.Model], *, rule: Rule = "mean_logits", name: str = "ensemble") -> keras.Model:
    """Builds one model from several that take the same images and know the same classes.

    The members' own layers are used, not copies: training the ensemble trains its members, all through the combined
    output (report A's averaging network), and an ensemble of trained members needs no training of its own. Under
    `majority` no gradient flows, so that one is for trained members alone. Member `i`, counted from 1, becomes a layer
    `member<i>`, whatever it was called.

    Args:
        members: 2 or more different built models, each from `(batch, height, width, channels)` to logits
            `(batch, num_classes)`, all of the same shapes.
        rule: `mean_logits` (the mean of the members' outputs), `mean_probabilities` (of their softmax outputs) or
            `majority` (the share of members whose largest logit is that class; where two classes have equal votes,
            `argmax` over the output takes the one that comes first).
        name: name of the model.

    Returns:
        A functional model to float32 logits `(batch, num_classes)`, whose softmax is the ensemble's probability:
        for the two last rules the logarithm of the mean probability, and of the share of votes (no vote counts as
        1e-7 of them).

    Raises:
        ValueError: too few members, one given twice, not built, of another shape, or an unknown rule.

    Example:
        >>> from kmodels.models.lenet import lenet
        >>> ensemble([lenet((32, 32, 3), 10), lenet((32, 32, 3), 10)]).count_params() == 2 * 83126
        True

    Reference:
        Report A, listing "AGGNet" and row A-3.3.
    """
    require(rule in RULES, "rule", f"one of {', '.join(RULES)}", rule)
    require(isinstance(members, Sequence), "members", "2 or more models", getattr(members, "name", members))
    members = list(members)
    _require_alike(members)
    inputs = keras.Input(members[0].input_shape[1:], name="images")
    # A wrapper shares the layers and carries a name of its own, so that two members of one kind have different paths.
    named = [keras.Model(m.inputs[0], m.outputs[0], name=f"member{i}") for i, m in enumerate(members, start=1)]
    outputs = [member(inputs) for member in named]
    return keras.Model(inputs, CombineLogits(rule, dtype="float32", name="combine")(outputs), name=name)


def _require_alike(members: list[keras.Model]) -> None:
    received = [getattr(member, "name", member) for member in members]
    require(len(members) >= 2, "members", "2 or more models", received)
    functional = all(isinstance(m, keras.Model) and m.built and _ends(m) == (1, 1) for m in members)
    require(functional, "members", "built models with one input and one output", received)
    require(len({id(member) for member in members}) == len(members), "members", "different models", received)
    shapes = [(member.input_shape, member.output_shape) for member in members]
    require(len(set(shapes)) == 1, "members", "models with equal input and output shapes", shapes)


def _ends(model: keras.Model) -> tuple[int, int]:
    """Returns how many inputs and outputs a model has; none where they are not known, as in a subclassed one."""
    return len(getattr(model, "inputs", None) or ()), len(getattr(model, "outputs", None) or ())


@keras.saving.register_keras_serializable(package="kmodels")
class CombineLogits(keras.layers.Layer):
    """Combines the logits of several members into the ensemble's, by one of the rules of `ensemble`.

    Args:
        rule: `mean_logits`, `mean_probabilities` or `majority`.
        **kwargs: arguments of every Keras layer, such as `name`.

    Input shape: a list of `(batch, num_classes)`. Output shape: `(batch, num_classes)`.

    Raises:
        ValueError: the rule is unknown.

    Example:
        >>> import numpy as np
        >>> votes = [np.array([row], "float32") for row in ([2.0, 1.0], [0.0, 9.0], [3.0, 0.0])]
        >>> np.exp(ops.convert_to_numpy(CombineLogits("majority")(votes))).astype(float).round(2).tolist()
        [[0.67, 0.33]]
    """

    def __init__(self, rule: Rule = "mean_logits", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        require(rule in RULES, "rule", f"one of {', '.join(RULES)}", rule)
        self.rule = rule

    def __call__(self, inputs: list[Any], *args: Any, **kwargs: Any) -> Any:
        """Combines tensors, or at building time makes sure that Keras can tell the members' weights apart."""
        _give_own_paths(inputs)
        return super().__call__(inputs, *args, **kwargs)

    def call(self, inputs: list[Any]) -> Any:
        """Returns the combined logits."""
        stacked = ops.stack(inputs, axis=0)
        if self.rule == "mean_logits":
            return ops.mean(stacked, axis=0)
        if self.rule == "mean_probabilities":
            # In the log domain a probability below float32's range is still itself, not log(0).
            return ops.logsumexp(ops.log_softmax(stacked, axis=-1), axis=0) - math.log(len(inputs))
        votes = ops.one_hot(ops.argmax(stacked, axis=-1), stacked.shape[-1], dtype=stacked.dtype)
        return ops.log(ops.maximum(ops.mean(votes, axis=0), 1e-7))

    def compute_output_shape(self, input_shape: list[tuple[int | None, ...]]) -> tuple[int | None, ...]:
        """Returns the shape of one member's logits."""
        return input_shape[0]

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments that build this layer anew."""
        return {**super().get_config(), "rule": self.rule}


def _give_own_paths(outputs: list[Any]) -> None:
    """Puts each member's name before the paths of its weights.

    On PyTorch, Keras lists a model's parameters by path and keeps one of two with equal paths: the gradients of the
    other are then never set back to zero between steps, and it cannot be exported.
    """
    for output in outputs:
        history = getattr(output, "_keras_history", None)
        if history is not None:
            member = history.operation
            for variable in member.variables:
                variable._path = f"{member.name}/{variable.path}"
