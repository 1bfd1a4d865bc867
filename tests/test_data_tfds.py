import socket
import sys
import threading
from contextlib import ExitStack, contextmanager
from pathlib import Path, PurePosixPath

import numpy as np
import pytest

from kmodels import data
from kmodels.data import reachable, tfds
from kmodels.data.catalog import TfdsSource
from kmodels.data.errors import SourceUnavailable
from tests.tiny_data import idx_files, tiny_arrays, tiny_facts, use


def silent(line):
    pass


@pytest.fixture(autouse=True)
def own_folders(monkeypatch, tmp_path):
    (tmp_path / "scratch").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "scratch"))
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "prepared"))
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    yield
    # TFDS itself leaves an empty folder for each of its builders.
    left = [path for path in (tmp_path / "scratch").rglob("*") if path.is_file()]
    assert left == [], "something was left behind"


@contextmanager
def silent_host():
    """A port whose queue of connections is full: the next one is neither accepted nor refused, packets are dropped."""
    with ExitStack() as stack:
        server = stack.enter_context(socket.socket())
        server.bind(("127.0.0.1", 0))
        server.listen(0)
        for _ in range(4):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(server.getsockname())
        yield server.getsockname()[1]


@contextmanager
def listening_host():
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def closed_port():
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


def test_a_host_that_accepts_is_reachable():
    with listening_host() as port:
        assert reachable.unreachable("127.0.0.1", port) is None


def test_a_host_that_refuses_is_not():
    port = closed_port()
    assert f"127.0.0.1, port {port}, cannot be reached" in reachable.unreachable("127.0.0.1", port)


@pytest.mark.skipif(sys.platform != "linux", reason="other systems answer for a full queue")
def test_a_firewall_that_drops_packets_is_given_up(monkeypatch):
    monkeypatch.setattr(reachable, "SECONDS", 0.5)
    with silent_host() as port:
        reason = reachable.unreachable("127.0.0.1", port)
    assert "did not answer within 0.5 seconds" in reason or "timed out" in reason


def test_a_name_look_up_that_hangs_is_given_up(monkeypatch):
    monkeypatch.setattr(reachable, "SECONDS", 0.2)
    answered = threading.Event()

    def hangs(*args, **kwargs):
        answered.wait()
        raise OSError("too late")

    monkeypatch.setattr(socket, "create_connection", hangs)
    assert reachable.unreachable("host.invalid", 443) == ("host.invalid, port 443, did not answer within 0.2 seconds")
    answered.set()


def test_behind_a_proxy_the_proxy_must_answer(monkeypatch):
    with listening_host() as port:
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{port}")
        assert reachable.unreachable("host.invalid", 443) is None
    monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{port}")
    assert f"the proxy 127.0.0.1, port {port}, cannot be reached" in reachable.unreachable("host.invalid", 443)
    monkeypatch.setenv("NO_PROXY", "host.invalid")
    assert reachable.unreachable("host.invalid", 443).startswith("host.invalid, port 443,")


def test_an_unreachable_host_is_found_out_before_tensorflow_is_touched(monkeypatch, tmp_path):
    def forbidden():
        raise AssertionError("TFDS was imported")

    monkeypatch.setattr(tfds, "_library", forbidden)
    use(monkeypatch, tiny_facts(tfds=TfdsSource("mnist", "127.0.0.1", closed_port())))
    with pytest.raises(data.DataUnavailable, match=r"TensorFlow Datasets: 127.0.0.1, port \d+, cannot be reached"):
        data.load("mnist", folder=tmp_path / "data", report=silent)


def test_without_tfds_the_reason_says_so(monkeypatch):
    monkeypatch.setattr(tfds.importlib.util, "find_spec", lambda name: None)
    facts = tiny_facts(tfds=TfdsSource("mnist", "127.0.0.1", 1))
    with pytest.raises(SourceUnavailable, match="tensorflow_datasets and tensorflow cannot be imported"):
        tfds.read_tfds(facts, silent)


@pytest.fixture
def library(monkeypatch):
    """TFDS itself, whose MNIST and CIFAR-10 are told how small they are here."""
    pytest.importorskip("tensorflow", reason="TensorFlow is not installed")
    library = pytest.importorskip("tensorflow_datasets", reason="TFDS is not installed")
    from tensorflow_datasets.image_classification import mnist

    monkeypatch.setattr(mnist, "_TRAIN_EXAMPLES", 50)
    monkeypatch.setattr(mnist, "_TEST_EXAMPLES", 10)
    monkeypatch.setattr(mnist, "_MNIST_IMAGE_SIZE", 28)
    monkeypatch.setattr(tfds, "unreachable", lambda host, port: None)
    return library


def cifar_files(arrays, facts):
    files = {"batches.meta.txt": "\n".join(facts.class_names).encode()}
    x_train, y_train, x_test, y_test = arrays
    parts = [
        (f"data_batch_{n + 1}.bin", x, y)
        for n, (x, y) in enumerate(zip(np.split(x_train, 5), np.split(y_train, 5), strict=True))
    ]
    for name, x, y in [*parts, ("test_batch.bin", x_test, y_test)]:
        rows = x.transpose(0, 3, 1, 2).reshape(len(x), -1)
        files[name] = np.concatenate([y[:, None], rows], axis=1).astype(np.uint8).tobytes()
    return files


def deliver(monkeypatch, library, folder, files):
    """Makes TFDS "download" files that lie in a folder."""
    folder.mkdir(parents=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)

    def download(manager, what):
        if isinstance(what, str):
            return str(folder.parent)
        return {key: str(folder / PurePosixPath(url).name.removesuffix(".gz")) for key, url in what.items()}

    monkeypatch.setattr(library.download.DownloadManager, "download_and_extract", download)


@pytest.mark.parametrize("name", ["mnist", "cifar10"])
def test_the_canonical_order_is_restored_from_what_tfds_writes(monkeypatch, library, tmp_path, capfd, name):
    shape = (28, 28, 1) if name == "mnist" else (32, 32, 3)
    arrays = tiny_arrays(shape)
    facts = use(monkeypatch, tiny_facts(name, shape, tfds=TfdsSource(name, "host")))
    files = idx_files(arrays) if name == "mnist" else cifar_files(arrays, facts)
    deliver(monkeypatch, library, tmp_path / "raw" / "cifar-10-batches-bin", files)
    capfd.readouterr()
    dataset = data.load(name, folder=tmp_path / "data", report=silent)
    assert capfd.readouterr().out == ""
    assert dataset.source == "TensorFlow Datasets, content verified"
    assert np.array_equal(dataset.x_train, arrays[0]) and np.array_equal(dataset.y_train, arrays[1])
    assert [path.name for path in (tmp_path / "data").iterdir()] == [f"{name}.npz"]


def prepare(monkeypatch, library, tmp_path):
    """Prepares the tiny MNIST in TFDS's own folder; returns its facts and its files of examples."""
    facts = use(monkeypatch, tiny_facts("mnist", (28, 28, 1), tfds=TfdsSource("mnist", "host")))
    deliver(monkeypatch, library, tmp_path / "raw", idx_files(tiny_arrays((28, 28, 1))))
    builder = library.builder("mnist", data_dir=tmp_path / "prepared")
    builder.download_and_prepare()
    return facts, sorted(Path(builder.data_dir).glob("*.tfrecord*"))


def test_what_tfds_has_already_prepared_is_read_without_its_host(monkeypatch, library, tmp_path):
    facts, _ = prepare(monkeypatch, library, tmp_path)
    monkeypatch.setattr(tfds, "unreachable", lambda host, port: pytest.fail("the host was asked"))
    assert data.load("mnist", folder=tmp_path / "data", report=silent).digest == facts.digest


def test_a_flipped_byte_in_a_prepared_file_is_an_error_that_names_the_folder(monkeypatch, library, tmp_path):
    _, files = prepare(monkeypatch, library, tmp_path)
    content = bytearray(files[0].read_bytes())
    content[len(content) // 2] ^= 1
    files[0].write_bytes(content)
    with pytest.raises(data.DataDamaged, match=r"mnist as TFDS prepares it. DataLossError") as raised:
        data.load("mnist", folder=tmp_path / "data", report=silent)
    assert str(tmp_path / "prepared") in str(raised.value)
    assert not (tmp_path / "data").exists()


def test_a_download_with_another_checksum_is_reported_and_nothing_is_kept(monkeypatch, library, tmp_path):
    use(monkeypatch, tiny_facts("mnist", (28, 28, 1), tfds=TfdsSource("mnist", "host")))

    def wrong(manager, what):
        raise library.core.download.download_manager.NonMatchingChecksumError("Artifact has wrong checksum")

    monkeypatch.setattr(library.download.DownloadManager, "download_and_extract", wrong)
    with pytest.raises(data.DataUnavailable, match="NonMatchingChecksumError: Artifact has wrong checksum"):
        data.load("mnist", folder=tmp_path / "data", report=silent)
    assert not (tmp_path / "data").exists()


def test_a_download_is_tried_once_and_never_waits_for_ever(library, monkeypatch):
    import requests
    from tensorflow_datasets.core.download import downloader

    before = (downloader.MAX_RETRIES, requests.Session.request)
    seen = []
    monkeypatch.setattr(requests.Session, "send", lambda session, request, **settings: seen.append(settings["timeout"]))
    with pytest.raises(RuntimeError, match="stop"), tfds._once():
        assert downloader.MAX_RETRIES == 0
        session = requests.Session()
        session.trust_env = False
        session.get("http://host.invalid", stream=True)
        raise RuntimeError("stop")
    assert seen == [(5.0, 30.0)]
    assert (downloader.MAX_RETRIES, requests.Session.request) == before


def test_the_written_order_is_the_one_of_the_library(library):
    from tensorflow_datasets.core import hashing

    hasher = hashing.Hasher("train")
    expected = sorted(range(1_000), key=hasher.hash_key)
    assert tfds.written_order("train", 1_000).tolist() == expected
    assert tfds.written_order("test", 1_000).tolist() != expected
