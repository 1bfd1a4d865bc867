"""Data sets out of TensorFlow Datasets (TFDS), brought back from its shuffled order into the canonical one.

The one module that imports TFDS, and with it TensorFlow, and only when it has something to read or to download.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import importlib.util
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from kmodels.data.catalog import Facts
from kmodels.data.errors import DataDamaged, SourceUnavailable
from kmodels.data.progress import progress
from kmodels.data.reachable import unreachable

__all__ = ["read_tfds", "written_order"]

_BATCH = 1_000
_CONNECT_SECONDS, _READ_SECONDS = 5.0, 30.0


def read_tfds(facts: Facts, report: Callable[[str], None]) -> list[np.ndarray]:
    """Returns `x_train, y_train, x_test, y_test` in canonical order.

    A set that TFDS has already prepared in its own folder (`TFDS_DATA_DIR` or `~/tensorflow_datasets`) is read from
    there. Otherwise it is downloaded, checked by TFDS against its own checksums, into a temporary folder; before that
    its host must answer within 3 seconds. Nothing is tried twice.

    TFDS writes examples in an order that depends on nothing but the split's name and the example's number. Where the
    examples carry their number (the `id` of the CIFAR sets) it says where each belongs; where they do not (the MNIST
    sets) the order is worked out again, see `written_order`. Whether that was right shows in the digest of the result,
    which the caller compares.

    Args:
        facts: the data set; `facts.tfds` says where TFDS has it.
        report: receives a line for each step that takes seconds.

    Raises:
        SourceUnavailable: TFDS is not installed, its host does not answer, or the download fails.
        DataDamaged: prepared files are there but cannot be read as the data set.
    """
    source = facts.tfds
    if source is None:
        raise SourceUnavailable(f"TFDS has no {facts.name}")
    missing = [name for name in ("tensorflow_datasets", "tensorflow") if importlib.util.find_spec(name) is None]
    if missing:
        raise SourceUnavailable(f"{' and '.join(missing)} cannot be imported: not installed")
    prepared = _own_folder()
    if (prepared / source.name).is_dir():
        builder = _library().builder(source.name, data_dir=prepared)
        if (Path(builder.data_dir) / "dataset_info.json").is_file():
            report(f"{facts.name}: reading {builder.data_dir}")
            return _read(builder, facts, report)
    reason = unreachable(source.host, source.port)
    if reason is not None:
        raise SourceUnavailable(reason)
    with tempfile.TemporaryDirectory(prefix="kmodels-", ignore_cleanup_errors=True) as scratch:
        builder = _library().builder(source.name, data_dir=scratch)
        _download(builder)
        return _read(builder, facts, report)


def _own_folder() -> Path:
    chosen = os.environ.get("TFDS_DATA_DIR", "")
    return Path(chosen).expanduser() if chosen else Path.home() / "tensorflow_datasets"


def _library() -> Any:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    try:
        import tensorflow as tf
        import tensorflow_datasets as tfds
    except ImportError as error:
        raise SourceUnavailable(f"TensorFlow Datasets cannot be imported ({error})") from error
    if os.environ.get("KERAS_BACKEND") != "tensorflow":
        # TensorFlow would take the whole memory of a GPU that another backend is to train on. It refuses where it has
        # been used already, and then it has what it wants anyway.
        with contextlib.suppress(RuntimeError):
            tf.config.set_visible_devices([], "GPU")
    if not sys.stderr.isatty():
        tfds.disable_progress_bar()
    return tfds


def _download(builder: Any) -> None:
    from tensorflow_datasets.core.download.download_manager import NonMatchingChecksumError
    from tensorflow_datasets.core.download.util import DownloadError

    config = _library().download.DownloadConfig(force_checksums_validation=True, try_download_gcs=False)
    try:
        # TFDS tells of its work on stdout, which is for results.
        with _once(), contextlib.redirect_stdout(sys.stderr):
            builder.download_and_prepare(download_config=config)
    except (OSError, DownloadError, NonMatchingChecksumError) as error:
        # Another source may still have the very same content: the digest sees to that.
        reason = " ".join(str(error).split())
        raise SourceUnavailable(f"the download failed ({type(error).__name__}: {reason[:300]})") from error


@contextlib.contextmanager
def _once() -> Iterator[None]:
    """Within it, TFDS tries a download once and gives up on a host that falls silent; else it would wait for ever."""
    import requests
    from tensorflow_datasets.core.download import downloader

    retries, request = downloader.MAX_RETRIES, requests.Session.request

    @functools.wraps(request)
    def impatient(*args: Any, **kwargs: Any) -> Any:
        kwargs["timeout"] = kwargs.get("timeout") or (_CONNECT_SECONDS, _READ_SECONDS)
        return request(*args, **kwargs)

    downloader.MAX_RETRIES, requests.Session.request = 0, impatient  # type: ignore[method-assign]
    try:
        yield
    finally:
        downloader.MAX_RETRIES, requests.Session.request = retries, request  # type: ignore[method-assign]


def _read(builder: Any, facts: Facts, report: Callable[[str], None]) -> list[np.ndarray]:
    import tensorflow as tf

    arrays: list[np.ndarray] = []
    try:
        for split, images in (("train", facts.train_images), ("test", facts.test_images)):
            arrays += _read_split(builder, split, images, facts, report)
    except (tf.errors.OpError, OSError, ValueError, KeyError) as error:
        reason = f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
        raise DataDamaged(f"{builder.data_dir}: expected {facts.name} as TFDS prepares it. {reason}") from error
    return arrays


def _read_split(
    builder: Any, split: str, images: int, facts: Facts, report: Callable[[str], None]
) -> tuple[np.ndarray, np.ndarray]:
    tfds = _library()
    # One shard after the other: reading several in turn would mix their examples.
    in_turn = tfds.ReadConfig(interleave_cycle_length=1, try_autocache=False)
    batches = builder.as_dataset(split=split, batch_size=_BATCH, shuffle_files=False, read_config=in_turn)
    x: list[np.ndarray] = []
    y: list[np.ndarray] = []
    ids: list[bytes] = []
    with progress(f"{facts.name}: decoding the {split} split", images, report, unit="images") as show:
        for batch in tfds.as_numpy(batches):
            x.append(batch["image"])
            y.append(batch["label"])
            ids.extend(batch.get("id", ()))
            show(sum(map(len, y)))
    if sum(map(len, y)) != images:
        raise ValueError(f"{split}: expected {images} examples. Received: {sum(map(len, y))}")
    order = np.array([int(name.rsplit(b"_", 1)[1]) for name in ids]) if ids else written_order(split, images)
    if not np.array_equal(np.sort(order), np.arange(images)):
        raise ValueError(f"{split}: expected ids numbered from 0 to {images - 1}. Received: {ids[:3]}")
    back = np.argsort(order)
    return np.concatenate(x)[back], np.concatenate(y)[back]


def written_order(split: str, images: int) -> np.ndarray:
    """Returns the number that each example had before TFDS shuffled it, in the order in which TFDS has written them.

    TFDS sorts examples by the md5 of the split's name followed by the example's key; for the image sets here the key is
    the example's number in its original files.

    Args:
        split: name of the split, `train` or `test`.
        images: number of examples in it.

    Example:
        >>> written_order("train", 5).tolist()
        [4, 0, 3, 1, 2]
    """
    hashes = [hashlib.md5(f"{split}{number}".encode(), usedforsecurity=False).digest() for number in range(images)]
    return np.array(sorted(range(images), key=hashes.__getitem__), dtype=np.int64)
