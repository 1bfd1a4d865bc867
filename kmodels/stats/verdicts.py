"""From numbers to words: what the runs say of a reported number and of a claim.

`docs/statistics.md` gives the rules and their reasons.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from kmodels.plural import counted
from kmodels.spec.claims import MEASURES, Claim, Measure, Reported
from kmodels.stats.comparisons import FEWEST_SEEDS, Comparison, compare, partial_conjunction
from kmodels.stats.inference import Estimate, Interval, Sample, estimate, holm, prediction_interval

__all__ = [
    "ALPHA",
    "FEWEST_SEEDS",
    "WIDEST_PERCENT",
    "WIDEST_SHARE",
    "ClaimVerdict",
    "Comparison",
    "RowVerdict",
    "compare",
    "judge_claims",
    "judge_row",
]

WIDEST_PERCENT = 0.015
"""Half-width of the prediction interval above which an accuracy says too little: 1.5 points."""

WIDEST_SHARE = 0.05
"""The same for measures that are not percentages, as a share of the reported number."""

ALPHA = 0.05
"""Chance of confirming (or of refuting) any claim of a script falsely."""

RowWord = Literal["reproduced", "better", "not reproduced", "cannot tell", "not reported", "not run yet"]
ClaimWord = Literal["confirmed", "refuted", "cannot tell", "not run yet"]


@dataclass(frozen=True)
class RowVerdict:
    """What the runs say of a reported number.

    Attributes:
        word: the verdict.
        reason: why the verdict is `cannot tell`, in words; empty otherwise.
        interval: the prediction interval that it was judged by, widened where the report's images are others than
            ours, and not yet by the rounding; None without one.
    """

    word: RowWord
    reason: str = ""
    interval: Interval | None = None


def judge_row(reported: Reported | None, sample: Sample, measure: Measure) -> RowVerdict:
    """Returns what the runs say of one reported number.

    A point is one draw: `reproduced` inside the 95 % prediction interval widened by its rounding, else `better` where
    our runs are better than it and `not reproduced` where they are worse. An interval too wide to say much gives
    `cannot tell`. A bound is `reproduced` where the whole prediction interval keeps it, `not reproduced` (or `better`)
    where none of it does, `cannot tell` where the bound lies inside.

    Where the report's validation images are others than ours, the interval is first widened by the binomial error of
    two draws of images, 1.96·√(p·(1 − p)·(1/m + 1/m′)): p is our mean, m and m′ are the numbers of images, those of a
    seed's folds together.

    Args:
        reported: what the report prints; None for nothing.
        sample: our values.
        measure: what they are; its direction says which side is better.

    Example:
        >>> from kmodels.spec.claims import MEASURES
        >>> sample = Sample(folds={0: (0.780,), 1: (0.784,), 2: (0.782,)})
        >>> judge_row(Reported(0.7871, 0.00005), sample, MEASURES["test_accuracy"]).word
        'reproduced'
    """
    found = estimate(sample)
    if found is None and sample.unkept:
        return RowVerdict("cannot tell", _UNKEPT)
    if found is None:
        return RowVerdict("not run yet")
    if reported is None:
        return RowVerdict("not reported")
    interval = prediction_interval(found)
    if not math.isfinite(found.mean):
        return RowVerdict("cannot tell", "a run diverged")
    if found.n < FEWEST_SEEDS:
        return RowVerdict("cannot tell", _too_few(found.n), interval)
    if interval is None:
        return RowVerdict("cannot tell", "all seeds gave the same number, so their spread is unknown")
    if reported.other_images is not None:
        images = sample.wanted * sample.validation_images
        if images == 0:
            return RowVerdict("cannot tell", "its runs do not say on how many images they were validated", interval)
        error = _binomial_error(found.mean, images, reported.other_images)
        interval = Interval(interval.low - error, interval.high + error)
    if reported.bound == "point":
        return _judge_point(reported, found, interval, measure)
    return _judge_bound(reported, interval, measure)


def _binomial_error(share: float, images: int, other_images: int) -> float:
    """How far apart two draws of images put the same share, in 95 of 100 cases."""
    return 1.96 * math.sqrt(share * (1 - share) * (1 / images + 1 / other_images))


def _judge_point(reported: Reported, found: Estimate, interval: Interval, measure: Measure) -> RowVerdict:
    half = (interval.high - interval.low) / 2
    if measure.unit == "%":
        too_wide = half > WIDEST_PERCENT
        width = f"{100 * half:.2f} points, above the limit of {100 * WIDEST_PERCENT:g}"
    else:
        too_wide = half > WIDEST_SHARE * abs(reported.value)
        width = f"{half:.3g}, above the limit of {100 * WIDEST_SHARE:g} % of the reported number"
    if too_wide:
        return RowVerdict("cannot tell", f"a single run is known no better than ± {width}", interval)
    if interval.low - reported.rounding <= reported.value <= interval.high + reported.rounding:
        return RowVerdict("reproduced", interval=interval)
    ours_above = reported.value < interval.low
    return RowVerdict("better" if ours_above == measure.higher_is_better else "not reproduced", interval=interval)


def _judge_bound(reported: Reported, interval: Interval, measure: Measure) -> RowVerdict:
    at_least = reported.bound == "at least"
    # A rounded bound is read in its own favour: "over 80" to the nearest unit allows 79.5.
    bound = reported.value - reported.rounding if at_least else reported.value + reported.rounding
    all_keep = interval.low >= bound if at_least else interval.high <= bound
    none_keep = interval.high < bound if at_least else interval.low > bound
    if all_keep:
        return RowVerdict("reproduced", interval=interval)
    if none_keep:
        ours_above = not at_least
        return RowVerdict("better" if ours_above == measure.higher_is_better else "not reproduced", interval=interval)
    return RowVerdict("cannot tell", "single runs fall on both sides of the bound", interval)


@dataclass(frozen=True)
class ClaimVerdict:
    """What the runs say of a claim.

    Attributes:
        claim: the claim.
        word: the verdict.
        reason: why the verdict is `cannot tell`, in words; empty otherwise.
        comparisons: its pairs of cells.
        p: p value of the verdict's direction over all its pairs, before Holm's correction over the script; None where
            a pair could not be tested, and where its measure is exact.
        p_adjusted: the same after the correction.
        family: how many claims were judged together: all of a script but those of exact measures.
    """

    claim: Claim
    word: ClaimWord
    reason: str
    comparisons: tuple[Comparison, ...]
    p: float | None = None
    p_adjusted: float | None = None
    family: int = 1


def judge_claims(claims: Sequence[tuple[Claim, Sequence[Comparison]]]) -> list[ClaimVerdict]:
    """Returns the verdicts of a script's claims, in their order, with Holm's correction over all of them.

    A claim is confirmed only if each of its comparisons is significant in the claimed direction, so its p value is the
    largest of theirs (intersection-union test). It is refuted if any comparison is significant in the opposite
    direction, so that p value is the smallest of theirs times their number. Where a share of them is enough, so many
    must be significant, and so many that fewer are left refute. Everything else is `cannot tell`. A claim about an
    exact measure is so or not: it is not tested, and not counted among those that are.

    Args:
        claims: all the claims of the script, those without runs included, with the comparisons of each.

    Example:
        >>> claim = Claim(text="a beats b", best=["a", "b"])
        >>> a, b = Sample(folds={0: (0.8,), 1: (0.9,)}), Sample(folds={0: (0.7,), 1: (0.8,)})
        >>> verdict = judge_claims([(claim, compare(claim, {"a": a, "b": b}))])[0]
        >>> verdict.word, verdict.reason
        ('cannot tell', 'n = 2 seeds, 3 or more are needed')
    """
    p_for = [partial_conjunction([c.p_for for c in pairs], claim.needed()) for claim, pairs in claims]
    p_against = [
        partial_conjunction([c.p_against for c in pairs], len(pairs) - claim.needed() + 1) for claim, pairs in claims
    ]
    exact = [MEASURES[claim.measure].exact for claim, _ in claims]
    family = exact.count(False)
    adjusted = zip(_holm_but(exact, p_for), _holm_but(exact, p_against), strict=True)
    verdicts = []
    for (claim, comparisons), confirm, refute, (confirm_all, refute_all) in zip(
        claims, p_for, p_against, adjusted, strict=True
    ):
        word: ClaimWord = "cannot tell"
        reason, p, p_adjusted = "", confirm, confirm_all
        if confirm_all <= ALPHA:
            word = "confirmed"
        elif refute_all <= ALPHA:
            word, p, p_adjusted = "refuted", refute, refute_all
        elif all(c.test.n == 0 for c in comparisons) and any(c.unkept for c in comparisons):
            reason = _UNKEPT
        elif all(c.test.n == 0 for c in comparisons):
            word = "not run yet"
        else:
            reason = _why_not(claim, comparisons)
            if confirm <= ALPHA or refute <= ALPHA:
                reason = f"not significant after Holm's correction over {family} claims"
                p, p_adjusted = (confirm, confirm_all) if confirm <= ALPHA else (refute, refute_all)
        tested = not MEASURES[claim.measure].exact and (
            word == "refuted" or all(c.test.n >= FEWEST_SEEDS and c.test.p_above is not None for c in comparisons)
        )
        verdicts.append(
            ClaimVerdict(
                claim,
                word,
                reason,
                tuple(comparisons),
                p if tested else None,
                p_adjusted if tested else None,
                family,
            )
        )
    return verdicts


def _holm_but(exact: Sequence[bool], p_values: Sequence[float]) -> list[float]:
    """Holm's correction over the p values that are of a test."""
    tested = iter(holm([p for p, is_exact in zip(p_values, exact, strict=True) if not is_exact]))
    return [p if is_exact else next(tested) for p, is_exact in zip(p_values, exact, strict=True)]


def _why_not(claim: Claim, comparisons: Sequence[Comparison]) -> str:
    fewest = min(c.test.n for c in comparisons)
    if any(c.test.effect is not None and not math.isfinite(c.test.effect) for c in comparisons):
        return "a run diverged"
    if MEASURES[claim.measure].exact:
        return "some cells have not been counted" if fewest == 0 else "its runs count differently"
    if fewest < FEWEST_SEEDS:
        return _too_few(fewest)
    open_pairs = [f"{c.better} and {c.worse}" for c in comparisons if c.p_for > ALPHA]
    if claim.kind in ("equal", "difference"):
        return f"the difference between {', '.join(open_pairs)} may lie outside of what is claimed, or inside"
    if claim.kind == "no_better":
        return f"{claim.no_better[0]} may be better by the margin or not"
    return f"the difference between {', '.join(open_pairs)} may be chance"


_UNKEPT = "its runs do not keep the probabilities that this needs"


def _too_few(n: int) -> str:
    return f"n = {counted(n, 'seed')}, {FEWEST_SEEDS} or more are needed"
