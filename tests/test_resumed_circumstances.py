"""A training that goes on is computed as it was begun: with as many threads, recorded or compiled as before."""

from dataclasses import asdict

import keras
import pytest

from kmodels import data
from kmodels.running.cluster import _train_there
from kmodels.torch_step.device import threads, use_threads
from kmodels.training import train as training
from kmodels.training.state import read_state
from kmodels.training.train import train
from tests.tiny_experiment import task

pytestmark = pytest.mark.skipif(keras.backend.backend() != "torch", reason="PyTorch alone has threads and modes")

RECIPE = {"epochs": 3, "train_images": 150, "batch_size": 64, "learning_rate": 1e-3}


class _Killed(Exception):
    pass


class _Kill(keras.callbacks.Callback):
    def __init__(self, epoch):
        super().__init__()
        self._epoch = epoch

    def on_epoch_begin(self, epoch, logs=None):
        if epoch == self._epoch:
            raise _Killed


class _Threads(keras.callbacks.Callback):
    """Notes the threads of the steps; and of the final evaluation, in whose place `logits_of` comes here."""

    def __init__(self, monkeypatch):
        super().__init__()
        self.of_steps, self.of_evaluation = [], []
        evaluate = training.logits_of

        def noted(*arguments):
            self.of_evaluation.append(threads("torch"))
            return evaluate(*arguments)

        monkeypatch.setattr(training, "logits_of", noted)

    def on_train_batch_begin(self, batch, logs=None):
        self.of_steps.append(threads("torch"))


@pytest.fixture(scope="module")
def digits():
    return data.load("digits", report=lambda _: None)


@pytest.fixture
def one_thread(monkeypatch):
    """The process has one thread, and steps are recorded, after which a state is written each epoch."""
    monkeypatch.setattr("kmodels.training.checkpoint._SECONDS", 0.0)
    monkeypatch.setattr("kmodels.torch_step.allowance._ALL", 1)
    before = threads("torch")
    use_threads("torch", 1)
    yield
    use_threads("torch", before)


def begin(digits, path, count, **changes):
    """Trains one epoch with so many threads, is killed in the second."""
    use_threads("torch", count)
    with pytest.raises(_Killed):
        train(task(**{**RECIPE, **changes}), digits, checkpoint=path, callbacks=[_Kill(1)])
    use_threads("torch", 1)
    assert read_state(path).facts["threads"] == count


@pytest.mark.usefixtures("one_thread")
def test_steps_evaluation_and_run_file_have_the_threads_of_the_beginning(digits, tmp_path, monkeypatch):
    path = tmp_path / "run.state"
    begin(digits, path, 2)
    seen = _Threads(monkeypatch)
    run = train(task(**RECIPE), digits, checkpoint=path, callbacks=[seen])
    assert seen.of_steps == [2] * 6  # two epochs of three batches
    assert seen.of_evaluation == [2, 2]
    assert run.threads == 2
    assert threads("torch") == 1


@pytest.mark.usefixtures("one_thread")
def test_so_they_have_where_only_the_evaluation_is_left(digits, tmp_path, monkeypatch):
    path, whole = tmp_path / "run.state", task(**RECIPE)
    use_threads("torch", 2)
    train(whole, digits, checkpoint=path, until=3)
    use_threads("torch", 1)
    seen = _Threads(monkeypatch)
    run = train(whole, digits, checkpoint=path, callbacks=[seen])
    assert (seen.of_steps, seen.of_evaluation, run.threads, threads("torch")) == ([], [2, 2], 2, 1)


@pytest.mark.usefixtures("one_thread")
def test_the_process_has_its_own_threads_again_after_an_error(digits, tmp_path):
    path = tmp_path / "run.state"
    begin(digits, path, 2)
    with pytest.raises(_Killed):
        train(task(**RECIPE), digits, checkpoint=path, callbacks=[_Kill(2)])
    assert threads("torch") == 1
    assert read_state(path).facts["threads"] == 2


@pytest.mark.usefixtures("one_thread")
def test_the_members_of_an_ensemble_have_those_of_the_first(digits, tmp_path, monkeypatch):
    members = {"model": "average_net", "model_args": {"members": ("plain_net", "lenet")}, "train_members": "apart"}
    whole, path = task(**{**RECIPE, **members, "epochs": 1, "head": "logits"}), tmp_path / "run.state"

    class KillSecond(keras.callbacks.Callback):
        def on_train_begin(self, logs=None):
            if self.model.name == "lenet":
                raise _Killed

    use_threads("torch", 2)
    with pytest.raises(_Killed):
        train(whole, digits, checkpoint=path, callbacks=[KillSecond()])
    use_threads("torch", 1)
    seen = _Threads(monkeypatch)
    run = train(whole, digits, checkpoint=path, callbacks=[seen])
    assert set(seen.of_steps) == {2}
    assert (run.threads, threads("torch")) == (2, 1)


@pytest.mark.usefixtures("one_thread")
def test_a_worker_goes_on_as_stored_whatever_its_share(digits, tmp_path, monkeypatch):
    monkeypatch.setattr("kmodels.running.cluster._loaded", lambda name: digits)
    path, whole = tmp_path / "run.state", task(**RECIPE)
    begin(digits, path, 2)
    values, _ = _train_there({**asdict(whole), "recipe": whole.recipe.as_dict()}, "memory", 1, str(path))
    assert (values["threads"], values["execution"]) == (2, "recorded")
    fresh, _ = _train_there({**asdict(whole), "recipe": whole.recipe.as_dict()}, "memory", 1, str(path))
    assert fresh["threads"] == 1


@pytest.mark.usefixtures("one_thread")
def test_steps_that_could_not_be_compiled_are_not_where_they_could_be(digits, tmp_path, monkeypatch):
    functions, path = "kmodels.torch_step.functions", tmp_path / "run.state"
    monkeypatch.setattr(f"{functions}.steps_until_compiling_pays", lambda work, device: 0)
    monkeypatch.setattr(f"{functions}.can_compile", lambda device: "there is no compiler")
    begin(digits, path, 1)
    assert read_state(path).facts["mode"] == "record"
    monkeypatch.setattr(f"{functions}.can_compile", lambda device: None)
    monkeypatch.setattr(f"{functions}.compiled", lambda graph, inputs: graph)  # said to be, which takes no seconds
    assert train(task(**RECIPE), digits).execution == "compiled", "the rule would not compile"
    assert train(task(**RECIPE), digits, checkpoint=path).execution == "recorded"


@pytest.mark.usefixtures("one_thread")
def test_steps_that_were_compiled_are_compiled_again(digits, tmp_path, monkeypatch):
    functions, path = "kmodels.torch_step.functions", tmp_path / "run.state"
    monkeypatch.setattr(f"{functions}.steps_until_compiling_pays", lambda work, device: 0)
    monkeypatch.setattr(f"{functions}.can_compile", lambda device: None)
    monkeypatch.setattr(f"{functions}.compiled", lambda graph, inputs: graph)
    begin(digits, path, 1)
    assert train(task(**RECIPE), digits, checkpoint=path).execution == "compiled"
