"""A cross-validation that ended early goes on: from states, from finished folds, and never from another's."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import keras
import pytest

from kmodels.crossval import validate
from kmodels.crossval.fold import train_fold
from kmodels.crossval.result import FoldFailed
from kmodels.crossval.validate import carry_out, cross_validate
from tests.crossval_digits import dense, digits, planned, scheduled, score, without_seconds

ROOT = Path(__file__).resolve().parents[1]


@pytest.mark.backend
@pytest.mark.parametrize("inner_fraction", [0.0, 0.25])
def test_going_on_from_the_states_equals_never_having_stopped(tmp_path, inner_fraction):
    x, y = digits()
    at_once = carry_out(planned(x, y, epochs=4, inner_fraction=inner_fraction), scheduled, x, y)
    two = planned(x, y, epochs=2, inner_fraction=inner_fraction)
    carry_out(two, scheduled, x, y, folder=tmp_path / "a", keep_states=True)
    four = planned(x, y, epochs=4, inner_fraction=inner_fraction, initial_epoch=2)
    later = carry_out(four, scheduled, x, y, folder=tmp_path / "b", keep_states=True, go_on_from=tmp_path / "a")
    assert without_seconds(later) == without_seconds(at_once)
    assert all(len(s.train_loss) == 4 for s in later.scores)


def test_without_the_optimizers_state_going_on_would_differ(tmp_path, monkeypatch):
    """The test above can fail: momentum and step count do move the numbers."""
    from kmodels.crossval import fold as crossval_fold

    x, y = digits()
    at_once = carry_out(planned(x, y, epochs=4), scheduled, x, y)
    carry_out(planned(x, y), scheduled, x, y, folder=tmp_path, keep_states=True)
    monkeypatch.setattr(
        crossval_fold, "restore", lambda v, s, name, keep=crossval_fold.restore: name == "model" and keep(v, s, name)
    )
    later = carry_out(planned(x, y, epochs=4, initial_epoch=2), scheduled, x, y, go_on_from=tmp_path)
    assert [s.train_loss[2:] for s in later.scores] != [s.train_loss[2:] for s in at_once.scores]


def test_finished_folds_are_read_and_the_rest_is_trained(tmp_path):
    x, y = digits()
    whole = cross_validate(dense, x, y, folds=3, epochs=2, batch_size=16)
    stop_after = 2

    class Stopped(BaseException):
        pass

    def stopping(build, x, y, parts, training, **keys):
        if keys["fold"] == stop_after:
            raise Stopped
        return train_fold(build, x, y, parts, training, **keys)

    original, validate.train_fold = validate.train_fold, stopping
    try:
        with pytest.raises(Stopped):
            cross_validate(dense, x, y, folds=3, epochs=2, batch_size=16, folder=tmp_path)
    finally:
        validate.train_fold = original
    resumed = cross_validate(dense, x, y, folds=3, epochs=2, batch_size=16, folder=tmp_path)
    assert resumed.reused == stop_after
    assert without_seconds(resumed) == without_seconds(whole)
    assert cross_validate(dense, x, y, folds=3, epochs=2, batch_size=16, folder=tmp_path).reused == 3


KILLED = """
import os, signal, sys
from kmodels.crossval import folder as crossval_folder
from kmodels.crossval.validate import cross_validate
from tests.crossval_digits import dense, digits
x, y = digits()
write, left = crossval_folder.write_json, int(sys.argv[2])
def killing(path, content):
    global left
    left -= 1
    if left < 0:
        os.kill(os.getpid(), signal.SIGKILL)
    write(path, content)
crossval_folder.write_json = killing
cross_validate(dense, x, y, folds=3, epochs=2, batch_size=16, folder=sys.argv[1])
"""


def test_issue_702_killed_with_kill_9_it_goes_on_where_it_was(tmp_path):
    x, y = digits()
    command = [sys.executable, "-c", KILLED, str(tmp_path), "1"]
    done = subprocess.run(command, capture_output=True, env={**os.environ, "PYTHONPATH": str(ROOT)}, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr[-2000:]
    resumed = cross_validate(dense, x, y, folds=3, epochs=2, batch_size=16, folder=tmp_path)
    assert resumed.reused == 1
    assert without_seconds(resumed) == without_seconds(cross_validate(dense, x, y, folds=3, epochs=2, batch_size=16))


@pytest.mark.parametrize(
    "changes",
    [{"epochs": 3}, {"batch_size": 8}, {"split_seed": 1}, {"inner_fraction": 0.5}, {"identity": "b"}, {"folds": 3}],
)
def test_nothing_trained_under_other_settings_is_read(tmp_path, changes, monkeypatch):
    x, y = digits()
    monkeypatch.setattr(validate, "train_fold", lambda *a, seed, fold, **_: (score(seed, fold, 0.5), None))
    arguments = {"folds": 2, "epochs": 2, "batch_size": 16, "folder": tmp_path}
    cross_validate(dense, x, y, **arguments)
    assert cross_validate(dense, x, y, **arguments).reused == 2
    assert cross_validate(dense, x, y, **{**arguments, **changes}).reused == 0
    assert cross_validate(dense, x + 1, y, **arguments).reused == 0
    assert cross_validate(dense, x, y, **arguments, seeds=[7]).reused == 0


@pytest.mark.parametrize(
    ("build", "kind", "cause"),
    [
        (lambda: dense(keras.optimizers.SGD(1e30)), "not finite", FloatingPointError),
        (lambda: (_ for _ in ()).throw(MemoryError("no room")), "out of memory", MemoryError),
        (lambda: (_ for _ in ()).throw(RuntimeError("CUDA out of memory. Tried")), "out of memory", RuntimeError),
        (lambda: 1 / 0, "exception", ZeroDivisionError),
    ],
)
def test_a_failing_fold_says_which_and_why(tmp_path, build, kind, cause):
    x, y = digits()
    with pytest.raises(FoldFailed, match="seed 0, fold 0") as caught:
        cross_validate(build, x, y, folds=2, epochs=2, batch_size=16, folder=tmp_path)
    assert caught.value.kind == kind
    assert isinstance(caught.value.__cause__, cause)
    [record] = tmp_path.glob("*.failed.json")
    assert json.loads(record.read_text())["kind"] == kind
    cross_validate(dense, x, y, folds=2, epochs=2, batch_size=16, folder=tmp_path)
    assert not list(tmp_path.glob("*.failed.json"))
