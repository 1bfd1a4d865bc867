import hashlib
import json
import math
import os
import signal
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.datasets import load_digits

import kmodels
from kmodels.crossval import validate
from kmodels.crossval.fold import train_fold
from kmodels.crossval.plan import plan
from kmodels.crossval.result import CrossValidation, FoldFailed, FoldScore
from kmodels.crossval.validate import carry_out, cross_validate

ROOT = Path(__file__).resolve().parents[1]


def digits(samples=200):
    images, labels = load_digits(return_X_y=True)
    return (images[:samples] / 16.0).astype("float32"), labels[:samples].astype("int64")


def compiled(model, optimizer="adam"):
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer, loss, metrics=["accuracy"])
    return model


def dense(optimizer=None, dropout=0.0):
    layers = [keras.layers.Dense(16, activation="relu"), keras.layers.Dropout(dropout), keras.layers.Dense(10)]
    return compiled(keras.Sequential([keras.Input((64,)), *layers]), optimizer or keras.optimizers.Adam(0.01))


def scheduled():
    """Momentum, a schedule and dropout: what is lost when only weights are kept."""
    schedule = keras.optimizers.schedules.CosineDecay(0.5, decay_steps=60)
    return dense(keras.optimizers.SGD(schedule, momentum=0.9), dropout=0.5)


def planned(x, y, **changes):
    arguments = {
        "folds": 2,
        "seeds": 1,
        "epochs": 2,
        "batch_size": 16,
        "metric": "accuracy",
        "direction": None,
        "validation_fraction": 0.2,
        "inner_fraction": 0.0,
        "stratify": True,
        "split_seed": 0,
        "initial_weights": "seeded",
    }
    return plan(x, y, **{**arguments, **changes})


def without_seconds(found):
    return [{**score.as_dict(), "seconds": None} for score in found.scores]


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


def score(seed, fold, value):
    return FoldScore(
        seed=seed, fold=fold, value=value, epoch=1, epochs=1, train_loss=(1.0,), train_samples=1, held_samples=1,
        seconds=0.0,
    )  # fmt: skip


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


@pytest.mark.backend
@pytest.mark.parametrize("inner_fraction", [0.0, 0.25])
def test_going_on_from_the_states_equals_never_having_stopped(tmp_path, inner_fraction):
    x, y = digits()
    at_once = carry_out(planned(x, y, epochs=4, inner_fraction=inner_fraction), scheduled, x, y)
    two = planned(x, y, epochs=2, inner_fraction=inner_fraction)
    carry_out(two, scheduled, x, y, folder=tmp_path / "a", keep_states=True)
    four = planned(x, y, epochs=4, inner_fraction=inner_fraction, initial_epoch=2)
    later = carry_out(four, scheduled, x, y, folder=tmp_path / "b", keep_states=True, go_on_from=tmp_path / "a")
    assert without_seconds(later) == without_seconds(at_once)
    assert all(len(s.train_loss) == 4 for s in later.scores)


def test_without_the_optimizers_state_going_on_would_differ(tmp_path, monkeypatch):
    """The test above can fail: momentum and step count do move the numbers."""
    from kmodels.crossval import fold as crossval_fold

    x, y = digits()
    at_once = carry_out(planned(x, y, epochs=4), scheduled, x, y)
    carry_out(planned(x, y), scheduled, x, y, folder=tmp_path, keep_states=True)
    monkeypatch.setattr(
        crossval_fold, "restore", lambda v, s, name, keep=crossval_fold.restore: name == "model" and keep(v, s, name)
    )
    later = carry_out(planned(x, y, epochs=4, initial_epoch=2), scheduled, x, y, go_on_from=tmp_path)
    assert [s.train_loss[2:] for s in later.scores] != [s.train_loss[2:] for s in at_once.scores]


def test_finished_folds_are_read_and_the_rest_is_trained(tmp_path):
    x, y = digits()
    whole = cross_validate(dense, x, y, folds=3, epochs=2, batch_size=16)
    stop_after = 2

    class Stopped(BaseException):
        pass

    def stopping(build, x, y, parts, training, **keys):
        if keys["fold"] == stop_after:
            raise Stopped
        return train_fold(build, x, y, parts, training, **keys)

    original, validate.train_fold = validate.train_fold, stopping
    try:
        with pytest.raises(Stopped):
            cross_validate(dense, x, y, folds=3, epochs=2, batch_size=16, folder=tmp_path)
    finally:
        validate.train_fold = original
    resumed = cross_validate(dense, x, y, folds=3, epochs=2, batch_size=16, folder=tmp_path)
    assert resumed.reused == stop_after
    assert without_seconds(resumed) == without_seconds(whole)
    assert cross_validate(dense, x, y, folds=3, epochs=2, batch_size=16, folder=tmp_path).reused == 3


KILLED = """
import os, signal, sys
from pathlib import Path
sys.path.insert(0, sys.argv[3])
from kmodels.crossval import folder as crossval_folder
from kmodels.crossval.validate import cross_validate
from test_crossval import dense, digits
x, y = digits()
write, left = crossval_folder.write_atomically, int(sys.argv[2])
def killing(path, content):
    global left
    left -= 1
    if left < 0:
        os.kill(os.getpid(), signal.SIGKILL)
    write(path, content)
crossval_folder.write_atomically = killing
cross_validate(dense, x, y, folds=3, epochs=2, batch_size=16, folder=sys.argv[1])
"""


def test_issue_702_killed_with_kill_9_it_goes_on_where_it_was(tmp_path):
    x, y = digits()
    command = [sys.executable, "-c", KILLED, str(tmp_path), "1", str(ROOT / "tests")]
    done = subprocess.run(command, capture_output=True, env={**os.environ, "PYTHONPATH": str(ROOT)}, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr[-2000:]
    resumed = cross_validate(dense, x, y, folds=3, epochs=2, batch_size=16, folder=tmp_path)
    assert resumed.reused == 1
    assert without_seconds(resumed) == without_seconds(cross_validate(dense, x, y, folds=3, epochs=2, batch_size=16))


@pytest.mark.parametrize(
    "changes",
    [{"epochs": 3}, {"batch_size": 8}, {"split_seed": 1}, {"inner_fraction": 0.5}, {"identity": "b"}, {"folds": 3}],
)
def test_nothing_trained_under_other_settings_is_read(tmp_path, changes, monkeypatch):
    x, y = digits()
    monkeypatch.setattr(validate, "train_fold", lambda *a, seed, fold, **_: (score(seed, fold, 0.5), None))
    arguments = {"folds": 2, "epochs": 2, "batch_size": 16, "folder": tmp_path}
    cross_validate(dense, x, y, **arguments)
    assert cross_validate(dense, x, y, **arguments).reused == 2
    assert cross_validate(dense, x, y, **{**arguments, **changes}).reused == 0
    assert cross_validate(dense, x + 1, y, **arguments).reused == 0
    assert cross_validate(dense, x, y, **arguments, seeds=[7]).reused == 0


@pytest.mark.parametrize(
    ("build", "kind", "cause"),
    [
        (lambda: dense(keras.optimizers.SGD(1e30)), "not finite", FloatingPointError),
        (lambda: (_ for _ in ()).throw(MemoryError("no room")), "out of memory", MemoryError),
        (lambda: (_ for _ in ()).throw(RuntimeError("CUDA out of memory. Tried")), "out of memory", RuntimeError),
        (lambda: 1 / 0, "exception", ZeroDivisionError),
    ],
)
def test_a_failing_fold_says_which_and_why(tmp_path, build, kind, cause):
    x, y = digits()
    with pytest.raises(FoldFailed, match="seed 0, fold 0") as caught:
        cross_validate(build, x, y, folds=2, epochs=2, batch_size=16, folder=tmp_path)
    assert caught.value.kind == kind
    assert isinstance(caught.value.__cause__, cause)
    [record] = tmp_path.glob("*.failed.json")
    assert json.loads(record.read_text())["kind"] == kind
    cross_validate(dense, x, y, folds=2, epochs=2, batch_size=16, folder=tmp_path)
    assert not list(tmp_path.glob("*.failed.json"))


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


@given(st.integers(1, 3), st.integers(1, 4), st.data())
@settings(max_examples=30, deadline=None)
def test_mean_and_deviation_are_those_of_the_seeds(seeds, folds, data):
    values = np.array(data.draw(st.lists(st.floats(0, 1), min_size=seeds * folds, max_size=seeds * folds)))
    values = values.reshape(seeds, folds)
    found = CrossValidation(
        metric="accuracy", scores=tuple(score(s, f, float(values[s, f])) for s in range(seeds) for f in range(folds))
    )
    assert found.mean == pytest.approx(values.mean())
    if seeds > 1:
        assert found.sd == pytest.approx(values.mean(axis=1).std(ddof=1), abs=1e-12)
    else:
        assert math.isnan(found.sd)
    if folds > 1:
        assert found.fold_sd == pytest.approx(np.sqrt(values.var(axis=1, ddof=1).mean()), abs=1e-9)
    assert FoldScore.from_dict(json.loads(json.dumps(found.scores[0].as_dict()))) == found.scores[0]


def test_scores_with_a_hole_are_refused():
    with pytest.raises(ValueError, match="every fold of every seed"):
        CrossValidation(metric="accuracy", scores=(score(0, 0, 0.1), score(0, 1, 0.1), score(1, 0, 0.1)))
