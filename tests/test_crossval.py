"""What a fold's score is: of samples it was not trained on, of a chosen epoch, and the same wherever it is made."""

import hashlib
import math

import keras
import numpy as np
import pytest

import kmodels
from kmodels.crossval import validate
from kmodels.crossval.result import FoldFailed
from kmodels.crossval.validate import cross_validate
from tests.crossval_digits import dense, digits, planned, score, without_seconds


def test_it_is_a_public_name():
    assert kmodels.cross_validate is cross_validate


@pytest.mark.backend
def test_one_seed_gives_one_number_and_another_seed_another():
    x, y = digits()
    first, again = (cross_validate(dense, x, y, folds=3, seeds=2, epochs=3, batch_size=16) for _ in range(2))
    assert without_seconds(first) == without_seconds(again)
    assert first.mean > 0.4
    assert first.scores[0].train_loss != first.scores[3].train_loss
    assert [(s.seed, s.fold) for s in first.scores] == [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2)]


@pytest.mark.backend
def test_folds_weights_and_order_are_the_same_bytes_on_every_backend():
    x, y = digits()
    seen = hashlib.sha256()

    class Looking(keras.callbacks.Callback):
        def on_train_begin(self, logs=None):
            for weight in self.model.weights:
                seen.update(np.asarray(keras.ops.convert_to_numpy(weight)).tobytes())

    found = cross_validate(dense, x, y, folds=2, epochs=1, batch_size=16, callbacks=lambda seed, fold: [Looking()])
    assert seen.hexdigest()[:16] == "7fae103bf14e5f7d"
    assert planned(x, y).digest[:16] == "37ee39b026a840f6"
    # one epoch in the same order from the same weights: equal but for the order of float32 sums
    assert found.scores[0].train_loss[0] == pytest.approx(2.3144619, rel=1e-4)


def test_every_sample_is_scored_once_and_none_is_trained_on_where_it_is_scored():
    x, y = digits()
    trained, scored = {}, []

    def spy(build, x, y, parts, training, *, seed, fold, **_):
        trained[fold], held = set(parts[0].tolist()), parts[1].tolist()
        scored.extend(held)
        assert not trained[fold] & set(held)
        return score(seed, fold, 0.5), None

    original, validate.train_fold = validate.train_fold, spy
    try:
        cross_validate(dense, x, y, folds=5, epochs=1, batch_size=16)
    finally:
        validate.train_fold = original
    assert sorted(scored) == list(range(len(y)))


def test_the_score_is_the_last_epochs_even_where_an_earlier_one_was_better():
    x, y = digits()
    spoil = 3

    class Spoiling(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            if epoch + 1 == spoil:
                self.model.layers[-1].bias.assign(np.array([1000.0] + [0.0] * 9, "float32"))

    found = cross_validate(dense, x, y, folds=2, epochs=spoil, batch_size=16, callbacks=lambda seed, fold: [Spoiling()])
    assert all(s.value < 0.2 and s.epoch == spoil for s in found.scores)


@pytest.mark.backend
def test_the_inner_split_chooses_the_epoch_without_the_scored_part():
    x, y = digits()

    class Spoiling(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 3:  # the fourth epoch starts from a ruin
                for weight in self.model.trainable_weights:
                    weight.assign(np.zeros(weight.shape, "float32"))

    found = cross_validate(
        dense, x, y, folds=2, epochs=4, batch_size=16, inner_fraction=0.25, callbacks=lambda seed, fold: [Spoiling()]
    )
    for each in found.scores:
        assert each.epoch == 1 + int(np.argmax(each.inner)) < 4
        assert each.epochs == len(each.inner) == 4
        assert each.train_samples == 75 and each.held_samples == 100
        assert each.value > 0.2


def test_a_hold_out_regression_with_two_inputs_and_a_seeded_build():
    draw = np.random.default_rng(0)
    x = {"a": draw.normal(size=(60, 3)).astype("float32"), "b": draw.normal(size=(60, 2)).astype("float32")}
    y = (x["a"].sum(axis=1) - x["b"][:, 0]).astype("float32")
    given_seeds = []

    def build(seed):
        given_seeds.append(seed)
        inputs = {"a": keras.Input((3,), name="a"), "b": keras.Input((2,), name="b")}
        out = keras.layers.Dense(1)(keras.layers.Concatenate()([inputs["a"], inputs["b"]]))
        model = keras.Model(inputs, out)
        model.compile(keras.optimizers.SGD(0.05), "mse")
        return model

    found = cross_validate(
        build, x, y, folds=1, seeds=[3, 5], epochs=20, batch_size=8, metric="loss", stratify=False,
        validation_fraction=0.25,
    )  # fmt: skip
    assert given_seeds == [3, 5]
    assert found.folds == 1 and found.scores[0].held_samples == 15
    assert found.mean < 0.1
    assert math.isnan(found.fold_sd) and found.sd >= 0.0


def test_weights_that_build_made_are_kept_on_request():
    x, y = digits()
    seen = []

    class Looking(keras.callbacks.Callback):
        def on_train_begin(self, logs=None):
            seen.append(keras.ops.convert_to_numpy(self.model.layers[-1].bias).tolist())

    def pretrained():
        model = dense()
        model.layers[-1].bias.assign(np.arange(10, dtype="float32"))
        return model

    for how in ("seeded", "build"):
        cross_validate(
            pretrained,
            x,
            y,
            folds=1,
            epochs=1,
            batch_size=32,
            initial_weights=how,
            callbacks=lambda seed, fold: [Looking()],
        )
    assert seen == [[0.0] * 10, list(map(float, range(10)))]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"folds": 0}, "folds"),
        ({"epochs": 0}, "epochs"),
        ({"batch_size": 1.5}, "batch_size"),
        ({"seeds": 0}, "seeds"),
        ({"seeds": [1, 1]}, "seeds"),
        ({"inner_fraction": 1.0}, "inner_fraction"),
        ({"folds": 1, "validation_fraction": 0.0}, "validation_fraction"),
        ({"metric": "kappa"}, "direction"),
        ({"initial_weights": "zeros"}, "initial_weights"),
        ({"y": np.zeros(200)}, "stratify=False"),
        ({"y": np.zeros(10, int)}, "10 samples"),
        ({"x": [[1.0]]}, "NumPy array"),
    ],
)
def test_wrong_arguments_are_named_before_anything_is_trained(changes, said):
    x, y = digits()
    with pytest.raises(ValueError, match=said):
        cross_validate(
            lambda: pytest.fail("trained"), **{"x": x, "y": y, "folds": 2, "epochs": 1, "batch_size": 8, **changes}
        )


def test_a_metric_that_the_model_has_not_is_named():
    x, y = digits()
    with pytest.raises(FoldFailed, match="expected one of accuracy, loss"):
        cross_validate(dense, x, y, folds=2, epochs=1, batch_size=16, metric="auc")
