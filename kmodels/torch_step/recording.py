"""A step that was recorded for one kind of batches."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import keras
import torch

from kmodels.torch_step.batch import Batch
from kmodels.torch_step.causes import CannotRecord, cause_of
from kmodels.torch_step.memory_plan import with_memory_plan
from kmodels.torch_step.optimizer_rules import UpdateRule
from kmodels.torch_step.penalties import plain_factors
from kmodels.torch_step.python_state import PythonState
from kmodels.torch_step.recorder import recorded
from kmodels.torch_step.rehearsal import rehearse
from kmodels.torch_step.step import Function, State, evaluation_step, training_step
from kmodels.torch_step.work import Work, work_of

__all__ = ["Recording", "described", "record_evaluation", "record_training"]

_FEW = 2  # samples; one alone would lose its axis wherever `squeeze` is called


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

    def take(self, batch: Batch) -> dict[str, torch.Tensor]:
        """Takes a step and returns its logs.

        Args:
            batch: of the kind that was recorded.

        Raises:
            CannotRecord: the first step failed before it wrote anything, so that another may be taken in its place.
        """
        tensors = self.state.tensors()
        first = self.calls == 0 and not self.compiled  # which does not count what it writes
        versions = [tensor._version for tensor in tensors] if first else None
        self.calls += 1
        try:
            with torch.no_grad():
                values = self.function(*tensors, *batch.tensors)
        except Exception as error:
            if versions is None or versions != [tensor._version for tensor in tensors]:
                raise
            raise CannotRecord(f"the recorded step fails: {cause_of(error)}") from error
        return dict(zip(self.names, values, strict=True))

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
    return _record(model, batch, state, partial(training_step, model, state, rule, batch, kernels))


def record_evaluation(model: keras.Model, batch: Batch, *, kernels: bool) -> Recording:
    """Records an evaluation step, as `record_training` does a training step."""
    state = State(model)
    return _record(model, batch, state, partial(evaluation_step, model, state, batch, kernels))


def _record(model: keras.Model, batch: Batch, state: State, step: Callable[..., Function]) -> Recording:
    surroundings = PythonState(model)
    _rehearse(model, surroundings, batch, state, step)
    with _as_if_not_taken(model, surroundings):
        graph, names = recorded(step(), [*state.tensors(), *batch.tensors])
    return Recording(state, with_memory_plan(graph), names, work_of(graph), graph)


def _rehearse(
    model: keras.Model, surroundings: PythonState, batch: Batch, state: State, step: Callable[..., Function]
) -> None:
    spared = state.spared()

    def once(samples: int | None) -> None:
        with _as_if_not_taken(model, surroundings):
            rehearse(step(writes=False), spared, batch.tensors, shared=batch.resident, samples=samples)

    try:
        once(_FEW)
    except CannotRecord:  # maybe as there are so few
        once(None)


@contextmanager
def _as_if_not_taken(model: keras.Model, surroundings: PythonState) -> Iterator[None]:
    """Leaves nothing of a step that is taken in the block; raises CannotRecord where it did more than it may."""
    try:
        with plain_factors(model):
            yield
        if (touched := surroundings.touched()) is not None:
            raise CannotRecord(f"a step changes {touched}, which is no variable")
    finally:
        surroundings.restore()
        model._clear_losses()


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
