"""Crops, turns and sizes of one image, one pixel at a time, and small batches to try them on."""

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

images = st.tuples(st.integers(1, 3), st.integers(2, 9), st.integers(2, 9), st.sampled_from([1, 3])).flatmap(
    lambda shape: arrays(np.uint8, shape)
)


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
