"""A step that was recorded for one kind of batches."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from threading import RLock
from typing import Any

import keras
import torch

from kmodels.torch_step.batch import Batch
from kmodels.torch_step.causes import CannotRecord, cause_of
from kmodels.torch_step.keras_internals import global_seed_kept
from kmodels.torch_step.listing import Calls, Operations, difference
from kmodels.torch_step.memory_plan import with_memory_plan
from kmodels.torch_step.optimizer_rules import UpdateRule
from kmodels.torch_step.penalties import plain_factors
from kmodels.torch_step.python_state import PythonState
from kmodels.torch_step.recorder import recorded
from kmodels.torch_step.rehearsal import Taken, WritesState, rehearse
from kmodels.torch_step.step import Function, State, evaluation_step, training_step
from kmodels.torch_step.work import Work, work_of

__all__ = ["Recording", "Rehearsed", "described", "rehearsed"]

_FEW = 2  # samples; one alone would lose its axis wherever `squeeze` is called
_ONE_AT_A_TIME = RLock()  # generators, PyTorch's tracer and Keras' settings are those of the whole process


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
        first = self.calls == 0 and not self.compiled  # compiled code writes without raising a tensor's version
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


class Rehearsed:
    """A step that has been taken in Python, so that most of what cannot be recorded is known not to be in it.

    Args:
        model: built and compiled.
        batch: of the kind that comes.
        state: what the step reads and writes.
        step: makes it; with `writes=False` one that keeps nothing.

    Attributes:
        operations: how many it takes, but for the optimizer's update.
        layers: of the model, nested ones too.

    Raises:
        CannotRecord: the step does something that a graph cannot hold.
    """

    def __init__(self, model: keras.Model, batch: Batch, state: State, step: Callable[..., Function]) -> None:
        self._model, self._batch, self._state, self._step = model, batch, state, step
        self._surroundings = PythonState(model)
        self.layers = sum(1 for _ in model._flatten_layers(include_self=False))
        try:
            self._taken = self._rehearse(_FEW)
        except CannotRecord:  # maybe as there are so few
            self._taken = self._rehearse(None)
        self.operations = self._taken.operations

    def record(self) -> Recording:
        """Records the step, without taking it.

        Raises:
            CannotRecord: the step does something that a graph cannot hold, or something else than with values.
        """
        step, operations = self._step(), Operations()
        calls = Calls(operations)

        def listed(tensors: list[torch.Tensor]) -> dict[str, torch.Tensor]:
            with calls, operations:
                return step(tensors)

        with self._as_if_not_taken():
            graph, names = recorded(listed, [*self._state.tensors(), *self._batch.tensors])
        if difference(self._taken.calls, calls.made) is not None:  # maybe as there were so few
            self._taken = self._rehearse(None)
        if (found := difference(self._taken.calls, calls.made)) is not None:
            raise CannotRecord(found)
        return Recording(self._state, with_memory_plan(graph), names, work_of(graph), graph)

    def _rehearse(self, samples: int | None) -> Taken:
        def once(copied: bool) -> Taken:
            step, state, batch = self._step(writes=False), self._state.tensors(), self._batch
            with self._as_if_not_taken():
                return rehearse(step, state, batch.tensors, shared=batch.resident, samples=samples, copied=copied)

        try:
            return once(copied=False)
        except WritesState:
            return once(copied=True)

    @contextmanager
    def _as_if_not_taken(self) -> Iterator[None]:
        """Leaves nothing of a step that is taken in the block; raises CannotRecord where it did more than it may."""
        with _ONE_AT_A_TIME:
            try:
                with plain_factors(self._model), global_seed_kept():
                    yield
                if (touched := self._surroundings.touched()) is not None:
                    raise CannotRecord(f"a step changes {touched}, which is no variable")
            finally:
                self._surroundings.restore()
                self._model._clear_losses()


def rehearsed(
    model: keras.Model, batch: Batch, rule: UpdateRule, first_bad: torch.Tensor, *, training: bool, kernels: bool
) -> Rehearsed:
    """Rehearses a step.

    Args:
        model: built and compiled.
        batch: of the kind that comes.
        rule: how the optimizer updates.
        first_bad: integer `()`, number of the first training step whose loss was not finite, or -1.
        training: whether it is a training step.
        kernels: compute the known layers by PyTorch's kernels.

    Raises:
        CannotRecord: the step does something that a graph cannot hold.
    """
    if training:
        state = State(model, rule, first_bad)
        return Rehearsed(model, batch, state, partial(training_step, model, state, rule, batch, kernels))
    state = State(model)
    return Rehearsed(model, batch, state, partial(evaluation_step, model, state, batch, kernels))


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
