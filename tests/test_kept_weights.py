"""Kept weights: same weights, same bytes; a file that is not the run's is named."""

import hashlib
import io
import zipfile

import numpy as np
import pytest

from kmodels.results.weights import LARGEST, KeptWeights, keep, read_weights

KEY = "0123456789abcdef0123"
ARRAYS = [
    ("conv/kernel", np.arange(6, dtype="float32").reshape(1, 2, 3)),
    ("file", np.ones(2, "float32")),
    ("file", np.array([3.0], "float32")),  # members of an ensemble may have one name
]


@pytest.fixture
def stored(tmp_path):
    kept = keep(ARRAYS, KEY)
    path = tmp_path / kept.file
    path.write_bytes(kept.content)
    return path, kept


def test_weights_come_back_by_name_and_in_order(stored):
    path, kept = stored
    assert path.name == f"{KEY}.npz"
    found = read_weights(path, KeptWeights.from_dict(kept.as_dict()))
    for (name, array), (before, expected) in zip(found, ARRAYS, strict=True):
        assert (name, array.dtype) == (before, expected.dtype)
        np.testing.assert_array_equal(array, expected)


def test_the_same_weights_are_the_same_bytes_and_others_are_not():
    kept = keep(ARRAYS, KEY)
    assert keep([(name, array.copy()) for name, array in ARRAYS], KEY).content == kept.content
    transposed = [(name, np.asfortranarray(array)) for name, array in ARRAYS]  # the same values, lying otherwise
    assert keep(transposed, KEY).content == kept.content
    assert kept.sha256 == hashlib.sha256(kept.content).hexdigest()
    other = [*ARRAYS[:2], ("file", np.nextafter(ARRAYS[2][1], 4))]
    assert keep(other, KEY).sha256 != kept.sha256


def test_large_weights_are_known_by_their_digest_alone():
    kept = keep([("kernel", np.zeros(LARGEST // 4, "float32"))], KEY)  # its header makes the file larger than that
    assert (kept.file, kept.content) == ("", None)
    assert kept.size > LARGEST
    assert keep([("kernel", np.zeros(LARGEST // 4 - 200, "float32"))], KEY).file


def test_another_file_is_found_out(stored):
    path, kept = stored
    content = bytearray(kept.content)
    content[-200] ^= 1
    path.write_bytes(content)
    with pytest.raises(ValueError, match=rf"{KEY}\.npz: expected sha256 {kept.sha256[:9]}"):
        read_weights(path, kept)
    path.write_bytes(content[:-1])
    with pytest.raises(ValueError, match=rf"expected {kept.size} bytes"):
        read_weights(path, kept)


def test_what_could_unpack_to_any_size_is_refused(tmp_path):
    stream = io.BytesIO()
    np.savez_compressed(stream, kernel=np.zeros(10_000, "float32"))
    path, content = tmp_path / f"{KEY}.npz", stream.getvalue()
    path.write_bytes(content)
    kept = KeptWeights(hashlib.sha256(content).hexdigest(), len(content), path.name)
    with pytest.raises(ValueError, match="an array is compressed"):
        read_weights(path, kept)


def test_pickled_objects_are_refused(tmp_path):
    stream = io.BytesIO()
    np.savez(stream, kernel=np.array([{}], dtype=object))
    path, content = tmp_path / f"{KEY}.npz", stream.getvalue()
    path.write_bytes(content)
    with pytest.raises(ValueError, match="allow_pickle"):
        read_weights(path, KeptWeights(hashlib.sha256(content).hexdigest(), len(content), path.name))


def test_an_array_that_claims_more_than_there_is_is_refused(tmp_path):
    stream = io.BytesIO()
    np.savez(stream, kernel=np.zeros(4, "float32"))
    content = stream.getvalue()
    path, claimed = tmp_path / f"{KEY}.npz", b"(9999999999999999,), }"
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        header = archive.read("kernel.npy").replace(b"(4,), }" + b" " * 15, claimed)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("kernel.npy", header)
    content = path.read_bytes()
    assert claimed in content
    with pytest.raises(ValueError, match="expected arrays as NumPy stores them"):
        read_weights(path, KeptWeights(hashlib.sha256(content).hexdigest(), len(content), path.name))


def test_what_is_no_archive_is_refused(tmp_path):
    path = tmp_path / f"{KEY}.npz"
    path.write_bytes(b"nothing")
    with pytest.raises(ValueError, match="expected arrays as NumPy stores them"):
        read_weights(path, KeptWeights(hashlib.sha256(b"nothing").hexdigest(), 7, path.name))
    assert not zipfile.is_zipfile(path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"file": "../../etc/passwd"}, "file: expected a run's key and .npz"),
        ({"file": None}, "file: expected"),
        ({"sha256": "abc"}, "sha256: expected 64 hexadecimal digits"),
        ({"bytes": -1}, "bytes: expected a whole number"),
        ({"bytes": True}, "bytes: expected a whole number"),
        ({"more": 1}, "weights: expected file, sha256 and bytes"),
    ],
)
def test_a_hostile_entry_is_refused(changes, message):
    values = {**keep(ARRAYS, KEY).as_dict(), **changes}
    with pytest.raises(ValueError, match=message):
        KeptWeights.from_dict(values)
