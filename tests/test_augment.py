"""What is drawn for an epoch, what is done with it in which order, and the constants that pixels are scaled by."""

import dataclasses
import hashlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kmodels import geometry
from kmodels.augment import Draws, Transform, apply, draw_epoch, normalise, normalization_constants
from tests.geometry_reference import images, reference_crop

PLAIN = Transform(mean=(0.0,), std=(1.0,))
ALL = Transform(mean=(0.0,), std=(1.0,), crop_padding=4, flip=True, rotation_degrees=15.0)
# Leaves the grey levels themselves, so that floats can be compared as integers.
LEVELS = {channels: Transform(mean=(0.0,) * channels, std=(1 / 255,) * channels) for channels in (1, 3)}

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


# What is done with it


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
