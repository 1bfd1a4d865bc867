"""`accelerate`: optimizers, schedules, metrics and failures, each as in Keras' own step or refused with one warning."""

import shutil

import keras
import numpy as np
import pytest
from keras import layers, ops

from kmodels import optimizers as own
from kmodels import schedules
from kmodels.acceleration import accelerate, execution, explain, first_non_finite_step
from tests.accelerated import check, convnet, crossentropy, features, fit, images, only_torch, perceptron, trained

pytestmark = [only_torch]

X, Y = features()
IMAGES, CLASSES = images()
EXACT = pytest.mark.parametrize("exact", [False, True], ids=["kernels", "exact"])
optimizers, decays = keras.optimizers, keras.optimizers.schedules


class SlowAdam(optimizers.Adam):
    def update_step(self, gradient, variable, learning_rate):
        super().update_step(gradient, variable, learning_rate * 0.1)


@EXACT
@pytest.mark.parametrize(
    "make, cause",
    [
        (lambda: optimizers.SGD(0.1), None),
        (lambda: optimizers.SGD(0.1, momentum=0.9, nesterov=True, clipnorm=0.1), None),
        (lambda: optimizers.SGD(0.1, weight_decay=0.1, global_clipnorm=0.5), None),
        (lambda: optimizers.Adam(1e-3, amsgrad=True), None),
        (lambda: optimizers.AdamW(1e-3, weight_decay=0.1, clipvalue=0.01), None),
        (lambda: optimizers.Nadam(1e-3), None),
        (lambda: own.SGD(0.1, momentum=0.9, l2=0.01), None),
        (lambda: own.Adam(1e-3, l2=0.01, global_clipnorm=1.0), None),
        (lambda: own.AdamW(1e-3, weight_decay=0.1), None),
        (lambda: own.NAdam(1e-3), None),
        (lambda: optimizers.RMSprop(1e-3), "RMSprop"),
        (lambda: SlowAdam(1e-2), "SlowAdam"),
        (lambda: optimizers.SGD(0.1, use_ema=True, ema_momentum=0.5), "moving average"),
        (lambda: optimizers.Adam(1e-2, use_ema=True, ema_overwrite_frequency=3), "moving average"),
        (lambda: optimizers.SGD(0.1, gradient_accumulation_steps=3), "accumulates"),
        (lambda: optimizers.SGD(0.1, loss_scale_factor=8.0), "loss"),
        (lambda: optimizers.LossScaleOptimizer(optimizers.SGD(0.1)), "loss"),
        (lambda: optimizers.SGD(lambda: 0.1), "learning rate"),
        (lambda: optimizers.SGD(decays.CosineDecay(0.1, 8)), None),
        (lambda: optimizers.SGD(decays.CosineDecay(0.0, 8, warmup_target=0.1, warmup_steps=3)), "host"),
        (lambda: optimizers.SGD(decays.PiecewiseConstantDecay([3, 6], [0.1, 0.05, 0.01])), None),
        (lambda: optimizers.SGD(decays.ExponentialDecay(0.1, 2, 0.5, staircase=True)), None),
        (lambda: optimizers.SGD(decays.CosineDecayRestarts(0.1, 4)), None),
    ],
)
def test_optimizers_and_schedules(make, cause, exact):
    # Keras' SGD rounds the product of rate and gradient away inside one fused addition
    found = check(lambda: perceptron(optimizer=make()), fit(X, Y), exact=exact and _exact(make()))
    assert found is None if cause is None else cause in found


def _exact(optimizer):
    return not isinstance(optimizer, optimizers.SGD)


@pytest.mark.parametrize(
    "make",
    [
        lambda: schedules.StepLR(1e-2, 3, 1, 0.5),
        lambda: schedules.MultiStepLR(1e-2, 2, [1, 3]),
        lambda: schedules.Exponential(1e-2, 4, 0.5),
        lambda: schedules.Cosine(1e-2, 4, 3),
        lambda: schedules.WarmUp(schedules.Cosine(1e-2, 4, 3), 4),
    ],
)
def test_schedules_of_this_package(make):
    assert check(lambda: perceptron(optimizer=optimizers.Adam(make())), fit(X, Y), exact=True) is None


def test_constraints():
    options = {"hidden": {"kernel_constraint": keras.constraints.MaxNorm(0.5)}}
    assert "constraint" in check(lambda: perceptron(hidden=dict(options["hidden"])), fit(X, Y))


class Counts(keras.metrics.Metric):
    """State in variables."""

    def __init__(self, name="counts", **options):
        super().__init__(name=name, **options)
        self.seen = self.add_weight(shape=(3,), initializer="zeros", name="seen")

    def update_state(self, y_true, y_pred, sample_weight=None):
        self.seen.assign_add(ops.sum(ops.one_hot(ops.argmax(y_pred, -1), 3), 0))

    def result(self):
        return self.seen[0] / ops.sum(self.seen)


class InADictionary(Counts):
    """A result that is no tensor."""

    def result(self):
        return {f"class_{i}": self.seen[i] for i in range(3)}


class InAVariable(Counts):
    """A result that goes on changing."""

    def __init__(self):
        super().__init__(name="in_a_variable")
        self.batches = self.add_weight(initializer="zeros", name="batches")

    def update_state(self, y_true, y_pred, sample_weight=None):
        self.batches.assign_add(1.0)

    def result(self):
        return self.batches


class InPython(keras.metrics.Metric):
    """State in an attribute."""

    def __init__(self, name="in_python"):
        super().__init__(name=name)
        self.batches = 0

    def update_state(self, y_true, y_pred, sample_weight=None):
        self.batches += 1

    def result(self):
        return ops.convert_to_tensor(float(self.batches))

    def reset_state(self):
        self.batches = 0


class InAList(InPython):
    """State in a list of what came."""

    def __init__(self, name="in_a_list"):
        super().__init__(name=name)
        self.kept = []

    def update_state(self, y_true, y_pred, sample_weight=None):
        self.kept.append(ops.mean(y_pred))

    def result(self):
        return ops.mean(ops.stack(self.kept)) if self.kept else ops.zeros(())

    def reset_state(self):
        self.kept.clear()


def _binary(metrics):
    def make():
        model = keras.Sequential([keras.Input((6,)), layers.Dense(1, activation="sigmoid")])
        model.compile("sgd", "binary_crossentropy", metrics=metrics())
        return model

    return make


@EXACT
@pytest.mark.parametrize(
    "metrics, cause",
    [
        (lambda: [keras.metrics.SparseTopKCategoricalAccuracy(2), "accuracy", "sparse_categorical_crossentropy"], None),
        (lambda: [Counts()], None),
        (lambda: [InADictionary()], "dict"),
        (lambda: [InAVariable()], "is a Variable"),
        (lambda: [keras.metrics.MeanMetricWrapper(lambda y, p: ops.mean(p, -1), name="m")], None),
        (lambda: [InPython()], "batches"),
        (lambda: [InAList()], "kept"),
    ],
    ids=["several", "variables", "dictionary", "variable", "wrapped", "attribute", "list"],
)
def test_metrics_with_state(metrics, cause, exact):
    make = lambda: perceptron(metrics=metrics(), weighted_metrics=metrics())  # noqa: E731
    found = check(make, fit(X, Y, validation_data=(X, Y), sample_weight=np.linspace(0, 1, 24)), exact=exact)
    assert found is None if cause is None else cause in found


def test_metrics_of_two_classes():
    make = _binary(
        lambda: [
            keras.metrics.AUC(num_thresholds=20, name="auc"),
            keras.metrics.Precision(name="precision"),
            keras.metrics.F1Score(),
        ]
    )
    check(make, fit(X, (Y > 0).astype("float32")[:, None], validation_split=0.25))
    make = _binary(lambda: [keras.metrics.AUC(num_thresholds=20, name="auc"), keras.metrics.R2Score()])
    check(make, fit(X, (Y > 0).astype("float32")[:, None], validation_split=0.25))


def test_run_eagerly_and_jit_compile():
    assert "run_eagerly" in check(lambda: perceptron(run_eagerly=True), fit(X, Y))
    fast, history, causes = trained(lambda: perceptron(jit_compile=True), fit(X, Y), mode="record")
    _, expected, _ = trained(perceptron, fit(X, Y))
    assert not causes and execution(fast) == "recorded"
    np.testing.assert_allclose(history["loss"], expected["loss"], rtol=1e-5)


@pytest.mark.filterwarnings("ignore:Your input ran out of data")  # Keras says so where an execution is not filled
@pytest.mark.parametrize("steps", [1, 3])
def test_the_first_step_whose_loss_is_no_number_is_known(steps):
    model = accelerate(perceptron(steps_per_execution=steps), mode="record")
    assert first_non_finite_step(model) is None
    x = X.copy()
    x[17] = np.nan
    model.fit(x, Y, batch_size=5, shuffle=False, verbose=0, epochs=2)
    assert first_non_finite_step(model) == 3
    expected = perceptron().fit(x, Y, batch_size=5, shuffle=False, verbose=0).history["loss"]
    assert np.isnan(expected[0]) and np.isnan(model.history.history["loss"][0])


def test_without_a_compiler_the_step_is_recorded_and_one_line_says_so(monkeypatch, capsys):
    monkeypatch.setattr(shutil, "which", lambda *_, **__: None)
    monkeypatch.setenv("CXX", "no-such-compiler")

    def train(model):
        return fit(X, Y)(model)

    fast, history, causes = trained(perceptron, train, mode="compile")
    _, expected, _ = trained(perceptron, train)
    np.testing.assert_allclose(history["loss"], expected["loss"], rtol=1e-5)
    assert not causes and execution(fast) == "recorded"
    assert "not compiled" in explain(fast) and "no-such-compiler" in explain(fast)
    assert len(capsys.readouterr().err.splitlines()) == 1


@pytest.mark.parametrize("error", [KeyboardInterrupt, GeneratorExit])
def test_an_interruption_while_a_step_is_recorded_leaves_the_model_as_it_was(error):
    class Breaks(layers.Layer):
        def call(self, inputs):
            if armed:
                raise error()
            return inputs

    armed = []

    def make():
        model = convnet()
        inputs = keras.Input((8, 8, 3))
        model = keras.Model(inputs, Breaks()(model(inputs)))
        model.compile("sgd", crossentropy())
        return model

    model = accelerate(make(), mode="record")
    model._symbolic_build(data_batch=(IMAGES, CLASSES))
    before = model.get_weights()
    armed.append(True)
    with pytest.raises(error):
        model.train_on_batch(IMAGES, CLASSES)
    armed.clear()
    for a, b in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(a, b)
    assert not any("call" in vars(layer) for layer in model._flatten_layers())
    model.train_on_batch(IMAGES, CLASSES)
    assert execution(model) == "recorded"


def test_the_warning_names_the_model_and_comes_once_in_many_fits():
    def train(model):
        return [fit(X, Y)(model).history, fit(X, Y)(model).history, model.evaluate(X, Y, verbose=0)]

    cause = check(lambda: perceptron(optimizer="rmsprop"), train)
    assert "functional" in cause and "RMSprop" in cause
