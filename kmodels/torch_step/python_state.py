"""What a step depends on besides tensors: a recording holds such a value as it was, so it must be seen to change.

Watched is what can be reached from a model, its losses, metrics and optimizer: attributes, lists, dictionaries, small
arrays, and what functions of the user's own find in their closures and modules. To look again costs microseconds.
"""

from __future__ import annotations

import random
import sys
from argparse import Namespace
from collections import ChainMap, UserDict, UserList, deque
from contextvars import ContextVar
from functools import cache, cached_property, partial, partialmethod
from pathlib import Path
from threading import local
from types import (
    CodeType,
    FunctionType,
    MappingProxyType,
    MemberDescriptorType,
    MethodType,
    ModuleType,
    SimpleNamespace,
)
from typing import Any

import keras
import numpy as np
import torch

from kmodels.torch_step.causes import CannotRecord
from kmodels.torch_step.python_places import (
    PLAIN,
    Array,
    Attributes,
    Cell,
    Generator,
    Items,
    Place,
    Slots,
    Tensor,
    content,
)
from kmodels.torch_step.replaced_methods import is_replaced

__all__ = ["PythonState"]

_KERAS_KINDS = (
    keras.layers.Layer,
    keras.losses.Loss,
    keras.metrics.Metric,
    keras.optimizers.Optimizer,
    keras.optimizers.schedules.LearningRateSchedule,
    keras.regularizers.Regularizer,
)
_LIBRARIES = frozenset({*sys.stdlib_module_names, "jax", "keras", "kmodels", "numpy", "tensorflow", "torch"})
# written around the steps by `fit`, or while Keras traces: no number that a step computes depends on them
_FREE = frozenset(
    {"training", "stop_training", "stop_evaluating", "stop_predicting", "history", "built", "_called"}
    | {"train_function", "test_function", "predict_function", "_eval_epoch_iterator", "_initial_epoch"}
    | {"make_train_function", "make_test_function", "make_predict_function", "_symbolic_build", "_kmodels_steps"}
)
# of what Keras' own objects keep: all that a user may set; nothing else is looked at, as this is done in every step
_KEPT = frozenset(
    {"_dtype_policy", "_trainable", "_learning_rate", "_fn", "_fn_kwargs", "_exclude_from_weight_decay_pattern"}
)
_IN_EVERY_LAYER = frozenset({"_dtype_policy", "_trainable", "activity_regularizer", "autocast"})
_IN_EVERY_MODEL = frozenset({"optimizer", "loss", "_run_eagerly", "_compile_loss", "_compile_metrics", "_loss_tracker"})
_NAMESPACES = (SimpleNamespace, Namespace, UserDict, UserList, ChainMap, local)
_WRAPPERS = (property, cached_property, staticmethod, classmethod, type(cache(abs)))
_WRAPPED = ("fget", "func", "__func__", "__wrapped__")
_ARRAY_BYTES = 1 << 16  # larger arrays, such as data, are told apart by their identity alone
_PLACES = 20000


class PythonState:
    """A model's surroundings in Python, as they are when this is made.

    Args:
        model: built and compiled.
    """

    def __init__(self, model: keras.Model) -> None:
        self._places: list[Place] = []
        self._generators: list[Place] = [
            Generator("Python's generator of random numbers", random),
            Generator("NumPy's generator of random numbers", np.random),
        ]
        self._seen: dict[int, Any] = {}  # kept, so that no identity is used twice
        known = (*model.variables, *model.metrics_variables, *model.optimizer.variables)
        self._known = {id(variable) for variable in known}
        self._seen.update((id(variable._value), variable) for variable in known)
        roots = [model, *model._flatten_layers(include_self=False), *model.metrics, model.optimizer]
        for root in [*roots, model.loss, getattr(model, "_compile_loss", None)]:
            self._visit("", root)

    def changed(self) -> str | None:
        """Returns the name of something that is no longer as it was, or None."""
        for place in self._places:
            if not place.same():
                return place.what()
        return None

    def touched(self) -> str | None:
        """Returns the name of something that the step just taken has changed or drawn from, or None."""
        return self.changed() or next((place.name for place in self._generators if not place.same()), None)

    def restore(self) -> None:
        """Puts everything back."""
        for place in (*self._places, *self._generators):
            if not place.same():
                place.restore()

    def _visit(self, name: str, value: Any) -> None:
        if isinstance(value, PLAIN) or id(value) in self._seen:
            return
        if len(self._places) > _PLACES:
            raise CannotRecord(f"more than {_PLACES} values in Python surround it, too many to watch")
        self._seen[id(value)] = value
        if isinstance(value, list | tuple | set | frozenset | deque | dict):
            self._container(name, value)
        elif isinstance(value, MappingProxyType):
            self._attributes(name, value, list(value), write=lambda key, found: None)
        elif isinstance(value, np.ndarray):
            if value.nbytes <= _ARRAY_BYTES and value.dtype != object:
                self._places.append(Array(name, value))
        elif isinstance(value, keras.Variable):
            self._visit(name, None if id(value) in self._known else value._value)
        elif isinstance(value, torch.Tensor):
            if type(value) in (torch.Tensor, torch.nn.Parameter) and not value.is_inference():
                self._places.append(Tensor(name, value))
        elif isinstance(value, np.random.Generator | np.random.RandomState | random.Random):
            self._generators.append(Generator(name, value))
        elif isinstance(value, partial | partialmethod):
            self._visit(name, (value.func, value.args, value.keywords))
        elif isinstance(value, _NAMESPACES):
            self._attributes(name, vars(value), list(vars(value)), added=lambda _: True)
        elif isinstance(value, ContextVar):
            self._cell(name, value)
        elif isinstance(value, ModuleType):
            plain = [key for key, found in vars(value).items() if isinstance(found, (*PLAIN, dict, list))]
            self._module(name, value, [key for key in plain if not key.startswith("__")], set())
        elif isinstance(value, _WRAPPERS):
            self._visit(name, next(getattr(value, key) for key in _WRAPPED if hasattr(value, key)))
        elif isinstance(value, MethodType):
            self._visit(name, value.__self__)
            self._visit(name, value.__func__)
        elif isinstance(value, FunctionType):
            self._function(value)
        elif isinstance(value, type):
            self._class(value)
        elif isinstance(value, _KERAS_KINDS) or not _foreign(type(value).__module__):
            self._object(value)

    def _container(self, name: str, value: Any) -> None:
        if isinstance(value, dict):
            self._attributes(name, value, list(value), added=lambda _: True)
        else:
            if isinstance(value, list | set | deque):
                self._places.append(Items(name, value))
            for item in value:
                self._visit(name, item)
        if not _foreign(type(value).__module__):
            self._object(value)

    def _cell(self, name: str, held: Any) -> None:
        self._places.append(Cell(name, held))
        self._visit(name, content(held))

    def _attributes(self, name: str, held: Any, names: list[Any], **options: Any) -> None:
        self._places.append(Attributes(name, held, names, **options))
        for key in names:
            self._visit(f"{name}.{key}" if name else str(key), held[key])

    def _object(self, owner: Any) -> None:
        held, matters = getattr(owner, "__dict__", {}), _Matters(owner)  # without one, where its class has slots
        called = held.get("name")  # not `owner.name`, which may be anything's code
        label = f"{type(owner).__name__} {called if isinstance(called, str) else ''}".strip()
        self._attributes(label, held, [key for key in held if matters(key)], added=matters)
        if slots := _slots(type(owner)):
            values = Slots(owner, slots)
            self._attributes(label, values, list(values), added=lambda _: True)
        for metric in held.get("_metrics", ()) if isinstance(owner, keras.metrics.Metric | keras.losses.Loss) else ():
            self._visit(label, metric)
        if not _foreign(type(owner).__module__):
            self._visit(f"{label}.layers", held.get("_modules"))
        for kind in type(owner).__mro__:
            self._visit(kind.__name__, kind)

    def _class(self, kind: type) -> None:
        if _foreign(kind.__module__):
            return
        held = {key: value for key, value in vars(kind).items() if not key.startswith("__") or key == "__call__"}
        if _installed(kind.__module__):
            held = {key: value for key, value in held.items() if isinstance(value, (*PLAIN, FunctionType, *_WRAPPERS))}
        self._attributes(kind.__name__, vars(kind), list(held), write=partial(setattr, kind))

    def _function(self, function: FunctionType) -> None:
        if _foreign(function.__module__ or ""):
            return
        name, names, around = function.__name__, sorted(_names(function.__code__)), function.__globals__
        cells = dict(zip(function.__code__.co_freevars, function.__closure__ or (), strict=True))
        imported = {key: sys.modules[key] for key in names if key in sys.modules}  # by the function itself
        reached = {**imported, **around, **{key: content(cell) for key, cell in cells.items()}}
        modules = {key: reached[key] for key in (*names, *cells) if isinstance(reached.get(key), ModuleType)}
        done: set[int] = set()
        for key, module in modules.items():
            self._module(key, module, names, done)
        self._attributes(name, around, [key for key in names if key in around and key not in modules])
        for key, cell in cells.items():
            if key in modules:
                self._places.append(Cell(f"{key}, which {name} uses", cell))
            else:
                self._cell(f"{key}, which {name} uses", cell)
        for default in (*(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).values()):
            self._visit(name, default)
        self._visit(name, vars(function))

    def _module(self, name: str, module: ModuleType, names: list[str], done: set[int]) -> None:
        """Visits what some names stand for in a module of the user's own, and in modules that it names by them."""
        if id(module) in done or _foreign(module.__name__):
            return
        done.add(id(module))
        held = vars(module)
        kinds = (*PLAIN, dict, list) if _installed(module.__name__) else object
        used = [key for key in names if key in held and isinstance(held[key], kinds)]
        for key in used:
            if isinstance(held[key], ModuleType):
                self._module(f"{name}.{key}", held[key], names, done)
        self._attributes(name, held, [key for key in used if not isinstance(held[key], ModuleType)])


class _Matters:
    """Whether an attribute of an object counts, by its name."""

    def __init__(self, owner: Any) -> None:
        layer, model = isinstance(owner, keras.layers.Layer), isinstance(owner, keras.Model)
        self._kept = _KEPT | (_IN_EVERY_LAYER if layer else set()) | (_IN_EVERY_MODEL if model else set())
        self._hidden = _FREE | (_bookkeeping() if layer else set())
        self._own, self._owner = not _foreign(type(owner).__module__), owner

    def __call__(self, name: Any) -> bool:
        name = str(name)
        if name in self._kept:
            return True
        if name in self._hidden or name.startswith("__") or name.endswith("_initializer"):
            return False
        return self._own or not name.startswith("_") or is_replaced(self._owner, name)


@cache
def _bookkeeping() -> frozenset[str]:
    """Names that Keras and PyTorch keep in every layer and model."""
    inputs = keras.Input((1,))
    models = [keras.Model(inputs, keras.layers.Identity()(inputs)), keras.Sequential([keras.layers.Identity()])]
    return frozenset(name for owner in (keras.layers.Layer(), keras.Model(), *models) for name in vars(owner))


def _slots(kind: type) -> tuple[str, ...]:
    """Names of the `__slots__` that a class and the user's classes under it have."""
    own = [vars(base).items() for base in kind.__mro__ if not _foreign(base.__module__)]
    return tuple(name for items in own for name, value in items if isinstance(value, MemberDescriptorType))


def _names(code: CodeType) -> set[str]:
    """Names that a function, and those defined in it, look up in its module or as attributes, or by `getattr`."""
    inner = [constant for constant in code.co_consts if isinstance(constant, CodeType)]
    words = {constant for constant in code.co_consts if isinstance(constant, str) and constant.isidentifier()}
    return words.union(code.co_names, *(_names(c) for c in inner))


@cache
def _installed(module: str) -> bool:
    """Whether a module belongs to an installed package: one could go through all of it and find nothing of a user's."""
    found = getattr(sys.modules.get(module.partition(".")[0]), "__file__", None)
    return found is not None and not {"site-packages", "dist-packages"}.isdisjoint(Path(found).parts)


def _foreign(module: str) -> bool:
    """Whether a module belongs to a library, whose own state no user sets."""
    return module.partition(".")[0] in _LIBRARIES
