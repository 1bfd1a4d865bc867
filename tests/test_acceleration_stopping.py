"""`accelerate`: callbacks that set the rate or stop, with several steps per execution, against Keras' single steps."""

import keras
import pytest

from tests.accelerated import check, crossentropy, features, fit, only_torch, perceptron

pytestmark = [only_torch, pytest.mark.filterwarnings("ignore:Your input ran out of data")]

X, Y = features()  # 24 images, so 12 batches of 2 an epoch


class StopAfter(keras.callbacks.Callback):
    """Stops training once so many batches were taken, wherever the epoch is then."""

    def __init__(self, steps):
        super().__init__()
        self.steps, self.taken, self.seen = steps, 0, []

    def on_train_batch_end(self, batch, logs=None):
        self.seen.append(float(logs["loss"]))
        self.taken = int(self.model.optimizer.iterations.numpy())
        if self.taken >= self.steps:
            self.model.stop_training = True


class Rates(keras.callbacks.Callback):
    """Keeps the learning rate of every epoch."""

    def on_train_begin(self, logs=None):
        self.kept = []

    def on_epoch_end(self, epoch, logs=None):
        self.kept.append(float(self.model.optimizer.learning_rate))


def against_single_steps(steps, train):
    # Keras refuses more than one on this backend, so the plain copy is compiled with one
    def compiled(steps):
        def run(model):
            model.compile(keras.optimizers.SGD(0.1, momentum=0.9), crossentropy(), steps_per_execution=steps)
            return train(model)

        return run

    return check(perceptron, compiled(steps), stock=compiled(1))


STEPS = pytest.mark.parametrize("steps", [1, 3, 4, 5])


@STEPS
def test_a_learning_rate_scheduler(steps):
    def train(model):
        rates = Rates()
        scheduler = keras.callbacks.LearningRateScheduler(lambda epoch, rate: rate * 0.5)
        found = fit(X, Y, batch_size=2, epochs=4, callbacks=[scheduler, rates])(model).history
        assert rates.kept == pytest.approx([0.05, 0.025, 0.0125, 0.00625])
        return [found, rates.kept]

    assert against_single_steps(steps, train) is None


@STEPS
def test_early_stopping_that_puts_the_best_weights_back(steps):
    def train(model):
        stopping = keras.callbacks.EarlyStopping("val_loss", min_delta=10.0, patience=2, restore_best_weights=True)
        found = fit(X, Y, batch_size=2, epochs=9, callbacks=[stopping], validation_data=(X[:7], Y[:7]))(model).history
        assert len(found["loss"]) == 3
        return [found, model.get_weights()]

    assert against_single_steps(steps, train) is None


@STEPS
def test_stopping_after_an_epoch(steps):
    def train(model):
        stop = keras.callbacks.LambdaCallback(
            on_epoch_end=lambda epoch, logs: setattr(model, "stop_training", epoch == 1)
        )
        found = fit(X, Y, batch_size=2, epochs=5, callbacks=[stop])(model).history
        assert len(found["loss"]) == 2
        return [found, fit(X, Y, batch_size=2)(model).history]

    assert against_single_steps(steps, train) is None


@pytest.mark.parametrize("steps, after", [(1, 5), (3, 3), (3, 6), (4, 8), (5, 10), (5, 12), (4, 16)])
def test_stopping_in_the_middle_of_an_epoch_between_two_executions(steps, after):
    def train(model):
        stop = StopAfter(after)
        found = fit(X, Y, batch_size=2, epochs=3, callbacks=[stop])(model).history
        assert stop.taken == after
        return [found, stop.seen[-1], fit(X, Y, batch_size=2)(model).history]

    assert against_single_steps(steps, train) is None


@pytest.mark.parametrize("steps, after, taken", [(3, 4, 6), (4, 1, 4), (5, 11, 12), (5, 13, 17)])
def test_an_execution_that_has_begun_is_taken_to_its_end(steps, after, taken):
    reached = []

    def train(model):
        stop = StopAfter(after if model.steps_per_execution > 1 else taken)
        found = fit(X, Y, batch_size=2, epochs=3, callbacks=[stop])(model).history
        reached.append(stop.taken)
        return [found, stop.seen[-1]]

    assert against_single_steps(steps, train) is None
    assert reached == [taken, taken]
