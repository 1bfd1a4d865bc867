"""What a recipe says of its optimizer is what the optimizer has."""

import keras
import numpy as np
import pytest

from kmodels import optimizers
from kmodels.spec.experiment import Recipe, Schedule, Split
from kmodels.training.optimization import optimizer_for


def recipe(**changes):
    values = {"model": "lenet", "dataset": "digits", "split": Split(kind="kfold", folds=2), "batch_size": 8}
    return Recipe(**{**values, "epochs": 6, "learning_rate": 0.1, **changes})


@pytest.mark.parametrize(
    ("fields", "kind", "expected"),
    [
        ({}, optimizers.Adam, {"l2": 0.0, "weight_decay": None, "global_clipnorm": None, "epsilon": 1e-8}),
        ({"l2": 1e-5, "clip_norm": 10.0}, optimizers.Adam, {"l2": 1e-5, "global_clipnorm": 10.0}),
        ({"optimizer": "adamw", "weight_decay": 0.05}, optimizers.AdamW, {"weight_decay": 0.05, "l2": 0.0}),
        ({"optimizer": "adamw"}, optimizers.AdamW, {"weight_decay": None}),  # none is none
        ({"optimizer": "nadam"}, optimizers.NAdam, {"momentum_decay": 4e-3}),
        ({"optimizer": "sgd"}, optimizers.SGD, {"momentum": 0.0, "nesterov": False}),
        (
            {"optimizer": "sgd", "momentum": 0.9, "nesterov": True, "l2": 5e-4},
            optimizers.SGD,
            {"momentum": 0.9, "nesterov": True, "l2": 5e-4},
        ),
    ],
)
def test_every_field_reaches_the_optimizer(fields, kind, expected):
    optimizer = optimizer_for(recipe(**fields), steps_per_epoch=10)
    assert type(optimizer) is kind
    assert optimizer.get_config().items() >= expected.items()


@pytest.mark.backend
@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        (Schedule(), [1.0] * 6),
        (Schedule(kind="step", step_epochs=2, gamma=0.9), [1.0, 1.0, 0.9, 0.9, 0.81, 0.81]),
        (Schedule(kind="multistep", milestones=(1, 4), gamma=0.1), [1.0, 0.1, 0.1, 0.1, 0.01, 0.01]),
        (Schedule(kind="exponential", gamma=0.5), [1.0, 0.5, 0.25, 0.125, 0.0625, 0.03125]),
        (Schedule(kind="exponential", gamma=0.5, warmup_epochs=2), [0.05, 0.55, 1.0, 0.5, 0.25, 0.125]),
        (Schedule(kind="cosine"), (1 + np.cos(np.pi * np.arange(6) / 6)) / 2),
        (Schedule(kind="cosine", warmup_epochs=3), [1 / 30, 11 / 30, 21 / 30, 1.0, 0.75, 0.25]),
        (Schedule(kind="cosine", final_fraction=0.5), 0.5 + (1 + np.cos(np.pi * np.arange(6) / 6)) / 4),
    ],
    ids=lambda value: str(value.as_dict()) if isinstance(value, Schedule) else "",
)
def test_epochs_start_with_the_rates_that_the_schedule_names(schedule, expected):
    optimizer = optimizer_for(recipe(schedule=schedule), steps_per_epoch=10)
    found = []
    for epoch in range(6):
        optimizer.iterations.assign(10 * epoch)
        found.append(float(keras.ops.convert_to_numpy(optimizer.learning_rate)))
    np.testing.assert_allclose(found, 0.1 * np.asarray(expected), rtol=2e-6)


def test_a_constant_rate_can_be_set_by_a_callback():
    optimizer = optimizer_for(recipe(learning_rate=1), steps_per_epoch=10)
    optimizer.learning_rate = 0.5
    assert float(optimizer.learning_rate) == 0.5


def test_an_epoch_without_steps_is_an_error():
    with pytest.raises(ValueError, match="steps_per_epoch: expected an integer, 1 or more"):
        optimizer_for(recipe(), steps_per_epoch=0)
