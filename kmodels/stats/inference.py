"""From runs to numbers: values per seed, their spread, intervals, paired tests. No verdicts and no Keras here.

The unit of evidence is the seed. Folds of one seed share most of their training images and the initial weights, so they
are averaged first, and their spread is kept apart from that of the seeds. `docs/statistics.md` gives the reasons.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from scipy.special import nctdtr, stdtr, stdtrit

from kmodels.results.runs import Run
from kmodels.spec.claims import MEASURES
from kmodels.stats.measured import measured, of_one_run

__all__ = ["Estimate", "Interval", "PairedTest", "Runs", "Sample", "corrected_resampled_interval", "estimate", "gather"]
__all__ += ["holm", "paired_test", "power", "prediction_interval"]

Runs = Mapping[tuple[int, int], Run]
"""The runs of one cell by (seed, fold)."""

CONFIDENCE = 0.95
"""Coverage of every interval, two-sided."""

_NO_SPREAD = 1e-12  # relative; differences of means that should be equal differ by a few float64 roundings


@dataclass(frozen=True)
class Sample:
    """One cell's values of one measure.

    Attributes:
        folds: seed -> the values of its folds in order, NaN for a run that diverged; seeds with all their folds only.
        partial: seed -> how many of its folds have finished; seeds with only some of them.
        wanted: how many folds a seed needs to count.
        spread: a seed's value is the standard deviation over its folds instead of their mean.
        train_images: images each run was trained on, 0 where unknown.
        validation_images: images in each run's validation part, 0 where unknown.
        unkept: runs that were left out because their files lack what the measure needs.
    """

    folds: Mapping[int, tuple[float, ...]] = field(default_factory=dict)
    partial: Mapping[int, int] = field(default_factory=dict)
    wanted: int = 1
    spread: bool = False
    train_images: int = 0
    validation_images: int = 0
    unkept: int = 0

    def values(self) -> dict[int, float]:
        """Returns one value a seed: the mean over its folds, or their standard deviation for a spread measure.

        Example:
            >>> Sample(folds={0: (0.25, 0.75), 1: (0.5, 0.5)}, wanted=2).values()
            {0: 0.5, 1: 0.5}
        """
        if self.spread:
            return {seed: float(np.std(values, ddof=1)) for seed, values in self.folds.items()}
        return {seed: float(np.mean(values)) for seed, values in self.folds.items()}


def gather(runs: Runs, measure: str, folds: int) -> Sample:
    """Returns the values of one measure, seed by seed; runs that did not keep the probabilities it needs are left out.

    Args:
        runs: the cell's runs; folds from `folds` on are left out.
        measure: a key of `MEASURES`; `kmodels.stats.measured` says how each is read; `<score>_spread` is of `<score>`,
            and `last_fold_<score>` that score of the last of the folds, which is then the seed's only one.
        folds: how many folds a seed needs to count, 1 or more; a spread measure always needs two.

    Raises:
        ValueError: `folds` is below 1, or a run has no such score.
    """
    if folds < 1:
        raise ValueError(f"folds: expected 1 or more. Received: folds={folds!r}")
    spread, last = MEASURES[measure].spread, MEASURES[measure].last_fold
    folds = max(folds, 2) if spread else folds
    score = of_one_run(measure)
    by_seed: dict[int, dict[int, float]] = {}
    wanted = {place: run for place, run in runs.items() if (place[1] == folds - 1 if last else place[1] < folds)}
    folds = 1 if last else folds
    unkept = 0
    if MEASURES[measure].probabilities:
        kept = {place: run for place, run in wanted.items() if run.diverged or measure in run.scores}
        unkept, wanted = len(wanted) - len(kept), kept
    for (seed, fold), run in sorted(wanted.items()):
        by_seed.setdefault(seed, {})[fold] = measured(run, score)
    some = next(iter(wanted.values())).data if wanted else {}
    return Sample(
        folds={seed: tuple(values.values()) for seed, values in by_seed.items() if len(values) == folds},
        partial={seed: len(values) for seed, values in by_seed.items() if len(values) < folds},
        wanted=folds,
        spread=spread,
        train_images=int(some.get("train_images", 0)),
        validation_images=int(some.get("validation_images", 0)),
        unkept=unkept,
    )


@dataclass(frozen=True)
class Interval:
    """A two-sided 95 % interval, in the units of what it was computed from."""

    low: float
    high: float


@dataclass(frozen=True)
class Estimate:
    """What the seeds of one cell say of one measure.

    Attributes:
        n: number of seeds.
        mean: mean over the seeds; not finite where a run diverged.
        low: lower end of the 95 % t interval of the mean; None for one seed.
        high: upper end.
        sd_seeds: standard deviation over seeds; None for one seed.
        sd_folds: standard deviation over folds within a seed, root mean square over the seeds; None without folds.
    """

    n: int
    mean: float
    low: float | None = None
    high: float | None = None
    sd_seeds: float | None = None
    sd_folds: float | None = None


def estimate(sample: Sample) -> Estimate | None:
    """Returns mean, interval over seeds and both spreads; None where no seed is complete.

    Example:
        >>> e = estimate(Sample(folds={0: (0.70,), 1: (0.72,), 2: (0.74,)}))
        >>> e.n, round(e.mean, 4), round(e.low, 4), round(e.high, 4)
        (3, 0.72, 0.6703, 0.7697)
    """
    values = np.array(list(sample.values().values()))
    n = len(values)
    if n == 0:
        return None
    within = None
    if sample.wanted > 1 and not sample.spread:
        within = math.sqrt(np.mean([np.var(folds, ddof=1) for folds in sample.folds.values()]))
    mean = float(values.mean())
    if n == 1 or not math.isfinite(mean):
        return Estimate(n, mean, sd_folds=within)
    sd = float(values.std(ddof=1))
    half = _t_quantile(n - 1) * sd / math.sqrt(n)
    return Estimate(n, mean, mean - half, mean + half, sd, within)


def prediction_interval(estimate: Estimate) -> Interval | None:
    """Returns where one further seed falls in 95 of 100 cases: mean ± t·s·√(1 + 1/n).

    Returns None where the seeds give no spread to judge by: one seed, or seeds that are all equal.

    Example:
        >>> interval = prediction_interval(Estimate(3, 0.72, sd_seeds=0.02))
        >>> round(interval.low, 4), round(interval.high, 4)
        (0.6206, 0.8194)
    """
    if estimate.sd_seeds is None or estimate.sd_seeds <= _NO_SPREAD * max(1.0, abs(estimate.mean)):
        return None
    half = _t_quantile(estimate.n - 1) * estimate.sd_seeds * math.sqrt(1 + 1 / estimate.n)
    return Interval(estimate.mean - half, estimate.mean + half)


@dataclass(frozen=True)
class PairedTest:
    """Differences between two cells, seed by seed.

    Attributes:
        n: number of seeds that both cells share.
        effect: mean difference; None for no shared seed, not finite where a run diverged.
        interval: its 95 % t interval; None for fewer than two seeds.
        p_above: one-sided p value against "the mean difference is 0 or less"; None where there is no test.
        p_below: one-sided p value against "0 or more".
    """

    n: int
    effect: float | None = None
    interval: Interval | None = None
    p_above: float | None = None
    p_below: float | None = None


def paired_test(differences: Sequence[float]) -> PairedTest:
    """Returns the paired t test of some differences.

    Differences that are all equal give t no scale. The exact sign test takes its place: p = 1/2ⁿ in their direction, 1
    for zeros, which is larger than any t test would give and needs five seeds to fall below 0.05.

    Args:
        differences: one a seed, first cell minus second.

    Example:
        >>> test = paired_test([0.01, 0.02, 0.03])
        >>> round(test.effect, 3), round(test.p_above, 4)
        (0.02, 0.0371)
    """
    values = np.asarray(differences, dtype=np.float64)
    n = len(values)
    if n == 0:
        return PairedTest(0)
    effect = float(values.mean())
    if n == 1 or not math.isfinite(effect):
        return PairedTest(n, effect)
    sd = float(values.std(ddof=1))
    tiny = _NO_SPREAD * max(1.0, float(np.abs(values).max()))
    if sd <= tiny:
        chance = 0.5**n
        above, below = (1.0, 1.0) if abs(effect) <= tiny else (chance, 1.0) if effect > 0 else (1.0, chance)
        return PairedTest(n, effect, Interval(effect, effect), above, below)
    error = sd / math.sqrt(n)
    half = _t_quantile(n - 1) * error
    above = float(stdtr(n - 1, -effect / error))
    return PairedTest(n, effect, Interval(effect - half, effect + half), above, float(stdtr(n - 1, effect / error)))


def corrected_resampled_interval(
    differences: Sequence[float], train_images: int, validation_images: int
) -> Interval | None:
    """Returns the 95 % interval of a mean difference over the folds of one seed, for the eye, never for a verdict.

    Folds share most of their training images, so their differences are correlated and a plain t interval is too
    narrow. The variance s²/k becomes s²·(1/k + validation/train).

    Args:
        differences: one a fold, first cell minus second; None is returned for fewer than two, or not finite ones.
        train_images: images in each fold's training part, 1 or more.
        validation_images: images in each fold's validation part, 1 or more.

    Raises:
        ValueError: a size is below 1.

    Reference:
        Nadeau and Bengio, Inference for the generalization error, Machine Learning 52, 2003.

    Example:
        >>> interval = corrected_resampled_interval([0.01, 0.02, 0.03], 200, 100)
        >>> round(interval.low, 4), round(interval.high, 4)
        (-0.0193, 0.0593)
    """
    for name, size in (("train_images", train_images), ("validation_images", validation_images)):
        if size < 1:
            raise ValueError(f"{name}: expected 1 or more. Received: {name}={size!r}")
    values = np.asarray(differences, dtype=np.float64)
    if len(values) < 2 or not np.isfinite(values).all():
        return None
    error = float(values.std(ddof=1)) * math.sqrt(1 / len(values) + validation_images / train_images)
    half, mean = _t_quantile(len(values) - 1) * error, float(values.mean())
    return Interval(mean - half, mean + half)


def holm(p_values: Sequence[float]) -> list[float]:
    """Returns p values adjusted for being looked at together, by Holm's step-down method, in the order given.

    Rejecting where the adjusted value is at most α keeps the chance of any false rejection at most α.

    Args:
        p_values: each in [0, 1].

    Example:
        >>> holm([0.04, 0.01, 0.5])
        [0.08, 0.03, 0.5]
    """
    adjusted = [0.0] * len(p_values)
    so_far = 0.0
    for rank, index in enumerate(sorted(range(len(p_values)), key=lambda i: p_values[i])):
        so_far = max(so_far, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = so_far
    return adjusted


def power(effect: float, sd: float, n: int, alpha: float = 0.05) -> float:
    """Returns the chance that the one-sided paired t test over n seeds finds a true difference.

    Args:
        effect: the true mean difference, 0 or more.
        sd: standard deviation of the differences over seeds, above 0, in the same units.
        n: number of seeds, 2 or more.
        alpha: level of the test, in (0, 1).

    Example:
        >>> round(power(effect=1.0, sd=1.0, n=10), 3)
        0.898
    """
    threshold = float(stdtrit(n - 1, 1 - alpha))
    return 1.0 - float(nctdtr(n - 1, effect / sd * math.sqrt(n), threshold))


def _t_quantile(degrees: int) -> float:
    return float(stdtrit(degrees, (1 + CONFIDENCE) / 2))
