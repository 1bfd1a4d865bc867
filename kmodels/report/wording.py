"""How numbers are written: percent with two decimals, losses with four, seconds with one; never more than was known."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from kmodels.plural import counted
from kmodels.spec.claims import Measure, Row
from kmodels.stats.inference import Estimate, Interval
from kmodels.stats.verdicts import Comparison

__all__ = ["abbreviated", "counts_line", "effect_line", "number", "ours", "p_value", "reading", "reported"]

_DECIMALS = {"%": 2, "s": 1, "images/s": 0, "GiB": 2, "epochs": 1, "thousand": 1, "million": 1}


def number(value: float, measure: Measure, *, signed: bool = False) -> str:
    """Returns a value of a measure as text, without its unit; `diverged` where it is not finite.

    Args:
        value: in the measure's own units, fractions for `%`.
        measure: sets scale and decimals.
        signed: write the plus sign too; zero has none.

    Example:
        >>> from kmodels.spec.claims import MEASURES
        >>> number(0.98765, MEASURES["test_accuracy"]), number(-0.25, MEASURES["train_loss"], signed=True)
        ('98.77', '-0.2500')
    """
    if not math.isfinite(value):
        return "diverged"
    decimals = _DECIMALS.get(measure.unit, 4)
    text = f"{value * (100 if measure.unit == '%' else 1):{'+' if signed else ''}.{decimals}f}"
    return text if float(text) != 0 else text.lstrip("+-")


def ours(found: Estimate, measure: Measure) -> str:
    """Returns `mean ± half-width (n)`, `mean (1)` for one seed, or the number alone where the measure is exact.

    Example:
        >>> from kmodels.spec.claims import MEASURES
        >>> ours(Estimate(3, 0.72, 0.71, 0.73, 0.004), MEASURES["test_accuracy"])
        '72.00 ± 1.00 (3)'
    """
    mean = number(found.mean, measure)
    if measure.exact:
        return mean
    if found.low is None or found.high is None:
        return f"{mean} ({found.n})"
    return f"{mean} ± {number((found.high - found.low) / 2, measure)} ({found.n})"


def reported(row: Row, measure: Measure) -> str:
    """Returns the report's number with the digits it has, `≥` or `≤` before a bound, `n/r` where it says nothing.

    Example:
        >>> from kmodels.spec.claims import MEASURES, Reported
        >>> accuracy = MEASURES["test_accuracy"]
        >>> [reported(Row("x", "c", r), accuracy) for r in (Reported(0.64, 0.005), Reported(0.8, 0, "at least"), None)]
        ['64', '≥ 80.00', 'n/r']
    """
    if row.reported is None:
        return "n/r" if row.id else "–"
    value = row.reported
    text = number(value.value, measure)
    if value.rounding > 0:
        scale = 100 if measure.unit == "%" else 1
        decimals = max(0, -math.floor(math.log10(2 * value.rounding * scale) + 1e-9))
        text = f"{value.value * scale:.{decimals}f}"
    return {"point": "", "at least": "≥ ", "at most": "≤ "}[value.bound] + text


def p_value(p: float) -> str:
    """Returns a p value as text.

    Example:
        >>> p_value(0.04961), p_value(0.00004)
        ('p = 0.0496', 'p < 0.001')
    """
    return "p < 0.001" if p < 0.001 else f"p = {p:.3g}"


def abbreviated(count: int) -> str:
    """Returns a count with three digits and the power of ten that it stands before.

    Example:
        >>> abbreviated(579_240), abbreviated(40_551_808), abbreviated(3_722_137_600)
        ('579 k', '40.6 M', '3.72 G')
    """
    for unit, size in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if count >= size:
            value = count / size
            return f"{value:.{max(0, 3 - len(str(int(value))))}f} {unit}"
    return str(count)


def counts_line(comparisons: Sequence[Comparison], measure: Measure) -> str:
    """Returns what an exact measure counts of each pair of cells, to the last one; empty where nothing is counted.

    Args:
        comparisons: the pairs.
        measure: what is counted, in its own units.
    """
    scale = {"thousand": 1e3, "million": 1e6}.get(measure.unit, 1)
    pairs = [
        f"{c.better} {round(scale * c.counts[0]):,} against {c.worse} {round(scale * c.counts[1]):,}"
        for c in comparisons
        if c.counts is not None
    ]
    return f"counted: {', '.join(pairs)} {measure.label}" if pairs else ""


def effect_line(comparison: Comparison, measure: Measure, quick: bool = False) -> str:
    """Returns one line on a pair of cells: mean difference, interval, p and number of seeds.

    Args:
        comparison: the pair.
        measure: what is compared.
        quick: leave out the p value, as the quick protocol carries no verdict.
    """
    test = comparison.test
    pair = f"{comparison.better} minus {comparison.worse}"
    if test.effect is None:
        return f"{pair}: not run yet"
    parts = [f"{number(test.effect, measure, signed=True)}{_unit(measure)}"]
    if measure.exact:
        return f"{pair}: {parts[0]}, counted"
    if test.interval is not None:
        parts.append(f"95 % interval {_interval(test.interval, measure)}")
        if not quick and comparison.p_for < 1:
            parts.append(p_value(comparison.p_for))
    parts.append(f"n = {counted(test.n, 'seed')}")
    if comparison.fold_interval is not None:
        over = f"over its {comparison.folds} folds, corrected for their overlap"
        parts.append(f"{_interval(comparison.fold_interval, measure)} {over}")
    return f"{pair}: {', '.join(parts)}"


def _interval(interval: Interval, measure: Measure) -> str:
    return f"[{number(interval.low, measure, signed=True)}, {number(interval.high, measure, signed=True)}]"


def _unit(measure: Measure) -> str:
    return {"%": " points", "": ""}.get(measure.unit, f" {measure.unit}")


def reading(measures: Sequence[Measure], folds: int, all_folds: int) -> Iterator[str]:
    """Yields how the numbers of a table are to be read, sampled and counted ones.

    Args:
        measures: of the table, each once.
        folds: folds that a seed's value is the mean of.
        all_folds: folds of the split.

    Example:
        >>> from kmodels.spec.claims import MEASURES
        >>> for line in reading([MEASURES["test_accuracy"], MEASURES["macs"]], 1, 1):
        ...     print(line)
        Numbers: test accuracy in %; mean ± half of the 95 % t interval over n seeds.
        Counted, the same for every seed: multiply-accumulates an image in million.
    """
    sampled, counted = ([_named(m) for m in measures if m.exact == exact] for exact in (False, True))
    over = f"its {folds}" if folds >= all_folds else f"{folds} of its {all_folds}"
    of_seed = f", a seed's value being the mean over {over} folds" if max(folds, all_folds) > 1 else ""
    if sampled:
        yield f"Numbers: {', '.join(sampled)}; mean ± half of the 95 % t interval over n seeds{of_seed}."
    if counted:
        yield f"Counted, the same for every seed: {', '.join(counted)}."


def _named(measure: Measure) -> str:
    return f"{measure.label} in {measure.unit}" if measure.unit else measure.label
