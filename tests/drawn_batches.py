"""Images whose labels tell which they are, feeds of them, and the batches that must come, made by hand."""

import dataclasses
import itertools

import numpy as np

from kmodels.augment import Transform, apply, draw_epoch
from kmodels.data.feed import training_feed

PIPELINES = ["memory", "tfdata"]
_DRAW = np.random.default_rng(0)
IMAGES = _DRAW.integers(0, 256, (150, 10, 8, 3), dtype=np.uint8)
LABELS = np.arange(150, dtype=np.int32)
PART = _DRAW.permutation(150)[:107]
PLAIN = Transform(mean=(0.49, 0.48, 0.44), std=(0.25, 0.2, 0.26))
CROP_AND_FLIP = dataclasses.replace(PLAIN, crop_padding=2, flip=True)


def feed(pipeline, transform=PLAIN, **changes):
    arguments = {"batch_size": 32, "drop_last": False, "seed": 3, "fold": 1, "epochs": 4, **changes}
    return training_feed(pipeline, IMAGES, LABELS, PART, transform, **arguments)


def batches(feed, epochs=1, skip=0):
    """Batches of some epochs as NumPy arrays."""
    steps = feed.steps_per_epoch
    taken = itertools.islice(iter(feed.x), skip * steps, (skip + epochs) * steps)
    return [(np.asarray(images), np.asarray(labels)) for images, labels in taken]


def expected_batches(transform, epochs, *, seed=3, fold=1, batch_size=32, drop_last=False):
    """The same batches made by hand from the draws."""
    made = []
    for epoch in epochs:
        draws = draw_epoch(len(PART), transform, seed=seed, fold=fold, epoch=epoch)
        for start in range(0, len(PART), batch_size):
            part = draws.part(start, start + batch_size)
            if not drop_last or len(part.order) == batch_size:
                chosen = PART[part.order]
                made.append((apply(IMAGES[chosen], part, transform), LABELS[chosen]))
    return made
