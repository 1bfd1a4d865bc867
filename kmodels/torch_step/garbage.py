"""Python's collection of garbage while something is made that holds many objects."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["collection_paused"]


@contextmanager
def collection_paused() -> Iterator[None]:
    """Lets no collection begin while the block runs.

    To record a step makes some hundred thousand objects, most of which stay. Their number alone sets off collections,
    which go through all objects of the process, find nothing, and take longer than the recording itself.
    """
    running = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if running:
            gc.enable()
