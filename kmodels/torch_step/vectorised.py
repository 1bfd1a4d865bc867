"""Several trainings of one network taken as one: folds and seeds of the same recipe, each step for all of them."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import torch
from torch import Tensor

from kmodels.augment import Transform
from kmodels.checks import require
from kmodels.torch_step.causes import CannotRecord
from kmodels.torch_step.circumstances import require_recordable
from kmodels.torch_step.compiler import can_compile, compiled
from kmodels.torch_step.cuda_graph import Replays
from kmodels.torch_step.memory_plan import with_memory_plan
from kmodels.torch_step.optimizer_rules import Unsupported, update_rule
from kmodels.torch_step.recorder import recorded
from kmodels.torch_step.resident import ResidentBatches, ResidentSource
from kmodels.torch_step.vectorised_step import StackedState, evaluation_step, training_step
from kmodels.torch_step.work import steps_until_compiling_pays, work_of

__all__ = ["Epoch", "Replicas", "epoch_batches"]


@dataclass(frozen=True)
class Epoch:
    """What an epoch came to, replica by replica.

    Attributes:
        loss: mean over the epoch's images.
        accuracy: share of the epoch's images, of the logits that the steps were taken from.
    """

    loss: list[float]
    accuracy: list[float]


class Replicas:
    """Replicas of one network, each with weights, statistics, dropout and optimizer of its own, trained in step.

    The step is recorded as one graph over all of them, and compiled where that pays. What comes out for a replica is
    what training it alone would give, but for the order in which float32 sums are taken.

    Args:
        model: a functional model from images to logits, compiled with a loss over integer labels, its optimizer built
            and not yet used. It gives the computation; its own variables stay as they are.
        starts: for each replica the values of `model.variables`, in that order.
        transforms: how each replica's images are prepared.
        steps: training steps that are ahead, by which it is decided whether to compile.
        mode: `record` never compiles, `compile` does at once, `auto` where it pays.
        replays: replays steps that were taken once before, as a CUDA graph; None takes each step anew, on a GPU too.

    Raises:
        CannotRecord: Keras would not take its own step over the whole model.
        Unsupported: the optimizer is not known, or does what is no elementwise update, or the model is of another kind.
        ValueError: the arguments do not belong together.
    """

    def __init__(
        self,
        model: keras.Model,
        starts: Sequence[Sequence[Any]],
        transforms: Sequence[Transform],
        *,
        steps: int,
        mode: str = "auto",
        replays: Replays | None = None,
    ) -> None:
        require(len(starts) >= 1, "starts", "one or more replicas", len(starts))
        require(len(transforms) == len(starts), "transforms", f"{len(starts)}, one a replica", len(transforms))
        require(mode in ("auto", "record", "compile"), "mode", "'auto', 'record' or 'compile'", mode)
        _require_vectorisable(model)
        self._model, self._rule, self._transforms = model, update_rule(model.optimizer), tuple(transforms)
        self._state = StackedState(model, self._rule, starts)
        self._steps, self._mode, self._images = steps, mode, 0
        self._training: dict[Any, Any] = {}
        self._evaluation: dict[Any, Any] = {}
        self._replays = replays
        self.compiled = False

    def __len__(self) -> int:
        """Number of replicas."""
        return len(self._transforms)

    def train(self, source: ResidentSource, draws: Mapping[str, Tensor]) -> None:
        """Takes one training step of every replica.

        Args:
            source: images and labels; its transform is not looked at.
            draws: of a batch for each replica, as `ResidentBatch.draws`, with an axis of replicas before the batch.

        Raises:
            CannotRecord: the step cannot be vectorised or recorded; the message says why.
        """
        names, tensors = list(draws), [source.images, source.labels, *draws.values()]
        key = _key(names, tensors)
        inputs = [*self._state.tensors(), *tensors]
        if key not in self._training:
            step = training_step(self._model, self._state, self._rule, self._transforms, names)
            graph, _ = recorded(step, inputs)
            self._training[key] = self._compiled_if_it_pays(graph, inputs)
            self._take(key, inputs)
        elif self._replays is None or self._replays.refused or not self._replay(key, tensors):
            self._take(key, inputs)
        self._images += draws["indices"].shape[1]

    def _take(self, key: Any, inputs: list[Tensor]) -> None:
        with torch.no_grad():
            self._training[key](*inputs)

    def _replay(self, key: Any, tensors: list[Tensor]) -> bool:
        assert self._replays is not None
        resident = tensors[:2]  # images and labels, which a capture reads where they lie
        place = key, *map(id, resident)
        state = self._state.tensors()
        return self._replays.take(place, self._training[key], state, [tensors], len(resident)) is not None

    def _compiled_if_it_pays(self, graph: torch.fx.GraphModule, inputs: list[Tensor]) -> Any:
        device = inputs[0].device
        if self._mode == "auto":  # a short last batch comes too seldom to pay
            wanted = not self._training and self._steps > steps_until_compiling_pays(work_of(graph), device)
        else:
            wanted = self._mode == "compile"
        planned = with_memory_plan(graph)  # before a compiler changes the recording
        if not wanted:
            return planned
        reason = can_compile(device)
        if reason is None:
            try:
                function = compiled(graph, inputs)
            except CannotRecord as error:
                reason = str(error)
            else:
                self.compiled = True
                return function
        sys.stderr.write(f"kmodels: replicas of {self._model.name} are recorded, not compiled: {reason}\n")
        return planned

    def end_epoch(self) -> Epoch:
        """Returns what the training steps since the last call came to; waits for the device."""
        sums = torch.stack([self._state.loss, self._state.correct]).tolist()
        images, self._images = max(self._images, 1), 0
        for total in (self._state.loss, self._state.correct):
            total.zero_()
        return Epoch(*([value / images for value in each] for each in sums))

    def evaluate(self, source: ResidentSource, batches: Iterable[Mapping[str, Tensor]]) -> tuple[Epoch, Tensor]:
        """Evaluates every replica on images of its own.

        Args:
            source: as for `train`.
            batches: draws as for `train`, of each batch.

        Returns:
            Loss and accuracy, and logits `(replicas, images, classes)` in the order of the batches, on the device.

        Raises:
            CannotRecord: as for `train`.
        """
        weights = self._state.tensors(weights_only=True)
        sums, logits, images = torch.zeros((2, len(self)), device=weights[0].device), [], 0
        for draws in batches:
            names, tensors = list(draws), [source.images, source.labels, *draws.values()]
            key, inputs = _key(names, tensors), [*weights, *tensors]
            if key not in self._evaluation:
                step = evaluation_step(self._model, self._state, self._transforms, names)
                graph, _ = recorded(step, inputs)
                self._evaluation[key] = with_memory_plan(graph)
            with torch.no_grad():
                outputs, loss, correct = self._evaluation[key](*inputs)
            logits.append(outputs)
            sums += torch.stack([loss, correct])
            images += outputs.shape[1]
        return Epoch(*([value / images for value in each] for each in sums.tolist())), torch.cat(logits, 1)

    def first_bad_steps(self) -> list[int | None]:
        """Returns for each replica its first step, counted from 0, whose loss was not finite; None where none was."""
        return [None if step < 0 else step for step in self._state.first_bad.tolist()]

    def weights(self, replica: int) -> list[Tensor]:
        """Returns copies of a replica's values of `model.variables`, in that order.

        Args:
            replica: which, from 0.
        """
        values = self._state.tensors(weights_only=True)
        held = {id(v): value for v, value in zip(self._state.variables, values, strict=True)}
        return [held[id(variable)][replica].clone() for variable in self._model.variables]

    def set_weights(self, replica: int, values: Sequence[Tensor]) -> None:
        """Sets a replica's values of `model.variables`, those of its optimizer stay.

        Args:
            replica: which, from 0.
            values: what `weights` returned.
        """
        given = {id(variable): value for variable, value in zip(self._model.variables, values, strict=True)}
        held = self._state.tensors(weights_only=True)
        with torch.no_grad():
            for variable, stacked in zip(self._state.variables, held, strict=True):
                stacked[replica].copy_(given[id(variable)])


def epoch_batches(feeds: Sequence[ResidentBatches], epoch: int, steps: int) -> Iterator[dict[str, Tensor]]:
    """Yields the draws of an epoch's batches, each `(feeds, batch, ...)`, for `Replicas`.

    Args:
        feeds: one a replica, of the same images and of one batch size, each with as many images to an epoch.
        epoch: counted from 0.
        steps: batches of the epoch.

    Raises:
        ValueError: the feeds have not as many images.
    """
    drawn = [feed.epoch(epoch) for feed in feeds]
    lengths = sorted({len(each["indices"]) for each in drawn})
    require(len(lengths) == 1, "feeds", "as many images to an epoch in each", lengths)
    stacked = {name: torch.stack([each[name] for each in drawn]) for name in drawn[0]}
    size = feeds[0].batch_size
    full = min(steps, lengths[0] // size)
    # batch by batch in memory, so that each is a view of it without gaps, in one copy an epoch
    whole = {name: v[:, : full * size].unflatten(1, (full, size)).transpose(0, 1) for name, v in stacked.items()}
    whole = {name: values.contiguous() for name, values in whole.items()}
    for step in range(full):
        yield {name: values[step] for name, values in whole.items()}
    if full < steps:
        yield {name: values[:, full * size :].contiguous() for name, values in stacked.items()}


def _key(names: Sequence[str], tensors: Sequence[Tensor]) -> Any:
    return tuple(names), tuple((t.shape, t.dtype, t.device, t.stride()) for t in tensors)


def _require_vectorisable(model: keras.Model) -> None:
    require_recordable(model)
    if len(model.inputs) != 1 or len(model.outputs) != 1 or len(model.outputs[0].shape) != 2:
        raise Unsupported("the model is not one from one input to one row of logits an image")
    for name in ("clipnorm", "global_clipnorm"):
        if getattr(model.optimizer, name, None):
            raise Unsupported(f"the optimizer clips by a norm ({name}), which is no elementwise update")
