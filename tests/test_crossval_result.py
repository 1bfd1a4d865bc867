"""What the folds come to together: mean and deviation over seeds, and no number where one is missing."""

import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kmodels.crossval.result import CrossValidation, FoldScore
from tests.crossval_digits import score


@given(st.integers(1, 3), st.integers(1, 4), st.data())
@settings(max_examples=30)
def test_mean_and_deviation_are_those_of_the_seeds(seeds, folds, data):
    values = np.array(data.draw(st.lists(st.floats(0, 1), min_size=seeds * folds, max_size=seeds * folds)))
    values = values.reshape(seeds, folds)
    found = CrossValidation(
        metric="accuracy", scores=tuple(score(s, f, float(values[s, f])) for s in range(seeds) for f in range(folds))
    )
    assert found.mean == pytest.approx(values.mean())
    if seeds > 1:
        assert found.sd == pytest.approx(values.mean(axis=1).std(ddof=1), abs=1e-12)
    else:
        assert math.isnan(found.sd)
    if folds > 1:
        assert found.fold_sd == pytest.approx(np.sqrt(values.var(axis=1, ddof=1).mean()), abs=1e-9)
    assert FoldScore.from_dict(json.loads(json.dumps(found.scores[0].as_dict()))) == found.scores[0]


def test_scores_with_a_hole_are_refused():
    with pytest.raises(ValueError, match="every fold of every seed"):
        CrossValidation(metric="accuracy", scores=(score(0, 0, 0.1), score(0, 1, 0.1), score(1, 0, 0.1)))
