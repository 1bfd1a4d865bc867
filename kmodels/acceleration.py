"""`accelerate(model)`: `fit` on the PyTorch backend with the whole training step recorded as one graph."""

from __future__ import annotations

import warnings
from typing import Any, Literal

import keras

from kmodels.checks import require

__all__ = ["Mode", "accelerate", "execution", "explain", "first_non_finite_step"]

Mode = Literal["auto", "record", "compile"]
_STEPS = "_kmodels_steps"
_LEFT = "_kmodels_left_to_keras"


def accelerate(
    model: Any, *, mode: Mode = "auto", steps: int | None = None, exact: bool = False, cuda_graph: bool = False
) -> Any:
    """Makes `fit` and `evaluate` of a Keras model faster on the PyTorch backend; nothing else about it changes.

    The whole step (forward, loss, backward, optimizer, metrics) is recorded once for each shape of batch, without
    computing anything, and replayed from then on, compiled where that pays. Convolutions, poolings, dense layers and
    batch normalisation run on PyTorch's own kernels without copies. Callbacks, schedules, metrics, sample weights,
    validation, a short last batch and `steps_per_execution` work as before; files that are saved are those of the
    plain model. What cannot be recorded is trained by Keras' own step, with one warning that names the cause.

    Python code in losses, metrics and layers runs while a step is recorded and not again, as under `jit` on the other
    backends. Masks of `keras.layers.Dropout` are drawn from the layer's seed and a count of calls, so they repeat, and
    are not those that Keras would draw.

    Args:
        model: a built functional or sequential model; compiled now or later.
        mode: `record` never compiles, `compile` does at once, `auto` once it has paid: after as many steps as compiling
            costs, by the work counted in the recorded graph and never by a clock. Nor does `auto` record what would
            take longer than it saves: a kind of batch is recorded if 125 of it are to come, as far as `fit` can tell
            (the last batch of each epoch may be another kind), or after each 1,500 steps where nothing can; as many
            times more as a layer takes 40 operations on average. What is not recorded is Keras' own step.
        steps: training steps that are ahead in all calls together, where they are known: `auto` then records from 400
            on (as many times more, likewise) and compiles, at once or never.
        exact: record Keras' own operations, so that the weights are those of Keras' step to the last bit; slower, and
            never compiled.
        cuda_graph: on an NVIDIA GPU, take the steps of one execution (`steps_per_execution` of `compile`) by replaying
            one CUDA graph. Not measured yet, so it has to be asked for.

    Returns:
        The same model. On JAX and TensorFlow it is as it was: Keras compiles its step there.

    Raises:
        ValueError: an argument is outside its range, the model is not built, or its GPU has no CUDA graphs.

    Example:
        >>> import numpy as np
        >>> inputs = keras.Input((8,))
        >>> model = keras.Model(inputs, keras.layers.Dense(1)(inputs))
        >>> model.compile("sgd", "mse")
        >>> history = accelerate(model).fit(np.ones((4, 8)), np.ones((4, 1)), epochs=2, verbose=0)
        >>> bool(history.history["loss"][1] < history.history["loss"][0])
        True
    """
    built = isinstance(model, keras.Model) and model.built
    require(built, "model", "a built Keras model", getattr(model, "name", model))
    require(mode in ("auto", "record", "compile"), "mode", "'auto', 'record' or 'compile'", mode)
    positive = steps is None or (type(steps) is int and steps >= 1)
    require(positive, "steps", "None or an integer, 1 or more", steps)
    require(not (exact and mode == "compile"), "exact", "False with mode='compile'", exact)
    if keras.backend.backend() != "torch":
        return model
    try:
        from kmodels.torch_step.causes import CannotRecord  # imports PyTorch: only where it is the backend
        from kmodels.torch_step.entry import Entry
        from kmodels.torch_step.functions import StepFunctions
        from kmodels.torch_step.keras_internals import private_names
    except ImportError as error:  # also of a private module of Keras, which is said in the same words
        return _left_to_keras(model, str(error))

    replays = None
    if cuda_graph:
        from kmodels.torch_step.cuda_graph import Replays

        device = model.weights[0].value.device
        require(device.type == "cuda", "cuda_graph", "False where the model is not on an NVIDIA GPU", str(device))
        replays = Replays()
    chosen = "record" if exact else mode
    try:
        with private_names():  # what is read of them before the first step
            functions = StepFunctions(model, mode=chosen, steps=steps, kernels=not exact, replays=replays)
            entry = Entry(model, functions)
    except CannotRecord as error:
        return _left_to_keras(model, str(error))
    model.__dict__[_STEPS] = functions  # past Keras' `__setattr__`, which would track it
    entry.install()
    return model


def _left_to_keras(model: Any, cause: str) -> Any:
    """Returns the model with Keras' own step, which one warning tells of, and `explain` later on."""
    warnings.warn(f"kmodels.accelerate: Keras' own step is used for {model.name}: {cause}", stacklevel=3)
    model.__dict__[_LEFT] = cause  # past Keras' `__setattr__`, too
    return model


def explain(model: Any) -> str:
    """Returns how an accelerated model is trained, in a few lines: what was recorded, what was not, and why.

    Args:
        model: what `accelerate` returned.

    Raises:
        ValueError: the model was not given to `accelerate`.

    Example:
        >>> inputs = keras.Input((8,))
        >>> model = accelerate(keras.Model(inputs, keras.layers.Dense(1)(inputs)))
        >>> explain(model).splitlines()[-1] if keras.backend.backend() == "torch" else "nothing recorded yet"
        'nothing recorded yet'
    """
    functions = getattr(model, _STEPS, None)
    if functions is None and keras.backend.backend() != "torch":
        return f"backend {keras.backend.backend()}: Keras compiles the step itself"
    if functions is None and _LEFT in getattr(model, "__dict__", {}):
        return f"{model.name}: Keras' own step, because {model.__dict__[_LEFT]}"
    if functions is None:
        expected = "one that accelerate() was called on"
        raise ValueError(f"model: expected {expected}. Received: model={getattr(model, 'name', model)!r}")
    if model.train_function is None and model.test_function is None:  # before the first step, or anew since `compile`
        return "nothing recorded yet"
    return "\n".join(functions.describe())


def execution(model: Any) -> str:
    """Returns how an accelerated model's training steps are taken: `keras`, `recorded` or `compiled`."""
    functions = getattr(model, _STEPS, None)
    return "keras" if functions is None else str(functions.execution)


def first_non_finite_step(model: Any) -> int | None:
    """Returns the first recorded training step whose loss was not finite; None where none is known of.

    Steps are counted from 0, those that Keras took among them.
    """
    functions = getattr(model, _STEPS, None)
    return None if functions is None else functions.first_non_finite_step
