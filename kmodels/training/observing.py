"""Recording what a recipe asks to see of a training beside its scores; `spec.observations` says what that is."""

from __future__ import annotations

import math
from typing import Any

import keras
import numpy as np

from kmodels import augment
from kmodels.acceleration import accelerate
from kmodels.checks import require
from kmodels.data.feed import Feed
from kmodels.models.gates import gate_layers
from kmodels.models.initial_weights import layer_paths
from kmodels.models.macs import count_macs
from kmodels.spec.observations import rounded
from kmodels.training.task_data import TaskData

__all__ = ["GradientNorms", "LossSums", "gate_statistics", "observed_after", "observers"]

_PROBE = 256  # images: enough for the statistics of batch normalisation, few beside an epoch


def observers(model: Any, data: TaskData, kept: dict[str, Any]) -> list[keras.callbacks.Callback]:
    """Returns the callbacks that watch a training for what its recipe wants observed; none where it wants nothing.

    Args:
        model: compiled.
        data: what it is trained on, with the task.
        kept: receives what is observed while it trains, JSON-ready; of a training that goes on, what was observed
            before.

    Raises:
        ValueError: what is wanted cannot be observed of this network, or under this backend.
    """
    wanted = data.task.recipe.observe
    found: list[keras.callbacks.Callback] = [LossSums(kept)] if "loss_sum" in wanted else []
    if "gates" in wanted:
        require(bool(gate_layers(model)), "observe", "a network with squeeze-and-excite for gates", model.name)
    if "gradient_norms" not in wanted:
        return found
    backend = keras.backend.backend()
    require(backend == "torch", "observe", f"no gradient_norms under KERAS_BACKEND={backend}: PyTorch's alone", wanted)
    probe = data.train_part[:_PROBE]
    images = augment.apply(data.dataset.x_train[probe], None, data.transform)
    return [*found, GradientNorms(images, data.dataset.y_train[probe], kept)]


class LossSums(keras.callbacks.Callback):
    """Takes the sums of the batches' losses out of what an epoch says, where they would be curves.

    Args:
        kept: receives `loss_sum`; of a training that goes on, holds those of before.
    """

    def __init__(self, kept: dict[str, Any]) -> None:
        super().__init__()
        self._kept = kept

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Called by Keras."""
        logs.pop("val_loss_sum", None)
        value = float(logs.pop("loss_sum"))
        sums = self._kept.setdefault("loss_sum", {"epochs": []})["epochs"]
        sums.append(round(value, 6) if math.isfinite(value) else None)


class GradientNorms(keras.callbacks.Callback):
    """Measures the gradient of each layer's kernel before the training and after each epoch.

    Nothing of the training is moved: its weights are the same to the last bit with and without.

    Args:
        images: float32 `(batch, height, width, channels)`, as the network takes them.
        labels: integers `(batch,)`.
        kept: receives `gradient_norms`; of a training that goes on, holds those of before.
    """

    def __init__(self, images: np.ndarray, labels: np.ndarray, kept: dict[str, Any]) -> None:
        super().__init__()
        self._images, self._labels, self._kept = images, labels, kept

    def on_train_begin(self, logs: Any = None) -> None:
        """Called by Keras."""
        if "gradient_norms" not in self._kept:
            layers = _with_kernels(self.model)
            self._kept["gradient_norms"] = {
                "layers": list(layers),
                "kernel_sizes": [int(layer.kernel.shape[0]) if _is_conv(layer) else 0 for layer in layers.values()],
                "norms": [],
            }
            self._measure()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Called by Keras."""
        self._measure()

    def _measure(self) -> None:
        from kmodels.torch_step.gradient_norms import gradient_norms  # imports PyTorch: only where it is the backend

        norms = gradient_norms(self.model, list(_with_kernels(self.model).values()), self._images, self._labels)
        self._kept["gradient_norms"]["norms"].append([rounded(norm) for norm in norms])


def _with_kernels(model: Any) -> dict[str, Any]:
    return {path: layer for path, layer in layer_paths(model) if getattr(layer, "kernel", None) is not None}


def _is_conv(layer: Any) -> bool:
    return len(layer.kernel.shape) == 4


def observed_after(model: Any, data: TaskData, validation: Feed, labels: np.ndarray) -> dict[str, Any]:
    """Returns what is observed once a training has ended: `gates` and `size`, as far as its recipe wants them.

    Args:
        model: with the weights that count.
        data: what it was trained on, with the task.
        validation: the validation images as one pass.
        labels: of these images, `(images,)`.
    """
    wanted, found = data.task.recipe.observe, {}
    if "gates" in wanted:
        found["gates"] = _gates(model, validation, labels, data.dataset.num_classes)
    if "size" in wanted:
        parameters = sum(math.prod(weight.shape) for weight in model.trainable_weights)
        found["size"] = {"parameters": parameters, "macs": count_macs(model)}
    return found


def _gates(model: Any, validation: Feed, labels: np.ndarray, classes: int) -> dict[str, Any]:
    layers = gate_layers(model)
    ends = keras.Model(model.inputs[0], [layer.output for layer in layers.values()], name="gates")
    ends.compile(jit_compile=False)
    accelerate(ends, mode="record")  # which alone takes the batches that are prepared inside a step
    outputs = ends.predict(validation.x, steps=validation.steps_per_epoch, verbose=0)
    outputs = outputs if isinstance(outputs, list) else [outputs]
    found = [gate_statistics(np.asarray(gates).reshape(len(labels), -1), labels, classes) for gates in outputs]
    return {"blocks": list(layers), **{name: [one[name] for one in found] for name in found[0]}}


def gate_statistics(gates: np.ndarray, labels: np.ndarray, classes: int) -> dict[str, Any]:
    """Returns one block's entry in `gates` of `kmodels.spec.observations`, without its name.

    Args:
        gates: `(images, channels)`.
        labels: classes `(images,)`.
        classes: how many there are; one without images has None for its numbers.

    Example:
        >>> gates = np.array([[0.1, 0.3], [0.3, 0.5], [0.9, 0.9]])
        >>> found = gate_statistics(gates, np.array([0, 0, 1]), 2)
        >>> found["mean"], found["sd"]
        ([0.3, 0.9], [0.1, 0.0])
        >>> found["between_classes"], found["within_classes"]
        (0.3041, 0.08165)
    """
    gates = gates.astype("float64")
    parts = [gates[labels == name] for name in range(classes)]
    there = [part for part in parts if len(part)]
    centres = np.stack([part.mean(axis=0) for part in there])
    within = np.concatenate([part - centre for part, centre in zip(there, centres, strict=True)])
    return {
        "mean": [rounded(float(part.mean())) if len(part) else None for part in parts],
        "sd": [rounded(float(part.mean(axis=1).std())) if len(part) else None for part in parts],
        "between_classes": rounded(math.sqrt(float(centres.var(axis=0).mean()))),
        "within_classes": rounded(math.sqrt(float((within**2).mean()))),
    }
