"""A network and a recipe to reach a test accuracy on CIFAR-10 in little time: no test-time augmentation.

bfloat16, data resident, crop and flip in the step, the step compiled and, on CUDA, replayed as a graph. Recording,
compiling and capturing are timed apart, with steps that are undone before the clock starts.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import torch

import kmodels
from kmodels.augment import Transform
from kmodels.data.feed import evaluation_feed, training_feed
from kmodels.models.initial_weights import initialize
from kmodels.optimizers import SGD
from kmodels.schedules import Cosine, WarmUp

__all__ = ["RECIPES", "FastRecipe", "Images", "train_fast"]

Images = tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]


@dataclass(frozen=True)
class FastRecipe:
    """How to train for a target.

    Attributes:
        target: test accuracy to reach.
        epochs: length of the training.
        widths: channels of the stem and of the three stages.
        blocks: residual blocks in each stage, after the convolution that widens it.
        learning_rate: peak, of SGD with Nesterov momentum 0.9.
        l2: added to the gradient, times the weight.
        batch: images a step.
        label_smoothing: share of the target spread over all classes.
    """

    target: float
    epochs: int
    widths: tuple[int, int, int, int]
    blocks: tuple[int, int, int]
    learning_rate: float = 0.4
    l2: float = 5e-4
    batch: int = 500
    label_smoothing: float = 0.1


RECIPES = {
    "94 %": FastRecipe(0.94, 14, (64, 128, 256, 512), (1, 0, 1)),
    "96 %": FastRecipe(0.96, 45, (64, 256, 512, 512), (1, 1, 1)),
}
"""By what they aim at; the first is of the shape that was fastest in DAWNBench, the second wider, deeper and longer."""


def network(shape: tuple[int, ...], recipe: FastRecipe) -> keras.Model:
    """Builds a narrow stem, three stages that pool and widen, and a dense layer on the largest values."""
    layers = keras.layers

    def convolution(x: Any, width: int, name: str) -> Any:
        x = layers.Conv2D(width, 3, padding="same", use_bias=False, kernel_initializer="he_normal", name=name)(x)
        x = layers.BatchNormalization(momentum=0.9, epsilon=1e-5, name=f"{name}_bn")(x)
        return layers.ReLU(name=f"{name}_relu")(x)

    inputs = keras.Input(shape, name="images")
    x = convolution(inputs, recipe.widths[0], "stem")
    for stage, (width, blocks) in enumerate(zip(recipe.widths[1:], recipe.blocks, strict=True), start=1):
        x = convolution(x, width, f"stage{stage}")
        x = layers.MaxPooling2D(2, name=f"stage{stage}_pool")(x)
        for block in range(1, blocks + 1):
            name = f"stage{stage}_block{block}"
            inner = convolution(convolution(x, width, f"{name}_conv1"), width, f"{name}_conv2")
            x = layers.Add(name=f"{name}_add")([x, inner])
    x = layers.GlobalMaxPooling2D(name="pool")(x)
    # small logits at the start, so that a high learning rate does not upset the first steps
    logits = layers.Dense(10, use_bias=False, dtype="float32", name="logits")(x)
    return keras.Model(inputs, layers.Rescaling(0.125, dtype="float32", name="scaled")(logits), name="fast")


def train_fast(
    recipe: FastRecipe, train: Images, test: Images, *, runs: int, deadline: float, report: Callable[[str], None]
) -> dict[str, Any]:
    """Trains with several seeds and says what accuracy came out, and in what time.

    Args:
        recipe: how.
        train: images, uint8 `(n, height, width, channels)`, and labels `(n,)`.
        test: likewise; looked at once a run, after its last epoch.
        runs: how many, with seeds 0, 1, …
        deadline: `time.perf_counter()` that no further run begins after, if it would take as long as the last.
        report: receives a line a run.

    Returns:
        What was trained, `compile_seconds`, each run's accuracy and seconds, mean and spread, and `reached`: whether
        the mean accuracy is the target or more.
    """
    cuda = torch.cuda.is_available()
    steps = len(train[0]) // recipe.batch
    execution = max(n for n in range(1, 11) if steps % n == 0) if cuda else 1
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        model = network(train[0].shape[1:], recipe)
    finally:
        keras.config.set_dtype_policy("float32")
    warm = max(1, recipe.epochs // 5) * steps
    rate = WarmUp(Cosine(recipe.learning_rate, steps, recipe.epochs), warm)
    loss = keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=recipe.label_smoothing)
    optimizer = SGD(rate, momentum=0.9, nesterov=True, l2=recipe.l2)
    model.compile(optimizer, loss, metrics=["accuracy"], steps_per_execution=execution)
    kmodels.accelerate(model, mode="compile" if cuda else "record", cuda_graph=cuda)
    mean, std = (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)
    augmented = Transform(mean=mean, std=std, crop_padding=4, flip=True)
    onehot = [np.eye(10, dtype=np.float32)[labels] for _, labels in (train, test)]

    def feed(seed: int) -> Any:
        everything = np.arange(len(train[0]))
        options = {"batch_size": recipe.batch, "drop_last": True, "steps_per_execution": execution}
        return training_feed(
            "resident", train[0], onehot[0], everything, augmented, seed=seed, fold=0, epochs=recipe.epochs, **options
        )

    kept = feed(0)  # while one feed lives, the images are uploaded, and their steps captured, once
    held = evaluation_feed(
        "resident", test[0], onehot[1], np.arange(len(test[0])), augmented, steps_per_execution=execution
    )

    def fit(seed: int, epochs: int, steps_per_epoch: int) -> float:
        _synchronize(cuda)
        began = time.perf_counter()
        model.fit(feed(seed).x, steps_per_epoch=steps_per_epoch, epochs=epochs, shuffle=False, verbose=0)
        _synchronize(cuda)
        return time.perf_counter() - began

    began = time.perf_counter()
    fit(0, 1, 2 * execution)
    model.evaluate(held.x, verbose=0)
    compiling = time.perf_counter() - began
    found: list[dict[str, float]] = []
    last = 0.0
    for seed in range(runs):
        if found and time.perf_counter() + last > deadline:
            break
        again = time.perf_counter()
        _restart(model, seed)
        seconds = fit(seed, recipe.epochs, steps)
        accuracy = float(model.evaluate(held.x, verbose=0, return_dict=True)["accuracy"])
        found.append({"accuracy": round(accuracy, 4), "seconds": round(seconds, 3)})
        report(f"    seed {seed}: {accuracy:.4f} in {seconds:.1f} s")
        last = time.perf_counter() - again
    del kept
    accuracies, times = ([run[name] for run in found] for name in ("accuracy", "seconds"))
    return {
        "recipe": asdict(recipe),
        "how": kmodels.explain(model),
        "parameters": model.count_params(),
        "compile_seconds": round(compiling, 1),
        "runs": found,
        "accuracy": {"mean": round(statistics.fmean(accuracies), 4), "spread": _spread(accuracies)},
        "seconds": {"mean": round(statistics.fmean(times), 2), "spread": _spread(times)},
        "reached": statistics.fmean(accuracies) >= recipe.target,
    }


def _restart(model: keras.Model, seed: int) -> None:
    """New initial weights, an optimizer that has not moved: in place, so that what was captured stays valid."""
    initialize(model, seed)
    with torch.no_grad():
        for variable in (*model.optimizer.variables, *model.metrics_variables):
            if variable.path != "learning_rate":
                variable.value.zero_()


def _spread(values: list[float]) -> float:
    return round(statistics.stdev(values), 4) if len(values) > 1 else 0.0


def _synchronize(cuda: bool) -> None:
    if cuda:
        torch.cuda.synchronize()
