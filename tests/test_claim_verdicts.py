"""Verdicts on claims: pairs, seeds, folds, Holm's correction, and how often chance alone decides."""

import re
from pathlib import Path

import numpy as np
import pytest

from kmodels.spec.claims import MEASURES, Claim, Reported
from kmodels.spec.declarations import load_scripts
from kmodels.stats.inference import Sample, gather
from kmodels.stats.verdicts import compare, judge_claims, judge_row
from tests.simulated_runs import seeds

EXPERIMENTS = Path(__file__).parents[1] / "experiments"
PAIR = Claim(text="a beats b", best=["a", "b"])
OURS = Claim(text="Repaired: a beats b", best=["a", "b"])
CHAIN = Claim(text="a beats b beats c", order=["a", "b", "c"])


def sample(values, measure="validation_accuracy", folds=1):
    return gather(seeds(values, measure=measure), measure, folds)


def plain(values):
    return Sample(folds={seed: (float(value),) for seed, value in enumerate(values)})


def judge(claim, **cells):
    samples = {name: plain(values) for name, values in cells.items()}
    return judge_claims([(claim, compare(claim, samples))])[0]


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


@pytest.mark.parametrize(
    ("ours", "theirs", "word"),
    [
        ([11.2], [14.7], "confirmed"),
        ([14.7], [11.2], "refuted"),
        ([11.2, 11.2], [11.2, 11.2], "refuted"),  # as many are not fewer
        ([11.2, 11.3], [14.7, 14.7], "cannot tell"),  # no count differs from seed to seed
        ([11.2], [], "not run yet"),
    ],
)
def test_what_is_counted_is_so_or_not_and_needs_no_seeds(ours, theirs, word):
    claim = Claim(text="a has fewer parameters", measure="parameters", best=["a", "b"])
    verdict = judge(claim, a=ours, b=theirs)
    assert (verdict.word, verdict.p) == (word, None)


def test_what_is_counted_makes_no_tested_claim_harder_to_confirm():
    counted = Claim(text="a has fewer parameters", measure="parameters", best=["a", "b"])
    sizes = {"a": plain([11.2]), "b": plain([14.7])}
    accuracies = {"a": plain([0.81, 0.82, 0.83]), "b": plain([0.80, 0.80, 0.80])}
    for words in (["confirmed", "confirmed"], ["refuted", "confirmed"]):
        verdicts = judge_claims([(counted, compare(counted, sizes)), (PAIR, compare(PAIR, accuracies))])
        assert [verdict.word for verdict in verdicts] == words
        assert verdicts[1].p_adjusted == verdicts[1].p
        assert verdicts[1].family == 1
        sizes = {"a": sizes["b"], "b": sizes["a"]}


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


def test_every_declared_claim_begins_with_a_report_or_says_that_it_is_ours():
    for script in load_scripts(EXPERIMENTS):
        for claim in (claim for experiment in script.experiments for claim in experiment.claims):
            assert claim.ours or re.match(r"[A-E](-|:|,| )", claim.text), claim.text
