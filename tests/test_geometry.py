"""Crops, flips, rotations and sizes of batches, against one image and one pixel at a time."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from kmodels import geometry
from tests.geometry_reference import images, reference_crop, reference_resize, reference_rotate


@given(batch=images, data=st.data())
def test_random_crop_cuts_each_image_at_its_own_offset(batch, data):
    padding = data.draw(st.integers(1, min(batch.shape[1:3]) - 1))
    offsets = data.draw(arrays(np.uint8, (len(batch), 2), elements=st.integers(0, 2 * padding)))
    expected = [reference_crop(*pair, padding) for pair in zip(batch, offsets.tolist(), strict=True)]
    np.testing.assert_array_equal(geometry.random_crop(batch, offsets, padding), expected)


@given(batch=images, data=st.data())
def test_flip_mirrors_the_marked_images_only(batch, data):
    flips = data.draw(arrays(np.bool_, len(batch)))
    before = batch.copy()
    expected = [np.fliplr(image) if flip else image for image, flip in zip(batch, flips, strict=True)]
    np.testing.assert_array_equal(geometry.flip_left_right(batch, flips), expected)
    np.testing.assert_array_equal(batch, before)


@given(batch=images, extra=st.integers(0, 5))
def test_pad_centres_the_image(batch, extra):
    size = max(batch.shape[1:3]) + extra
    padded = geometry.pad_to(batch, size)
    top, left = (size - batch.shape[1]) // 2, (size - batch.shape[2]) // 2
    assert padded.shape == (len(batch), size, size, batch.shape[3]) and padded.dtype == np.uint8
    np.testing.assert_array_equal(padded[:, top : top + batch.shape[1], left : left + batch.shape[2]], batch)
    assert padded.sum(dtype=int) == batch.sum(dtype=int)


@settings(max_examples=50)
@given(batch=images, data=st.data())
def test_rotation_is_bilinear_about_the_centre_with_zeros_outside(batch, data):
    angles = data.draw(arrays(np.float32, len(batch), elements=st.floats(-180, 180, width=32)))
    rotated = geometry.rotate(batch, angles)
    expected = np.stack([reference_rotate(image, angle) for image, angle in zip(batch, angles.tolist(), strict=True)])
    assert rotated.dtype == np.uint8 and rotated.shape == batch.shape
    # Half a grey level by rounding the value, and by rounding the place: two sides, at most 1/4096 pixel and 1e-4 of an
    # angle's rounding each, 255 levels a pixel.
    assert np.abs(rotated - expected).max() <= 0.5 + 2 * 255 * (1 / 4096 + 1e-4)


@given(batch=images.filter(lambda batch: batch.shape[1] == batch.shape[2]), turns=st.integers(-2, 2))
def test_quarter_turns_are_exact_and_counter_clockwise(batch, turns):
    rotated = geometry.rotate(batch, np.full(len(batch), 90 * turns, np.float32))
    np.testing.assert_array_equal(rotated, np.rot90(batch, turns, axes=(1, 2)))


@settings(max_examples=50)
@given(batch=images, size=st.integers(1, 20))
def test_resize_is_bilinear_between_half_pixel_centres(batch, size):
    resized = geometry.resize_bilinear(batch, size)
    expected = np.stack([reference_resize(image, size) for image in batch])
    assert resized.dtype == np.uint8 and resized.shape == expected.shape
    assert np.abs(resized - expected).max() <= 0.5 + 2 * 255 / 4096


@given(batch=images)
def test_resizing_to_the_same_size_changes_nothing(batch):
    square = batch[:, : min(batch.shape[1:3]), : min(batch.shape[1:3])]
    np.testing.assert_array_equal(geometry.resize_bilinear(square, square.shape[1]), square)
