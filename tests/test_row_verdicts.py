"""Verdicts on reported numbers: where a prediction interval lies, widened by rounding and by other images."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kmodels.spec.claims import MEASURES, Reported, Row
from kmodels.spec.declarations import load_scripts
from kmodels.stats.inference import Sample, gather
from kmodels.stats.verdicts import judge_row
from tests.simulated_runs import seeds

EXPERIMENTS = Path(__file__).parents[1] / "experiments"
ACCURACY, LOSS = MEASURES["validation_accuracy"], MEASURES["validation_loss"]
TIGHT = [0.780, 0.782, 0.784]  # prediction interval 0.782 ± 0.00994


def sample(values, measure="validation_accuracy", folds=1):
    return gather(seeds(values, measure=measure), measure, folds)


def plain(values):
    return Sample(folds={seed: (float(value),) for seed, value in enumerate(values)})


def on_images(values, images, folds=1):
    """A cell's values, each of so many validation images."""
    return Sample(folds={k: (v,) * folds for k, v in enumerate(values)}, wanted=folds, validation_images=images)


@pytest.mark.parametrize(
    ("value", "rounding", "word"),
    [
        (0.7871, 0.00005, "reproduced"),
        (0.7730, 0.00005, "reproduced"),
        (0.8, 0.00005, "not reproduced"),
        (0.76, 0.00005, "better"),
        (0.80, 0.01, "reproduced"),  # 79 to 81 reaches into the interval
        (0.7920, 0.0, "not reproduced"),
        (0.79193, 0.0, "reproduced"),
    ],
)
def test_a_point_is_judged_by_the_prediction_interval_widened_by_its_rounding(value, rounding, word):
    assert judge_row(Reported(value, rounding), sample(TIGHT), ACCURACY).word == word


def test_for_a_loss_smaller_is_better():
    ours = sample([0.500, 0.501, 0.502], "validation_loss")
    assert judge_row(Reported(0.60), ours, LOSS).word == "better"
    assert judge_row(Reported(0.40), ours, LOSS).word == "not reproduced"


@pytest.mark.parametrize(
    ("bound", "value", "word"),
    [
        ("at least", 0.75, "reproduced"),
        ("at least", 0.782, "cannot tell"),
        ("at least", 0.80, "not reproduced"),
        ("at most", 0.80, "reproduced"),
        ("at most", 0.782, "cannot tell"),
        ("at most", 0.75, "better"),
    ],
)
def test_a_bound_is_judged_by_where_the_whole_interval_lies(bound, value, word):
    assert judge_row(Reported(value, 0.0, bound), sample(TIGHT), ACCURACY).word == word


def test_a_bound_on_a_loss_that_is_broken_upwards_is_not_reproduced():
    ours = sample([0.500, 0.501, 0.502], "validation_loss")
    assert judge_row(Reported(0.4, 0.0, "at most"), ours, LOSS).word == "not reproduced"
    assert judge_row(Reported(0.6, 0.0, "at least"), ours, LOSS).word == "better"


def test_a_rounded_bound_is_read_in_its_own_favour():
    assert judge_row(Reported(0.80, 0.005, "at least"), sample([0.7985, 0.7986, 0.7987]), ACCURACY).word == "reproduced"


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ([0.78], "n = 1 seed, 3 or more are needed"),
        ([0.78, 0.781], "n = 2 seeds, 3 or more are needed"),
        ([0.78, 0.78, 0.78], "all seeds gave the same number"),
        ([0.78, 0.79, 0.80], "above the limit of 1.5"),
        ([0.78, float("nan"), 0.80], "a run diverged"),
    ],
)
def test_cannot_tell_says_why(values, reason):
    verdict = judge_row(Reported(0.5), sample(values), ACCURACY)
    assert verdict.word == "cannot tell"
    assert reason in verdict.reason


def test_without_points_the_limit_is_a_share_of_the_reported_number():
    ours = sample([0.50, 0.51, 0.52], "validation_loss")  # half-width 0.05
    assert judge_row(Reported(0.51), ours, LOSS).word == "cannot tell"
    assert judge_row(Reported(1.30), ours, LOSS).word == "better"


def test_a_number_of_other_images_is_given_the_binomial_error_between_two_draws_of_them():
    ours = on_images([0.9903, 0.9905, 0.9907], 10_016)  # prediction interval 0.9905 ± 0.0010
    error = 1.96 * (0.9905 * 0.0095 * 2 / 10_016) ** 0.5  # 0.0027
    for value, on_the_same, on_others in (
        (0.9900, "reproduced", "reproduced"),
        (0.9880, "better", "reproduced"),
        (0.9930, "not reproduced", "reproduced"),
        (0.9860, "better", "better"),
        (0.9950, "not reproduced", "not reproduced"),
    ):
        same, other = Reported(value), Reported(value, other_images=10_016)
        assert judge_row(same, ours, ACCURACY).word == on_the_same
        assert judge_row(other, ours, ACCURACY).word == on_others
        plain_interval, widened = (judge_row(r, ours, ACCURACY).interval for r in (same, other))
        assert widened.low == pytest.approx(plain_interval.low - error, abs=1e-8)
        assert widened.high == pytest.approx(plain_interval.high + error, abs=1e-8)


def test_images_of_all_folds_count_together():
    reported, values = Reported(0.988, other_images=10_000), [0.9903, 0.9905, 0.9907]
    one, ten = on_images(values, 10_000), on_images(values, 1_000, folds=10)
    whole, parts, part = (judge_row(reported, ours, ACCURACY) for ours in (one, ten, on_images(values, 1_000)))
    assert (whole.word, parts.word) == ("reproduced", "reproduced")
    assert parts.interval.low == pytest.approx(whole.interval.low)
    assert part.interval.low < whole.interval.low - 0.001


def test_few_other_images_leave_too_wide_an_interval_and_an_unknown_number_none():
    few = judge_row(Reported(0.5, other_images=100), on_images(TIGHT, 100), ACCURACY)
    assert (few.word, "above the limit of 1.5" in few.reason) == ("cannot tell", True)
    unknown = judge_row(Reported(0.5, other_images=100), plain(TIGHT), ACCURACY)
    assert (unknown.word, "do not say on how many images" in unknown.reason) == ("cannot tell", True)


def test_a_bound_that_was_kept_on_other_images_is_judged_by_the_widened_interval():
    ours = on_images([0.9903, 0.9905, 0.9907], 10_016)
    assert judge_row(Reported(0.988, 0.0, "at least"), ours, ACCURACY).word == "reproduced"
    assert judge_row(Reported(0.988, 0.0, "at least", 10_016), ours, ACCURACY).word == "cannot tell"


@given(
    st.lists(st.floats(0.0, 1.0), min_size=3, max_size=6),
    st.floats(0.0, 1.0),
    st.sampled_from(["point", "at least", "at most"]),
    st.integers(1, 10**6),
    st.integers(1, 10**6),
)
def test_other_images_never_narrow_the_interval_nor_turn_a_verdict_round(values, value, bound, images, other_images):
    ours = on_images(values, images)
    same = judge_row(Reported(value, 0.0, bound), ours, ACCURACY)
    other = judge_row(Reported(value, 0.0, bound, other_images), ours, ACCURACY)
    if same.interval is not None:
        assert other.interval.low <= same.interval.low
        assert other.interval.high >= same.interval.high
    assert other.word in (same.word, "cannot tell", *(["reproduced"] if bound == "point" else []))
    assert other.word == "cannot tell" or same.word != "cannot tell"


def test_a_true_draw_on_other_images_is_called_reproduced_95_times_in_100_or_more():
    images, random, words = 10_016, np.random.default_rng(9), {True: [], False: []}
    for _ in range(2000):
        luck = random.normal(0.99, 0.0004, 6)  # of five seeds here and one there
        drawn = random.normal(0, (0.99 * 0.01 / images) ** 0.5, 2)  # of the images here and there
        ours = on_images(luck[:5] + drawn[0], images)
        for declared, found in words.items():
            reported = Reported(luck[5] + drawn[1], other_images=images if declared else None)
            found.append(judge_row(reported, ours, ACCURACY).word)
    assert words[True].count("reproduced") / 2000 > 0.95
    assert words[False].count("reproduced") / 2000 < 0.8


def test_other_images_are_declared_of_shares_of_validation_images_alone():
    Row("C-2", "steps", Reported(0.991, other_images=1), "best_validation_accuracy")
    for measure in ("test_accuracy", "validation_loss", "train_accuracy", "validation_accuracy_spread"):
        with pytest.raises(ValueError, match=f"other_images is set. Received: measure='{measure}'"):
            Row("C-2", "steps", Reported(0.991, other_images=10_016), measure)
    with pytest.raises(ValueError, match="Received: other_images=0"):
        Reported(0.991, other_images=0)


def test_report_c_alone_validates_on_images_of_its_own():
    declared = {
        row.id: row.reported.other_images
        for script in load_scripts(EXPERIMENTS)
        for experiment in script.experiments
        for row in experiment.rows
        if row.reported is not None and row.reported.other_images is not None
    }
    assert declared == {"C-2": 626 * 16}


def test_nothing_reported_and_nothing_run():
    assert judge_row(None, sample(TIGHT), ACCURACY).word == "not reported"
    assert judge_row(Reported(0.5), sample([]), ACCURACY).word == "not run yet"
    assert judge_row(None, sample([]), ACCURACY).word == "not run yet"


@pytest.mark.parametrize("n", [3, 5, 10])
def test_a_true_draw_is_called_reproduced_95_times_in_100(n):
    draws = np.random.default_rng(n).normal(0.8, 0.001, size=(3000, n + 1))
    words = [judge_row(Reported(row[-1]), plain(row[:-1]), ACCURACY).word for row in draws]
    judged = [word for word in words if word != "cannot tell"]
    assert len(judged) > 2900
    assert 0.937 < judged.count("reproduced") / len(judged) < 0.963


@given(st.lists(st.floats(0.1, 0.9), min_size=0, max_size=6), st.floats(0.0, 1.0))
def test_better_and_not_reproduced_mirror_each_other(values, value):
    mirror = {"better": "not reproduced", "not reproduced": "better"}
    word = judge_row(Reported(value), plain(values), ACCURACY).word
    flipped = judge_row(Reported(1 - value), plain([1 - v for v in values]), ACCURACY).word
    edge = judge_row(Reported(value, 1e-9), plain(values), ACCURACY).word  # float rounding at the very edge
    assert flipped == mirror.get(word, word) or edge != word


def test_a_bound_that_a_true_draw_kept_or_broke_is_rarely_judged_wrongly():
    draws = np.random.default_rng(11).normal(0.8, 0.004, size=(3000, 6))
    wrong = 0
    for row in draws:
        word = judge_row(Reported(0.805, 0.0, "at least"), plain(row[:-1]), ACCURACY).word
        wrong += word == ("not reproduced" if row[-1] >= 0.805 else "reproduced")
    assert wrong / 3000 < 0.035
