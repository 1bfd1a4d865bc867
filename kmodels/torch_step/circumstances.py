"""Whether a model's step can be recorded at all, and whether what a recording holds for constant still is so."""

from __future__ import annotations

from typing import Any

import keras

from kmodels.torch_step.causes import CannotRecord
from kmodels.torch_step.python_state import PythonState

__all__ = ["Changes", "Circumstances", "require_recordable"]

_HASTY_STEPS = 20  # changes sooner after one another than this, so often in a row, are not worth recording anew
_OFTEN = 4


class Changes:
    """Counts how often the circumstances changed.

    Attributes:
        count: how often.
        last: what changed last, in words.
    """

    def __init__(self) -> None:
        self.count, self.last = 0, ""
        self._steps = self._hasty = 0

    @property
    def hasty(self) -> bool:
        """Whether they changed again and again within a few steps."""
        return self._hasty >= _OFTEN

    def step(self, count: int = 1) -> None:
        """Counts steps that are taken."""
        self._steps += count

    def happened(self, changed: str) -> None:
        """Counts one change since the last step."""
        self.count, self.last = self.count + 1, changed
        self._hasty = self._hasty + 1 if self._steps < _HASTY_STEPS else 0
        self._steps = 0


class Circumstances:
    """What a recording depends on besides shapes and the values of variables.

    Args:
        model: built and compiled, its optimizer built.
    """

    def __init__(self, model: keras.Model) -> None:
        self._model = model
        self._variables, self._trained = list(model.variables), list(model.trainable_variables)
        self._python = PythonState(model)
        self._flags, self._settings = self._read(), _settings()

    def changed(self) -> str | None:
        """Returns what is no longer as it was, or None; cheap enough to be asked before every call."""
        if self._read() != self._flags:
            return "what is trainable, or where a variable lies,"
        if _settings() != self._settings:
            return "a setting of keras.config"
        return self._python.changed()

    def _read(self) -> list[Any]:
        values = [variable._value for variable in self._trained]
        return [
            [variable._trainable for variable in self._variables],
            [(v.requires_grad, v.dtype, v.data_ptr(), not v._backward_hooks) for v in values],
        ]


def _settings() -> tuple[Any, ...]:
    """What Keras' own functions read of its settings while they compute."""
    return keras.config.epsilon(), keras.config.floatx(), keras.config.image_data_format()


def require_recordable(model: keras.Model) -> None:
    """Raises CannotRecord where Keras would not take its own step over the whole model."""
    for name in ("train_step", "test_step"):
        if getattr(type(model), name) is not getattr(keras.Model, name) or name in model.__dict__:
            raise CannotRecord(f"the model has a {name} of its own")
    if model.run_eagerly:
        raise CannotRecord("the model was compiled with run_eagerly=True")
    if model.optimizer is None or not model.trainable_variables:
        raise CannotRecord("the model has nothing to train")
    if isinstance(model.optimizer, keras.optimizers.LossScaleOptimizer):
        raise CannotRecord("float16 needs a loss scale, which is chosen on the host after every step")
    if [id(v) for v in model.trainable_variables] != [id(v) for v in model.optimizer._trainable_variables]:
        raise CannotRecord("what is trainable changed after the optimizer was built")
    rate = model.optimizer._learning_rate
    if not isinstance(rate, keras.Variable | keras.optimizers.schedules.LearningRateSchedule):
        raise CannotRecord("the learning rate is a function, which Keras calls in every step")
    for variable in model.trainable_variables:
        value = variable._value
        if not value.requires_grad:
            raise CannotRecord(f"the parameter of {variable.path} does not require a gradient")
        if value._backward_hooks or getattr(value, "_post_accumulate_grad_hooks", None):
            raise CannotRecord(f"the parameter of {variable.path} has a hook on its gradient")
