"""What a search shows: table, CSV, figures, and the stages after it."""

import csv
import io
import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kmodels.crossval import validate
from kmodels.report.tables import to_markdown
from kmodels.tuner import compare_best, to_csv, to_terminal, train_winner, trial_table, write_search_figures
from kmodels.tuner import stages as tuner_stages
from kmodels.tuner.trials import Search, SearchFailed, TrialResult
from tests.tuner_search import digits, make, pretend_build, pretend_train, run


def trial(number, mean=None, **changes):
    status = "completed" if mean is not None else "failed"
    values = {} if mean is None else {(0, 0): mean - 0.01, (0, 1): mean + 0.01}
    fields = {"hyperparameters": {"rate": 10.0**-number, "net": "a, b"}, "values": values, "cause": "" if mean else "x"}
    return TrialResult(name=str(number), rank=None, status=status, mean=mean, **{**fields, **changes})


def search(*trials, direction="max", objective="val_accuracy"):
    from dataclasses import replace

    sign = -1 if direction == "max" else 1
    order = sorted((t for t in trials if t.mean is not None), key=lambda t: sign * t.mean)
    ranked = tuple(replace(t, rank=order.index(t) + 1 if t in order else None) for t in trials)
    return Search(name="lenet", objective=objective, direction=direction, trials=ranked)


def test_issues_183_and_453_a_search_is_a_table_and_a_csv_file():
    found = search(trial(0, 0.5), trial(1), trial(2, 0.9, sd=0.02, epochs=4, seconds=12.3))
    table = trial_table(found)
    assert [row[0] for row in table.rows] == ["1", "2", "–"]
    assert table.rows[0][1:5] == ("rate=0.01, net=a, b", "90.00 ± 2.00", "–", "2")
    assert table.rows[2][-1] == "failed" and any("trial 1 failed: x" in note for note in table.footnotes)
    assert "| 1 | rate=0.01, net=a, b | 90.00 ± 2.00 |" in to_markdown(table)
    lines = list(csv.DictReader(io.StringIO(to_csv(found))))
    assert [line["trial"] for line in lines] == ["0", "1", "2"]
    assert float(lines[2]["mean"]) == 0.9 and lines[2]["net"] == "a, b" and lines[1]["mean"] == ""
    assert float(lines[0]["seed0_fold1"]) == 0.51 and lines[1]["cause"] == "x"


def test_a_table_says_of_what_its_scores_are():
    def said(*trials):
        return " ".join(trial_table(search(*trials)).footnotes)

    held_out = said(trial(0, 0.5, values={(0, 0): 0.5}), trial(1))
    assert "one held-out part and one seed" in held_out and "mean of folds" not in held_out
    assert "fold sd: none" in held_out
    assert "mean of folds" in said(trial(0, 0.5)) and "how much the parts differ" in said(trial(0, 0.5))
    assert "one held-out part" not in said(trial(1))


def test_in_a_terminal_of_80_columns_every_number_is_whole():
    from rich.console import Console

    hyperparameters = {"batch_size": 512, "learning_rate": 0.0005, "dropout": 0.2, "optimizer": "nadam"}
    found = search(trial(0, 0.87654, sd=0.0123, fold_sd=0.0345, epochs=100, seconds=12345.0,
                         hyperparameters=hyperparameters))  # fmt: skip
    console = Console(width=80, file=io.StringIO())
    console.print(to_terminal(trial_table(found)))
    shown = console.file.getvalue()
    for entry in ("87.65 ± 1.23", "3.45", "100", "12345", "completed", "512", "0.0005", "0.2"):
        assert entry in shown
    words = "".join(shown.split())
    assert "optimizer=nadam" in words or all(part in words for part in ("optimizer", "nadam"))


@given(st.lists(st.one_of(st.none(), st.floats(0.01, 1)), min_size=1, max_size=6), st.sampled_from(["max", "min"]))
@settings(max_examples=40)
def test_every_trial_is_in_table_and_csv_and_the_best_is_first(means, direction):
    found = search(*(trial(n, mean) for n, mean in enumerate(means)), direction=direction, objective="loss")
    assert len(trial_table(found).rows) == len(means) == len(to_csv(found).splitlines()) - 1
    scored = [mean for mean in means if mean is not None]
    if scored:
        best = max(scored) if direction == "max" else min(scored)
        assert found.best()[0].mean == best
        assert trial_table(found).rows[0][2] == f"{best:.4f}"
    else:
        with pytest.raises(SearchFailed, match="trial 0"):
            found.check()


def test_figures_show_every_scored_trial_and_are_the_same_bytes_again(tmp_path):
    found = search(trial(0, 0.5), trial(1), trial(2, 0.9), trial(3, 0.7, hyperparameters={"net": "c"}))
    files = write_search_figures(found, tmp_path / "a")
    assert sorted(path.name for path in files) == [
        "hyperparameters.png", "hyperparameters.svg", "trials.png", "trials.svg"
    ]  # fmt: skip
    again = write_search_figures(found, tmp_path / "b")
    assert [path.read_bytes() for path in files] == [path.read_bytes() for path in again]
    from kmodels.tuner.plots import draw_hyperparameters, draw_trials

    rate, net = (axes for axes in draw_hyperparameters(found).axes if axes.get_visible())
    assert rate.get_xscale() == "log" and len(rate.lines[0].get_xdata()) == 2
    assert [label.get_text() for label in net.get_xticklabels()] == ["a, b", "c"]
    best_so_far = draw_trials(found).axes[0].lines[-1]
    assert list(best_so_far.get_ydata()) == [50, 90, 90]
    with pytest.raises(ValueError, match="a trial with a score"):
        draw_trials(search(trial(0)))


VALUES = {
    "rate": [0.0002, 0.0005, 0.001, 0.002, 0.005],
    "drawn": [0.000213, 0.0017, 0.0093, 0.00021, 0.005],
    "batch": [32, 64, 128, 256, 512],
    "momentum": [0.5, 0.51, 0.9, 0.905, 0.99],
    "same": [3, 3, 3, 3, 3],
    "net": ["a net with a long name", "another of them", "a third one of these", "b", "c"],
}


def test_hyperparameters_are_named_where_they_were_tried_and_no_label_overlaps():
    from kmodels.tuner.plots import draw_hyperparameters

    trials = [
        trial(n, 0.5 + n / 10, hyperparameters={name: values[n] for name, values in VALUES.items()}) for n in range(5)
    ]
    figure = draw_hyperparameters(search(*trials))
    figure.draw_without_rendering()
    legend = figure.legends[0].get_tightbbox()
    shown = {axes.get_xlabel(): axes for axes in figure.axes if axes.get_visible()}
    assert list(shown) == list(VALUES)
    for axes in shown.values():
        assert axes.get_ylabel() == "accuracy (%)" and axes.get_tightbbox().y0 >= legend.y1
        low, high = axes.get_xlim()
        ticks = zip(axes.get_xticks(), axes.get_xticklabels(), strict=True)
        labels = [label for place, label in ticks if low <= place <= high]
        boxes = [label.get_window_extent() for label in labels if not label.get_rotation()]
        assert labels and all(left.x1 < right.x0 for left, right in itertools.pairwise(boxes))
    for name in ("rate", "batch"):
        assert [float(label.get_text()) for label in shown[name].get_xticklabels()] == VALUES[name]


def test_trials_are_counted_in_whole_numbers_and_a_spread_is_claimed_only_where_there_is_one():
    from kmodels.tuner.plots import draw_trials

    def said(*trials):
        figure = draw_trials(search(*trials))
        figure.draw_without_rendering()
        [axes], [legend] = figure.axes, figure.legends
        assert all(place == round(place) for place in axes.get_xticks())
        assert legend.get_tightbbox().y1 <= axes.get_tightbbox().y0
        return legend.get_title().get_text()

    held_out = [trial(n, 0.5 + n / 100, values={(0, 0): 0.5}) for n in range(20)]
    assert "one seed" in said(*held_out) and "±" not in said(*held_out)
    folds = said(trial(0, 0.5, fold_sd=0.02), trial(1), trial(2, 0.6, fold_sd=0.03))
    assert "± 1 standard deviation over 2 folds" in folds and "1 trial" in folds
    seeds = {(seed, 0): 0.5 for seed in range(3)}
    assert "over 3 seeds" in said(trial(0, 0.5, sd=0.02, fold_sd=0.01, values=seeds))


def test_first_a_hold_out_then_k_folds_of_the_best_then_the_test_once(tmp_path, monkeypatch):
    x, y = digits()
    train, test = (x[:100], y[:100]), (x[100:], y[100:])
    tuner = make("RandomSearch", tmp_path, max_trials=3, folds=1)
    tuner.search(*train, epochs=2, batch_size=16, verbose=False)
    candidates = compare_best(tuner, *train, top=2, folds=3, seeds=2, epochs=2, batch_size=16)
    assert len(candidates) == 2 and candidates[0].found.mean >= candidates[1].found.mean
    assert {c.trial.rank for c in candidates} == {1, 2}
    assert candidates[0].found.seeds == (4, 5)  # the search had 3
    opened = []

    def open_test():
        opened.append(1)
        return test

    winner = train_winner(tuner, candidates[0], *train, open_test, epochs=2, batch_size=16)
    assert set(winner.test) == {4, 5} and all(0 <= value <= 1 for value in winner.test.values())
    assert train_winner(tuner, candidates[0], *train, open_test, epochs=2, batch_size=16) == winner
    assert opened == [1]
    with pytest.raises(ValueError, match="the one that the test was opened for"):
        train_winner(tuner, candidates[1], *train, open_test, epochs=2, batch_size=16)
    assert opened == [1]


def test_the_winner_learns_from_all_training_samples_and_from_no_other(tmp_path, monkeypatch):
    x, y = digits()
    monkeypatch.setattr(validate, "train_fold", pretend_train)
    tuner = make("GridSearch", tmp_path, build=pretend_build, folds=1)
    tuner.search(x[:100], y[:100], epochs=1, batch_size=16, verbose=False)
    [best] = compare_best(tuner, x[:100], y[:100], top=1, folds=2, epochs=1, batch_size=16)
    seen = []

    def spy(build, x, y, parts, training, **keys):
        seen.append((x, y, *parts))
        return pretend_train(build, x, y, parts, training, **keys)

    monkeypatch.setattr(tuner_stages, "train_fold", spy)
    train_winner(tuner, best, x[:100], y[:100], lambda: (x[100:], y[100:]), epochs=1, batch_size=16)
    [(used_x, used_y, train, held)] = seen
    assert train.tolist() == list(range(100)) and held.tolist() == list(range(100, 120))
    np.testing.assert_array_equal(used_x, x)
    np.testing.assert_array_equal(used_y, y)


def test_a_tensorboard_log_a_fold(tmp_path):
    pytest.importorskip("tensorboard")
    x, y = digits()
    tuner = make("RandomSearch", tmp_path, max_trials=1)
    tuner.search(x, y, epochs=1, batch_size=16, tensorboard=tmp_path / "logs", verbose=False)
    assert {path.name for path in (tmp_path / "logs" / "trial_0").iterdir()} == {"seed3_fold0", "seed3_fold1"}


def test_results_can_be_read_while_nothing_of_keras_tuner_is_loaded(tmp_path):
    import subprocess
    import sys

    run("RandomSearch", tmp_path, max_trials=1)
    code = (
        "import sys; from kmodels.tuner.trials import read_search; from kmodels.tuner.table import to_csv; "
        f"print(to_csv(read_search({str(tmp_path / 'RandomSearch')!r})).count('completed'), 'keras' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["1", "False"]
