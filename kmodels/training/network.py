"""The network, loss and optimizer that a recipe asks for, and how its images are prepared."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from kmodels import augment, models
from kmodels.data import Dataset
from kmodels.data.feed import Feed
from kmodels.models.initial_weights import initialize, seed_dropout
from kmodels.spec.experiment import Recipe
from kmodels.torch_step.float32 import without_tf32
from kmodels.training.keras_settings import fixed_settings
from kmodels.training.losses import LossSum, loss_for
from kmodels.training.optimization import optimizer_for

__all__ = ["build_model", "compile_model", "logits_of", "transform_for"]


@fixed_settings()
def build_model(
    recipe: Recipe,
    image_shape: tuple[int, int, int],
    num_classes: int,
    *,
    seed: int,
    fold: int,
    steps_per_epoch: int = 1,
) -> Any:
    """Builds and compiles the network of a recipe, with the initial weights of a seed.

    Args:
        recipe: what to train.
        image_shape: `(height, width, channels)` of the stored images.
        num_classes: number of classes.
        seed: seed of the initial weights, which are the same for every fold, and of dropout.
        fold: index of the fold, which dropout depends on.
        steps_per_epoch: batches an epoch, which a learning-rate schedule counts.

    Returns:
        A compiled functional model.

    Raises:
        ValueError: the recipe does not fit the builder or the images.
    """
    height, width, channels = image_shape
    if recipe.image_size is not None:
        height = width = recipe.image_size
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(recipe.precision)
    try:
        model = models.build(recipe.model, (height, width, channels), num_classes, **recipe.model_args)
    finally:
        keras.config.set_dtype_policy(before)
    initialize(model, seed)
    seed_dropout(model, seed, fold)
    compile_model(model, recipe, steps_per_epoch)
    if keras.backend.backend() == "torch":
        from kmodels.torch_step.keras_internals import build_variables

        images = np.zeros((1, height, width, channels), "float32")
        build_variables(model, data_batch=(images, np.zeros(1, "int64")))
    return model


def compile_model(model: Any, recipe: Recipe, steps_per_epoch: int) -> None:
    """Gives a network the loss of a recipe and a fresh optimizer.

    Args:
        model: the network.
        recipe: names loss, optimizer and schedule.
        steps_per_epoch: batches an epoch, which a learning-rate schedule counts.
    """
    optimizer = optimizer_for(recipe, steps_per_epoch)
    metrics = ["accuracy", *([LossSum(loss_for(recipe.head))] if "loss_sum" in recipe.observe else [])]
    model.compile(optimizer, loss_for(recipe.head), metrics=metrics, auto_scale_loss=True)


def logits_of(model: Any, feed: Feed) -> np.ndarray:
    """Returns what a network says of the images of a feed, float64 `(images, classes)`; without TF32 on a GPU."""
    with without_tf32():
        return np.asarray(model.predict(feed.x, steps=feed.steps_per_epoch, verbose=0), dtype="float64")


def transform_for(recipe: Recipe, dataset: Dataset, train_part: np.ndarray) -> augment.Transform:
    """Returns how stored images become the network's input.

    Args:
        recipe: names sizes, augmentation and normalisation.
        dataset: the images.
        train_part: indices of the training images, whose statistics `standard` normalisation uses.
    """
    mean, std = augment.normalization_constants(recipe.normalization, dataset.name, dataset.x_train[train_part])
    return augment.Transform(
        mean=mean,
        std=std,
        image_size=recipe.image_size,
        resize=recipe.resize,
        crop_padding=recipe.crop_padding,
        flip=recipe.flip,
        rotation_degrees=recipe.rotation_degrees,
    )
