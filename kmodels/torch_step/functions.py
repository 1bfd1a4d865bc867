"""The train and test functions that `fit` and `evaluate` call: recorded steps, or Keras' own where none can be."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import keras
import torch
from keras import tree

from kmodels.torch_step.batch import Batch, batch_of, prepared
from kmodels.torch_step.cuda_graph import Replays
from kmodels.torch_step.keras_internals import build_variables, stock_function
from kmodels.torch_step.memory_format import MemoryFormat, arrange_kernels, preferred_format
from kmodels.torch_step.optimizer_rules import Unsupported, UpdateRule, update_rule
from kmodels.torch_step.python_state import python_state
from kmodels.torch_step.recorder import CannotRecord, can_compile, compiled, recorded
from kmodels.torch_step.resident import ResidentBatches
from kmodels.torch_step.step import State, evaluation_step, training_step
from kmodels.torch_step.work import Work, steps_until_compiling_pays, work_of

__all__ = ["StepFunctions"]


class StepFunctions:
    """Steps of one model, recorded when a batch of a new kind comes.

    Args:
        model: a built functional or sequential model.
        mode: `record` never compiles, `compile` does at once, `auto` where it pays.
        steps: training steps ahead, where they are known: `auto` then compiles at once or never.
        kernels: compute the known layers by PyTorch's kernels; else every operation is Keras' own, which is slower and
            bit-equal to Keras' step.
        replays: takes the steps of one execution at once; None takes them one after the other.
    """

    def __init__(
        self, model: keras.Model, *, mode: str, steps: int | None, kernels: bool, replays: Replays | None = None
    ) -> None:
        self.model, self._mode, self._ahead, self._kernels = model, mode, steps, kernels
        self._replays = replays
        self.reset()

    def reset(self) -> None:
        """Forgets what was recorded, as after `compile`; the reason of a fallback is looked for anew."""
        self._graphs: dict[Any, _Graph] = {}
        self._stock: dict[str, Any] = {}
        self._not_compiled: str | None = None
        self._rule: UpdateRule | None = None
        self._order: MemoryFormat | None = None
        self._refused: str | None = None
        self._constants: Any = None
        self._seen: Any = None
        self._first_bad: torch.Tensor | None = None

    @property
    def first_non_finite_step(self) -> int | None:
        """Number of the first step, counted from 0, whose loss was not finite; None where there was none."""
        bad = -1 if self._first_bad is None else int(self._first_bad)
        return None if bad < 0 else bad

    @property
    def execution(self) -> str:
        """How training steps are taken: `keras`, `recorded` or `compiled`."""
        if self._refused is not None:
            return "keras"
        training = [graph for (kind, _), graph in self._graphs.items() if kind]
        return "compiled" if any(graph.compiled for graph in training) else "recorded"

    def train(self, batches: Sequence[Any]) -> dict[str, torch.Tensor]:
        """Takes one training step a batch; None stands for a batch that an epoch's last execution lacks."""
        logs: dict[str, torch.Tensor] = {}
        if self._replays is not None and (replayed := self._replayed(batches)) is not None:
            return replayed
        for batch in batches:
            if batch is not None:
                logs = self._step(batch, training=True)
        return logs

    def _replayed(self, batches: Sequence[Any]) -> dict[str, torch.Tensor] | None:
        """The logs of the last step, where all are of a kind that was taken before; None where they are not."""
        assert self._replays is not None
        found = [batch_of(batch) for batch in batches if batch is not None]
        graph = self._graphs.get((True, found[0].key))
        alike = all(batch.key == found[0].key for batch in found)
        ready = graph is not None and graph.compile_at is None and self._seen == self._settings()
        if graph is None or not (alike and ready) or self._refused or self._replays.refused:
            return None
        tensors = [batch.tensors for batch in found]
        values = self._replays.take(found[0].key, graph.function, graph.state.tensors(), tensors, found[0].resident)
        return None if values is None else dict(zip(graph.names, values, strict=True))

    def test(self, batches: Sequence[Any]) -> dict[str, torch.Tensor]:
        """Takes one evaluation step a batch."""
        logs: dict[str, torch.Tensor] = {}
        for batch in batches:
            if batch is not None:
                logs = self._step(batch, training=False)
        return logs

    def predict(self, batches: Sequence[Any]) -> Any:
        """Returns the outputs for some batches, one after the other."""
        found = [b for b in batches if b is not None]
        outputs = [self._keras(batch, "predict") for batch in found]
        return outputs[0] if len(outputs) == 1 else tree.map_structure(lambda *parts: torch.cat(parts), *outputs)

    def build(self, iterator: Any = None, data_batch: Any = None) -> None:
        """Makes the variables of metrics and optimizer for what `fit` is going to iterate over."""
        if self._rule is not None and self._rule.settings() != self._constants:
            self._seen = None  # between two fits there is time for the comparison that no step could afford
        feed = getattr(iterator, "data_adapter", None)
        if isinstance(feed, ResidentBatches):  # Keras cannot look into its batches
            data_batch = next(iter(feed.prepared().get_torch_dataloader()))
        build_variables(self.model, iterator, data_batch)

    def _step(self, given: Any, *, training: bool) -> dict[str, torch.Tensor]:
        if self._refused is None:
            try:
                return self._fast(given, training=training)
            except (CannotRecord, Unsupported) as error:
                self._fall_back(str(error))
        return self._keras(given, "train" if training else "test")  # type: ignore[no-any-return]

    def _keras(self, given: Any, kind: str) -> Any:
        """One batch by Keras' own step."""
        if kind not in self._stock:
            self._stock[kind] = stock_function(self.model, kind)
        return self._stock[kind](prepared(given))

    def _fall_back(self, cause: str) -> None:
        self._refused = cause
        self._graphs.clear()
        warnings.warn(f"kmodels.accelerate: Keras' own step is used for {self.model.name}: {cause}", stacklevel=2)

    def _fast(self, given: Any, *, training: bool) -> dict[str, torch.Tensor]:
        batch = batch_of(given)
        settings = self._settings()
        if self._seen != settings:
            self._look_again(settings)
        key = (training, batch.key)
        graph = self._graphs.get(key)
        if graph is None:
            graph = self._graphs[key] = self._record(batch, training=training)
        if graph.compile_at is not None and graph.calls >= graph.compile_at:
            self._compile(graph, batch)
        graph.calls += 1
        with torch.no_grad():
            values = graph.function(*graph.state.tensors(), *batch.tensors)
        return dict(zip(graph.names, values, strict=True))

    def _settings(self) -> Any:
        """All that a recording holds as it was, cheap enough to be compared before every step."""
        rule = self._rule
        constants = () if rule is None else tuple(rule.constants().values())
        return constants, [variable._trainable for variable in self._variables()]

    def _variables(self) -> list[keras.Variable]:
        if not self._graphs and self._rule is None:
            self._all = list(self.model.variables)
        return self._all

    def _look_again(self, settings: Any) -> None:
        """Records anew from here on: the first step, or the user changed what is trained, or the optimizer."""
        _require_recordable(self.model)
        self._graphs.clear()
        if self._replays is not None:
            self._replays.clear()
        self._rule = update_rule(self.model.optimizer)
        self._constants = self._rule.settings()
        trained, built = self.model.trainable_variables, self.model.optimizer._trainable_variables
        if [id(v) for v in trained] != [id(v) for v in built]:
            raise CannotRecord("what is trainable changed after the optimizer was built")
        device = trained[0].value.device
        if self._first_bad is None:
            self._first_bad = torch.full((), -1, dtype=torch.int64, device=device)
        if self._kernels and self._order is None:
            self._order = preferred_format(self.model, device)
            arrange_kernels([*trained, *self._rule.slots()], self._order)
        self._seen = self._settings()

    def _record(self, batch: Batch, *, training: bool) -> _Graph:
        assert self._rule is not None
        before = python_state(self.model)
        if training:
            state = State(self.model, self._rule, self._first_bad)
            step = training_step(self.model, state, self._rule, batch, self._order)
        else:
            state = State(self.model)
            step = evaluation_step(self.model, state, batch, self._order)
        graph, names = recorded(step, [*state.tensors(), *batch.tensors])
        changed = [name for name, value in python_state(self.model).items() if before.get(name, value) != value]
        if changed:
            raise CannotRecord(f"a step changes {changed[0]}, which is no variable")
        work = work_of(graph)
        return _Graph(state, graph, names, work, self._compile_at(work, state) if training else None)

    def _compile_at(self, work: Work, state: State) -> int | None:
        """Number of steps before a graph is compiled; None for never."""
        if self._mode != "auto":
            return 0 if self._mode == "compile" else None
        pays = steps_until_compiling_pays(work, state.tensors()[0].device)
        if self._ahead is None:
            return pays
        first = not any(training for training, _ in self._graphs)  # a short last batch comes too seldom to pay
        return 0 if first and self._ahead > pays else None

    def _compile(self, graph: _Graph, batch: Batch) -> None:
        graph.compile_at = None
        inputs = [*graph.state.tensors(), *batch.tensors]
        reason = can_compile(inputs[0].device)
        if reason is None:
            try:
                graph.function, graph.compiled = compiled(graph.function, inputs), True
                return
            except CannotRecord as error:
                reason = str(error)
        if self._not_compiled is None:
            self._not_compiled = reason
            sys.stderr.write(f"kmodels.accelerate: {self.model.name} is recorded, not compiled: {reason}\n")

    def describe(self) -> list[str]:
        """Returns what is done, line by line."""
        name = self.model.name
        if self._refused is not None:
            return [f"{name}: Keras' own step, because {self._refused}"]
        lines = [] if self._not_compiled is None else [f"{name}: not compiled, because {self._not_compiled}"]
        if not self._graphs:
            return [*lines, "nothing recorded yet"]
        how = f"PyTorch's kernels, images {self._order}" if self._order else "Keras' own operations"
        lines.insert(0, f"{name}: recorded; {how}; optimizer {type(self.model.optimizer).__name__}")
        if self._replays is not None and len(self._replays):
            lines.append("  steps of one execution replayed as a CUDA graph")
        if self._replays is not None and self._replays.refused:
            lines.append(f"  no CUDA graph: {self._replays.refused}")
        for (training, _), graph in self._graphs.items():
            kind, size = "training" if training else "evaluation", graph.work
            state = "compiled" if graph.compiled else "recorded"
            if graph.compile_at is not None:
                state += f", to be compiled after {graph.compile_at} steps"
            lines.append(f"  {kind}: {size.operations} operations, {size.flops / 1e9:.3g} GFLOP a batch, {state}")
        return lines


@dataclass
class _Graph:
    state: State
    function: Any
    names: list[str]
    work: Work
    compile_at: int | None
    compiled: bool = False
    calls: int = 0


def _require_recordable(model: keras.Model) -> None:
    """Raises CannotRecord where Keras would not take its own step over the whole model."""
    if type(model).train_step is not keras.Model.train_step or "train_step" in model.__dict__:
        raise CannotRecord("the model has a train_step of its own")
    if type(model).test_step is not keras.Model.test_step or "test_step" in model.__dict__:
        raise CannotRecord("the model has a test_step of its own")
    if model.run_eagerly:
        raise CannotRecord("the model was compiled with run_eagerly=True")
    if model.optimizer is None or not model.trainable_variables:
        raise CannotRecord("the model has nothing to train")
    if isinstance(model.optimizer, keras.optimizers.LossScaleOptimizer):
        raise CannotRecord("float16 needs a loss scale, which is chosen on the host after every step")
