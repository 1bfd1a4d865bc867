"""What stands in ~/.keras/keras.json or in KERAS_MAX_EPOCHS moves no number."""

import pytest
from keras import config

from kmodels import data
from kmodels.training.train import train
from tests.tiny_experiment import task

CHANGES = {
    "floatx": (config.floatx, config.set_floatx, "float16"),
    "epsilon": (config.epsilon, config.set_epsilon, 1e-2),
    "layout": (config.image_data_format, config.set_image_data_format, "channels_first"),
    "epochs": (config.max_epochs, config.set_max_epochs, 1),
    "steps": (config.max_steps_per_epoch, config.set_max_steps_per_epoch, 1),
}


@pytest.fixture
def changed(request):
    """Changes one setting of Keras for a test."""
    read, write, value = CHANGES[request.param]
    before = read()
    write(value)
    yield lambda: read() == value
    write(before)


@pytest.fixture(scope="module")
def digits():
    return data.load("digits", report=lambda line: None)


@pytest.fixture(scope="module")
def expected(digits):
    return train(task(), digits)


@pytest.mark.parametrize("changed", CHANGES, indirect=True)
def test_a_users_settings_move_no_number_and_stay_as_they_were(expected, changed, digits):
    run = train(task(), digits)
    assert (run.scores, run.curves) == (expected.scores, expected.curves)
    assert changed()
