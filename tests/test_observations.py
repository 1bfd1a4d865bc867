"""What is stored of a training beside its scores."""

import json
import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kmodels.results.fields import check_fields
from kmodels.spec.observations import gradient_ratio, is_observations, rounded
from tests.simulated_runs import run

NORMS = {"layers": ["stem", "conv", "logits"], "kernel_sizes": [3, 3, 0], "norms": [[0.1, 0.2, 0.3], [0.1, None, 0.3]]}
GATES = {
    "blocks": ["se1", "se2"],
    "mean": [[0.5, 0.6], [0.4, None]],
    "sd": [[0.01, 0.02], [0.0, None]],
    "between_classes": [0.1, 0.2],
    "within_classes": [0.3, 0.1],
}
SIZE = {"parameters": 10, "macs": 20}
WHOLE = {"gradient_norms": NORMS, "gates": GATES, "size": SIZE}


def test_a_run_keeps_what_was_observed_through_its_file():
    done = replace(run(), observations=WHOLE)
    text = json.dumps(done.as_dict(), sort_keys=True)
    assert type(done).from_dict(json.loads(text)).observations == WHOLE


def test_a_run_from_before_observed_nothing():
    values = json.loads(json.dumps(run().as_dict()))
    del values["observations"]
    assert type(run()).from_dict(values).observations == {}


@pytest.mark.parametrize(
    "spoiled",
    [
        [],
        {"weights": {}},
        {"size": {"parameters": 10}},
        {"size": {"parameters": 10.5, "macs": 20}},
        {"size": {"parameters": True, "macs": 20}},
        {"gradient_norms": {**NORMS, "norms": []}},
        {"gradient_norms": {**NORMS, "norms": [[0.1, 0.2]]}},
        {"gradient_norms": {**NORMS, "norms": [[0.1, 0.2, -0.3]]}},
        {"gradient_norms": {**NORMS, "norms": [[0.1, 0.2, math.inf]]}},
        {"gradient_norms": {**NORMS, "norms": [[0.1, 0.2, "0.3"]]}},
        {"gradient_norms": {**NORMS, "kernel_sizes": [3, 3]}},
        {"gradient_norms": {**NORMS, "layers": []}},
        {"gradient_norms": {k: v for k, v in NORMS.items() if k != "kernel_sizes"}},
        {"gates": {**GATES, "mean": [[0.5, 0.6]]}},
        {"gates": {**GATES, "sd": [[0.01, 0.02], [0.0]]}},
        {"gates": {**GATES, "sd": [[0.01, 0.02], 0.0]}},
        {"gates": {**GATES, "between_classes": [0.1]}},
        {"gates": {**GATES, "colour": []}},
    ],
    ids=repr,
)
def test_another_form_is_found_out_when_it_is_read(spoiled):
    assert is_observations(WHOLE)
    assert not is_observations(spoiled)
    with pytest.raises(ValueError, match="observations: expected what"):
        check_fields({"observations": spoiled})


@given(st.lists(st.floats(1e-6, 1e6), min_size=2, max_size=2), st.floats(1e-3, 1e3))
def test_the_ratio_does_not_depend_on_the_scale_of_the_loss(ends, scale):
    def ratio(factor):
        norms = [[3.0, 5.0, 2.0, 1.0], [factor * ends[0], 5.0, factor * ends[1], 1.0]]
        return gradient_ratio({"gradient_norms": {"kernel_sizes": [3, 1, 3, 0], "norms": norms}})

    assert ratio(scale) == pytest.approx(ratio(1.0), abs=1e-9)
    assert ratio(1.0) == pytest.approx(math.log10(ends[0]) - math.log10(ends[1]), abs=1e-9)


def test_without_convolutions_the_ends_are_the_first_and_last_layer():
    assert gradient_ratio(
        {"gradient_norms": {"kernel_sizes": [0, 0], "norms": [[1.0, 1.0], [100.0, 1.0]]}}
    ) == pytest.approx(2.0)


def test_a_gradient_that_is_no_number_has_no_ratio():
    assert math.isnan(gradient_ratio({"gradient_norms": {"kernel_sizes": [3, 3], "norms": [[1.0, 1.0], [None, 1.0]]}}))


def test_before_the_training_there_is_one_ratio_and_after_it_none_without_an_epoch():
    seen = {"gradient_norms": {"kernel_sizes": [3, 3], "norms": [[100.0, 1.0]]}}
    assert gradient_ratio(seen, untrained=True) == pytest.approx(2.0)
    assert math.isnan(gradient_ratio(seen))


@given(st.floats(allow_nan=True, allow_infinity=True))
def test_rounding_keeps_four_digits(value):
    kept = rounded(value)
    if not abs(value) < 1.797e308:
        assert kept is None or math.isfinite(kept)
    else:
        assert kept == pytest.approx(value, rel=5.1e-4, abs=1e-320)
        assert json.loads(json.dumps(kept)) == kept
