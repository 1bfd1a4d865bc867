"""Kinds of claim with a margin or a share, on simulated runs: hand-computed numbers and false-positive rates."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kmodels.report.document import claim_verdicts, table
from kmodels.spec.claims import Claim
from kmodels.spec.experiment import Experiment
from kmodels.stats.comparisons import compare, for_and_against, partial_conjunction
from kmodels.stats.inference import Sample
from kmodels.stats.verdicts import judge_claims

EQUAL = Claim(text="a and b are about equal", equal=["a", "b"])
NO_BETTER = Claim(text="a is no better than b", no_better=["a", "b"])
DIFFERENCE = Claim(text="a is 4 points better than b", difference=["a", "b"], size=0.04, margin=0.01)
MOSTLY = Claim(text="most beat none", worst=["none", "a", "b", "c"], share=2 / 3)


def plain(values):
    return Sample(folds={seed: (float(value),) for seed, value in enumerate(values)})


def judge(claim, **cells):
    return judge_claims([(claim, compare(claim, {name: plain(values) for name, values in cells.items()}))])[0]


def words(claim, advantage, *, n=5, sd=0.004, draws=2000):
    """Verdicts over many simulated sets of seeds; `advantage` is the true one of each cell, shared luck drops out."""
    random = np.random.default_rng(n)
    found = []
    for _ in range(draws):
        shared = random.normal(0, 0.01, n)
        cells = {name: 0.8 + add + shared + random.normal(0, sd / 2**0.5, n) for name, add in advantage.items()}
        found.append(judge(claim, **cells).word)
    return {word: found.count(word) / draws for word in ("confirmed", "refuted", "cannot tell")}


def test_hand_computed_equivalence():
    # differences 0.000, 0.001, 0.002: mean 0.001, error 0.001/√3; to the nearer bound t = 0.004·√3/0.001 = 6.93
    verdict = judge(EQUAL, a=[0.800, 0.801, 0.802], b=[0.8, 0.8, 0.8])
    assert verdict.word == "confirmed"
    assert verdict.p == pytest.approx(0.0101, abs=1e-4)


def test_not_significant_is_not_equal():
    far_spread = judge(EQUAL, a=[0.80, 0.82, 0.78], b=[0.8, 0.8, 0.8])
    assert far_spread.word == "cannot tell"
    assert "may lie outside" in far_spread.reason


def test_cells_far_apart_refute_equality_either_way():
    near, far = [0.800, 0.801, 0.802], [0.85, 0.8511, 0.8522]
    assert judge(EQUAL, a=near, b=far).word == judge(EQUAL, a=far, b=near).word == "refuted"


def test_no_better_holds_for_worse_and_equal_cells_and_not_for_better_ones():
    low, high = [0.750, 0.751, 0.7525], [0.80, 0.801, 0.802]
    assert judge(NO_BETTER, a=low, b=high).word == "confirmed"
    assert judge(NO_BETTER, a=high, b=[0.8, 0.8005, 0.8025]).word == "confirmed"
    assert judge(NO_BETTER, a=high, b=low).word == "refuted"
    assert judge(NO_BETTER, a=[0.80, 0.83, 0.79], b=high).reason == "a may be better by the margin or not"


def test_for_a_loss_no_better_means_not_lower():
    claim = Claim(text="", no_better=["a", "b"], measure="test_nll", margin=0.05)
    low, high = [0.30, 0.31, 0.32], [0.50, 0.512, 0.521]
    assert judge(claim, a=high, b=low).word == "confirmed"
    assert judge(claim, a=low, b=high).word == "refuted"


def test_a_difference_is_refuted_where_it_is_too_small_and_where_it_is_too_large():
    b = [0.8, 0.8, 0.8]
    assert judge(DIFFERENCE, a=[0.839, 0.840, 0.841], b=b).word == "confirmed"
    assert judge(DIFFERENCE, a=[0.809, 0.810, 0.811], b=b).word == "refuted"
    assert judge(DIFFERENCE, a=[0.889, 0.890, 0.891], b=b).word == "refuted"
    assert judge(DIFFERENCE, a=[0.859, 0.840, 0.821], b=b).word == "cannot tell"


def test_a_share_of_the_comparisons_is_enough():
    none, better, worse = [0.8, 0.8, 0.8], [0.85, 0.851, 0.852], [0.75, 0.751, 0.752]
    assert judge(MOSTLY, none=none, a=better, b=better, c=worse).word == "confirmed"
    assert judge(MOSTLY, none=none, a=better, b=worse, c=worse).word == "refuted"
    assert judge(MOSTLY, none=none, a=better, b=[0.7, 0.9, 0.81], c=worse).word == "cannot tell"


def test_two_seeds_tell_nothing_and_a_diverged_run_neither():
    assert judge(EQUAL, a=[0.8, 0.8], b=[0.8, 0.8]).reason == "n = 2 seeds, 3 or more are needed"
    assert judge(EQUAL, a=[0.8, 0.81, math.nan], b=[0.8, 0.81, 0.82]).reason == "a run diverged"


@pytest.mark.parametrize("n", [3, 5, 10])
def test_at_the_margin_equality_is_confirmed_and_refuted_at_most_5_times_in_100(n):
    rates = words(EQUAL, {"a": 0.005, "b": 0.0}, n=n)
    assert rates["confirmed"] < 0.062
    assert rates["refuted"] < 0.062


@pytest.mark.parametrize("n", [3, 10])
def test_at_the_margin_no_better_is_exact(n):
    rates = words(NO_BETTER, {"a": 0.005, "b": 0.0}, n=n)
    assert 0.038 < rates["confirmed"] < 0.062
    assert 0.038 < rates["refuted"] < 0.062


def test_equal_cells_are_found_equal_where_seeds_are_many_and_never_refuted():
    rates = words(EQUAL, {"a": 0.0, "b": 0.0}, n=10)
    assert rates["confirmed"] > 0.9
    assert rates["refuted"] < 0.005


@pytest.mark.parametrize("edge", [0.03, 0.05])
def test_a_difference_at_the_edge_of_what_is_claimed_is_judged_wrongly_at_most_5_times_in_100(edge):
    rates = words(DIFFERENCE, {"a": edge, "b": 0.0})
    assert max(rates["confirmed"], rates["refuted"]) < 0.062


def test_with_one_true_advantage_of_three_most_is_rarely_confirmed_and_with_two_rarely_refuted():
    assert words(MOSTLY, {"none": 0.0, "a": 0.1, "b": 0.0, "c": 0.0})["confirmed"] < 0.062
    assert words(MOSTLY, {"none": 0.0, "a": 0.0, "b": 0.0, "c": -0.1})["refuted"] < 0.062


@given(st.lists(st.floats(-0.1, 0.1), min_size=3, max_size=8), st.floats(0.001, 0.05))
def test_both_sides_of_a_band_are_alike(values, margin):
    inside, beyond = for_and_against(values, -margin, margin)
    mirrored = for_and_against([-value for value in values], -margin, margin)
    assert (inside, beyond) == pytest.approx(mirrored)
    assert 0 <= inside <= 1 and 0 <= beyond <= 1


def test_partial_conjunction_runs_from_any_to_all():
    p_values = [0.3, 0.01, 0.04]
    assert partial_conjunction(p_values, 3) == 0.3
    assert partial_conjunction(p_values, 2) == pytest.approx(0.08)
    assert partial_conjunction(p_values, 1) == pytest.approx(0.03)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"equal": ["a", "b"], "best": ["a", "b"]}, "exactly one"),
        ({"difference": ["a", "b", "c"], "size": 0.1}, "difference: expected two cells"),
        ({"difference": ["a", "b"]}, "size"),
        ({"best": ["a", "b"], "size": 0.1}, "size"),
        ({"best": ["a", "b"], "margin": 0.1}, "margin"),
        ({"equal": ["a", "b"], "margin": 0.0}, "margin"),
        ({"equal": ["a", "b"], "measure": "test_nll"}, "margin: expected a number above 0 for test_nll"),
        ({"best": ["a", "b"], "share": 0.5}, "share"),
        ({"worst": ["a", "b"], "share": 0.0}, "share"),
    ],
)
def test_a_claim_refuses_what_its_kind_does_not_have(fields, message):
    with pytest.raises(ValueError, match=message):
        Claim(text="", **fields)


def test_the_pairs_of_each_kind():
    assert Claim(text="", worst=["a", "b", "c"]).pairs() == (("b", "a"), ("c", "a"))
    assert Claim(text="", equal=["a", "b", "c"]).pairs() == (("a", "b"), ("a", "c"), ("b", "c"))
    assert Claim(text="", no_better=["a", "b", "c"]).pairs() == (("a", "b"), ("a", "c"))
    assert MOSTLY.needed() == 2
    assert Claim(text="", worst=["a", "b", "c"]).needed() == 2


def test_the_quick_protocol_says_which_way_an_equality_points():
    from tests.simulated_runs import BASE, seeds

    def experiment(margin):
        claim = Claim(text="x: equal", equal=["dropout=0.0", "dropout=0.2"], margin=margin)
        cells = {"dropout=0.0": {}, "dropout=0.2": {"dropout": 0.2}}
        return Experiment(name="x", question="q", base=BASE, cells=cells, claims=[claim], quick={"epochs": 1})

    runs = {"dropout=0.0": seeds([[0.90, 0.90]]), "dropout=0.2": seeds([[0.92, 0.92]], "dropout=0.2")}
    for margin, said in ((0.03, "points the claimed way"), (0.01, "does not point the claimed way")):
        part = experiment(margin)
        shown = table(part, runs, protocol="quick", folds=2, command="c")
        assert shown.claims[0].detail == said
        assert claim_verdicts([(part, runs, 2)])["x"][0].word == "cannot tell"
