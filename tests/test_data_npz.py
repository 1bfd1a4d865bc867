import errno
import io
import zipfile

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kmodels import data
from kmodels.data.npz import write_npz
from tests.tiny_data import KEYS, tiny_arrays, tiny_facts, use

FACTS = tiny_facts()


def silent(line):
    pass


def stored(**changes):
    return {**dict(zip(KEYS, tiny_arrays(), strict=True)), **changes}


@pytest.fixture
def tiny(monkeypatch):
    return use(monkeypatch, FACTS)


@pytest.mark.parametrize("shape", [(4, 4, 1), (4, 4, 3)])
def test_what_is_written_is_read_back_in_the_layout_of_keras(monkeypatch, tmp_path, shape):
    use(monkeypatch, tiny_facts(shape=shape))
    write_npz(tmp_path / "mnist.npz", tiny_arrays(shape))
    with np.load(tmp_path / "mnist.npz") as archive:
        assert sorted(archive.files) == sorted(KEYS)
        assert archive["x_train"].shape == ((50, 4, 4) if shape[-1] == 1 else (50, 4, 4, 3))
        assert archive["y_train"].shape == (50,) and archive["y_train"].dtype == np.uint8
    dataset = data.load("mnist", folder=tmp_path, report=silent)
    assert np.array_equal(dataset.x_train, tiny_arrays(shape)[0])
    assert np.array_equal(dataset.open_test("a test", silent)[1], tiny_arrays(shape)[3])
    assert str(tmp_path) not in dataset.source and "mnist.npz" in dataset.source


@pytest.mark.parametrize("dtype", [np.uint8, np.int64, np.int32])
@pytest.mark.parametrize("column", [False, True])
@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_files_of_keras_datasets_are_accepted(tiny, tmp_path, dtype, column, save):
    labels = {key: stored()[key].astype(dtype) for key in ("y_train", "y_test")}
    if column:
        labels = {key: value[:, None] for key, value in labels.items()}
    save(tmp_path / "mnist.npz", **stored(**labels))
    assert data.load("mnist", folder=tmp_path, report=silent).digest == FACTS.digest


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"x_train": np.zeros((50, 5, 4), np.uint8)}, r"x_train.npy: expected 800 bytes or fewer.*\(50, 5, 4\)"),
        ({"x_train": np.zeros((40, 4, 4), np.uint8)}, r"x_train: expected shape \(50, 4, 4, 1\)"),
        ({"x_test": np.zeros((10, 1, 4, 4), np.uint8)}, r"x_test: expected shape \(10, 4, 4, 1\)"),
        ({"x_test": np.zeros((10, 4, 4), np.float64)}, "x_test.npy: expected integers.*float64"),
        ({"x_test": np.zeros((10, 2, 4), np.int16)}, "x_test: expected an array of uint8.*int16"),
        ({"y_train": np.full(50, 10)}, "y_train: expected labels below 10. Received: 10"),
        ({"y_train": np.zeros(49, np.uint8)}, "y_train: expected shape"),
        ({"y_test": np.array([None] * 10)}, "y_test.npy: expected integers.*object"),
        ({"y_test": np.arange(10)[::-1]}, f"expected the content of mnist, sha256 {FACTS.digest}"),
    ],
)
def test_foreign_arrays_are_an_error_that_names_the_file(tiny, tmp_path, changes, message):
    path = tmp_path / "mnist.npz"
    np.savez(path, **stored(**changes))
    with pytest.raises(data.DataDamaged, match=message) as raised:
        data.load("mnist", folder=tmp_path, report=silent)
    assert str(path) in str(raised.value) and "remove it" in str(raised.value)
    assert list(tmp_path.iterdir()) == [path]


def test_missing_arrays_are_named(tiny, tmp_path):
    np.savez(tmp_path / "mnist.npz", x_train=tiny_arrays()[0], images=np.zeros(1))
    with pytest.raises(
        data.DataDamaged, match=r"y_train, x_test, y_test are missing. Received: x_train.npy, images.npy"
    ):
        data.load("mnist", folder=tmp_path, report=silent)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(cut=st.integers(0, 10_000), flip=st.none() | st.integers(0, 10_000))
def test_a_cut_or_flipped_file_never_gives_other_data(tiny, tmp_path, cut, flip):
    write_npz(tmp_path / "mnist.npz", tiny_arrays())
    content = bytearray((tmp_path / "mnist.npz").read_bytes())
    if flip is None:
        content = content[: cut % len(content)]
    else:
        content[flip % len(content)] ^= 1 + cut % 255
    (tmp_path / "mnist.npz").write_bytes(content)
    try:
        dataset = data.load("mnist", folder=tmp_path, report=silent)
    except data.DataDamaged as error:
        assert "mnist.npz" in str(error)
    else:  # a byte that carries nothing, such as a time stamp
        assert flip is not None and dataset.digest == FACTS.digest
        assert np.array_equal(dataset.x_train, tiny_arrays()[0])


def test_a_header_that_claims_terabytes_is_refused_before_anything_is_allocated(tiny, tmp_path):
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "|u1", "fortran_order": False, "shape": (10**13,)})
    with zipfile.ZipFile(tmp_path / "mnist.npz", "w") as archive:
        for key in KEYS:
            archive.writestr(f"{key}.npy", header.getvalue())
    with pytest.raises(data.DataDamaged, match=r"x_train.npy: expected 800 bytes or fewer"):
        data.load("mnist", folder=tmp_path, report=silent)


def test_a_small_file_that_unpacks_to_gigabytes_is_refused(tiny, tmp_path):
    with zipfile.ZipFile(tmp_path / "mnist.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        for key, array in stored().items():
            content = io.BytesIO()
            np.save(content, array)
            archive.writestr(f"{key}.npy", content.getvalue() + bytes(10_000_000 * (key == "x_train")))
    with pytest.raises(data.DataDamaged, match=r"x_train.npy: expected 800 bytes or fewer"):
        data.load("mnist", folder=tmp_path, report=silent)


def test_bytes_after_the_array_are_refused(tiny, tmp_path):
    with zipfile.ZipFile(tmp_path / "mnist.npz", "w") as archive:
        for key, array in stored().items():
            content = io.BytesIO()
            np.save(content, array)
            archive.writestr(f"{key}.npy", content.getvalue() + b"\0")
    with pytest.raises(data.DataDamaged, match=r"x_train.npy: expected nothing after the array"):
        data.load("mnist", folder=tmp_path, report=silent)


def test_a_folder_in_the_place_of_the_file_is_an_error(tiny, tmp_path):
    (tmp_path / "mnist.npz").mkdir()
    with pytest.raises(data.DataDamaged, match=r"mnist.npz: expected a .npz file"):
        data.load("mnist", folder=tmp_path, report=silent)


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(monkeypatch, tmp_path):
    path = tmp_path / "mnist.npz"
    write_npz(path, tiny_arrays())
    before = path.read_bytes()

    def full(descriptor):
        raise OSError(errno.ENOSPC, "disk full")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match=f"disk full: '{path}'"):
        write_npz(path, tiny_arrays((4, 4, 3)))
    assert path.read_bytes() == before and list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("break_it", ["nothing", "images", "class counts"])
def test_without_a_digest_channel_sums_and_class_counts_stand_in(monkeypatch, tmp_path, break_it):
    x_train, y_train, x_test, y_test = tiny_arrays((4, 4, 3))
    sums = (
        tuple(int(v) for v in x_train.sum(axis=(0, 1, 2), dtype=np.int64)),
        tuple(int(v) for v in (x_train.astype(np.int64) ** 2).sum(axis=(0, 1, 2))),
        tuple(int(v) for v in x_test.sum(axis=(0, 1, 2), dtype=np.int64)),
    )
    use(monkeypatch, tiny_facts("cifar100", (4, 4, 3), digest=None, channel_sums=sums))
    if break_it == "images":
        x_train[0, 0, 0, 0] ^= 1
    if break_it == "class counts":
        y_train[0] = 1
    shuffled = np.random.default_rng(1).permutation(50)
    write_npz(tmp_path / "cifar100.npz", [x_train[shuffled], y_train[shuffled], x_test, y_test])
    if break_it == "nothing":
        assert "channel sums" in data.load("cifar100", folder=tmp_path, report=silent).source
    else:
        with pytest.raises(data.DataDamaged, match=r"cifar100.npz: expected .*cifar100"):
            data.load("cifar100", folder=tmp_path, report=silent)
