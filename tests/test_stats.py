import dataclasses
import math
import re
import subprocess
from pathlib import Path

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from kmodels.results.runs import Run, run_files
from kmodels.spec.claims import MEASURES
from kmodels.stats.inference import (
    Estimate,
    Sample,
    corrected_resampled_interval,
    estimate,
    gather,
    holm,
    paired_test,
    power,
    prediction_interval,
)
from tests.simulated_runs import seeds

ROOT = Path(__file__).resolve().parents[1]
FRACTIONS = st.floats(0.0, 1.0)
P_VALUES = st.lists(st.floats(0.0, 1.0), max_size=8)


def test_a_seed_counts_once_however_many_folds_it_has():
    found = estimate(gather(seeds([[0.90, 0.92], [0.94, 0.96], [0.92, 0.94]]), "validation_accuracy", 2))
    assert found.n == 3
    assert found.mean == pytest.approx(0.93)
    assert found.sd_seeds == pytest.approx(0.02)  # of 0.91, 0.95, 0.93
    assert found.sd_folds == pytest.approx(math.sqrt(0.0002))  # each pair is 0.02 apart
    half = 4.302653 * 0.02 / math.sqrt(3)
    assert (found.low, found.high) == pytest.approx((0.93 - half, 0.93 + half))


def test_incomplete_seeds_are_counted_apart():
    runs = seeds([[0.9, 0.9, 0.9], [0.8, 0.8, 0.8]])
    del runs[1, 1]
    sample = gather(runs, "validation_accuracy", 3)
    assert sample.values() == pytest.approx({0: 0.9})
    assert sample.partial == {1: 2}
    assert gather(runs, "validation_accuracy", 1).values() == pytest.approx({0: 0.9, 1: 0.8})  # later folds left out


def test_spread_is_the_standard_deviation_over_folds():
    sample = gather(seeds([[0.90, 0.92], [0.90, 0.94]]), "validation_accuracy_spread", 2)
    assert sample.values() == pytest.approx({0: math.sqrt(0.0002), 1: math.sqrt(0.0008)})
    assert gather(seeds([0.9, 0.8]), "validation_accuracy_spread", 1).partial == {0: 1, 1: 1}  # needs two folds


def test_the_last_fold_stands_for_its_seed_alone():
    runs = {
        place: dataclasses.replace(run, scores={"test_accuracy": run.scores["validation_accuracy"]})
        for place, run in seeds([[0.90, 0.92, 0.97], [0.90, 0.94, 0.95]]).items()
    }
    found = estimate(gather(runs, "last_fold_test_accuracy", 3))
    assert (found.n, found.mean, found.sd_folds) == (2, pytest.approx(0.96), None)
    assert gather(runs, "last_fold_test_accuracy", 2).values() == {0: 0.92, 1: 0.94}  # the last of those that count
    del runs[1, 2]
    assert gather(runs, "last_fold_test_accuracy", 3).values() == {0: 0.97}


def test_training_time_is_read_from_the_seconds_of_fit():
    assert gather(seeds([0.9]), "seconds", 1).values() == {0: 59.0}


def test_a_missing_score_is_an_error_that_names_it():
    with pytest.raises(ValueError, match="Received: measure='test_accuracy'"):
        gather(seeds([0.9]), "test_accuracy", 1)
    with pytest.raises(ValueError, match="folds=0"):
        gather(seeds([0.9]), "validation_accuracy", 0)


def test_one_seed_has_no_interval_and_no_seed_no_estimate():
    assert estimate(gather({}, "validation_accuracy", 1)) is None
    found = estimate(gather(seeds([0.9]), "validation_accuracy", 1))
    assert (found.n, found.mean, found.low, found.sd_seeds, found.sd_folds) == (1, 0.9, None, None, None)
    assert prediction_interval(found) is None


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_a_diverged_run_gives_no_interval_and_no_warning(bad):
    found = estimate(gather(seeds([[0.9, bad], [0.9, 0.8]]), "validation_accuracy", 2))
    assert not math.isfinite(found.mean)
    assert found.low is None


def test_prediction_interval_is_wider_than_that_of_the_mean_and_hand_computed():
    found = Estimate(4, 0.5, sd_seeds=0.01)
    half = 3.182446 * 0.01 * math.sqrt(1.25)
    interval = prediction_interval(found)
    assert (interval.low, interval.high) == pytest.approx((0.5 - half, 0.5 + half))


@given(st.lists(FRACTIONS, min_size=2, max_size=12))
def test_paired_test_agrees_with_scipy(differences):
    if np.std(differences) < 1e-9:
        return
    ours = paired_test(differences)
    theirs = scipy.stats.ttest_1samp(differences, 0.0, alternative="greater")
    interval = scipy.stats.ttest_1samp(differences, 0.0).confidence_interval(0.95)
    assert ours.p_above == pytest.approx(theirs.pvalue, rel=1e-9, abs=1e-12)
    assert (ours.interval.low, ours.interval.high) == pytest.approx((interval.low, interval.high), rel=1e-9, abs=1e-12)
    assert ours.p_above + ours.p_below == pytest.approx(1.0)


@given(st.lists(st.floats(-1.0, 1.0), min_size=2, max_size=12))
def test_swapping_the_cells_mirrors_the_test(differences):
    ours, mirrored = paired_test(differences), paired_test([-d for d in differences])
    assert mirrored.effect == pytest.approx(-ours.effect)
    assert (mirrored.p_above, mirrored.p_below) == pytest.approx((ours.p_below, ours.p_above))


@pytest.mark.parametrize(
    ("value", "n", "p_above", "p_below"), [(0.01, 3, 0.125, 1), (-0.01, 5, 1, 0.03125), (0, 9, 1, 1)]
)
def test_equal_differences_fall_back_to_the_sign_test(value, n, p_above, p_below):
    # 0.1 + value - 0.1 is not exactly `value`: rounding must not look like a tiny spread
    test = paired_test([(0.1 * k + value) - 0.1 * k for k in range(n)])
    assert (test.p_above, test.p_below) == (p_above, p_below)
    assert test.effect == pytest.approx(value)


def test_few_or_broken_differences_give_no_test():
    assert paired_test([]).effect is None
    assert paired_test([0.01]).p_above is None
    assert paired_test([0.01, math.nan, 0.02]).p_above is None


def test_corrected_interval_is_wider_than_the_plain_one_by_the_overlap():
    differences = [0.01, 0.02, 0.03, 0.00, 0.04]
    plain, corrected = paired_test(differences).interval, corrected_resampled_interval(differences, 400, 100)
    ratio = (corrected.high - corrected.low) / (plain.high - plain.low)
    assert ratio == pytest.approx(math.sqrt((1 / 5 + 1 / 4) / (1 / 5)))
    assert corrected_resampled_interval([0.1], 400, 100) is None
    assert corrected_resampled_interval([0.1, math.nan], 400, 100) is None
    with pytest.raises(ValueError, match="train_images=0"):
        corrected_resampled_interval(differences, 0, 100)


@given(P_VALUES)
def test_holm_lies_between_no_correction_and_bonferroni_and_keeps_the_order(p_values):
    adjusted = holm(p_values)
    for p, q in zip(p_values, adjusted, strict=True):
        assert p <= q <= min(1.0, len(p_values) * p)
    by_p = [q for _, q in sorted(zip(p_values, adjusted, strict=True))]
    assert by_p == sorted(by_p)


def test_holm_keeps_the_family_wise_error_rate():
    p_values = np.random.default_rng(1).uniform(size=(4000, 5))
    wrong = np.mean([min(holm(list(row))) <= 0.05 for row in p_values])
    assert 0.035 < wrong <= 0.06


def test_power_agrees_with_simulation():
    draws = np.random.default_rng(2).normal(1.0, 1.0, size=(4000, 5))
    found = np.mean([paired_test(list(row)).p_above <= 0.05 for row in draws])
    assert power(1.0, 1.0, 5) == pytest.approx(found, abs=0.025)
    assert power(0.0, 1.0, 5) == pytest.approx(0.05)


def test_the_page_on_statistics_shows_the_power_that_is_computed():
    page = (ROOT / "docs" / "statistics.md").read_text(encoding="utf-8")
    shown = re.findall(r"^\| ([\d.]+) \| (\d+) % \| (\d+) % \| (\d+) % \|$", page, re.MULTILINE)
    assert len(shown) >= 4
    for ratio, *percents in shown:
        assert [int(p) for p in percents] == [round(100 * power(float(ratio), 1.0, n)) for n in (3, 5, 10)]


def test_sample_values_keep_the_seeds():
    assert Sample(folds={3: (0.25, 0.75), 7: (0.5, 0.5)}, wanted=2).values() == {3: 0.5, 7: 0.5}


def test_the_page_on_statistics_shows_what_so_many_seeds_find_in_points():
    page = (ROOT / "docs" / "statistics.md").read_text(encoding="utf-8")
    shown = re.findall(r"^\| ([\d.]+) points \|(.*)\|$", page, re.MULTILINE)
    assert len(shown) == 5
    for sd, rest in shown:
        entries = [float(entry.split()[0]) for entry in rest.split("|")]
        for n, needed, half in zip((3, 5, 10), entries[:3], entries[3:], strict=True):
            assert power(needed + 0.005, float(sd), n) >= 0.8 > power(needed - 0.005, float(sd), n)
            assert half == round(100 * power(0.5, float(sd), n))


def test_the_page_on_statistics_shows_what_the_spreads_of_committed_runs_find():
    page = (ROOT / "docs" / "statistics.md").read_text(encoding="utf-8")
    listed = subprocess.run(["git", "ls-files", "results"], cwd=ROOT, capture_output=True, text=True, check=True)
    committed = {ROOT / line for line in listed.stdout.splitlines()}
    found = [run for path, run in run_files(ROOT / "results") if path in committed and isinstance(run, Run)]
    shown = re.findall(r"^\| ([\w-]+), ([^|]+) \| (\d+) \| (\w+) \|(.*)\|$", page, re.MULTILINE)
    assert {("D-net", "Net", "validation_accuracy"), ("D-net", "Net", "validation_loss")} <= {
        (name, cell, measure) for name, cell, _, measure, _ in shown
    }
    for name, cell, seeds_shown, measure, rest in shown:
        of_cell = {
            (run.seed, run.fold): run
            for run in found
            if (run.experiment, run.cell, run.protocol) == (name, cell, "report")
        }
        (folds,) = {run.recipe["split"]["folds"] for run in of_cell.values()}
        spread = estimate(gather(of_cell, measure, folds))
        assert spread.n == int(seeds_shown)
        in_points = MEASURES[measure].unit == "%"
        sd = spread.sd_seeds * (100 if in_points else 1)
        entries = [entry.split()[0] for entry in rest.split("|")]
        halves = [0.5 * 10 ** -len(entry.partition(".")[2]) for entry in entries]
        assert all(("points" in entry) == in_points for entry in rest.split("|"))
        for value, entry, half in zip((sd, math.sqrt(2) * sd), entries[:2], halves[:2], strict=True):
            assert float(entry) == pytest.approx(value, abs=half)
        for n, entry, half in zip((3, 5, 10), entries[2:], halves[2:], strict=True):
            reach = [power(float(entry) + step, math.sqrt(2) * sd, n) for step in (-half, half)]
            assert reach[0] < 0.8 <= reach[1]
        if measure == "validation_accuracy":
            percents = [round(100 * power(0.5, math.sqrt(2) * sd, n)) for n in (3, 5, 10)]
            assert "found in {}, {} and {} of 100 cases".format(*percents) in page
            low, high = (sd * math.sqrt((spread.n - 1) / scipy.stats.chi2.ppf(q, spread.n - 1)) for q in (0.975, 0.025))
            assert f"the 95 % interval of that {sd:.2f} is {low:.2f} to {high:.2f} points" in page


def test_the_page_on_statistics_shows_what_holms_correction_costs():
    page = (ROOT / "docs" / "statistics.md").read_text(encoding="utf-8")
    shown = re.findall(r"^\| (\d+) claims? \| ([\d.]+) sd \| ([\d.]+) sd \| ([\d.]+) sd \|$", page, re.MULTILINE)
    assert len(shown) == 4
    for claims, *needed in shown:
        for n, entry in zip((3, 5, 10), map(float, needed), strict=True):
            reach = [power(entry + step, 1.0, n, 0.05 / int(claims)) for step in (-0.006, 0.006)]
            assert reach[0] < 0.8 <= reach[1]


def test_the_page_on_statistics_shows_what_the_pairs_of_a_1_1_find():
    page = (ROOT / "docs" / "statistics.md").read_text(encoding="utf-8")
    shown = re.findall(r"^\| (LeNet_\d) minus (LeNet_\d) \|(.*)\|$", page, re.MULTILINE)
    assert len(shown) == 2
    values = {}
    for _, run in run_files(ROOT / "results"):
        if not isinstance(run, Run) or (run.experiment, run.protocol) != ("A-lenet-batch-size", "report"):
            continue
        values.setdefault(run.cell.partition(":")[0], {})[run.seed, run.fold] = run
    for first, second, rest in shown:
        ours, theirs = (gather(values[name], "validation_accuracy", 10).values() for name in (first, second))
        differences = np.array([100 * (ours[seed] - theirs[seed]) for seed in sorted(ours.keys() & theirs.keys())])
        mean, sd = differences.mean(), differences.std(ddof=1)
        entries = [float(entry.split()[0]) for entry in rest.split("|")]
        assert entries[:2] == [round(mean, 2), round(sd, 2)]
        for n, entry in zip((3, 5), entries[2:4], strict=True):
            reach = [power(entry + step, sd, n, 0.05 / 8) for step in (-0.006, 0.006)]
            assert reach[0] < 0.8 <= reach[1]
        assert entries[4:] == [round(100 * power(mean, sd, n, 0.05 / 8)) for n in (3, 5)]
