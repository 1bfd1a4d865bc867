"""The training and evaluation step of several replicas of one network, as functions of stacked tensors.

Every tensor of a replica's state has one axis more, the first, that counts replicas. `torch.vmap` over that axis turns
the convolutions of all replicas into one grouped convolution, their matrix products into one batched product, and so
on. No replica's numbers enter another's: the gradient of the sum of all losses is each replica's own gradient.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
import torch
from torch import Tensor

from kmodels.augment import Transform
from kmodels.torch_step.optimizer_rules import UpdateRule
from kmodels.torch_step.prepare import prepare
from kmodels.torch_step.step import as_accumulated, current_rate, note_first_bad, require_written
from kmodels.torch_step.substitution import substituted

__all__ = ["StackedState", "evaluation_step", "training_step"]

Function = Callable[[list[Tensor]], dict[str, Tensor]]


class StackedState:
    """The variables of all replicas, and what they share because it depends on the number of steps alone.

    Attributes:
        values: trainable variables, `(replicas, ...)` each.
        others: running statistics and states of dropout, likewise.
        slots: of the optimizer, likewise; its scalars are shared, of shape `()`.
        shared: count of steps and, where it is a variable, the learning rate, both of shape `()`.
        first_bad: number of each replica's first step whose loss was not finite, or -1, `(replicas,)`.
        loss: sum of the losses of an epoch's images so far, `(replicas,)`.
        correct: images of the epoch so far whose class was right, `(replicas,)`.

    Args:
        model: built and compiled, its optimizer built and not yet used.
        rule: how its optimizer updates.
        starts: for each replica the values of `model.variables`.
    """

    def __init__(self, model: keras.Model, rule: UpdateRule, starts: Sequence[Sequence[Any]]) -> None:
        places = {id(variable): place for place, variable in enumerate(model.variables)}
        self.trainable = list(model.trainable_variables)
        trained = {id(variable) for variable in self.trainable}
        self.fixed = [variable for variable in model.variables if id(variable) not in trained]

        def stacked(variable: Any) -> Tensor:
            given = [start[places[id(variable)]] for start in starts]
            old = variable.value
            return _arranged(torch.stack([torch.as_tensor(v, dtype=old.dtype, device=old.device) for v in given]))

        count, device = len(starts), self.trainable[0].value.device
        self.values, self.others = ([stacked(v) for v in part] for part in (self.trainable, self.fixed))
        self.slots = []
        for slot in rule.slots():
            value = slot.value.detach()
            self.slots.append(value.clone() if value.ndim == 0 else _arranged(torch.stack([value] * count)))
        rate = model.optimizer._learning_rate
        self.counted = [model.optimizer.iterations, *([rate] if isinstance(rate, keras.Variable) else [])]
        self.shared = [variable.value.detach().clone() for variable in self.counted]
        self.first_bad = torch.full((count,), -1, dtype=torch.int64, device=device)
        self.loss, self.correct = (torch.zeros(count, device=device) for _ in range(2))

    @property
    def variables(self) -> list[keras.Variable]:
        """The model's variables in the order of `tensors(weights_only=True)`."""
        return [*self.trainable, *self.fixed]

    def tensors(self, *, weights_only: bool = False) -> list[Tensor]:
        """Returns everything a step reads or writes; or only what the network itself computes with."""
        weights = [*self.values, *self.others]
        return (
            weights if weights_only else [*weights, *self.slots, *self.shared, self.first_bad, self.loss, self.correct]
        )


def training_step(
    model: keras.Model, state: StackedState, rule: UpdateRule, transforms: Sequence[Transform], names: Sequence[str]
) -> Function:
    """Returns one training step of all replicas, which changes the state's tensors in place and returns nothing else.

    Args:
        model: gives the computation; its own variables are neither read nor written.
        state: of the replicas.
        rule: how the optimizer updates, one variable element by element.
        transforms: how each replica's images are prepared.
        names: of the draws, in the order in which they follow images and labels.

    Returns:
        A function of `[*state.tensors(), images, labels, *draws]`, draws `(replicas, batch, ...)`.
    """
    sizes = [len(part) for part in (state.values, state.others, state.slots, state.shared)]

    def step(tensors: list[Tensor]) -> dict[str, Tensor]:
        parts, begin = [], 0
        for size in sizes:
            parts.append(tensors[begin : begin + size])
            begin += size
        values, others, slots, shared = parts
        first_bad, total, correct, images, labels, *draws = tensors[begin:]
        with torch.no_grad(), keras.StatelessScope(list(zip(state.counted, shared, strict=True))):
            rate = current_rate(model.optimizer, images.device)  # first, as in a step of one network
        x, y = _batch(images, labels, dict(zip(names, draws, strict=True)), transforms)
        with torch.enable_grad():
            leaves = [value.detach().requires_grad_() for value in values]
            loss, outputs, new = torch.vmap(_forward(model, state, training=True))(leaves, others, x, y)
            gradients = torch.autograd.grad(loss.sum(), leaves, allow_unused=True)
        with torch.no_grad():
            gradients = as_accumulated(gradients, values, exactly=False)
            rule.apply(values, gradients, slots, shared[0], rate)
            note_first_bad(first_bad, loss, shared[0])
            shared[0].add_(1)
            for old, value in zip(others, new, strict=True):
                if value is not old:
                    old.copy_(value)
            total.add_(loss.to(total.dtype) * y.shape[1])
            correct.add_(_right(outputs, y))
        return {}

    return step


def evaluation_step(
    model: keras.Model, state: StackedState, transforms: Sequence[Transform], names: Sequence[str]
) -> Function:
    """Returns the evaluation of one batch a replica, which changes nothing.

    Args:
        model: as for `training_step`.
        state: of the replicas.
        transforms: how each replica's images are prepared.
        names: of the draws.

    Returns:
        A function of `[*state.tensors(weights_only=True), images, labels, *draws]` to `logits`
        `(replicas, batch, classes)`, and `loss` and `correct`, sums over the batch, `(replicas,)`.
    """
    count, end = len(state.values), len(state.values) + len(state.others)

    def step(tensors: list[Tensor]) -> dict[str, Tensor]:
        images, labels, *draws = tensors[end:]
        x, y = _batch(images, labels, dict(zip(names, draws, strict=True)), transforms)
        with torch.no_grad():
            forward = torch.vmap(_forward(model, state, training=False))
            loss, outputs, _ = forward(tensors[:count], tensors[count:end], x, y)
            return {"logits": outputs, "loss": loss * y.shape[1], "correct": _right(outputs, y)}

    return step


def _forward(model: keras.Model, state: StackedState, *, training: bool) -> Callable[..., Any]:
    """One replica's loss, logits and new statistics; a function of its tensors alone."""

    def forward(
        values: list[Tensor], others: list[Tensor], x: Tensor, y: Tensor
    ) -> tuple[Tensor, Tensor, list[Tensor]]:
        mapping = list(zip(state.variables, [*values, *others], strict=True))
        with keras.StatelessScope(mapping, collect_losses=True) as scope, substituted(model):
            entered = dict(scope.state_mapping)
            outputs = model(x, training=training)
            loss = model._compute_loss(x=x, y=y, y_pred=outputs, sample_weight=None, training=training)
            require_written(scope, entered, state.trainable)
            return loss, outputs, [torch.as_tensor(scope.get_current_value(variable)) for variable in state.fixed]

    return forward


def _batch(
    images: Tensor, labels: Tensor, draws: Mapping[str, Tensor], transforms: Sequence[Transform]
) -> tuple[Tensor, Tensor]:
    """Images `(replicas, batch, height, width, channels)` and labels `(replicas, batch)`.

    Not inside `torch.vmap`, which cannot look into the preparation: it is one operator on a CPU.
    """
    replicas, size = draws["indices"].shape
    if all(transform == transforms[0] for transform in transforms):
        x, y = prepare(images, labels, {name: drawn.flatten(0, 1) for name, drawn in draws.items()}, transforms[0])
    else:  # normalised by the statistics of each replica's own training part
        parts = []
        for replica, transform in enumerate(transforms):
            parts.append(prepare(images, labels, {name: drawn[replica] for name, drawn in draws.items()}, transform))
        x, y = (torch.cat(part) for part in zip(*parts, strict=True))
    # where a grouped convolution wants them: image by image, the channels of all replicas side by side
    x = x.unflatten(0, (replicas, size)).permute(1, 0, 4, 2, 3).contiguous().permute(1, 0, 3, 4, 2)
    return x, y.unflatten(0, (replicas, size))


def _right(outputs: Tensor, y: Tensor) -> Tensor:
    return (outputs.argmax(-1) == y).sum(-1, dtype=torch.float32)


def _arranged(stacked: Tensor) -> Tensor:
    """Moves kernels `(replicas, height, width, inputs, outputs)` to where a grouped convolution wants them."""
    if stacked.ndim != 5:
        return stacked.contiguous()
    return stacked.permute(0, 4, 3, 1, 2).contiguous().permute(0, 3, 4, 2, 1)
