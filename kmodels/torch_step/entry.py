"""Where Keras asks a model for its train, test and predict functions: recorded steps in place of Keras' own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras

from kmodels.torch_step.functions import StepFunctions

__all__ = ["Entry"]

_ASKED = ("make_train_function", "make_test_function", "make_predict_function", "_symbolic_build")


class Entry:
    """Answers for one model, unless the model, by its class or by itself, has an answer of its own.

    Args:
        model: not changed before `install`.
        functions: its steps.
    """

    def __init__(self, model: keras.Model, functions: StepFunctions) -> None:
        self._model, self._functions = model, functions
        self._history = _history(model)
        self._own: dict[str, Callable[..., Any] | None] = {name: _own(model, name) for name in _ASKED}

    def install(self) -> None:
        """Puts the answers into the model.

        Into the instance's dictionary: Keras' own `__setattr__` would track them, and a saved file must not know of
        them.
        """
        answers = (self._train, self._test, self._predict, self._functions.build)
        for name, answer in zip(_ASKED, answers, strict=True):
            if self._own[name] is None or name in ("make_train_function", "make_test_function"):
                self._model.__dict__[name] = answer
        self._model.train_function = self._model.test_function = self._model.predict_function = None

    def _train(self, force: bool = False) -> None:
        if self._model.train_function is None or force:
            self._functions.reset()
        self._functions.expect(*self._coming())
        if not self._given_away("make_train_function", force):
            self._model.train_function = self._functions.train

    def _coming(self) -> tuple[int | None, int | None]:
        """Epochs of the `fit` that asks, and steps of each; None where it does not know, or something else asks.

        An `initial_epoch` is not seen here, so that there may be fewer.
        """
        before, self._history = self._history, _history(self._model)
        if self._history is None or self._history is before:  # `fit` would just have made a new one
            return None, None
        params = self._history.params or {}
        return params.get("epochs"), params.get("steps")

    def _test(self, force: bool = False) -> None:
        self._history = _history(self._model)
        if not self._given_away("make_test_function", force):
            self._model.test_function = self._functions.test

    def _predict(self, force: bool = False) -> None:
        self._history = _history(self._model)
        self._model.predict_function = self._functions.predict

    def _given_away(self, asked: str, force: bool) -> bool:
        """Whether the model has made the function itself; where it makes either one, nothing is recorded."""
        for name in ("make_train_function", "make_test_function"):
            if self._own[name] is not None:
                self._functions.refuse(f"the model has a {name} of its own")
        own = self._own[asked]
        if own is not None:
            own(force)
        return own is not None


def _history(model: keras.Model) -> keras.callbacks.History | None:
    """What Keras noted of the last `fit`; users put other things there, too."""
    held = getattr(model, "history", None)
    return held if isinstance(held, keras.callbacks.History) else None


def _own(model: keras.Model, name: str) -> Callable[..., Any] | None:
    """What a model has in place of Keras' method; None where it has none."""
    held = model.__dict__.get(name)
    owner = getattr(held, "__self__", None)
    if isinstance(owner, Entry):  # of an earlier call for this model
        return owner._own[name]
    if isinstance(owner, StepFunctions):
        return None
    if held is None and getattr(type(model), name) is getattr(keras.Model, name):
        return None
    return getattr(model, name)  # type: ignore[no-any-return]
