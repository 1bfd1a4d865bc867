"""A step that was recorded for one kind of batches."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import keras
import torch

from kmodels.torch_step.batch import Batch
from kmodels.torch_step.memory_plan import with_memory_plan
from kmodels.torch_step.optimizer_rules import UpdateRule
from kmodels.torch_step.penalties import plain_factors
from kmodels.torch_step.python_state import PythonState
from kmodels.torch_step.recorder import CannotRecord, recorded
from kmodels.torch_step.step import State, evaluation_step, training_step
from kmodels.torch_step.work import Work, work_of

__all__ = ["Recording", "described", "record_evaluation", "record_training"]


@dataclass
class Recording:
    """How a kind of batches is computed.

    Attributes:
        state: the tensors that the step reads and writes, which are given to `function` before the batch.
        function: computes one step and returns its values, in the order of `names`.
        names: of the step's logs.
        work: counted in the graph.
        graph: what may be compiled.
        compile_at: number of steps after which it is; None for never, and once it has been tried.
        compiled: whether `function` is compiled.
        calls: steps taken so far.
    """

    state: State
    function: Any
    names: list[str]
    work: Work
    graph: torch.fx.GraphModule
    compile_at: int | None = None
    compiled: bool = False
    calls: int = 0

    def __str__(self) -> str:
        how = "compiled" if self.compiled else "recorded"
        if self.compile_at is not None:
            how += f", to be compiled after {self.compile_at} steps"
        return f"{self.work.operations} operations, {self.work.flops / 1e9:.3g} GFLOP a batch, {how}"


def record_training(
    model: keras.Model, batch: Batch, rule: UpdateRule, first_bad: torch.Tensor, *, kernels: bool
) -> Recording:
    """Records a training step, without taking it.

    Args:
        model: built and compiled.
        batch: of the kind that comes.
        rule: how the optimizer updates.
        first_bad: integer `()`, number of the first step whose loss was not finite, or -1.
        kernels: compute the known layers by PyTorch's kernels.

    Raises:
        CannotRecord: the step does something that a graph cannot hold.
    """
    state = State(model, rule, first_bad)
    return _record(model, batch, state, training_step(model, state, rule, batch, kernels))


def record_evaluation(model: keras.Model, batch: Batch, *, kernels: bool) -> Recording:
    """Records an evaluation step, as `record_training` does a training step."""
    state = State(model)
    return _record(model, batch, state, evaluation_step(model, state, batch, kernels))


def _record(
    model: keras.Model, batch: Batch, state: State, step: Callable[[list[torch.Tensor]], dict[str, torch.Tensor]]
) -> Recording:
    before = PythonState(model)
    try:
        with plain_factors(model):
            graph, names = recorded(step, [*state.tensors(), *batch.tensors])
        if (touched := before.touched()) is not None:
            raise CannotRecord(f"a step changes {touched}, which is no variable")
    finally:
        before.restore()  # as if it had not been traced
        model._clear_losses()
    return Recording(state, with_memory_plan(graph), names, work_of(graph), graph)


def described(recordings: Iterable[tuple[bool, Recording]], left: Mapping[bool, str]) -> list[str]:
    """Returns a line for each recording, and one for the batches of its kind of step that are not recorded.

    Args:
        recordings: each with whether it is of a training step.
        left: why Keras takes further batches, by whether they are training batches.
    """
    kinds = {True: "training", False: "evaluation"}
    lines = [f"  {kinds[training]}: {recording}" for training, recording in recordings]
    others = [f"  other {kinds[training]} batches: Keras' own step, because {why}" for training, why in left.items()]
    return lines + others
