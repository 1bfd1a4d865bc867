"""How long a run takes on this machine: from what runs of its network took, else from multiply-accumulates."""

from __future__ import annotations

import math
import os
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from kmodels.results.runs import Run
from kmodels.running.costs import network, passes
from kmodels.spec.experiment import Recipe
from kmodels.torch_step.device import processor

__all__ = ["BASES", "REFERENCE", "Basis", "Estimate", "Speed", "Speeds", "likely_device", "reference_rate"]
__all__ += ["summed"]

Basis = Literal["measured", "timed", "scaled", "assumed"]

BASES: Mapping[Basis, str] = {
    "measured": "as runs of the same network took here",
    "timed": "from a few timed steps",
    "scaled": "scaled by multiply-accumulates from networks that ran here",
    "assumed": "by multiply-accumulates, on two CPU cores: nothing has run here yet",
}
"""What an estimate comes from, in words, best first."""


@dataclass(frozen=True)
class Speed:
    """How fast one network was trained once.

    Attributes:
        network: as `kmodels.running.costs.network` names it.
        macs: its multiply-accumulates an image.
        batch_size: images a step.
        precision: arithmetic of training.
        images_per_second: training images a second, 0 excluded.
        overhead_seconds: what a run takes beside its images: building, recording, compiling.
        basis: `measured` by a finished run, or `timed` by a few steps.
    """

    network: str
    macs: int
    batch_size: int
    precision: str
    images_per_second: float
    overhead_seconds: float = 0.0
    basis: Basis = "measured"


REFERENCE = (
    (886_440, 15_756.0),  # LeNet
    (5_796_776, 3_378.0),  # SimpleDenseNet
    (19_897_332, 1_339.0),  # MyConvNet
    (26_657_408, 1_086.0),  # ResNet 16-32-64
    (555_422_720, 62.0),  # ResNet-18 on 32x32
)
"""Multiply-accumulates an image and images a second of two CPU cores at batch 128, compiled: how the speed of a machine
changes with the size of a network, and what is assumed of one that nothing is known of. Rough, and for estimates alone;
`benchmarks/README.md` holds what was measured."""

_OVERHEAD = 5.0  # seconds of building and recording, where no run has told


@dataclass(frozen=True)
class Estimate:
    """About how long one run takes.

    Attributes:
        seconds: all told.
        basis: `measured` or `timed` of this network, batch and precision; `scaled` by multiply-accumulates from the
            nearest network that was, see `reference_rate`; or `assumed`: that rate itself, two CPU cores'.
    """

    seconds: float
    basis: Basis


@dataclass(frozen=True)
class Speeds:
    """All that is known of how fast this machine trains.

    Attributes:
        known: speeds of this machine; of one network there may be several, then their median counts.
        macs: multiply-accumulates by network, for all recipes that are asked about.
    """

    known: tuple[Speed, ...]
    macs: Mapping[str, int]

    @classmethod
    def of_runs(cls, runs: Iterable[Run], macs: Mapping[str, int], *, device: str, backend: str) -> Speeds:
        """Returns the speeds that finished runs give.

        Args:
            runs: stored runs; those of other devices or backends, of networks that `macs` has not, and those that
                diverged are left out.
            macs: multiply-accumulates by network.
            device: as runs name it, see `likely_device`.
            backend: Keras backend.
        """
        here = [run for run in runs if run.device == device and run.backend == backend]
        return cls(tuple(filter(None, (_speed(run, macs) for run in here))), macs)

    def with_run(self, run: Run) -> Speeds:
        """Returns these and the speed of a run that has just finished here."""
        return self.with_speeds(filter(None, (_speed(run, self.macs),)))

    def with_speeds(self, speeds: Iterable[Speed]) -> Speeds:
        """Returns these and some more."""
        return Speeds((*self.known, *speeds), self.macs)

    def estimate(self, recipe: Recipe) -> Estimate:
        """Returns about how long one run of a recipe takes, validation, test and building included.

        Args:
            recipe: its network is in `macs`.
        """
        name, images = network(recipe), passes(recipe).equivalent
        kind = (name, recipe.batch_size, recipe.precision)
        same = [speed for speed in self.known if (speed.network, speed.batch_size, speed.precision) == kind]
        for basis in ("measured", "timed"):
            if found := [speed for speed in same if speed.basis == basis]:
                seconds = images / statistics.median(speed.images_per_second for speed in found)
                return Estimate(seconds + statistics.median(speed.overhead_seconds for speed in found), found[0].basis)
        rate = reference_rate(self.macs[name], recipe.batch_size)
        if not self.known:
            return Estimate(images / rate + _OVERHEAD, "assumed")
        least = min(_distance(speed, self.macs[name], recipe) for speed in self.known)
        nearest = [speed for speed in self.known if _distance(speed, self.macs[name], recipe) <= least + 1e-9]
        factor = statistics.median(s.images_per_second / reference_rate(s.macs, s.batch_size) for s in nearest)
        overhead = statistics.median(speed.overhead_seconds for speed in nearest)
        return Estimate(images / (rate * factor) + overhead, "scaled")


def reference_rate(macs: int, batch_size: int) -> float:
    """Returns images a second of the machine of `REFERENCE`, for a network of any size.

    Multiply-accumulates a second rise with the size of a network up to a limit: between the networks that were measured
    on a line of logarithms, outside as at the nearest. Batches of fewer than 128 images are slower by the fourth root.

    Args:
        macs: multiply-accumulates an image.
        batch_size: images a step, 1 or more.

    Example:
        >>> round(reference_rate(886_440, 128)), round(reference_rate(2 * 555_422_720, 128))
        (15756, 31)
    """
    sizes = [math.log(size) for size, _ in REFERENCE]
    throughputs = [math.log(size * rate) for size, rate in REFERENCE]
    macs = max(macs, 1)
    throughput = math.exp(float(np.interp(math.log(macs), sizes, throughputs)))
    return throughput / macs * math.sqrt(math.sqrt(min(1.0, batch_size / 128)))


def summed(estimates: Sequence[Estimate]) -> tuple[float, str]:
    """Returns the seconds of several estimates together, and in words what they come from.

    Example:
        >>> summed([Estimate(1.0, "timed"), Estimate(2.0, "timed")])
        (3.0, 'from a few timed steps')
    """
    counts = {basis: sum(estimate.basis == basis for estimate in estimates) for basis in BASES}
    used = {basis: count for basis, count in counts.items() if count}
    words = [f"{count} {BASES[basis]}" if len(used) > 1 else BASES[basis] for basis, count in used.items()]
    return math.fsum(estimate.seconds for estimate in estimates), "; ".join(words)


def _speed(run: Run, macs: Mapping[str, int]) -> Speed | None:
    try:
        recipe = Recipe.from_dict(run.recipe)
        name = network(recipe)
    except (ValueError, KeyError):  # written when Recipe had other fields, or of images that are not known here
        return None
    if run.diverged or name not in macs or run.images_per_second <= 0.0:
        return None
    images, seconds = passes(recipe).equivalent, sum(run.seconds.values())
    # evaluating may cost less than a third of a training step, and a training may have stopped early
    rate = max(run.images_per_second, images / seconds if seconds > 0.0 else 0.0)
    return Speed(name, macs[name], recipe.batch_size, recipe.precision, rate, max(0.0, seconds - images / rate))


def _distance(speed: Speed, macs: int, recipe: Recipe) -> float:
    """How little a speed says of a recipe: another size, another batch, another precision."""
    size = abs(math.log(max(speed.macs, 1) / max(macs, 1)))
    batch = abs(math.log(speed.batch_size / recipe.batch_size))
    return size + batch / 3 + (speed.precision != recipe.precision)


def likely_device() -> str:
    """Returns the name that a run started now would have in `Run.device`, without loading a backend.

    An NVIDIA GPU is taken where the driver shows one and `CUDA_VISIBLE_DEVICES` does not hide it, else the CPU.
    """
    if os.environ.get("CUDA_VISIBLE_DEVICES", "0") not in ("", "-1"):
        for path in sorted(Path("/proc/driver/nvidia/gpus").glob("*/information")):
            for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
                if line.startswith("Model:"):
                    return f"CUDA: {line.partition(':')[2].strip()}"
    return f"CPU: {processor()}"
