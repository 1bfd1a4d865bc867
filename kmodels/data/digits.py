"""The 1,797 handwritten digits that scikit-learn carries: real images that need no network."""

from __future__ import annotations

import numpy as np

from kmodels.data.errors import SourceUnavailable

__all__ = ["read_digits"]

_TRAIN_IMAGES = 1_500


def read_digits() -> tuple[np.ndarray, ...]:
    """Returns `x_train, y_train, x_test, y_test` of scikit-learn's digits.

    The images are 8x8 with values 0 to 16; they are stretched to 0 to 255 (16 becomes 255, rounded to the nearest), so
    that dividing by 255 gives [0, 1] as with the other sets. scikit-learn has no split: the first 1,500 images are the
    training part and the last 297 the test part, in scikit-learn's order, which groups the writers.

    Raises:
        SourceUnavailable: scikit-learn is not installed.

    Reference:
        E. Alpaydin, C. Kaynak: Optical Recognition of Handwritten Digits, UCI Machine Learning Repository, 1998.
    """
    try:
        from sklearn.datasets import load_digits
    except ImportError as error:
        raise SourceUnavailable(f"scikit-learn cannot be imported ({error})") from error
    images, labels = load_digits(return_X_y=True)
    pixels = np.rint(images * (255 / 16)).astype(np.uint8).reshape(-1, 8, 8, 1)
    labels = labels.astype(np.int64)
    return pixels[:_TRAIN_IMAGES], labels[:_TRAIN_IMAGES], pixels[_TRAIN_IMAGES:], labels[_TRAIN_IMAGES:]
