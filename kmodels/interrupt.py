"""Ctrl-C that cannot be lost.

Python drops an exception raised inside a garbage-collection callback (JAX installs one), and with it a Ctrl-C that
happens to come just then. So the signal is only remembered, and asked for at every batch.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import keras

__all__ = ["Interruption", "interruptible"]


class Interruption(keras.callbacks.Callback):
    """Remembers a Ctrl-C, and raises it at the next batch of a training that it is a callback of."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = False

    def check(self) -> None:
        """Raises KeyboardInterrupt if Ctrl-C was pressed."""
        if self.asked:
            raise KeyboardInterrupt

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        """Called by Keras."""
        self.check()

    def on_test_batch_begin(self, batch: int, logs: Any = None) -> None:
        """Called by Keras."""
        self.check()


@contextmanager
def interruptible() -> Iterator[Interruption]:
    """Gives an `Interruption` that hears of Ctrl-C while the block runs; a second Ctrl-C is raised where it comes.

    Signals reach the main thread only: in another one it never hears of any.
    """
    heard = Interruption()
    if threading.current_thread() is not threading.main_thread():
        yield heard
        return

    def remember(_signal: int, _frame: Any) -> None:
        heard.check()
        heard.asked = True

    before = signal.signal(signal.SIGINT, remember)
    try:
        yield heard
    finally:
        signal.signal(signal.SIGINT, before)
