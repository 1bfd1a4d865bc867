"""A compiled Keras model's training and evaluation step as functions of tensors alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from typing import Any

import keras
import torch
from keras import tree

from kmodels.torch_step.batch import Batch
from kmodels.torch_step.causes import CannotRecord
from kmodels.torch_step.listing import unlisted
from kmodels.torch_step.optimizer_rules import UpdateRule
from kmodels.torch_step.substitution import substituted

__all__ = [
    "Function",
    "State",
    "as_accumulated",
    "current_rate",
    "evaluation_step",
    "note_first_bad",
    "require_written",
    "training_step",
]

Logs = dict[str, torch.Tensor]
Function = Callable[[list[torch.Tensor]], Logs]


class State:
    """Every variable that a step reads or writes, in one fixed order.

    Args:
        model: built and compiled, its optimizer and metrics built.
        rule: how its optimizer updates; None for evaluation, where the optimizer has no part.
        first_bad: integer `()`, number of the first step whose loss was not finite, or -1; none for evaluation.
    """

    def __init__(
        self, model: keras.Model, rule: UpdateRule | None = None, first_bad: torch.Tensor | None = None
    ) -> None:
        self.trainable = list(model.trainable_variables) if rule is not None else []
        taken = {id(variable) for variable in self.trainable}
        self.others = [v for v in (*model.variables, *model.metrics_variables) if id(v) not in taken]
        self.slots: list[keras.Variable] = []
        self.optimizer: list[keras.Variable] = []
        self._extra: list[torch.Tensor] = []
        if rule is not None:
            assert first_bad is not None
            self.slots = rule.slots()
            self.optimizer = [model.optimizer.iterations]
            rate = model.optimizer._learning_rate
            if isinstance(rate, keras.Variable):
                self.optimizer.append(rate)
            self._extra = [first_bad]
        self.variables = [*self.trainable, *self.others, *self.slots, *self.optimizer]

    def tensors(self) -> list[torch.Tensor]:
        """Returns the tensors that hold the variables' values now."""
        return [variable._value for variable in self.variables] + self._extra

    def __len__(self) -> int:
        return len(self.variables) + len(self._extra)


def training_step(
    model: keras.Model, state: State, rule: UpdateRule, batch: Batch, kernels: bool, *, writes: bool = True
) -> Function:
    """Returns the training step as a function of `[*state.tensors(), *batch.tensors]` to the logs.

    It does what Keras' `train_step` does, in the same order, and changes the tensors of the state in place.

    Args:
        model: as for `State`.
        state: its variables.
        rule: how its optimizer updates.
        batch: a batch like those that will come.
        kernels: PyTorch's under the layers that are known; else every operation is Keras' own.
        writes: False leaves out the optimizer's update and keeps nothing of what the step computes.
    """
    count, slots = len(state.trainable), len(state.slots)

    def step(tensors: list[torch.Tensor]) -> Logs:
        held, given = tensors[: len(state)], tensors[len(state) :]
        with torch.enable_grad():
            leaves = [value.detach().requires_grad_() for value in held[:count]]
            mapping = list(zip(state.variables, [*leaves, *held[count:]], strict=False))
            with keras.StatelessScope(mapping, collect_losses=True) as scope, _kernels(model, kernels):
                entered = dict(scope.state_mapping)
                with torch.no_grad():  # before the gradients: what waits for the rate could not be updated early
                    rate = current_rate(model.optimizer, held[0].device)
                x, y, sample_weight = _unpacked(batch, given, kernels)
                outputs = model(x, training=True)
                loss = model._compute_loss(x=x, y=y, y_pred=outputs, sample_weight=sample_weight, training=True)
                model._loss_tracker.update_state(loss, sample_weight=_batch_size(x))
                gradients = torch.autograd.grad(loss, leaves, allow_unused=True)
                with torch.no_grad():
                    if writes:
                        with unlisted():
                            gradients = as_accumulated(gradients, held, exactly=not kernels)
                            iterations, first_bad = held[count + len(state.others) + slots], held[-1]
                            begin = count + len(state.others)
                            rule.apply(held[:count], gradients, held[begin : begin + slots], iterations, rate)
                            note_first_bad(first_bad, loss.detach(), iterations)
                            iterations.add_(1)
                    logs = model.compute_metrics(x, y, outputs, sample_weight=sample_weight)
                    require_written(scope, entered, [*state.trainable, *state.slots, *state.optimizer])
                    if writes:
                        _write_back(scope, state.others, held[count : count + len(state.others)])
        return _detached(logs)

    return step


def evaluation_step(model: keras.Model, state: State, batch: Batch, kernels: bool, *, writes: bool = True) -> Function:
    """Returns Keras' `test_step` as a function of `[*state.tensors(), *batch.tensors]` to the logs; see above."""

    def step(tensors: list[torch.Tensor]) -> Logs:
        held, given = tensors[: len(state)], tensors[len(state) :]
        with torch.no_grad():
            mapping = list(zip(state.variables, held, strict=True))
            with keras.StatelessScope(mapping, collect_losses=True) as scope, _kernels(model, kernels):
                entered = dict(scope.state_mapping)
                x, y, sample_weight = _unpacked(batch, given, kernels)
                outputs = model(x, training=False)
                loss = model._compute_loss(x=x, y=y, y_pred=outputs, sample_weight=sample_weight, training=False)
                model._loss_tracker.update_state(loss, sample_weight=_batch_size(x))
                logs = model.compute_metrics(x, y, outputs, sample_weight=sample_weight)
                require_written(scope, entered, [])
                if writes:
                    _write_back(scope, state.others, held)
        return _detached(logs)

    return step


def as_accumulated(
    gradients: Sequence[torch.Tensor | None], held: Sequence[torch.Tensor], *, exactly: bool
) -> list[torch.Tensor | None]:
    """Returns gradients as PyTorch would leave them in `grad`: none lies in the memory of a variable.

    Exactly so, each has the order of its variable in memory as well, on which the rounding of a sum over it depends.
    """
    variables = {tensor.untyped_storage()._cdata for tensor in held}
    found: list[torch.Tensor | None] = []
    for gradient, value in zip(gradients, held, strict=False):
        if gradient is not None and exactly and gradient.stride() != value.stride():
            gradient = torch.empty_like(value).copy_(gradient)
        elif gradient is not None and gradient.untyped_storage()._cdata in variables:
            gradient = gradient.clone()
        found.append(gradient)
    return found


def current_rate(optimizer: keras.optimizers.Optimizer, device: torch.device) -> torch.Tensor:
    """Returns the learning rate of the step that is being taken, `()`; call it in the scope that holds its count."""
    rate = optimizer._get_current_learning_rate()
    return torch.as_tensor(rate.value if isinstance(rate, keras.Variable) else rate).to(device)


def note_first_bad(first_bad: torch.Tensor, loss: torch.Tensor, iterations: torch.Tensor) -> None:
    """Writes the number of this step over each -1 whose loss is not finite.

    Args:
        first_bad: integers, of the shape of the loss.
        loss: of this step.
        iterations: steps before this one, `()`.
    """
    known = (first_bad >= 0) | torch.isfinite(loss)
    first_bad.copy_(torch.where(known, first_bad, iterations.to(first_bad.dtype)))


def require_written(scope: keras.StatelessScope, entered: dict[int, Any], fixed: Sequence[keras.Variable]) -> None:
    """Raises CannotRecord where a step assigned what will not be written back.

    Args:
        scope: that the step was taken in.
        entered: its `state_mapping` when it was entered.
        fixed: variables that keep what they had.
    """
    if any(key not in entered for key in scope.state_mapping):
        raise CannotRecord("it assigns a variable that is none of the model's or its metrics'")
    for variable in fixed:
        if scope.state_mapping[id(variable)] is not entered[id(variable)]:
            raise CannotRecord(f"it assigns {variable.path}, which the optimizer's update reads or changes")


def _kernels(model: keras.Model, kernels: bool) -> Any:
    return substituted(model) if kernels else nullcontext()


def _unpacked(batch: Batch, given: Sequence[torch.Tensor], kernels: bool) -> tuple[Any, Any, Any]:
    x, y, sample_weight = batch.unpack(given)
    if kernels:
        x = tree.map_structure(lambda images: images.contiguous(), x)
    return x, y, sample_weight


def _batch_size(x: Any) -> int:
    return int(next(tensor for tensor in tree.flatten(x) if tensor is not None).shape[0])


def _write_back(scope: keras.StatelessScope, variables: Sequence[keras.Variable], held: Sequence[torch.Tensor]) -> None:
    with unlisted():
        for variable, old in zip(variables, held, strict=True):
            new = scope.get_current_value(variable)
            if new is not old:
                old.copy_(new)


def _detached(logs: Any) -> Logs:
    for name, value in logs.items():
        # of a variable, what Keras tells of an epoch is what validation has made of it since
        if tree.is_nested(value) or isinstance(value, keras.Variable):
            raise CannotRecord(f"the result of {name} is a {type(value).__name__}, not a tensor")
    return {name: torch.as_tensor(value).detach().clone() for name, value in logs.items()}
