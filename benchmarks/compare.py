"""One row of the table: kmodels, the twin at its best and stock Keras, taking turns in one process."""

from __future__ import annotations

import dataclasses
import gc
import math
import statistics
import time
import warnings
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import torch

from benchmarks.keras_side import KerasSide, auto_choice
from benchmarks.settings import Data, Settings
from benchmarks.twin_side import TwinSide, Variant
from benchmarks.twins import Case, parameters

__all__ = ["Side", "alternate", "best_twin", "measure_row"]

Report = Callable[[str], None]
Clock = Callable[[], float]


class Side(Protocol):
    """What can be timed."""

    def run(self, steps: int) -> None:
        """Trains a number of steps."""

    def first(self) -> float:
        """Trains a first step; returns its seconds."""


def steps_for(side: Side, seconds: float, clock: Clock) -> int:
    """Returns how many steps take about so many seconds, 2 or more; takes some first."""
    steps, took = 1, _timed(side, 1, clock)
    while took < seconds / 4 and steps < 100_000:
        steps = max(steps * 2, min(steps * 8, int(steps * seconds / 4 / max(took, 1e-6))))
        took = _timed(side, steps, clock)
    return max(2, math.ceil(steps * seconds / took))


def _timed(side: Side, steps: int, clock: Clock) -> float:
    began = clock()
    side.run(steps)
    return clock() - began


def alternate(
    sides: dict[str, Side],
    batch: int,
    *,
    rounds: int,
    seconds: float,
    multiple: int = 1,
    clock: Clock = time.perf_counter,
) -> dict[str, list[float]]:
    """Times all sides in turn, round by round, each round beginning with another one.

    Args:
        sides: by name; all have taken a first step.
        batch: images a step.
        rounds: how often each is timed.
        seconds: about how long each time; at least 2 steps.
        multiple: that the number of steps is one of, such as the steps of one execution.
        clock: that seconds are read from.

    Returns:
        Images a second of each side in each round.
    """
    steps = {name: -(-steps_for(side, seconds, clock) // multiple) * multiple for name, side in sides.items()}
    rates: dict[str, list[float]] = {name: [] for name in sides}
    names = list(sides)
    for number in range(rounds):
        shift = number % len(names)
        for name in names[shift:] + names[:shift]:
            rates[name].append(steps[name] * batch / _timed(sides[name], steps[name], clock))
    return rates


def best_twin(
    case: Case,
    data: Data,
    settings: Settings,
    *,
    seconds: float,
    compiling: bool,
    report: Report,
    layouts: Sequence[str] = ("NCHW", "NHWC"),
    clock: Clock = time.perf_counter,
) -> tuple[TwinSide, dict[str, Any]]:
    """Tries the variants of a twin and returns the fastest, ready to run.

    First how and in which layout with the fused optimizer, then the optimizer, also of the best that is compiled, then
    where the images come from.

    Returns:
        The twin, and what was found: `variant`, its `fields`, `trials` in images a second and the seconds of each
        variant's first step, which compiles.
    """
    modes: list[str | None] = [None]
    if compiling:
        modes += ["default"] if settings.device == "cpu" else ["default", "reduce-overhead"]
    trials: dict[Variant, float] = {}
    first_seconds: dict[str, float] = {}

    def attempt(variant: Variant) -> None:
        if variant in trials:
            return
        torch._dynamo.reset()
        try:
            side = TwinSide(case.twin, data, settings, variant)
            first_seconds[str(variant)] = round(side.first(), 2)
            steps = steps_for(side, seconds, clock)
            trials[variant] = steps * settings.batch / min(_timed(side, steps, clock) for _ in range(3))
        except Exception as error:  # a variant that this PyTorch cannot run is none
            if variant.compiled is None:
                raise
            report(f"    twin, {variant}: {type(error).__name__}: {str(error).splitlines()[0][:100]}")
            return
        report(f"    twin, {variant}: {trials[variant]:,.0f} images/s")

    for mode in modes:
        for layout in layouts:
            attempt(Variant(mode, layout, "fused"))
    ranked = sorted(trials, key=trials.__getitem__, reverse=True)
    # compiled with its optimizer a step may overtake an eager one that was ahead without
    for variant in dict.fromkeys([ranked[0], *[v for v in ranked if v.compiled][:1]]):
        for optimizer in ("foreach",) if variant.compiled is None else ("foreach", "compiled"):
            attempt(dataclasses.replace(variant, optimizer=optimizer))
    best = max(trials, key=trials.__getitem__)
    attempt(dataclasses.replace(best, data="uint8"))
    best = max(trials, key=trials.__getitem__)
    torch._dynamo.reset()
    side = TwinSide(case.twin, data, settings, best)
    side.first()
    found = {
        "variant": str(best),
        "fields": dataclasses.asdict(best),
        "trials": {str(variant): round(rate, 2) for variant, rate in trials.items()},
        "first_step_seconds": first_seconds,
    }
    return side, found


def measure_row(
    name: str,
    case: Case,
    data: Data,
    settings: Settings,
    *,
    rounds: int,
    seconds: float,
    modes: Sequence[str],
    stock: bool,
    report: Report,
    layouts: Sequence[str] = ("NCHW", "NHWC"),
    clock: Clock = time.perf_counter,
) -> dict[str, Any]:
    """Measures one row.

    Args:
        name: of the row.
        case: preset and twin.
        data: what all sides train on.
        settings: how they do.
        rounds: how often each side is timed.
        seconds: about how long each time.
        modes: of `kmodels.accelerate`, `record` and `compile`; without `compile` the twin is not compiled either.
        stock: stock Keras too.
        report: receives a line now and then.
        layouts: that the twin is tried in.
        clock: that seconds are read from.

    Returns:
        The row, as plain values for JSON.
    """
    report(f"{name}, batch {settings.batch}, {settings.optimizer}")
    compiling = "compile" in modes
    twin, found = best_twin(
        case, data, settings, seconds=seconds / 2, compiling=compiling, report=report, layouts=layouts, clock=clock
    )
    sides: dict[str, Side] = {"twin": twin}
    first = {"twin": found["first_step_seconds"][found["variant"]]}
    for mode in (*modes, *(["stock"] if stock else [])):
        side = KerasSide(case.preset, data, settings, mode)
        sides[mode] = side
        first[mode] = round(side.first(), 2)
    counts = {"kmodels": sides[modes[0]].model.count_params(), "twin": parameters(twin.model)}  # type: ignore[attr-defined]
    if counts["kmodels"] != counts["twin"]:
        raise AssertionError(f"{name}: expected equal parameter counts. Received: {counts}")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        auto = auto_choice(case.preset, data, settings)
    gc.collect()
    rates = alternate(sides, settings.batch, rounds=rounds, seconds=seconds, clock=clock)
    row = {
        "model": name,
        "preset": case.preset,
        "batch": settings.batch,
        "optimizer": settings.optimizer,
        "precision": settings.precision,
        "parameters": counts,
        "must": case.aim[0],
        "aim": case.aim[1],
        "auto": auto,
        "twin": found,
        "images_per_second": {side: round(statistics.median(values), 2) for side, values in rates.items()},
        "first_step_seconds": first,
        "rounds": {side: [round(value, 2) for value in values] for side, values in rates.items()},
        "ratios": {side: ratio(values, rates["twin"]) for side, values in rates.items() if side != "twin"},
    }
    for side, values in row["ratios"].items():
        report(f"    {side}: {values['median']:.3f} of the twin ({values['least']:.3f} to {values['most']:.3f})")
    return row


def ratio(values: Sequence[float], others: Sequence[float]) -> dict[str, float]:
    """Returns median, least and most of what was measured in the same rounds, one over the other."""
    pairs = [value / other for value, other in zip(values, others, strict=True)]
    return {"median": round(statistics.median(pairs), 4), "least": round(min(pairs), 4), "most": round(max(pairs), 4)}
