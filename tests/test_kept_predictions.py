"""Predictions as text in a run file: what is packed comes back, and what a hostile file holds is refused."""

import base64
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from kmodels.results.predictions import Predictions, check_classes, unpack


@given(st.integers(0, 300), st.booleans(), st.booleans(), st.data())
def test_predictions_survive_their_packing(images, has_true, has_confidence, data):
    classes = data.draw(hnp.arrays("uint8", images))
    true, confidence = (
        data.draw(hnp.arrays("uint16", images)) if there else None for there in (has_true, has_confidence)
    )
    after = Predictions.from_dict(Predictions(classes, true, confidence).as_dict())
    for kept, before in (
        (after.classes, classes),
        (after.true_class_probability, true),
        (after.confidence, confidence),
    ):
        assert (kept is None) == (before is None)
        if before is not None:
            np.testing.assert_array_equal(kept, before)


def test_the_confidence_of_right_predictions_takes_hardly_any_room():
    random = np.random.default_rng(0)
    true = random.integers(0, 65_536, 10_000).astype("uint16")
    confidence = true.copy()
    confidence[::20] = 65_535 - true[::20] // 2  # of those that are wrong, 1 in 20, another one
    predictions = Predictions(np.zeros(10_000, "uint8"), true, confidence)
    values = predictions.as_dict()
    assert len(values["confidence"]) < len(values["true_class_probability"]) / 8
    np.testing.assert_array_equal(Predictions.from_dict(values).confidence, confidence)


def test_a_file_from_before_there_was_a_confidence_has_none():
    values = Predictions(np.zeros(3, "uint8"), np.zeros(3, "uint16")).as_dict()
    del values["confidence"]
    assert Predictions.from_dict(values).confidence is None


@pytest.mark.parametrize("name", ["true_class_probability", "confidence"])
def test_arrays_of_different_lengths_are_refused(name):
    with pytest.raises(ValueError, match=rf"{name}: expected one number for each of the 3 .*\(4,\)"):
        Predictions(np.zeros(3, "uint8"), **{name: np.zeros(4, "uint16")})


def test_classes_are_never_missing():
    with pytest.raises(ValueError, match="expected the predicted classes"):
        Predictions.from_dict({"classes": None, "true_class_probability": None})


def packed(content):
    return base64.b64encode(content).decode()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("not base64!", "base64"),
        (packed(b"not zlib"), "expected zlib-compressed bytes"),
        (packed(zlib.compress(b"12345678")[:-3]), "one whole zlib stream"),
        (packed(zlib.compress(b"12") + b"more"), "one whole zlib stream"),
        (packed(zlib.compress(b"123")), "buffer size must be a multiple of element size"),
        (packed(zlib.compress(bytes(2**24 + 2), 9)), "16777216 bytes or fewer"),  # 16 kB that unpack to 16 MB
    ],
)
def test_what_is_no_packed_array_is_refused(text, message):
    with pytest.raises(ValueError, match=message):
        unpack(text, "<u2")


def test_classes_have_to_fit_the_data():
    classes = np.array([0, 3, 9], "uint8")
    check_classes(classes, 3, 10, "predictions")
    check_classes(classes, None, None, "predictions")
    check_classes(None, 5, 2, "predictions")
    with pytest.raises(ValueError, match="predictions: expected one for each of 4 images"):
        check_classes(classes, 4, 10, "predictions")
    with pytest.raises(ValueError, match="validation_classes: expected classes below 9"):
        check_classes(classes, 3, 9, "validation_classes")
