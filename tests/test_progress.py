"""The display names what is trained, how well, and how long it still takes, with a terminal and without."""

import io
import time

import pytest
from rich.console import Console

from kmodels.progress import describe, display
from tests.tiny_experiment import task


def console(terminal):
    return Console(file=io.StringIO(), force_terminal=terminal, width=80, color_system=None)


def follow(out, queue):
    with display(queue, out) as shown:
        for one in queue:
            callback = shown.callback(one)
            callback.set_params({"steps": 4})
            for epoch in range(one.recipe.epochs):
                callback.on_epoch_begin(epoch)
                callback.on_train_batch_begin(2)
                callback.on_epoch_end(epoch, {"loss": 9.0, "val_loss": 1.25, "accuracy": 0.1, "val_accuracy": 0.875})
            shown.finished(one, "done")
    return out.file.getvalue()


def test_without_a_terminal_there_is_a_plain_line_a_run():
    said = follow(console(False), [task(), task(fold=1)])
    first, second = said.splitlines()
    assert first.startswith("[1/2] A-tiny · c · seed 0 · fold 1 of 2: done · about")
    assert second == "[2/2] A-tiny · c · seed 0 · fold 2 of 2: done"
    assert "\x1b" not in said


def test_a_long_run_without_a_terminal_says_each_epoch_how_it_stands(monkeypatch):
    clock = iter(range(0, 10_000, 30))
    monkeypatch.setattr(time, "monotonic", lambda: float(next(clock)))
    said = follow(console(False), [task()])
    assert "seed 0 · fold 1 of 2 · epoch 1/2 · loss 1.250 · accuracy 87.5 % · about" in said


def test_in_a_terminal_nothing_of_the_line_is_lost_at_80_columns():
    said = follow(console(True), [task(seed=3), task(seed=12, fold=1)])
    flat = " ".join(said.split())  # the screen is drawn four times a second: what is sure is its last state
    assert "A-tiny · c · seed 12 · fold 2 of 2 · epoch 2/2 · loss 1.250 · accuracy 87.5 %" in flat
    assert "100% 00:00 left" in flat
    assert "…" not in said


def test_a_hold_out_has_no_fold_to_name():
    from kmodels.spec.experiment import Split

    assert describe(task(split=Split(kind="test"))) == "A-tiny · c · seed 0"


def test_tasks_trained_at_once_count_as_many_and_are_named_by_the_first():
    out = console(True)
    queue = [task(), task(fold=1), task(seed=1)]
    with display(queue, out) as shown:
        callback = shown.callback(queue[0], together=3)
        callback.set_params({"steps": 4})
        callback.on_epoch_begin(0)
        callback.on_epoch_end(0, {"loss": 9.0, "accuracy": 0.1})
        assert shown.status.plain.startswith("A-tiny · c · seed 0 · fold 1 of 2 and 2 more · epoch 1/2")
        half = shown._bars.tasks[0]
        assert half.completed == pytest.approx(1.5)
