"""What a claim compares: pairs of cells, seed by seed, each tested for and against what the claim says of it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from kmodels.spec.claims import MEASURES, Claim
from kmodels.stats.inference import Interval, PairedTest, Sample, corrected_resampled_interval, paired_test

__all__ = ["FEWEST_SEEDS", "Comparison", "compare", "for_and_against", "known", "partial_conjunction"]

FEWEST_SEEDS = 3
"""With fewer seeds there is no verdict."""


@dataclass(frozen=True)
class Comparison:
    """One pair of cells that a claim compares.

    Attributes:
        better: the first cell of the pair, which most kinds of claim say is better.
        worse: the other one.
        test: paired test of first minus second over the seeds that both share, against no difference.
        p_for: p value of what the claim says of the pair; 1 with fewer than three seeds. Exact measures give 0 or 1.
        p_against: p value of the opposite; 1 with fewer than three seeds. Exact measures give 0 or 1.
        fold_interval: interval over the folds of the only shared seed, corrected for their overlap; None otherwise.
        folds: how many folds it is over.
        points: whether the mean difference lies where the claim says; None where nothing has run.
        unkept: runs of the two cells whose files lack what the measure needs.
        counts: what an exact measure says of the two cells; None for others, and where a cell has no count or several.
    """

    better: str
    worse: str
    test: PairedTest
    p_for: float
    p_against: float
    fold_interval: Interval | None = None
    folds: int = 1
    points: bool | None = None
    unkept: int = 0
    counts: tuple[float, float] | None = None


def compare(claim: Claim, samples: Mapping[str, Sample]) -> tuple[Comparison, ...]:
    """Returns the comparisons that a claim makes, in its order.

    Args:
        claim: the claim.
        samples: cell -> its values of the claim's measure.
    """
    return tuple(_comparison(claim, first, second, samples) for first, second in claim.pairs())


def _comparison(claim: Claim, first: str, second: str, samples: Mapping[str, Sample]) -> Comparison:
    one, other = samples[first], samples[second]
    ours, theirs = one.values(), other.values()
    shared = sorted(ours.keys() & theirs.keys())
    differences = [ours[seed] - theirs[seed] for seed in shared]
    test = paired_test(differences)
    sign = 1.0 if MEASURES[claim.measure].higher_is_better else -1.0
    low, high = bounds(claim)
    judge = known if MEASURES[claim.measure].exact else for_and_against
    p_for, p_against = judge([sign * value for value in differences], low, high)
    over_folds = None
    sizes = one.train_images, one.validation_images
    if len(shared) == 1 and one.wanted == other.wanted > 1 and not one.spread and min(sizes) > 0:
        pairs = zip(one.folds[shared[0]], other.folds[shared[0]], strict=True)
        over_folds = corrected_resampled_interval([a - b for a, b in pairs], *sizes)
    points = None if test.effect is None else low < sign * test.effect < high
    unkept = one.unkept + other.unkept
    counts = None
    if MEASURES[claim.measure].exact and len(set(ours.values())) == len(set(theirs.values())) == 1:
        counts = next(iter(ours.values())), next(iter(theirs.values()))
    return Comparison(first, second, test, p_for, p_against, over_folds, one.wanted, points, unkept, counts)


def bounds(claim: Claim) -> tuple[float, float]:
    """Returns between which numbers a claim says that the true advantage of a pair's first cell lies, both excluded.

    Example:
        >>> bounds(Claim(text="about 4 points", difference=["deep", "shallow"], size=0.04, margin=0.01))
        (0.03, 0.05)
    """
    if claim.kind == "no_better":
        return -math.inf, claim.width
    if claim.kind in ("equal", "difference"):
        return claim.size - claim.width, claim.size + claim.width
    return 0.0, math.inf


def for_and_against(values: Sequence[float], low: float, high: float) -> tuple[float, float]:
    """Returns p values for "the true mean lies between two bounds" and for "it lies beyond one of them".

    For: the larger of the two one-sided p values (two one-sided tests). Against: twice the smaller, as there are two
    ways of being beyond; where a bound is infinite only the other is tested. Both are 1 with fewer than three values.

    Args:
        values: one a seed.
        low: lower bound, may be minus infinity.
        high: upper bound, above `low`, may be infinity.

    Reference:
        Schuirmann, A comparison of the two one-sided tests procedure and the power approach, 1987.

    Example:
        >>> inside, beyond = for_and_against([-0.001, 0.0, 0.001], -0.005, 0.005)
        >>> round(inside, 4), beyond > 0.5
        (0.0065, True)
    """
    if len(values) < FEWEST_SEEDS:
        return 1.0, 1.0
    inside, beyond = [], []
    for bound, is_low in ((low, True), (high, False)):
        if math.isinf(bound):
            continue
        test = paired_test([value - bound for value in values])
        if test.p_above is None or test.p_below is None:
            return 1.0, 1.0
        inside.append(test.p_above if is_low else test.p_below)
        beyond.append(test.p_below if is_low else test.p_above)
    return max(inside), min(1.0, len(beyond) * min(beyond))


def known(values: Sequence[float], low: float, high: float) -> tuple[float, float]:
    """Returns what `for_and_against` does for differences that are counted, not sampled: 0 for what is so, else 1.

    Args:
        values: one a seed, all the same; both are 1 without any, and where they are not the same after all.
        low: lower bound, excluded, may be minus infinity.
        high: upper bound, excluded, may be infinity.

    Example:
        >>> known([44.7], 0.0, math.inf), known([0.0], 0.0, math.inf), known([1.0, 2.0], 0.0, math.inf)
        ((0.0, 1.0), (1.0, 0.0), (1.0, 1.0))
    """
    if len(set(values)) != 1:
        return 1.0, 1.0
    return (0.0, 1.0) if low < values[0] < high else (1.0, 0.0)


def partial_conjunction(p_values: Sequence[float], needed: int) -> float:
    """Returns a p value for "at least this many of the statements are true", whatever ties the tests together.

    The `needed`-th smallest p value times the number of those not below it: the largest where all must hold, the
    smallest times their number where one is enough.

    Args:
        p_values: one a statement.
        needed: 1 to their number.

    Reference:
        Benjamini and Heller, Screening for partial conjunction hypotheses, Biometrics 64, 2008.

    Example:
        >>> partial_conjunction([0.01, 0.5, 0.02], 2)
        0.04
    """
    return min(1.0, (len(p_values) - needed + 1) * sorted(p_values)[needed - 1])
