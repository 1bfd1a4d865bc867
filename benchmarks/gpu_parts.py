"""The parts of `benchmarks.gpu`, each a function from what is held fixed to plain values for JSON."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.compare import Side, alternate, measure_row, ratio
from benchmarks.keras_side import KerasSide
from benchmarks.settings import Settings, synthetic
from benchmarks.twins import CASES, Case
from kmodels.torch_step.cuda_graph import Replays
from kmodels.torch_step.entry import Entry
from kmodels.torch_step.functions import StepFunctions

__all__ = ["STAND_IN", "Scale", "feeding", "folds", "graphs", "jax", "matmul_rate", "table", "tfdata"]

Report = Callable[[str], None]
STAND_IN = "a stand-in without CUDA, not a measurement: the CPU ran the captured steps again"
_ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Scale:
    """How much is measured.

    Attributes:
        settings: batch, precision, device.
        rounds: how often each side is timed.
        seconds: about how long each time.
        images: in memory.
        modes: of `kmodels.accelerate`.
        models: rows of the table, the most telling first.
        feeding: row that is fed in different ways.
        stand_in: where there is no CUDA, replay steps on the CPU, to see whether the program runs.
    """

    settings: Settings
    rounds: int
    seconds: float
    images: int
    modes: Sequence[str]
    models: Sequence[str]
    feeding: str = "ResNet 16-32-64"
    stand_in: bool = False


def matmul_rate(device: str, size: int, seconds: float) -> float:
    """Returns floating-point operations a second of a product of two square bfloat16 matrices."""
    left, right = (torch.randn(size, size, device=device, dtype=torch.bfloat16) for _ in range(2))
    best, until = 0.0, time.perf_counter() + seconds
    repeat = 20 if device != "cpu" else 1
    left @ right
    while time.perf_counter() < until or best == 0.0:
        _synchronize(device)
        began = time.perf_counter()
        for _ in range(repeat):
            left @ right
        _synchronize(device)
        best = max(best, repeat * 2 * size**3 / (time.perf_counter() - began))
    return best


def _synchronize(device: str) -> None:
    if device != "cpu":
        torch.cuda.synchronize()


def flops_per_image(case: Case) -> float:
    """Returns the floating-point operations of a twin's convolutions and products, forward and backward."""
    model = case.twin()
    height, width, channels = case.shape
    with FlopCounterMode(display=False) as counter:
        loss = F.cross_entropy(model(torch.randn(2, channels, height, width)), torch.zeros(2, dtype=torch.long))
        loss.backward()
    return counter.get_total_flops() / 2


def table(scale: Scale, *, deadline: float, peak: float, report: Report) -> dict[str, Any]:
    """(a) The table, with achieved operations a second and their share of the measured product of matrices.

    Args:
        scale: how much.
        deadline: `time.perf_counter()` that no further row begins after.
        peak: of `matmul_rate`.
        report: receives a line now and then.
    """
    rows, left_out = [], []
    for name in scale.models:
        if time.perf_counter() > deadline:
            left_out.append(name)
            continue
        case = CASES[name]
        row = measure_row(
            name,
            case,
            synthetic(case.shape, max(scale.images, scale.settings.batch)),
            scale.settings,
            rounds=scale.rounds,
            seconds=scale.seconds,
            modes=scale.modes,
            stock=True,
            report=report,
            layouts=("NHWC",),  # alone, for the eight minutes; what tensor cores compute convolutions in
        )
        flops = flops_per_image(case)
        rates = {side: rate * flops for side, rate in row["images_per_second"].items()}
        row["teraflops"] = {side: round(rate / 1e12, 3) for side, rate in rates.items()}
        row["share_of_matmul"] = {side: round(rate / peak, 4) for side, rate in rates.items()}
        rows.append(row)
    for name in left_out:
        report(f"{name}: left out, the time was up")
    return {"rows": rows, "left_out": left_out}


def graphs(scale: Scale, report: Report, *, model: str = "LeNet", execution: int = 8) -> dict[str, Any]:
    """(b) The steps of an execution replayed as one CUDA graph, or launched one by one."""
    cpu = scale.settings.device == "cpu"
    if cpu and not scale.stand_in:
        report("CUDA graph: not available, there is no CUDA")
        return {"not available": "no CUDA"}
    case = CASES[model]
    data = synthetic(case.shape, max(scale.images, scale.settings.batch * execution))
    mode = scale.modes[-1]
    keras_sides = {
        name: KerasSide(case.preset, data, scale.settings, mode, steps_per_execution=execution, cuda_graph=on)
        for name, on in (("off", False), ("on", not cpu))
    }
    replays = _replay_on_the_host(keras_sides["on"], mode) if cpu else None
    sides: dict[str, Side] = {**keras_sides}
    first = {}
    for name, side in sides.items():
        began = time.perf_counter()
        side.run(2 * execution)
        first[name] = round(time.perf_counter() - began, 2)
    rates = alternate(sides, scale.settings.batch, rounds=scale.rounds, seconds=scale.seconds, multiple=execution)
    gain = ratio(rates["on"], rates["off"])
    found = {"model": model, "execution": execution, "rounds": rates, "ratio": gain, "first_seconds": first}
    if replays is not None:
        if replays.refused or not len(replays):
            raise AssertionError(f"expected steps that are replayed. Received: {replays.refused or 'no capture'}")
        report(f"CUDA graph: {STAND_IN}, {model}")
        return {"stand_in": STAND_IN, "captures": len(replays), **found}
    report(f"CUDA graph: {gain['median']:.2f} times as fast ({gain['least']:.2f} to {gain['most']:.2f}), {model}")
    return found


def _replay_on_the_host(side: KerasSide, mode: str) -> Replays:
    """Puts steps into a side that are captured and replayed as on a GPU, but for the graph: it runs them again."""

    def run_again(steps: Callable[[], Any]) -> Callable[[], None]:
        steps()  # as where a graph is captured, which does not count
        return steps

    replays = Replays(run_again)
    functions = StepFunctions(side.model, mode=mode, steps=None, kernels=True, replays=replays)
    Entry(side.model, functions).install()
    return replays


def feeding(scale: Scale, report: Report) -> dict[str, Any]:
    """(c) Crops and flips made by NumPy for each batch, or inside the step from images that lie on the device."""
    model = scale.feeding
    case = CASES[model]
    data = synthetic(case.shape, max(scale.images, scale.settings.batch))
    sides: dict[str, Side] = {}
    for pipeline in ("memory", "resident"):
        side = KerasSide(case.preset, data, scale.settings, scale.modes[-1], pipeline=pipeline, augment=True)
        side.first()
        sides[pipeline] = side
    rates = alternate(sides, scale.settings.batch, rounds=scale.rounds, seconds=scale.seconds)
    gain = ratio(rates["resident"], rates["memory"])
    report(f"resident feed: {gain['median']:.2f} times as fast as NumPy's, {model} with crops and flips")
    return {"model": model, "rounds": rates, "ratio": gain}


def tfdata(scale: Scale, report: Report) -> dict[str, Any]:
    """(c) The same as `feeding`, fed by tf.data, in a process of its own: nothing else here may load TensorFlow."""
    if importlib.util.find_spec("tensorflow") is None:
        return _unavailable("tf.data", "TensorFlow is not installed", report)
    return _apart("tf.data", scale, {"KERAS_BACKEND": "torch"}, ["tfdata", "--augment"], report)


def jax(scale: Scale, report: Report) -> dict[str, Any]:
    """(c) Keras on JAX, where JAX is installed and sees the device, in a process of its own."""
    name = "Keras on JAX"
    if importlib.util.find_spec("jax") is None:
        return _unavailable(name, "JAX is not installed", report)
    # JAX would take three quarters of a GPU's memory, which others hold
    environment = {"KERAS_BACKEND": "jax", "XLA_PYTHON_CLIENT_PREALLOCATE": "false"}
    found = _apart(name, scale, environment, ["memory"], report)
    if scale.settings.device != "cpu" and found.get("platforms") == ["cpu"]:
        return {**_unavailable(name, "JAX sees no GPU", report), **found}
    return found


def _apart(
    name: str, scale: Scale, environment: dict[str, str], arguments: Sequence[str], report: Report
) -> dict[str, Any]:
    settings, preset = scale.settings, CASES[scale.feeding].preset
    command = [sys.executable, "-m", "benchmarks.apart", preset, str(settings.batch), str(scale.seconds)]
    command += [settings.precision, *arguments]
    surroundings = {**os.environ, **environment}
    try:
        done = subprocess.run(command, cwd=_ROOT, env=surroundings, capture_output=True, text=True, timeout=150)
    except subprocess.TimeoutExpired:
        return _unavailable(name, "longer than 150 s", report)
    if done.returncode != 0:
        return _unavailable(name, (done.stderr.strip().splitlines() or ["no message"])[-1][:200], report)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    report(f"{name} ({', '.join(found['platforms'])}): {found['images_per_second']:,.0f} images/s, {preset}")
    return {"preset": preset, **found}


def _unavailable(name: str, cause: str, report: Report) -> dict[str, Any]:
    report(f"{name}: not available, {cause}")
    return {"not available": cause}


def folds(
    scale: Scale, report: Report, *, count: int = 10, clock: Callable[[], float] = time.perf_counter
) -> dict[str, Any]:
    """(d) Ten folds of LeNet trained as one vectorised step, against `fit` of one fold after the other."""
    from benchmarks.fold_side import FoldSide

    case = CASES["LeNet"]
    settings = replace(scale.settings, precision="float32")
    data = synthetic(case.shape, max(scale.images, settings.batch))
    mode = scale.modes[-1]
    sides: dict[str, Side] = {
        "vectorised": FoldSide(case.preset, data, settings, mode, replicas=count),
        "one fold": KerasSide(case.preset, data, settings, mode),
    }
    first = {name: round(side.first(), 2) for name, side in sides.items()}
    rates = alternate(sides, settings.batch, rounds=scale.rounds, seconds=scale.seconds, clock=clock)
    cost = ratio(rates["one fold"], rates["vectorised"])
    report(f"{count} LeNet folds at once cost {cost['median']:.2f} times one fold; one by one {count} times")
    return {"model": "LeNet", "folds": count, "rounds": rates, "ratio": cost, "first_step_seconds": first}
