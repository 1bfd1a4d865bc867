"""The rate of one side in a process of its own: another backend, or a library that the others must do without.

`KERAS_BACKEND=jax python -m benchmarks.apart PRESET BATCH SECONDS PRECISION memory`, or
`KERAS_BACKEND=torch python -m benchmarks.apart PRESET BATCH SECONDS PRECISION tfdata --augment`.
"""

from __future__ import annotations

import argparse
import json
import time
from typing import Any

import keras

__all__: list[str] = []


def _main(given: argparse.Namespace) -> dict[str, Any]:
    from benchmarks.keras_side import LONG, KerasSide
    from benchmarks.settings import Settings, synthetic

    data = synthetic((32, 32, 3), 4 * given.batch)
    settings = Settings(given.batch, precision=given.precision)
    # The rate of a long training, which PyTorch's step is compiled for; the other backends compile theirs anyway.
    feed = {"pipeline": given.pipeline, "augment": given.augment}
    side = KerasSide(given.preset, data, settings, "auto", steps=LONG, **feed)
    first = side.first()
    steps, took, rate = 2, 0.0, 0.0
    while took < given.seconds:
        began = time.perf_counter()
        side.run(steps)
        took = time.perf_counter() - began
        rate = steps * given.batch / took
        steps *= 2
    return {"platforms": _platforms(), "images_per_second": round(rate, 1), "first_step_seconds": round(first, 2)}


def _platforms() -> list[str]:
    if keras.backend.backend() == "jax":
        import jax

        return sorted({device.platform for device in jax.devices()})
    from kmodels.torch_step.keras_internals import current_device

    return [current_device()]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m benchmarks.apart", description=__doc__.splitlines()[0])
    parser.add_argument("preset")
    parser.add_argument("batch", type=int)
    parser.add_argument("seconds", type=float)
    parser.add_argument("precision")
    parser.add_argument("pipeline")
    parser.add_argument("--augment", action="store_true", help="crops with 4 pixels of padding and flips")
    print(json.dumps(_main(parser.parse_args())))
