import dataclasses
import hashlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from kmodels import geometry
from kmodels.augment import Draws, Transform, apply, draw_epoch, normalise, normalization_constants

# A busy machine is no failure: how long an example takes says nothing about draws and pixels.
settings.register_profile("unhurried", deadline=None)
settings.load_profile("unhurried")

PLAIN = Transform(mean=(0.0,), std=(1.0,))
ALL = Transform(mean=(0.0,), std=(1.0,), crop_padding=4, flip=True, rotation_degrees=15.0)
# Leaves the grey levels themselves, so that floats can be compared as integers.
LEVELS = {channels: Transform(mean=(0.0,) * channels, std=(1 / 255,) * channels) for channels in (1, 3)}

images = st.tuples(st.integers(1, 3), st.integers(2, 9), st.integers(2, 9), st.sampled_from([1, 3])).flatmap(
    lambda shape: arrays(np.uint8, shape)
)
keys = st.fixed_dictionaries(
    {"seed": st.integers(0, 2**64 - 1), "fold": st.integers(0, 2**32 - 1), "epoch": st.integers(0, 2**32 - 1)}
)


def same(left, right):
    for field in dataclasses.fields(Draws):
        a, b = getattr(left, field.name), getattr(right, field.name)
        if (a is None) != (b is None) or (a is not None and a.tobytes() != b.tobytes()):
            return False
    return True


# What is drawn


@given(count=st.integers(1, 300), key=keys, padding=st.integers(1, 127), degrees=st.floats(0.01, 180))
def test_draws_are_a_permutation_and_stay_in_their_ranges(count, key, padding, degrees):
    transform = Transform(mean=(0.0,), std=(1.0,), crop_padding=padding, flip=True, rotation_degrees=degrees)
    draws = draw_epoch(count, transform, **key)
    assert draws.order.dtype == np.int32 and sorted(draws.order.tolist()) == list(range(count))
    assert draws.offsets.dtype == np.uint8 and draws.offsets.shape == (count, 2) and draws.offsets.max() <= 2 * padding
    assert draws.flips.dtype == np.bool_ and draws.flips.shape == (count,)
    assert draws.angles.dtype == np.float32 and draws.angles.shape == (count,)
    assert np.abs(draws.angles).max() <= np.float32(degrees)


@given(key=keys, changed=st.sampled_from(["seed", "fold", "epoch"]))
def test_the_same_key_draws_the_same_and_any_other_key_something_else(key, changed):
    draws = draw_epoch(200, ALL, **key)
    assert same(draws, draw_epoch(200, ALL, **key))
    other = draw_epoch(200, ALL, **{**key, changed: key[changed] ^ 1})
    assert all(
        getattr(draws, name).tobytes() != getattr(other, name).tobytes()
        for name in ("order", "offsets", "flips", "angles")
    )


@given(key=keys)
def test_switching_an_augmentation_leaves_every_other_choice(key):
    everything = draw_epoch(50, ALL, **key)
    fields = {"crop_padding": ("offsets", 0), "flip": ("flips", False), "rotation_degrees": ("angles", 0.0)}
    for field, (name, off) in fields.items():
        without = draw_epoch(50, dataclasses.replace(ALL, **{field: off}), **key)
        assert getattr(without, name) is None
        assert same(dataclasses.replace(everything, **{name: None}), without)


def test_draws_are_even():
    draws = draw_epoch(90_000, ALL, seed=1, fold=0, epoch=0)
    # 3.5 standard deviations of each count or mean
    for column in draws.offsets.T:
        assert np.abs(np.bincount(column, minlength=9) - 10_000).max() < 330
    assert abs(draws.flips.mean() - 0.5) < 0.006
    assert np.abs(np.histogram(draws.angles, bins=9, range=(-15, 15))[0] - 10_000).max() < 330
    assert abs(np.corrcoef(draws.order, np.arange(90_000))[0, 1]) < 0.012


def test_drawn_numbers_never_change():
    draws = draw_epoch(1000, ALL, seed=7, fold=2, epoch=5)
    digest = hashlib.sha256(b"".join(x.tobytes() for x in (draws.order, draws.offsets, draws.flips, draws.angles)))
    assert draws.order[:5].tolist() == [828, 446, 496, 58, 373]
    assert digest.hexdigest()[:16] == "a647002dd1d781e0"


def test_a_part_holds_the_choices_of_its_places():
    draws = draw_epoch(10, ALL, seed=0, fold=0, epoch=0)
    part = draws.part(8, 12)
    assert part.order.tolist() == draws.order[8:].tolist()
    assert part.offsets.tolist() == draws.offsets[8:].tolist()
    assert part.flips.tolist() == draws.flips[8:].tolist()
    assert part.angles.tolist() == draws.angles[8:].tolist()


# What is done with it, against one image and one pixel at a time


def reference_crop(image, offset, padding):
    padded = np.pad(image, ((padding, padding), (padding, padding), (0, 0)))
    return padded[offset[0] : offset[0] + image.shape[0], offset[1] : offset[1] + image.shape[1]]


def sample(image, y, x, edge):
    """Bilinear value at a place, in float64; outside are zeros, or the edge repeated."""
    total = np.zeros(image.shape[2])
    for row, row_weight in ((int(np.floor(y)), 1 - y % 1), (int(np.floor(y)) + 1, y % 1)):
        for column, column_weight in ((int(np.floor(x)), 1 - x % 1), (int(np.floor(x)) + 1, x % 1)):
            if edge:
                at = image[np.clip(row, 0, image.shape[0] - 1), np.clip(column, 0, image.shape[1] - 1)]
            elif 0 <= row < image.shape[0] and 0 <= column < image.shape[1]:
                at = image[row, column]
            else:
                continue
            total += row_weight * column_weight * at
    return total


def reference_rotate(image, degrees):
    height, width, _ = image.shape
    cos, sin = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
    rotated = np.zeros(image.shape)
    for i in range(height):
        for j in range(width):
            up, right = (height - 1) / 2 - i, j - (width - 1) / 2
            # Turning the seen point back, clockwise, says where it came from.
            from_right, from_up = cos * right + sin * up, cos * up - sin * right
            rotated[i, j] = sample(image, (height - 1) / 2 - from_up, (width - 1) / 2 + from_right, edge=False)
    return rotated


def reference_resize(image, size):
    height, width, channels = image.shape
    resized = np.zeros((size, size, channels))
    for i in range(size):
        for j in range(size):
            resized[i, j] = sample(image, (i + 0.5) * height / size - 0.5, (j + 0.5) * width / size - 0.5, edge=True)
    return resized


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


@given(mean=st.floats(0, 1), std=st.floats(0.05, 1))
def test_normalise_divides_subtracts_and_divides(mean, std):
    levels = np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1)
    levels = np.concatenate([levels, levels[:, ::-1]], axis=-1)
    values = normalise(levels, Transform(mean=(mean, 0.5), std=(std, 0.25)))
    exact = (levels / 255 - np.array([mean, 0.5])) / np.array([std, 0.25])
    assert values.dtype == np.float32
    assert np.all(np.abs(values - exact) <= 1e-6 / np.array([std, 0.25]))


def test_report_e_scale_is_within_1e_6_of_exact():
    mean, std = normalization_constants("report_e", "cifar10", np.zeros((1, 1, 1, 3), np.uint8))
    levels = np.repeat(np.arange(256, dtype=np.uint8), 3).reshape(1, 16, 16, 3)
    exact = (levels / 255 - np.array(mean)) / np.array(std)
    assert np.abs(normalise(levels, Transform(mean=mean, std=std)) - exact).max() <= 1e-6


@settings(max_examples=25)
@given(batch=images, key=keys, size=st.sampled_from([None, 9, 12]), resize=st.sampled_from(["pad", "bilinear"]))
def test_apply_crops_flips_rotates_sizes_and_normalises_in_this_order(batch, key, size, resize):
    levels = LEVELS[batch.shape[3]]
    transform = dataclasses.replace(
        levels, crop_padding=1, flip=True, rotation_degrees=40.0, image_size=size, resize=resize
    )
    draws = draw_epoch(len(batch), transform, **key)
    expected = []
    for i, image in enumerate(batch):
        cut = reference_crop(image, draws.offsets[i].tolist(), 1)
        cut = np.fliplr(cut) if draws.flips[i] else cut
        cut = geometry.rotate(cut[None], draws.angles[i : i + 1])
        if size is not None:
            cut = geometry.pad_to(cut, size) if resize == "pad" else geometry.resize_bilinear(cut, size)
        expected.append(cut[0])
    applied = apply(batch, draws, transform)
    assert applied.dtype == np.float32 and applied.shape[1:] == transform.output_shape(batch.shape[1:])
    np.testing.assert_array_equal(applied, expected)


@given(batch=images)
def test_without_draws_nothing_is_augmented(batch):
    transform = dataclasses.replace(LEVELS[batch.shape[3]], crop_padding=1, flip=True, rotation_degrees=40.0)
    np.testing.assert_array_equal(apply(batch, None, transform), batch)


# Constants


def test_standard_constants_are_mean_and_deviation_of_the_part():
    pixels = np.random.default_rng(0).integers(0, 200, (2100, 3, 4, 3), dtype=np.uint8)
    pixels[:, :, :, 1] //= 3
    part = np.arange(0, 2100, 2)
    for indices, chosen in ((None, pixels), (part, pixels[part])):
        mean, std = normalization_constants("standard", "any", pixels, indices)
        np.testing.assert_allclose(mean, (chosen / 255).mean(axis=(0, 1, 2)), rtol=1e-12)
        np.testing.assert_allclose(std, (chosen / 255).std(axis=(0, 1, 2)), rtol=1e-12)


def test_standard_constants_of_millions_of_pixels_do_not_overflow():
    pixels = np.zeros((1200, 100, 100, 1), np.uint8)
    pixels[::2] = 255
    assert normalization_constants("standard", "any", pixels) == ((0.5,), (0.5,))


def test_unit_and_report_e_constants():
    assert normalization_constants("unit", "any", np.zeros((1, 1, 1, 3), np.uint8)) == ((0.0,) * 3, (1.0,) * 3)
    mean, std = normalization_constants("report_e", "cifar10", np.zeros((1, 1, 1, 3), np.uint8))
    assert mean == (0.49139968, 0.48215841, 0.44653091)
    assert std == (0.20220212, 0.19931542, 0.20086346)


# Errors

ONE = np.zeros((2, 4, 4, 1), np.uint8)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: Transform(mean=(), std=()), r"mean: expected one number .* Received: mean=\(\)"),
        (lambda: Transform(mean=(0.0,), std=(1.0, 1.0)), r"std: expected 1 numbers.* Received: std=\(1.0, 1.0\)"),
        (lambda: Transform(mean=(0.0,), std=(0.0,)), r"std: expected numbers above 0"),
        (lambda: dataclasses.replace(PLAIN, crop_padding=128), r"crop_padding: expected 0 to 127\. .*=128"),
        (lambda: dataclasses.replace(PLAIN, rotation_degrees=-1.0), r"rotation_degrees: expected 0 to 180\. .*=-1.0"),
        (lambda: dataclasses.replace(PLAIN, image_size=0), r"image_size: .* Received: image_size=0"),
        (lambda: dataclasses.replace(PLAIN, resize="crop"), r"resize: .* Received: resize='crop'"),
        (lambda: PLAIN.output_shape((4, 4)), r"image_shape: .* Received: image_shape=\(4, 4\)"),
        (lambda: PLAIN.output_shape((4, 4, 3)), r"mean: expected 3 numbers.* Received: mean=\(0.0,\)"),
        (
            lambda: dataclasses.replace(PLAIN, crop_padding=4).output_shape((4, 9, 1)),
            r"crop_padding: expected less .*=4",
        ),
        (lambda: dataclasses.replace(PLAIN, image_size=8).output_shape((4, 9, 1)), r"image_size: expected 9 or .*=8"),
        (lambda: draw_epoch(0, PLAIN, seed=0, fold=0, epoch=0), r"count: .* Received: count=0"),
        (lambda: draw_epoch(1, PLAIN, seed=-1, fold=0, epoch=0), r"seed: .* Received: seed=-1"),
        (lambda: draw_epoch(1, PLAIN, seed=0, fold=2**32, epoch=0), r"fold: .* Received: fold=4294967296"),
        (lambda: draw_epoch(1, PLAIN, seed=0, fold=0, epoch=-1), r"epoch: .* Received: epoch=-1"),
        (lambda: geometry.pad_to(ONE, 3), r"size: expected 4 or more .* Received: size=3"),
        (lambda: geometry.resize_bilinear(ONE, 0), r"size: expected 1 or more\. Received: size=0"),
        (lambda: apply(ONE.astype(float), None, PLAIN), r"images: expected dtype uint8\. Received: images='float64'"),
        (lambda: apply(ONE, draw_epoch(3, PLAIN, seed=0, fold=0, epoch=0), PLAIN), r"draws: expected 2 .*draws=3"),
        (
            lambda: apply(ONE, draw_epoch(2, PLAIN, seed=0, fold=0, epoch=0), dataclasses.replace(PLAIN, flip=True)),
            r"draws: expected \['flips'\] besides the order\. Received: draws=\[\]",
        ),
        (lambda: normalization_constants("z", "any", ONE), r"kind: .* Received: kind='z'"),
        (lambda: normalization_constants("report_e", "mnist", ONE), r"name: .* Received: name='mnist'"),
        (lambda: normalization_constants("standard", "any", ONE), r"x_train: expected pixels that differ"),
        (lambda: normalization_constants("standard", "any", ONE[:0]), r"x_train: expected at least one image"),
    ],
)
def test_errors_name_the_argument_what_was_expected_and_what_came(call, message):
    with pytest.raises(ValueError, match=message):
        call()
