"""A Ctrl-C is remembered until the next batch, and a second one is not waited for."""

import signal

import pytest

from kmodels.interrupt import interruptible


def test_the_first_is_remembered_and_the_second_raised():
    before = signal.getsignal(signal.SIGINT)
    with interruptible() as interruption:
        interruption.on_train_batch_begin(0)
        signal.raise_signal(signal.SIGINT)  # would be lost if it raised inside a garbage-collection callback
        with pytest.raises(KeyboardInterrupt):
            interruption.on_train_batch_begin(1)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is before
