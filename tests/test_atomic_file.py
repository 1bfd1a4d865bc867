import errno

import pytest

from kmodels.atomic_file import replacing


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_until_the_block_ends_the_old_content_is_seen(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"old")
    with replacing(path) as file:
        file.write(b"new")
        assert path.read_bytes() == b"old"
    assert contents(tmp_path) == {"file": b"new"}
    assert path.stat().st_mode & 0o777 == 0o644


@pytest.mark.parametrize("error", [ValueError("a bug"), KeyboardInterrupt()])
def test_an_exception_in_the_block_leaves_the_old_content_alone(tmp_path, error):
    path = tmp_path / "file"
    path.write_bytes(b"old")
    with pytest.raises(type(error)), replacing(path) as file:
        file.write(b"new")
        raise error
    assert contents(tmp_path) == {"file": b"old"}


@pytest.mark.parametrize(
    ("raised", "message"),
    [
        (OSError(errno.ENOSPC, "No space left"), r"\[Errno \d+\] No space left: '{path}'"),
        (OSError("5 requested and 3 written"), "{path}: 5 requested and 3 written"),
        (PermissionError(errno.EACCES, "Permission denied", "/another"), r"Permission denied: '/another'"),
    ],
)
def test_an_error_names_the_file_unless_it_names_another(tmp_path, raised, message):
    path = tmp_path / "file"
    with pytest.raises(OSError, match=message.format(path=path)), replacing(path) as file:
        file.write(b"new")
        raise raised
    assert contents(tmp_path) == {}


def test_a_folder_that_cannot_be_written_to_is_an_error_that_names_the_file(tmp_path, monkeypatch):
    def forbidden(dir, prefix, suffix):  # root may write anywhere
        raise PermissionError(errno.EACCES, "Permission denied", f"{dir}/{prefix}x{suffix}")

    monkeypatch.setattr("tempfile.mkstemp", forbidden)
    with pytest.raises(PermissionError, match=f"'{tmp_path / 'file'}'"), replacing(tmp_path / "file"):
        pass
