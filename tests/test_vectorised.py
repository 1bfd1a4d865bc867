"""Replicas trained as one against the same trainings one after the other."""

import dataclasses

import keras
import numpy as np
import pytest

from kmodels import models, optimizers, schedules
from kmodels.acceleration import accelerate
from kmodels.augment import Transform
from kmodels.data.feed import evaluation_feed, training_feed
from kmodels.models.initial_weights import initialize, seed_dropout
from kmodels.training.losses import loss_for

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.skipif(keras.backend.backend() != "torch", reason="vectorised steps are PyTorch's")
if keras.backend.backend() == "torch":
    from kmodels.torch_step.causes import CannotRecord
    from kmodels.torch_step.cuda_graph import Replays
    from kmodels.torch_step.optimizer_rules import Unsupported
    from kmodels.torch_step.vectorised import Replicas, epoch_batches

RNG = np.random.default_rng(0)
LABELS = RNG.integers(0, 10, 120)
IMAGES = (RNG.integers(0, 100, (120, 16, 16, 3)) + 15 * LABELS[:, None, None, None]).astype(np.uint8)
PLAIN = Transform(mean=(0.4, 0.4, 0.4), std=(0.25, 0.25, 0.25))
SEEDS = ((0, 0), (0, 1), (3, 0))  # seed and fold of each replica
EPOCHS, BATCH = 3, 16
TOLERANCE = 5e-4  # of each variable's length; 9e-5 is the furthest seen: float32 sums are taken in another order


def lenet(dropout=0.0):
    return models.build("lenet", (16, 16, 3), 10, dropout=dropout)


def with_normalisation():
    """Convolutions, batch normalisation over images and rows, a maximum, a shortcut and dropout."""
    inputs = keras.Input((16, 16, 3))
    x = keras.layers.Conv2D(4, 3, padding="same", use_bias=False, name="conv1")(inputs)
    x = keras.layers.BatchNormalization(name="norm1")(x)
    x = shortcut = keras.layers.MaxPooling2D(2, name="pool")(keras.layers.ReLU(name="relu")(x))
    x = keras.layers.Conv2D(4, 3, padding="same", use_bias=False, name="conv2")(x)
    x = keras.layers.Add(name="add")([keras.layers.BatchNormalization(name="norm2")(x), shortcut])
    # not straight into the next normalisation: a shift of its inputs has no gradient but rounding, which Adam blows up
    x = keras.layers.GlobalAveragePooling2D(name="mean")(keras.layers.ReLU(name="relu2")(x))
    x = keras.layers.Dropout(0.25, name="dropout")(keras.layers.BatchNormalization(name="norm3")(x))
    return keras.Model(inputs, keras.layers.Dense(10, name="logits")(x))


def compiled(network, optimizer, head="logits", metrics=("accuracy",)):
    model = network()
    model.compile(optimizer(), loss_for(head), metrics=list(metrics))
    model.optimizer.build(model.trainable_variables)
    return model


def start(model, seed, fold):
    initialize(model, seed)
    seed_dropout(model, seed, fold)
    return [variable.value.detach().clone() for variable in model.variables]


def parts(fold):
    order = np.random.default_rng(fold).permutation(len(IMAGES))
    return order[:88], order[88:]  # 5 batches of 16 and a short one of 8


def feeds(seed, fold, transform):
    train, held = parts(fold)
    options = {"batch_size": BATCH, "drop_last": False, "seed": seed, "fold": fold, "epochs": EPOCHS}
    return (
        training_feed("resident", IMAGES, LABELS, train, transform, **options),
        evaluation_feed("resident", IMAGES, LABELS, held, transform, batch_size=20),
    )


def alone(network, optimizer, transforms, **options):
    """Weights, curves and validation logits of each training, one after the other."""
    found = []
    for (seed, fold), transform in zip(SEEDS, transforms, strict=True):
        model = compiled(network, optimizer, **options)
        start(model, seed, fold)
        training, validation = feeds(seed, fold, transform)
        history = accelerate(model, mode="record").fit(
            training.x,
            steps_per_epoch=training.steps_per_epoch,
            epochs=EPOCHS,
            validation_data=validation.x,
            shuffle=False,
            verbose=0,
        )
        logits = model.predict(validation.x, verbose=0)
        found.append(([v.numpy() for v in model.variables], history.history, logits))
    return found


def together(network, optimizer, transforms, mode="record", replays=None, **options):
    """The same of all trainings at once."""
    model = compiled(network, optimizer, **options)
    starts = [start(model, seed, fold) for seed, fold in SEEDS]
    pairs = [feeds(*key, transform) for key, transform in zip(SEEDS, transforms, strict=True)]
    training, validation = ([pair[i].x for pair in pairs] for i in (0, 1))
    replicas = Replicas(model, starts, transforms, steps=EPOCHS * 6, mode=mode, replays=replays)
    curves = [{name: [] for name in ("loss", "accuracy", "val_loss", "val_accuracy")} for _ in SEEDS]
    held = list(epoch_batches(validation, 0, 2))
    for epoch in range(EPOCHS):
        for batch in epoch_batches(training, epoch, 6):
            replicas.train(training[0].source, batch)
        trained = replicas.end_epoch()
        tested, logits = replicas.evaluate(validation[0].source, held)
        for i, curve in enumerate(curves):
            for name, values in (("loss", trained.loss), ("accuracy", trained.accuracy)):
                curve[name].append(values[i])
            for name, values in (("val_loss", tested.loss), ("val_accuracy", tested.accuracy)):
                curve[name].append(values[i])
    weights = [[value.numpy() for value in replicas.weights(i)] for i in range(len(SEEDS))]
    return [(weights[i], curves[i], logits[i].numpy()) for i in range(len(SEEDS))], replicas


def furthest(left, right):
    """Largest distance of two lists of arrays, each as one long vector, relative to its length."""
    pairs = [(a.astype("float64"), b.astype("float64")) for a, b in zip(left, right, strict=True)]
    return max(float(np.linalg.norm(a - b) / max(np.linalg.norm(b), 1e-3)) for a, b in pairs)


def assert_equal(one_by_one, at_once, tolerance=TOLERANCE):
    for (weights, curves, logits), (own, own_curves, own_logits) in zip(at_once, one_by_one, strict=True):
        assert furthest(weights, own) < tolerance
        assert furthest([logits], [own_logits]) < tolerance
        for name, values in curves.items():
            np.testing.assert_allclose(values, own_curves[name], rtol=tolerance, atol=1e-6, err_msg=name)
    assert furthest(one_by_one[0][0], one_by_one[2][0]) > 0.01, "replicas that are all the same prove nothing"


def decaying():
    return schedules.WarmUp(schedules.Cosine(1e-2, 6, 3), 4)


OPTIMIZERS = {
    "adam": lambda: optimizers.Adam(3e-3),
    "adamw, scheduled": lambda: optimizers.AdamW(decaying(), weight_decay=0.1),
    "nadam": lambda: optimizers.NAdam(3e-3, l2=1e-2),
    "sgd": lambda: optimizers.SGD(2e-2, momentum=0.9, nesterov=True, l2=1e-2),
    "sgd, clipped by value": lambda: optimizers.SGD(decaying(), clipvalue=0.01),
    "keras' nadam": lambda: keras.optimizers.Nadam(3e-3),
    "keras' sgd": lambda: keras.optimizers.SGD(2e-2, momentum=0.9),
}


FIRST, *OTHERS = OPTIMIZERS


@pytest.mark.parametrize("optimizer", [FIRST, *(pytest.param(name, marks=pytest.mark.slow) for name in OTHERS)])
def test_lenet_with_dropout_comes_out_as_one_by_one(optimizer):
    settings = (lambda: lenet(0.5), OPTIMIZERS[optimizer], [PLAIN] * 3)
    assert_equal(alone(*settings), together(*settings)[0])


@pytest.mark.parametrize("optimizer", [pytest.param("adam", marks=pytest.mark.slow), "sgd"])
def test_batch_normalisation_comes_out_as_one_by_one(optimizer):
    settings = (with_normalisation, OPTIMIZERS[optimizer], [PLAIN] * 3)
    assert_equal(alone(*settings), together(*settings)[0])


@pytest.mark.slow
def test_augmentation_and_statistics_of_each_replicas_own_come_out_as_one_by_one():
    augmented = dataclasses.replace(PLAIN, crop_padding=2, flip=True, rotation_degrees=10.0)
    own = [dataclasses.replace(augmented, mean=(mean,) * 3) for mean in (0.3, 0.4, 0.5)]
    settings = (lenet, OPTIMIZERS["sgd"], own)
    assert_equal(alone(*settings), together(*settings)[0])
    settings = (lenet, OPTIMIZERS["adam"], [augmented] * 3)
    assert_equal(alone(*settings, head="softmax"), together(*settings, head="softmax")[0])


def test_the_models_own_variables_stay_as_they_are():
    model = compiled(with_normalisation, OPTIMIZERS["adam"])
    starts = [start(model, *key) for key in SEEDS]
    replicas = Replicas(model, starts, [PLAIN] * 3, steps=1, mode="record")
    training = [feeds(*key, PLAIN)[0].x for key in SEEDS]
    replicas.train(training[0].source, next(epoch_batches(training, 0, 6)))
    for variable, value in zip(model.variables, starts[-1], strict=True):
        assert torch.equal(variable.value, value)
    assert int(model.optimizer.iterations) == 0
    assert not torch.equal(replicas.weights(2)[0], starts[2][0])


def test_a_replica_that_diverges_leaves_the_others_alone():
    model = compiled(with_normalisation, OPTIMIZERS["sgd"])
    starts = [start(model, *key) for key in SEEDS]
    training = [feeds(*key, PLAIN)[0].x for key in SEEDS]

    def trained(starts):
        replicas = Replicas(model, starts, [PLAIN] * 3, steps=6, mode="record")
        for batch in epoch_batches(training, 0, 6):
            replicas.train(training[0].source, batch)
        return replicas

    spoilt = [starts[0], [torch.full_like(v, torch.inf) if v.ndim == 4 else v for v in starts[1]], starts[2]]
    sound, harmed = trained(starts), trained(spoilt)
    assert sound.first_bad_steps() == [None, None, None]
    assert harmed.first_bad_steps() == [None, 0, None]
    assert not np.isfinite(harmed.end_epoch().loss[1])
    for replica in (0, 2):
        for a, b in zip(sound.weights(replica), harmed.weights(replica), strict=True):
            assert torch.equal(a, b)
    harmed.set_weights(1, sound.weights(1))
    assert all(torch.equal(a, b) for a, b in zip(sound.weights(1), harmed.weights(1), strict=True))


def test_replayed_steps_are_the_same_steps():
    def run_again(function):
        function()  # as a warm-up does, which must not count
        return function

    settings = (lambda: lenet(0.5), OPTIMIZERS["adam"], [PLAIN] * 3)
    plain, replays = together(*settings)[0], Replays(run_again)
    for (weights, curves, logits), (own, own_curves, own_logits) in zip(
        together(*settings, replays=replays)[0], plain, strict=True
    ):
        assert all(np.array_equal(a, b) for a, b in zip(weights, own, strict=True))
        assert curves == own_curves
        assert np.array_equal(logits, own_logits)
    assert (len(replays), replays.refused) == (2, None)  # of a full batch and of the short one


@pytest.mark.slow
def test_a_compiled_step_comes_out_as_one_by_one():
    settings = (lambda: lenet(0.5), OPTIMIZERS["adam"], [PLAIN] * 3)
    at_once, replicas = together(*settings, mode="compile")
    assert replicas.compiled
    assert_equal(alone(*settings), at_once)


# What is refused


@pytest.mark.parametrize(
    ("optimizer", "cause"),
    [
        (lambda: optimizers.Adam(1e-3, global_clipnorm=1.0), "clips by a norm .global_clipnorm"),
        (lambda: keras.optimizers.Adam(1e-3, clipnorm=1.0), "clips by a norm .clipnorm"),
        (lambda: keras.optimizers.RMSprop(), "RMSprop is not known"),
        (lambda: keras.optimizers.Adam(use_ema=True), "use_ema"),
    ],
)
def test_optimizers_that_mix_variables_or_are_unknown_are_refused(optimizer, cause):
    model = compiled(lenet, optimizer)
    with pytest.raises(Unsupported, match=cause):
        Replicas(model, [start(model, 0, 0)], [PLAIN], steps=1)


def test_a_rate_that_is_a_function_is_refused():
    model = compiled(lenet, lambda: keras.optimizers.Adam(lambda: 1e-3))
    with pytest.raises(CannotRecord, match="the learning rate is a function"):
        Replicas(model, [start(model, 0, 0)], [PLAIN], steps=1)


def test_a_layer_that_assigns_what_is_trained_is_refused():
    class Clipped(keras.layers.Dense):
        def call(self, inputs, training=None):
            self.kernel.assign(keras.ops.clip(self.kernel, -0.1, 0.1))
            return super().call(inputs)

    def network():
        inputs = keras.Input((16, 16, 3))
        return keras.Model(inputs, Clipped(10, name="clipped")(keras.layers.Flatten()(inputs)))

    model = compiled(network, OPTIMIZERS["adam"])
    replicas = Replicas(model, [[variable.value.detach().clone() for variable in model.variables]], [PLAIN], steps=1)
    training = [feeds(0, 0, PLAIN)[0].x]
    with pytest.raises(CannotRecord, match="it assigns clipped/kernel"):
        replicas.train(training[0].source, next(epoch_batches(training, 0, 6)))


def test_random_layers_that_have_no_key_are_refused():
    def noisy():
        inputs = keras.Input((16, 16, 3))
        x = keras.layers.GaussianNoise(0.1)(inputs)
        return keras.Model(inputs, keras.layers.Dense(10)(keras.layers.Flatten()(x)))

    model = compiled(noisy, OPTIMIZERS["adam"])
    values = [variable.value.detach().clone() for variable in model.variables]
    replicas = Replicas(model, [values], [PLAIN], steps=1)
    training = [feeds(0, 0, PLAIN)[0].x]
    with pytest.raises(CannotRecord):
        replicas.train(training[0].source, next(epoch_batches(training, 0, 6)))


def test_arguments_that_do_not_belong_together_are_refused():
    model = compiled(lenet, OPTIMIZERS["adam"])
    with pytest.raises(ValueError, match="transforms: expected 1, one a replica"):
        Replicas(model, [start(model, 0, 0)], [PLAIN] * 2, steps=1)
