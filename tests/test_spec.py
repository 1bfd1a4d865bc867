"""Recipes and experiments refuse what they cannot mean, and change without surprises."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kmodels.spec.claims import Claim, Row
from kmodels.spec.experiment import Experiment, Recipe, Schedule, Split, grid
from kmodels.spec.tasks import Task

SPLIT = Split(kind="kfold", folds=2)


def recipe(**changes):
    values = {"model": "lenet", "model_args": {"dropout": 0.0}, "dataset": "digits", "split": SPLIT}
    return Recipe(**{**values, "epochs": 1, "batch_size": 8, "learning_rate": 0.1, **changes})


def experiment(**changes):
    values = {"name": "A-x", "question": "?", "base": recipe(), "cells": grid(dropout=[0.0, 0.5])}
    return Experiment(**{**values, **changes})


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("epochs", 0),
        ("epochs", 1.5),
        ("batch_size", -1),
        ("train_images", 0),
        ("image_size", 0),
        ("learning_rate", 0.0),
        ("learning_rate", float("nan")),
        ("learning_rate", float("inf")),
        ("crop_padding", -1),
        ("rotation_degrees", 181.0),
        ("head", "sigmoid"),
        ("precision", "float64"),
        ("normalization", "none"),
        ("resize", "crop"),
        ("optimizer", "adamw2"),
        ("schedule", "cosine"),
        ("momentum", 0.9),  # of Adam
        ("nesterov", True),
        ("l2", -1e-5),
        ("weight_decay", float("inf")),
        ("clip_norm", 0.0),
    ],
)
def test_a_recipe_names_the_field_what_was_expected_and_what_came(field, value):
    with pytest.raises(ValueError, match=rf"{field}: expected .* Received: {field}="):
        recipe(**{field: value})


@pytest.mark.parametrize(
    ("fields", "name"),
    [
        ({"kind": "linear"}, "kind"),
        ({"kind": "constant", "gamma": 0.9}, "gamma"),
        ({"kind": "step", "gamma": 0.9}, "step_epochs"),
        ({"kind": "step", "step_epochs": 2, "gamma": 0.0}, "gamma"),
        ({"kind": "step", "step_epochs": 2, "warmup_epochs": 1}, "warmup_epochs"),
        ({"kind": "multistep", "gamma": 0.1}, "milestones"),
        ({"kind": "multistep", "gamma": 0.1, "milestones": (30, 20)}, "milestones"),
        ({"kind": "exponential", "final_fraction": 0.1}, "final_fraction"),
        ({"kind": "cosine", "warmup_epochs": -1}, "warmup_epochs"),
        ({"kind": "cosine", "final_fraction": 1.1}, "final_fraction"),
    ],
)
def test_a_schedule_refuses_what_its_kind_does_not_have(fields, name):
    with pytest.raises(ValueError, match=rf"{name}: expected .* Received: {name}="):
        Schedule(**fields)


def test_warming_up_takes_fewer_epochs_than_there_are():
    warming = Schedule(kind="cosine", warmup_epochs=5)
    assert recipe(epochs=6, schedule=warming).schedule == warming
    with pytest.raises(ValueError, match="warmup_epochs: expected fewer than the 5 epochs"):
        recipe(epochs=5, schedule=warming)


def test_momentum_is_for_sgd():
    assert recipe(optimizer="sgd", momentum=0.9, nesterov=True).nesterov
    with pytest.raises(ValueError, match="nesterov: expected False where momentum is 0"):
        recipe(optimizer="sgd", nesterov=True)
    with pytest.raises(ValueError, match="momentum: expected 0 for optimizer='nadam'"):
        recipe(optimizer="nadam", momentum=0.9)


def test_a_recipe_from_before_there_were_schedules_has_a_constant_rate():
    values = recipe().as_dict()
    later = ("schedule", "momentum", "nesterov", "l2", "weight_decay", "clip_norm")
    for name in (*later, "restarts", "keep", "patience", "validation_drop_last", "testing"):
        del values[name]
    assert Recipe.from_dict(values) == recipe()


@pytest.mark.parametrize(
    "fields",
    [
        {"kind": "kfold"},
        {"kind": "holdout"},
        {"kind": "holdout", "validation_fraction": 1.0},
        {"kind": "test", "folds": 2},
        {"kind": "batches", "validation_fraction": 0.2},
        {"kind": "loo"},
    ],
)
def test_a_split_refuses_what_its_kind_does_not_have(fields):
    with pytest.raises(ValueError, match="expected"):
        Split(**fields)


def test_a_change_reaches_fields_and_builder_arguments_and_refuses_other_names():
    changed = recipe().change(dropout=0.5, epochs=3)
    assert (changed.model_args["dropout"], changed.epochs) == (0.5, 3)
    assert recipe().model_args["dropout"] == 0.0
    with pytest.raises(ValueError, match="Received: lerning_rate"):
        recipe().change(lerning_rate=0.1)


@given(
    epochs=st.integers(1, 1000),
    dropout=st.floats(0, 0.99),
    head=st.sampled_from(["logits", "softmax"]),
    split=st.one_of(
        st.builds(lambda k: Split(kind="kfold", folds=k), st.integers(2, 20)),
        st.builds(lambda f: Split(kind="holdout", validation_fraction=f), st.floats(0.01, 0.99)),
    ),
    schedule=st.sampled_from(
        [
            Schedule(),
            Schedule(kind="multistep", milestones=(20, 30), gamma=0.1),
            Schedule(kind="cosine", final_fraction=0.1),
        ]
    ),
    clip_norm=st.none() | st.floats(0.1, 10),
)
def test_a_recipe_survives_json(epochs, dropout, head, split, schedule, clip_norm):
    before = recipe(
        epochs=epochs,
        model_args={"dropout": dropout},
        head=head,
        split=split,
        schedule=schedule,
        clip_norm=clip_norm,
        optimizer="sgd",
        momentum=0.9,
    )
    assert Recipe.from_dict(json.loads(json.dumps(before.as_dict()))) == before


@pytest.mark.parametrize("members", [("lenet", "plain_net"), ["lenet", "plain_net"], (("a", 1), ["b", 2])])
def test_a_recipe_with_a_sequence_among_the_builders_arguments_survives_json(members):
    before = recipe(model="average_net", model_args={"members": members})
    assert Recipe.from_dict(json.loads(json.dumps(before.as_dict()))) == before


def test_a_recipe_from_other_fields_is_refused():
    values = recipe().as_dict()
    with pytest.raises(ValueError, match="expected the fields of Recipe"):
        Recipe.from_dict({**values, "dampening": 0.9})
    del values["split"]
    with pytest.raises(ValueError, match="expected the fields of Recipe"):
        Recipe.from_dict(values)


def test_a_grid_has_every_combination_and_no_value_twice():
    assert list(grid(a=[1, 2], b=["x"])) == ["a=1, b=x", "a=2, b=x"]
    with pytest.raises(ValueError, match="different values"):
        grid(a=[1, 1])
    with pytest.raises(ValueError, match="different values"):
        grid(a=[])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"rows": [Row("A-1", "dropout=0.9")]}, "cell: expected one of"),
        ({"claims": [Claim(text="", best=["dropout=0.0", "none"])]}, "cell: expected one of"),
        ({"cells": {"x": {"depth": 3}}}, "Received: depth=3"),
        ({"cells": {}}, "at least one cell"),
        ({"quick": {"epoch": 1}}, "Received: epoch=1"),
        ({"repaired": {"dropout=0.0": {}}}, "repaired"),
        ({"name": "a/b"}, "letters, digits and hyphens"),
        ({"quick_folds": 3}, "quick_folds"),
        ({"seeds": 0}, "seeds"),
    ],
)
def test_an_experiment_refuses_declarations_that_do_not_hold_together(changes, message):
    with pytest.raises(ValueError, match=message):
        experiment(**changes)


def test_quick_changes_come_on_top_of_a_cells_own():
    part = experiment(quick={"epochs": 7})
    assert part.recipe("dropout=0.5", quick=True) == recipe(epochs=7, model_args={"dropout": 0.5})
    assert part.recipe("dropout=0.5").epochs == 1
    with pytest.raises(ValueError, match="quick protocol"):
        experiment().recipe("dropout=0.5", quick=True)


def test_a_claim_needs_one_kind_and_different_cells():
    with pytest.raises(ValueError, match="exactly one"):
        Claim(text="", best=["a", "b"], order=["a", "b"])
    with pytest.raises(ValueError, match="two or more"):
        Claim(text="", order=["a", "a"])
    with pytest.raises(ValueError, match="measure"):
        Claim(text="", order=["a", "b"], measure="beauty")
    assert Claim(text="", order=["a", "b", "c"]).pairs() == (("a", "b"), ("b", "c"))
    assert Claim(text="", best=["a", "b", "c"]).pairs() == (("a", "b"), ("a", "c"))


def test_a_task_lies_inside_its_split():
    values = {"experiment": "A-x", "cell": "c", "protocol": "quick", "recipe": recipe(), "seed": 0}
    assert Task(**values, fold=1).fold == 1
    with pytest.raises(ValueError, match="fold: expected 0 to 1"):
        Task(**values, fold=2)
    with pytest.raises(ValueError, match="seed"):
        Task(**{**values, "seed": -1}, fold=0)


@pytest.mark.parametrize("measure", ["test_nll", "test_ece"])
def test_runs_over_folds_cannot_be_asked_for_the_probabilities_that_they_do_not_keep(measure):
    message = (
        rf"measure: expected one that runs over folds keep, as 'dropout=0\.0' has 2. Received: measure='{measure}'"
    )
    with pytest.raises(ValueError, match=message):
        experiment(rows=[Row("A-1", "dropout=0.0", measure=measure)])
    claim = Claim(text="", measure=measure, best=["dropout=0.0", "dropout=0.5"])
    with pytest.raises(ValueError, match=message):
        experiment(claims=[claim])
    held_out = recipe(split=Split(kind="holdout", validation_fraction=0.1))
    assert experiment(base=held_out, claims=[claim]).claims == [claim]
