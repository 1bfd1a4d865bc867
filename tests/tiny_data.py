"""A data set of 50 + 10 images, its packed forms, and an npm client that serves it."""

import gzip
import hashlib
import io
import json
import os
import stat
import struct
import sys
import tarfile
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image

from kmodels.data.catalog import CATALOG, Facts, NpmPackage
from kmodels.data.dataset import content_digest
from kmodels.data.idx import FILES

TRAIN, TEST = 50, 10
KEYS = ("x_train", "y_train", "x_test", "y_test")


def tiny_arrays(shape=(4, 4, 1)) -> list[np.ndarray]:
    draw = np.random.default_rng(0)
    return [
        draw.integers(0, 256, (TRAIN, *shape), np.uint8),
        np.arange(TRAIN, dtype=np.int64) % 10,
        draw.integers(0, 256, (TEST, *shape), np.uint8),
        np.arange(TEST, dtype=np.int64) % 10,
    ]


def tiny_facts(name="mnist", shape=(4, 4, 1), **changes) -> Facts:
    values = {
        "name": name,
        "image_shape": shape,
        "train_images": TRAIN,
        "test_images": TEST,
        "class_names": tuple("0123456789"),
        "digest": content_digest(*tiny_arrays(shape)),
    }
    return Facts(**{**values, **changes})


def use(monkeypatch, facts: Facts) -> Facts:
    """Makes `load` know the tiny data set under its name."""
    monkeypatch.setitem(CATALOG, facts.name, facts)
    return facts


def idx_files(arrays: list[np.ndarray]) -> dict[str, bytes]:
    files = {}
    for name, array in zip(FILES.values(), arrays, strict=True):
        array = array[..., 0] if array.ndim == 4 else array
        header = struct.pack(f">{1 + array.ndim}I", 0x0800 | array.ndim, *array.shape)
        files[name] = header + array.astype(np.uint8).tobytes()
    return files


def png_files(arrays: list[np.ndarray]) -> dict[str, bytes]:
    x_train, y_train, x_test, y_test = arrays
    files = {}
    pictures = [(f"data_batch_{n + 1}.png", part) for n, part in enumerate(np.split(x_train, 5))]
    for name, images in [*pictures, ("test_batch.png", x_test)]:
        stream = io.BytesIO()
        Image.fromarray(images.reshape(len(images), -1, 3)).save(stream, "PNG")
        files[name] = stream.getvalue()
    files["train_lables.json"] = json.dumps(y_train.tolist()).encode()
    files["test_lables.json"] = json.dumps(y_test.tolist()).encode()
    return files


def write_tarball(path: Path, files: dict[str, bytes], odd: tuple[tarfile.TarInfo, ...] = ()) -> Path:
    """Packs files under `package/`, and members as they are given in `odd`."""
    with tarfile.open(path, "w:gz") as archive:
        for member in odd:
            archive.addfile(member, io.BytesIO(b"\0" * member.size))
        for name, content in files.items():
            member = tarfile.TarInfo(f"package/{name}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return path


def write_gzipped(folder: Path, files: dict[str, bytes]) -> None:
    folder.mkdir(parents=True)
    for name, content in files.items():
        (folder / f"{name}.gz").write_bytes(gzip.compress(content))


def package(tarball: Path, layout: str) -> NpmPackage:
    content = tarball.read_bytes()
    return NpmPackage("tiny-data@1.0.0", hashlib.sha512(content).hexdigest(), len(content), layout)


@dataclass
class FakeNpm:
    """An npm client on PATH: copies a tarball to where it is asked to, or does what its script says."""

    folder: Path
    path: str = field(default_factory=lambda: os.environ["PATH"])

    def install(self, monkeypatch, body: str) -> None:
        self.folder.mkdir(exist_ok=True)
        client = self.folder / "npm"
        start = f"#!{sys.executable}\nimport pathlib, shutil, sys, time\nargs = sys.argv[1:]\n"
        start += "where = pathlib.Path(args[args.index('--pack-destination') + 1])\n"
        client.write_text(start + body)
        client.chmod(client.stat().st_mode | stat.S_IXUSR)
        monkeypatch.setenv("PATH", str(self.folder))

    def serve(self, monkeypatch, tarball: Path) -> None:
        self.install(monkeypatch, f"shutil.copy({str(tarball)!r}, where / 'tiny-data-1.0.0.tgz')\n")
