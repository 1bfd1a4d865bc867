import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kmodels.spec.claims import MEASURES, Claim, Reported, Row
from kmodels.spec.declarations import load_scripts
from kmodels.stats.inference import Sample, gather
from kmodels.stats.verdicts import compare, judge_claims, judge_row
from tests.simulated_runs import seeds

EXPERIMENTS = Path(__file__).parents[1] / "experiments"
ACCURACY, LOSS = MEASURES["validation_accuracy"], MEASURES["validation_loss"]
PAIR = Claim(text="a beats b", best=["a", "b"])
OURS = Claim(text="Repaired: a beats b", best=["a", "b"])
CHAIN = Claim(text="a beats b beats c", order=["a", "b", "c"])
TIGHT = [0.780, 0.782, 0.784]  # prediction interval 0.782 ± 0.00994


def sample(values, measure="validation_accuracy", folds=1):
    return gather(seeds(values, measure=measure), measure, folds)


def plain(values):
    return Sample(folds={seed: (float(value),) for seed, value in enumerate(values)})


def judge(claim, **cells):
    samples = {name: plain(values) for name, values in cells.items()}
    return judge_claims([(claim, compare(claim, samples))])[0]


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


def on_images(values, images, folds=1):
    """A cell's values, each of so many validation images."""
    return Sample(folds={k: (v,) * folds for k, v in enumerate(values)}, wanted=folds, validation_images=images)


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


def test_a_claim_needs_every_pair():
    a, b, c = [0.90, 0.91, 0.92], [0.80, 0.812, 0.821], [0.70, 0.711, 0.722]
    assert judge(CHAIN, a=a, b=b, c=c).word == "confirmed"
    halfway = judge(CHAIN, a=a, b=b, c=[0.79, 0.83, 0.81])
    assert halfway.word == "cannot tell"
    assert halfway.reason == "the difference between b and c may be chance"


def test_one_significant_reversal_refutes():
    verdict = judge(CHAIN, a=[0.90, 0.91, 0.92], b=[0.80, 0.812, 0.821], c=[0.95, 0.961, 0.972])
    assert verdict.word == "refuted"
    smallest = min(c.p_against for c in verdict.comparisons)
    assert verdict.p == pytest.approx(2 * smallest)  # Holm's first step over two pairs


def test_hand_computed_pair():
    # differences 0.01, 0.02, 0.03: t = 0.02 / (0.01 / √3) = 3.464 with 2 degrees of freedom
    verdict = judge(PAIR, a=[0.81, 0.82, 0.83], b=[0.80, 0.80, 0.80])
    test = verdict.comparisons[0].test
    assert (verdict.word, test.n) == ("confirmed", 3)
    assert test.effect == pytest.approx(0.02)
    assert verdict.p == pytest.approx(0.0371, abs=1e-4)
    assert test.interval.low == pytest.approx(0.02 - 4.302653 * 0.01 / 3**0.5)


def test_less_is_better_for_a_loss():
    claim = Claim(text="a has less loss", measure="validation_loss", best=["a", "b"])
    low, high = [0.30, 0.31, 0.32], [0.40, 0.412, 0.423]
    assert judge(claim, a=low, b=high).word == "confirmed"
    assert judge(claim, a=high, b=low).word == "refuted"


def test_only_shared_seeds_are_compared():
    a, b = plain([0.90, 0.91, 0.92, 0.93]), Sample(folds={2: (0.80,), 3: (0.81,), 9: (0.1,)})
    verdict = judge_claims([(PAIR, compare(PAIR, {"a": a, "b": b}))])[0]
    assert verdict.comparisons[0].test.n == 2
    assert (verdict.word, verdict.p) == ("cannot tell", None)
    assert verdict.reason == "n = 2 seeds, 3 or more are needed"


def test_a_claim_over_nothing_is_not_run_yet():
    assert judge(PAIR, a=[], b=[0.8, 0.9]).word == "not run yet"


def test_a_pair_that_has_not_run_keeps_a_claim_from_being_confirmed_but_not_from_being_refuted():
    a, b = [0.90, 0.91, 0.92], [0.80, 0.812, 0.821]
    assert judge(CHAIN, a=a, b=b, c=[]).word == "cannot tell"
    assert judge(CHAIN, a=b, b=a, c=[]).word == "refuted"


def test_a_diverged_run_leaves_the_claim_open():
    verdict = judge(PAIR, a=[0.9, 0.91, float("nan")], b=[0.8, 0.81, 0.82])
    assert (verdict.word, verdict.reason) == ("cannot tell", "a run diverged")


def test_equal_differences_need_five_seeds():
    assert judge(PAIR, a=[0.8] * 4, b=[0.7] * 4).word == "cannot tell"
    assert judge(PAIR, a=[0.8] * 5, b=[0.7] * 5).word == "confirmed"
    assert judge(PAIR, a=[0.8] * 9, b=[0.8] * 9).word == "cannot tell"


def test_folds_never_reach_a_verdict_but_are_shown():
    a, b = sample([[0.90, 0.91, 0.92]], folds=3), sample([[0.50, 0.51, 0.52]], folds=3)
    verdict = judge_claims([(PAIR, compare(PAIR, {"a": a, "b": b}))])[0]
    assert verdict.word == "cannot tell"
    assert verdict.comparisons[0].fold_interval.low == pytest.approx(0.4)
    several = compare(PAIR, {"a": sample([[0.9, 0.8]] * 2, folds=2), "b": sample([[0.5, 0.6]] * 2, folds=2)})
    assert several[0].fold_interval is None  # seeds say more


def test_holm_over_the_claims_of_a_script():
    p = 0.0371
    pair = compare(PAIR, {"a": plain([0.81, 0.82, 0.83]), "b": plain([0.80] * 3)})
    alone, together = judge_claims([(PAIR, pair)])[0], judge_claims([(PAIR, pair)] * 2)
    assert alone.word == "confirmed"
    assert [v.word for v in together] == ["cannot tell"] * 2
    assert together[0].p_adjusted == pytest.approx(2 * p, abs=1e-4)
    assert "after Holm's correction over 2 claims" in together[0].reason


def test_claims_of_ours_are_corrected_together_with_the_reports():
    pair = compare(PAIR, {"a": plain([0.81, 0.82, 0.83]), "b": plain([0.80] * 3)})  # p = 0.0371
    sure = compare(PAIR, {"a": plain([0.901, 0.902, 0.903]), "b": plain([0.80] * 3)})
    assert (OURS.ours, PAIR.ours) == (True, False)
    verdicts = judge_claims([(OURS, sure), (PAIR, pair), (OURS, pair)])
    assert [v.claim for v in verdicts] == [OURS, PAIR, OURS]
    assert [(v.word, v.family) for v in verdicts] == [("confirmed", 3), ("cannot tell", 3), ("cannot tell", 3)]
    assert verdicts[1].p_adjusted == pytest.approx(2 * verdicts[1].p)
    assert verdicts[1].reason == "not significant after Holm's correction over 3 claims"


def test_at_most_5_in_100_scripts_confirm_or_refute_anything_falsely():
    random, wrong = np.random.default_rng(5), {"confirmed": 0, "refuted": 0}
    for _ in range(1500):
        script = []
        for claim in (PAIR, OURS, PAIR, OURS, OURS):
            samples = {cell: plain(random.normal(0.8, 0.002, 4)) for cell in "ab"}
            script.append((claim, compare(claim, samples)))
        words = {verdict.word for verdict in judge_claims(script)}
        for word in wrong:
            wrong[word] += word in words
    assert all(0.03 < count / 1500 < 0.065 for count in wrong.values())


def test_runs_that_keep_no_probabilities_are_told_from_runs_that_are_not_there():
    runs = seeds([0.1, 0.2, 0.3])  # of before there was a calibration error
    lacking, none = gather(runs, "test_ece", 1), gather({}, "test_ece", 1)
    assert (lacking.unkept, lacking.values(), none.unkept) == (3, {}, 0)
    verdict = judge_row(Reported(0.05), lacking, MEASURES["test_ece"])
    assert (verdict.word, verdict.reason) == ("cannot tell", "its runs do not keep the probabilities that this needs")
    assert judge_row(Reported(0.05), none, MEASURES["test_ece"]).word == "not run yet"
    claim = Claim(text="a is calibrated better", measure="test_ece", best=["a", "b"])
    judged = judge_claims([(claim, compare(claim, {"a": lacking, "b": lacking}))])[0]
    assert (judged.word, judged.reason, judged.p) == ("cannot tell", verdict.reason, None)
    some = gather({**runs, **seeds([0.3], measure="test_ece")}, "test_ece", 1)
    assert (some.values(), some.unkept) == ({0: 0.3}, 2)


def test_no_claims_no_verdicts():
    assert judge_claims([]) == []


@pytest.mark.parametrize(("claim", "n"), [(PAIR, 3), (PAIR, 10), (CHAIN, 5)])
def test_under_the_null_at_most_5_in_100_are_confirmed_or_refuted(claim, n):
    random = np.random.default_rng(n)
    words = []
    for _ in range(2000):
        shared = random.normal(0, 0.01, n)  # what a seed does to all cells alike
        words.append(judge(claim, **{cell: 0.8 + shared + random.normal(0, 0.002, n) for cell in "abc"}).word)
    assert words.count("confirmed") / 2000 < 0.062
    assert words.count("refuted") / 2000 < 0.062
    if claim is PAIR:
        assert words.count("confirmed") / 2000 > 0.038  # the test is exact, not merely cautious


def test_with_two_equal_cells_in_a_chain_confirming_stays_below_5_in_100():
    # the worst case of the intersection-union test: one difference is large, the other is none
    random = np.random.default_rng(7)
    words = [
        judge(
            CHAIN,
            a=0.9 + random.normal(0, 0.002, 5),
            b=0.8 + random.normal(0, 0.002, 5),
            c=0.8 + random.normal(0, 0.002, 5),
        ).word
        for _ in range(2000)
    ]
    assert 0.038 < words.count("confirmed") / 2000 < 0.062


def test_a_bound_that_a_true_draw_kept_or_broke_is_rarely_judged_wrongly():
    draws = np.random.default_rng(11).normal(0.8, 0.004, size=(3000, 6))
    wrong = 0
    for row in draws:
        word = judge_row(Reported(0.805, 0.0, "at least"), plain(row[:-1]), ACCURACY).word
        wrong += word == ("not reproduced" if row[-1] >= 0.805 else "reproduced")
    assert wrong / 3000 < 0.035


def test_every_declared_claim_begins_with_a_report_or_says_that_it_is_ours():
    for script in load_scripts(EXPERIMENTS):
        for claim in (claim for experiment in script.experiments for claim in experiment.claims):
            assert claim.ours or re.match(r"[A-E](-|:|,| )", claim.text), claim.text
