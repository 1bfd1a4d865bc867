"""Picture files and arrays become a network's pixels as stated, or are refused by name."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

from kmodels import image_input
from kmodels.geometry import pad_to, resize_bilinear
from kmodels.image_input import as_batch, fit, read_image

PIXELS = np.random.default_rng(0).integers(0, 256, (5, 7, 3), np.uint8)


@pytest.mark.parametrize(("suffix", "options"), [("png", {}), ("webp", {"lossless": True})])
def test_a_lossless_file_gives_its_pixels(tmp_path, suffix, options):
    Image.fromarray(PIXELS).save(tmp_path / f"a.{suffix}", **options)
    np.testing.assert_array_equal(read_image(tmp_path / f"a.{suffix}"), PIXELS)
    np.testing.assert_array_equal(read_image(str(tmp_path / f"a.{suffix}")), PIXELS)


def test_a_grey_file_has_one_channel_and_jpeg_is_near(tmp_path):
    flat = np.full((16, 16), 90, np.uint8)
    Image.fromarray(flat).save(tmp_path / "a.jpg")
    found = read_image(tmp_path / "a.jpg")
    assert found.shape == (16, 16, 1)
    assert np.abs(found.astype(int) - 90).max() <= 2


def test_transparent_parts_are_white_and_palettes_are_colours(tmp_path):
    rgba = np.zeros((1, 2, 4), np.uint8)
    rgba[0, 0] = (200, 10, 20, 255)
    Image.fromarray(rgba).save(tmp_path / "a.png")
    assert read_image(tmp_path / "a.png").tolist() == [[[200, 10, 20], [255, 255, 255]]]
    Image.fromarray(rgba[:, :1, :3]).quantize(2).save(tmp_path / "p.png")
    assert read_image(tmp_path / "p.png").tolist() == [[[200, 10, 20]]]


def test_a_photograph_is_turned_upright(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # the top of the scene is at the right of what is stored
    Image.fromarray(PIXELS).save(tmp_path / "a.png", exif=exif)
    np.testing.assert_array_equal(read_image(tmp_path / "a.png"), np.rot90(PIXELS, -1))


def broken(folder, kind):
    file = folder / "a.png"
    if kind == "text":
        file.write_text("no picture")
    elif kind == "gif":
        Image.fromarray(PIXELS).save(file, format="GIF")
    elif kind == "deep":
        Image.fromarray(np.zeros((2, 2), np.uint16)).save(file)
    elif kind == "frames":
        frames = [Image.fromarray(PIXELS), Image.fromarray(255 - PIXELS)]
        frames[0].save(file, save_all=True, append_images=frames[1:])
    elif kind == "cut":
        Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)).save(file)
        file.write_bytes(file.read_bytes()[:3000])
    elif kind == "wide":
        Image.new("1", (image_input.MOST_PIXELS + 1, 1)).save(file)
    elif kind == "bomb":
        Image.new("1", (60_000, 6_000)).save(file)
    return file


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("missing", "expected a path to a file"),
        ("text", "expected a PNG, JPEG or WebP file"),
        ("gif", "expected a PNG, JPEG or WebP file"),
        ("deep", "expected 8 bits a channel, not Pillow's mode I;16"),
        ("frames", "expected a picture with one frame"),
        ("cut", "expected an undamaged file"),
        ("wide", "expected at most 50000000 pixels"),
        ("bomb", "expected at most 50000000 pixels"),
    ],
)
def test_a_bad_file_is_refused_by_name(tmp_path, kind, message):
    with pytest.raises(ValueError, match=rf"^image: {message}.* Received: image='.*a\.png'$"):
        read_image(broken(tmp_path, kind))


def test_a_long_file_is_not_read(tmp_path, monkeypatch):
    Image.fromarray(PIXELS).save(tmp_path / "a.png")
    monkeypatch.setattr(image_input, "MOST_BYTES", 20)
    with pytest.raises(ValueError, match="expected a file of at most 20 bytes"):
        read_image(tmp_path / "a.png")


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (np.zeros((4, 4, 3)), "an array of uint8, 0 to 255. Received: image='float64'"),
        (np.zeros(4, np.uint8), r"\(height, width\).* Received: image=\(4,\)"),
        (np.zeros((4, 4, 2), np.uint8), r"1 or 3 channels. Received: image=\(4, 4, 2\)"),
        (np.zeros((0, 4, 4, 3), np.uint8), r"Received: image=\(0, 4, 4, 3\)"),
        (np.broadcast_to(np.uint8(0), (10_000, 5_001)), "at most 50000000 pixels"),
    ],
)
def test_a_bad_array_is_refused_by_name(image, message):
    with pytest.raises(ValueError, match=f"^image: expected .*{message}"):
        as_batch(image)


SIZES = st.tuples(st.integers(1, 2), st.integers(1, 9), st.integers(1, 9), st.sampled_from([1, 3]))


@settings(max_examples=60)
@given(arrays(np.uint8, SIZES), st.integers(9, 12))
def test_smaller_pictures_become_what_training_makes_of_them(images, size):
    shape = (size, size, images.shape[3])
    np.testing.assert_array_equal(fit(images, shape, "pad"), pad_to(images, size))
    np.testing.assert_array_equal(fit(images, shape, "bilinear"), resize_bilinear(images, size))


@settings(max_examples=60)
@given(
    arrays(np.uint8, SIZES),
    st.tuples(st.integers(1, 9), st.integers(1, 9), st.sampled_from([1, 3])),
    st.sampled_from(["pad", "bilinear"]),
)
def test_any_picture_fits_any_input(images, shape, resize):
    found = fit(images, shape, resize)
    assert found.shape == (len(images), *shape)
    assert found.dtype == np.uint8
    if resize == "bilinear":
        low, high = int(images.min()), int(images.max())
        assert low - 1 <= int(found.min()) <= int(found.max()) <= high + 1


def test_a_large_picture_keeps_its_proportions_or_is_stretched():
    wide = np.full((1, 40, 80, 1), 200, np.uint8)
    padded = fit(wide, (32, 32, 1), "pad")[0, :, :, 0]
    assert (padded[8:24] == 200).all()
    assert not padded[:8].any()
    assert not padded[24:].any()
    assert (fit(wide, (32, 32, 1), "bilinear") == 200).all()


def test_shrinking_averages_over_all_pixels():
    stripes = np.zeros((1, 64, 64, 1), np.uint8)
    stripes[:, :, ::4] = 200
    found = fit(stripes, (8, 8, 1), "bilinear")[0, :, 1:-1]
    assert np.abs(found.astype(int) - 50).max() <= 6


@settings(max_examples=20)
@given(arrays(np.uint8, (1, 3, 3, 1)))
def test_grey_to_colour_and_back_is_the_same(images):
    colour = fit(images, (3, 3, 3))
    np.testing.assert_array_equal(colour, np.repeat(images, 3, axis=3))
    np.testing.assert_array_equal(fit(colour, (3, 3, 1)), images)


def test_colour_to_grey_is_luma_as_pillow_has_it():
    found = fit(PIXELS[None], (5, 7, 1))[0, :, :, 0]
    np.testing.assert_array_equal(found, np.asarray(Image.fromarray(PIXELS).convert("L")))


def test_an_unknown_resize_is_refused():
    with pytest.raises(ValueError, match=r"resize: expected 'pad' or 'bilinear'\. Received: resize='crop'"):
        fit(PIXELS[None], (5, 7, 3), "crop")
