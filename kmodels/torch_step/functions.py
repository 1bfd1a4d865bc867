"""The train and test functions that `fit` and `evaluate` call: recorded steps, or Keras' own where none can be."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Sequence
from typing import Any

import keras
import torch
from keras import tree

from kmodels.torch_step.allowance import Allowance
from kmodels.torch_step.batch import Batch, batch_of, prepared
from kmodels.torch_step.causes import CannotRecord
from kmodels.torch_step.circumstances import Changes, Circumstances, require_recordable
from kmodels.torch_step.compiler import can_compile, compiled
from kmodels.torch_step.cuda_graph import Replays
from kmodels.torch_step.keras_internals import build_variables, private_names, stock_function
from kmodels.torch_step.memory_format import arrange_kernels
from kmodels.torch_step.optimizer_rules import Unsupported, UpdateRule, update_rule
from kmodels.torch_step.recording import Recording, described, rehearsed
from kmodels.torch_step.resident import ResidentBatches
from kmodels.torch_step.step import State
from kmodels.torch_step.work import Work, steps_until_compiling_pays

__all__ = ["StepFunctions"]

_COMPILED_ANEW = 1  # a value that changes more often than this would have the compiler run for it every time
_KINDS_OF_BATCHES = 32  # each has a recording of its own, which takes time and memory


class StepFunctions:
    """Steps of one model, recorded when a batch of a new kind comes.

    Args:
        model: a built functional or sequential model.
        mode: `record` never compiles, `compile` does at once, `auto` records and compiles where it pays.
        steps: training steps ahead, where they are known: they alone then decide what `auto` records and compiles.
        kernels: compute the known layers by PyTorch's kernels; else every operation is Keras' own, which is slower and
            bit-equal to Keras' step.
        replays: takes the steps of one execution at once; None takes them one after the other.
    """

    def __init__(
        self, model: keras.Model, *, mode: str, steps: int | None, kernels: bool, replays: Replays | None = None
    ) -> None:
        self.model, self._mode, self._ahead, self._kernels = model, mode, steps, kernels
        self._replays = replays
        self._allowance = Allowance(mode == "auto", steps)
        self.reset()

    def reset(self) -> None:
        """Forgets what was recorded, as after `compile`; the reason of a fallback is looked for anew."""
        self._graphs: dict[Any, Recording] = {}
        self._stock: dict[str, Any] = {}
        self._left: dict[bool, str] = {}
        self._not_compiled: str | None = None
        self._rule: UpdateRule | None = None
        self._arranged = False
        self._refused: str | None = None
        self._allowance.reset()
        self._around: Circumstances | None = None
        self._changes = Changes()
        self._first_bad: torch.Tensor | None = None

    @property
    def first_non_finite_step(self) -> int | None:
        """Number, over all steps from 0, of the first recorded one whose loss was not finite; None where none was."""
        bad = -1 if self._first_bad is None else int(self._first_bad)
        return None if bad < 0 else bad

    @property
    def execution(self) -> str:
        """How training steps are taken: `keras`, `recorded` or `compiled`."""
        training = [graph for (kind, _), graph in self._graphs.items() if kind]
        if self._refused is not None or not (training or self._allowance.reason(None, training=True) is None):
            return "keras"
        return "compiled" if any(graph.compiled for graph in training) else "recorded"

    def train(self, batches: Sequence[Any]) -> dict[str, torch.Tensor]:
        """Takes one training step a batch; None stands for a batch that an epoch's last execution lacks."""
        logs: dict[str, torch.Tensor] = {}
        self._notice()
        if self._replays is not None and (replayed := self._replayed(batches)) is not None:
            return replayed
        for batch in batches:
            if batch is not None:
                logs = self._step(batch, training=True)
        return logs

    def _replayed(self, batches: Sequence[Any]) -> dict[str, torch.Tensor] | None:
        """The logs of the last step, where all are of a kind that was taken before; None where they are not."""
        assert self._replays is not None
        if self._around is None or self._refused is not None:
            return None
        try:
            found = [batch_of(batch) for batch in batches if batch is not None]
            key = self._key(found[0], training=True)
        except CannotRecord:  # said when the steps are taken one after the other
            return None
        graph = self._graphs.get(key)
        alike = all(batch.key == found[0].key for batch in found)
        ready = graph is not None and graph.compile_at is None
        if graph is None or not (alike and ready) or self._replays.refused:
            return None
        tensors = [batch.tensors for batch in found]
        arrays = found[0].tensors[: found[0].resident]
        capture = key, *map(id, arrays)  # each array has its own capture, which writes to it
        values = self._replays.take(capture, graph.function, graph.state.tensors(), tensors, len(arrays))
        if values is None:
            return None
        self._changes.step(len(found))
        self._allowance.note(key, training=True, steps=len(found))
        return dict(zip(graph.names, values, strict=True))

    def test(self, batches: Sequence[Any]) -> dict[str, torch.Tensor]:
        """Takes one evaluation step a batch."""
        logs: dict[str, torch.Tensor] = {}
        self._notice()
        for batch in batches:
            if batch is not None:
                logs = self._step(batch, training=False)
        return logs

    def predict(self, batches: Sequence[Any]) -> Any:
        """Returns the outputs for some batches, one after the other."""
        found = [b for b in batches if b is not None]
        outputs = [self._keras(batch, "predict") for batch in found]
        return outputs[0] if len(outputs) == 1 else tree.map_structure(lambda *parts: torch.cat(parts), *outputs)

    def expect(self, epochs: int | None, steps: int | None) -> None:
        """Hears of a call that trains so many epochs of so many steps; None where that is not known."""
        self._allowance.expect(epochs, steps)
        self._left.clear()

    def build(self, iterator: Any = None, data_batch: Any = None) -> None:
        """Makes the variables of metrics and optimizer for what `fit` is going to iterate over."""
        feed = getattr(iterator, "data_adapter", None)
        if isinstance(feed, ResidentBatches):  # Keras cannot look into its batches
            data_batch = next(iter(feed.prepared().get_torch_dataloader()))
        build_variables(self.model, iterator, data_batch)

    def _step(self, given: Any, *, training: bool) -> dict[str, torch.Tensor]:
        self._changes.step()
        logs = None
        if self._refused is None:
            try:
                logs = self._fast(given, training=training)
            except (CannotRecord, Unsupported) as error:
                self.refuse(str(error))
        return self._keras(given, "train" if training else "test") if logs is None else logs

    def _keras(self, given: Any, kind: str) -> Any:
        """One batch by Keras' own step."""
        if kind not in self._stock:
            self._stock[kind] = stock_function(self.model, kind)
        return self._stock[kind](prepared(given))

    def refuse(self, cause: str) -> None:
        """Leaves every step from here on to Keras, with one warning, unless they are left to it already."""
        if self._refused is not None:
            return
        self._refused = cause
        self._graphs.clear()
        warnings.warn(f"kmodels.accelerate: Keras' own step is used for {self.model.name}: {cause}", stacklevel=2)

    def _fast(self, given: Any, *, training: bool) -> dict[str, torch.Tensor] | None:
        """One recorded step; None where such a batch is not recorded."""
        if self._around is None:  # the first step, or something changed
            self._graphs.clear()
        batch, key = None, None
        if self._graphs or not self._allowance.closed(training=training):
            batch, key = self._read(given, training=training)
        graph = self._graphs.get(key)
        if graph is None and (why := self._allowance.reason(key, training=training)) is not None:
            self._leave(key, why, training=training)
            return None
        if batch is None:
            batch = batch_of(given)
            key = self._key(batch, training=training)
        if self._around is None:
            with private_names():
                self._look_again()
        if graph is None:
            if len(self._graphs) >= _KINDS_OF_BATCHES:
                raise CannotRecord(f"batches of more than {_KINDS_OF_BATCHES} shapes or types came")
            assert self._rule is not None and self._first_bad is not None
            with private_names():
                step = rehearsed(
                    self.model, batch, self._rule, self._first_bad, training=training, kernels=self._kernels
                )
            self._allowance.weigh(step.operations, step.layers)
            if (why := self._allowance.reason(key, training=training)) is not None:
                self._leave(key, why, training=training)
                return None
            self._allowance.spend(key, training=training)
            self._left.pop(training, None)
            with private_names():
                graph = step.record()
            graph.compile_at = self._compile_at(graph.work, graph.state) if training else None
            self._graphs[key] = graph
        self._allowance.note(key, training=training)
        if graph.compile_at is not None and graph.calls >= graph.compile_at:
            self._compile(graph, batch)
        return graph.take(batch)

    def _leave(self, key: Any, why: str, *, training: bool) -> None:
        """Notes that Keras takes a batch, and why."""
        self._left[training] = why
        self._allowance.note(key, training=training)

    def _read(self, given: Any, *, training: bool) -> tuple[Batch | None, Any]:
        """A batch and its kind; neither where it is none that could be recorded."""
        try:
            batch = batch_of(given)
            return batch, self._key(batch, training=training)
        except CannotRecord:  # said if it was to be recorded
            return None, None

    def _notice(self) -> None:
        """Forgets the recordings where something that they hold as it was has changed since."""
        if self._around is None or self._refused is not None or (changed := self._around.changed()) is None:
            return
        self._around = None
        self._allowance.changed()
        self._changes.happened(changed)
        if self._changes.hasty:
            self.refuse(f"{changed} changes again and again")

    def _key(self, batch: Batch, *, training: bool) -> tuple[Any, ...]:
        if torch.is_autocast_enabled(batch.tensors[0].device.type):
            raise CannotRecord("PyTorch's autocast is on; Keras' dtype policies cast by themselves")
        return training, (batch.key, self.model.training)  # `training` as PyTorch has it, which a layer may read

    def _look_again(self) -> None:
        """Records anew from here on: the first step, or the user changed what is trained, or the optimizer."""
        require_recordable(self.model)
        self._graphs.clear()
        if self._replays is not None:
            self._replays.clear()
        self._rule = update_rule(self.model.optimizer)
        trained = self.model.trainable_variables
        device = trained[0].value.device
        if self._first_bad is None:
            self._first_bad = torch.full((), -1, dtype=torch.int64, device=device)
        if self._kernels and not self._arranged:
            self._arranged = True
            arrange_kernels(self.model, self._rule.slots_by_weight())
        self._around = Circumstances(self.model)

    def _compile_at(self, work: Work, state: State) -> int | None:
        """Number of steps before a graph is compiled; None for never."""
        if self._changes.count > _COMPILED_ANEW:
            return None
        if self._mode != "auto":
            return 0 if self._mode == "compile" else None
        pays = steps_until_compiling_pays(work, state.tensors()[0].device)
        if self._ahead is None:
            return pays
        first = not any(training for training, _ in self._graphs)  # a short last batch comes too seldom to pay
        return 0 if first and self._ahead > pays else None

    def _compile(self, graph: Recording, batch: Batch) -> None:
        graph.compile_at = None
        inputs = [*graph.state.tensors(), *batch.tensors]
        reason = can_compile(inputs[0].device)
        if reason is None:
            try:
                graph.function, graph.compiled = compiled(graph.graph, inputs), True
                return
            except CannotRecord as error:
                reason = str(error)
        if self._not_compiled is None:
            self._not_compiled = reason
            sys.stderr.write(f"kmodels.accelerate: {self.model.name} is recorded, not compiled: {reason}\n")

    def describe(self) -> list[str]:
        """Returns what is done, line by line."""
        name = self.model.name
        why = self._refused
        if not self._graphs:
            why = why or self._left.get(True) or self._left.get(False)
        if why is not None:
            return [f"{name}: Keras' own step, because {why}"]
        lines = [] if self._not_compiled is None else [f"{name}: not compiled, because {self._not_compiled}"]
        if self._changes.count > _COMPILED_ANEW and self._mode != "record":
            lines.append(
                f"  recorded anew {self._changes.count} times, so not compiled any more: {self._changes.last} changed"
            )
        if not self._graphs:
            return [*lines, "nothing recorded yet"]
        how = "PyTorch's kernels" if self._kernels else "Keras' own operations"
        lines.insert(0, f"{name}: recorded; {how}; optimizer {type(self.model.optimizer).__name__}")
        if self._replays is not None and len(self._replays):
            lines.append("  steps of one execution replayed as a CUDA graph")
        if self._replays is not None and self._replays.refused:
            lines.append(f"  no CUDA graph: {self._replays.refused}")
        return [*lines, *described([(training, graph) for (training, _), graph in self._graphs.items()], self._left)]
