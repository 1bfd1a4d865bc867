"""Keras on JAX: `KERAS_BACKEND=jax python -m benchmarks.jax_side PRESET BATCH SECONDS PRECISION`."""

from __future__ import annotations

import json
import sys

__all__: list[str] = []


def _main(preset: str, batch: int, seconds: float, precision: str) -> dict[str, object]:
    import time

    import jax

    from benchmarks.keras_side import KerasSide
    from benchmarks.settings import Settings, synthetic

    devices = sorted({device.platform for device in jax.devices()})
    data = synthetic((32, 32, 3), 4 * batch)
    side = KerasSide(preset, data, Settings(batch, precision=precision), "auto", pipeline="memory")
    first = side.first()
    steps, took = 2, 0.0
    while took < seconds:
        began = time.perf_counter()
        side.run(steps)
        took = time.perf_counter() - began
        rate = steps * batch / took
        steps *= 2
    return {"platforms": devices, "images_per_second": round(rate, 1), "first_step_seconds": round(first, 2)}


if __name__ == "__main__":
    print(json.dumps(_main(sys.argv[1], int(sys.argv[2]), float(sys.argv[3]), sys.argv[4])))
