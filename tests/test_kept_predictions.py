"""Predictions as text in a run file: what is packed comes back, and what a hostile file holds is refused."""

import base64
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from kmodels.results.predictions import Predictions, check_classes, pack, unpack


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


@given(st.integers(0, 300), st.integers(0, 300), st.data())
def test_classes_of_other_ways_of_testing_survive_their_packing(images, held, data):
    classes, drawn, vote, validated = (
        data.draw(hnp.arrays("uint8", count)) for count in (images, images, images, held)
    )
    further = {
        "test_accuracy_sampled": drawn,
        "majority_test_accuracy": vote,
        "majority_validation_accuracy": validated,
    }
    after = Predictions.from_dict(Predictions(classes, further=further).as_dict())
    assert list(after.further) == list(further)
    for name, before in further.items():
        np.testing.assert_array_equal(after.further[name], before)


def test_classes_that_are_mostly_the_same_take_hardly_any_room():
    random = np.random.default_rng(0)
    classes = random.integers(0, 10, 10_000).astype("uint8")
    other = np.where(random.random(10_000) < 0.03, (classes + 1) % 10, classes).astype("uint8")
    values = Predictions(classes, further={"test_accuracy_sampled": other}).as_dict()
    assert len(values["further"]["test_accuracy_sampled"]) < len(values["classes"]) / 5


def test_a_file_without_other_ways_of_testing_is_as_it_was_before_there_were_any():
    values = Predictions(np.zeros(3, "uint8")).as_dict()
    assert set(values) == {"classes", "true_class_probability", "confidence"}
    assert Predictions.from_dict(values).further == {}


@pytest.mark.parametrize(
    ("further", "message"),
    [
        ([], "further: expected texts by name"),
        ({f"member{i}_test_accuracy": "" for i in range(65)}, "further: expected texts by name, 64 or fewer"),
        ({"../secret": pack(np.zeros(3, "uint8"))}, "further: expected names of accuracies"),
        ({"test_accuracy": pack(np.zeros(3, "uint8"))}, "further: expected names of accuracies"),
        (
            {"test_accuracy_sampled": pack(np.zeros(4, "uint8"))},
            "test_accuracy_sampled: expected one class for each of 3",
        ),
        ({"test_accuracy_sampled": "not base64!"}, "base64"),
        ({"test_accuracy_sampled": None}, "further: expected texts by name"),
    ],
)
def test_a_hostile_file_with_other_ways_of_testing_is_refused(further, message):
    values = {**Predictions(np.zeros(3, "uint8")).as_dict(), "further": further}
    with pytest.raises(ValueError, match=message):
        Predictions.from_dict(values)


def test_classes_of_other_ways_are_as_many_as_the_images():
    with pytest.raises(ValueError, match=r"test_accuracy_sampled: expected one class for each of 3.*\(4,\)"):
        Predictions(np.zeros(3, "uint8"), further={"test_accuracy_sampled": np.zeros(4, "uint8")})


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
