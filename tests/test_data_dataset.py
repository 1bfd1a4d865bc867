import hashlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kmodels import data
from kmodels.data.dataset import content_digest
from tests.tiny_data import tiny_arrays


def mine(**changes):
    arrays = dict(zip(("x_train", "y_train", "x_test", "y_test"), tiny_arrays(), strict=True))
    return data.from_arrays(**{**arrays, "name": "mine", **changes})


def test_test_split_is_reached_only_by_an_opening_that_is_recorded():
    dataset, lines = mine(), []
    assert dataset.test_images == 10 and lines == []
    x, y = dataset.open_test("final evaluation", lines.append)
    dataset.open_test("again", lines.append)
    assert lines == [
        "test split of mine opened: final evaluation (10 images)",
        "test split of mine opened: again (10 images)",
    ]
    assert x.shape == (10, 4, 4, 1) and x.dtype == np.uint8 and y.shape == (10,) and y.dtype == np.int64
    assert not [name for name in vars(dataset) if "test" in name and not name.startswith("_")]


@pytest.mark.parametrize("reason", ["", "  ", "two\nlines"])
def test_opening_needs_a_reason_on_one_line(reason):
    with pytest.raises(ValueError, match="reason: expected"):
        mine().open_test(reason, lambda line: None)


def test_images_are_not_given_out_when_the_opening_cannot_be_recorded():
    def fails(line):
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        mine().open_test("final evaluation", fails)


def test_arrays_are_read_only_but_the_callers_stay_writable():
    images = tiny_arrays()[0]
    dataset = mine(x_train=images)
    with pytest.raises(ValueError, match="read-only"):
        dataset.x_train[0] = 0
    images[0] = 0


def test_channel_axis_and_flat_labels_are_added():
    x_train, y_train, _, _ = tiny_arrays()
    dataset = mine(x_train=x_train[..., 0], y_train=y_train[:, None].astype(np.uint8))
    assert dataset.x_train.shape == (50, 4, 4, 1)
    assert dataset.y_train.shape == (50,) and dataset.y_train.dtype == np.int64
    assert dataset.digest == mine().digest and dataset.num_classes == 10


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"x_train": tiny_arrays()[0].astype(np.float32)}, "x_train: expected an array of uint8.*float32"),
        ({"x_train": [[1]]}, "x_train: expected an array of uint8.*list"),
        ({"x_train": np.zeros((50, 4), np.uint8)}, "x_train: expected shape"),
        ({"x_train": np.zeros((0, 4, 4), np.uint8)}, "x_train: expected shape"),
        ({"x_test": np.zeros((10, 5, 4), np.uint8)}, "x_test: expected images of shape"),
        ({"y_train": np.zeros(49, np.int64)}, r"y_train: expected shape \(50,\).*\(49,\)"),
        ({"y_train": np.zeros(50)}, "y_train: expected an array of integers.*float64"),
        ({"y_test": np.full(10, -1)}, "y_test: expected labels from 0 to 255"),
        ({"y_test": np.full(10, 256)}, "y_test: expected labels from 0 to 255"),
        ({"class_names": ["a", "b"]}, "class_names: expected 10 names or more"),
        ({"name": ""}, "name: expected a name"),
    ],
)
def test_wrong_arrays_are_refused_by_name(changes, message):
    with pytest.raises(ValueError, match=message):
        mine(**changes)


def test_digest_is_sha256_over_the_bytes_in_order():
    arrays = tiny_arrays()
    expected = hashlib.sha256(b"".join(a.astype(np.uint8).tobytes() for a in arrays)).hexdigest()
    assert content_digest(*arrays) == expected == mine().digest


@given(which=st.integers(0, 3), position=st.integers(0, 9), change=st.integers(1, 255))
def test_digest_moves_with_every_byte(which, position, change):
    arrays = [array.astype(np.uint8) for array in tiny_arrays()]
    before = content_digest(*arrays)
    arrays[which].reshape(-1)[position] ^= change
    assert content_digest(*arrays) != before


def test_digest_of_strided_arrays_is_that_of_their_content():
    arrays = tiny_arrays()
    strided = [np.repeat(array, 2, axis=0)[::2] for array in arrays]
    assert content_digest(*strided) == content_digest(*arrays)
