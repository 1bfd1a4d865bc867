"""Figures of what was observed: what they show, that they repeat, and that they say it in words too."""

import dataclasses
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import numpy as np
import pytest

from kmodels.report.observation_plots import FIGURES, alt_text, draw, render, write_observation_figures
from kmodels.spec.claims import Claim
from kmodels.spec.experiment import Experiment, Recipe, Split
from tests.simulated_runs import run

CELLS = ("ResNet, 14 layers", "without shortcuts, 14 layers", "SE-ResNet")
EXPERIMENT = Experiment(
    name="D-gradients",
    question="Where do gradients go?",
    base=Recipe(model="m", dataset="cifar10", split=Split(kind="test"), epochs=3, batch_size=8, learning_rate=0.1),
    cells={cell: {"epochs": k + 1} for k, cell in enumerate((*CELLS, "not run"))},
)


def norms(slope, layers=6, probes=4, factor=1.0):
    table = factor * 10.0 ** (slope * np.arange(layers)[None] - 0.1 * np.arange(probes)[:, None])
    table = np.insert(table, 2, 1000.0, axis=1)  # a shortcut, which the figure leaves out
    sizes = [3, 3, 1, *[3] * (layers - 3), 0]
    return {"layers": [f"l{k}" for k in range(layers + 1)], "kernel_sizes": sizes, "norms": table.tolist()}


GATES = {
    "blocks": ["stage1_se", "stage2_se"],
    "mean": [[0.5 + 0.01 * k for k in range(10)], [0.3 + 0.04 * k for k in range(10)]],
    "sd": [[0.02] * 10, [0.05] * 10],
    "between_classes": [0.03, 0.12],
    "within_classes": [0.05, 0.06],
}


def observed(cell, seed, **observations):
    return dataclasses.replace(run(cell, seed, validation_accuracy=0.7 + 0.01 * seed), observations=observations)


SIZE = {"parameters": 175_258, "macs": 27_000_000}
RUNS = {
    CELLS[0]: {(s, 0): observed(CELLS[0], s, gradient_norms=norms(0.1, factor=10.0**s), size=SIZE) for s in (0, 2)},
    CELLS[1]: {(0, 0): observed(CELLS[1], 0, gradient_norms=norms(0.5), size={**SIZE, "macs": 10_000_000})},
    CELLS[2]: {(0, 0): observed(CELLS[2], 0, gates=GATES)},
}


def test_a_cell_that_no_report_has_is_marked():
    ours = dataclasses.replace(EXPERIMENT, cells={CELLS[0]: {}}, repaired={CELLS[1]: {"epochs": 2}, CELLS[2]: {}})
    axes = [one for one in draw("gradient_norms", ours, RUNS).axes if one.get_visible()]
    assert [one.get_title() for one in axes] == [f"{CELLS[0]}, 2 runs", f"{CELLS[1]} (added), 1 run"]
    assert f"{CELLS[2]} (added), 1 run: " in alt_text("gates", ours, RUNS)


def test_gradients_are_drawn_layer_by_layer_as_geometric_means():
    axes = [one for one in draw("gradient_norms", EXPERIMENT, RUNS).axes if one.get_visible()]
    assert [one.get_title() for one in axes] == [f"{CELLS[0]}, 2 runs", f"{CELLS[1]}, 1 run"]
    first = axes[0].lines[0]
    assert first.get_label() == "before the training"
    assert axes[0].lines[-1].get_label() == "after epoch 3"
    # factors of 1 and 100 are 10 together; the shortcut is not there
    np.testing.assert_allclose(first.get_ydata(), 10 * 10.0 ** (0.1 * np.arange(6)))
    assert all(one.get_yscale() == "log" for one in axes)
    assert len({(line.get_color(), line.get_linestyle()) for line in axes[0].lines}) == 4


def test_of_many_epochs_a_few_are_drawn_the_first_and_the_last_among_them():
    runs = {CELLS[0]: {(0, 0): observed(CELLS[0], 0, gradient_norms=norms(0.1, probes=21))}}
    labels = [line.get_label() for line in draw("gradient_norms", EXPERIMENT, runs).axes[0].lines]
    assert len(labels) == 6
    assert (labels[0], labels[-1]) == ("before the training", "after epoch 20")


def test_a_gradient_of_zero_or_of_no_number_leaves_a_gap():
    broken = norms(0.1)
    broken["norms"][0][0], broken["norms"][0][1] = 0.0, None
    runs = {CELLS[0]: {(0, 0): observed(CELLS[0], 0, gradient_norms=broken)}}
    drawn = draw("gradient_norms", EXPERIMENT, runs).axes[0].lines[0].get_ydata()
    assert np.isnan(drawn[:2]).all() and np.isfinite(drawn[2:]).all()
    render("gradient_norms", EXPERIMENT, runs)


def test_gates_are_drawn_by_class_and_their_spreads_by_block():
    figure = draw("gates", EXPERIMENT, RUNS, class_names=[f"class {k}" for k in range(10)])
    by_class, by_block = figure.subfigs[0].axes
    assert [label.get_text() for label in by_class.get_xticklabels()] == [f"class {k}" for k in range(10)]
    assert [line.get_ydata()[0] for line in by_class.lines[:2]] == pytest.approx([0.5, 0.3])
    assert sorted(round(bar.get_width(), 2) for bar in by_block.patches) == [0.03, 0.05, 0.06, 0.12]
    numbered = draw("gates", EXPERIMENT, RUNS).subfigs[0].axes[0]
    assert [label.get_text() for label in numbered.get_xticklabels()] == [str(k) for k in range(10)]


def test_size_is_drawn_against_the_mean_accuracy():
    parameters, macs = draw("size", EXPERIMENT, RUNS).axes
    assert [float(one.lines[0].get_ydata()[0]) for one in parameters.containers] == pytest.approx([71.0, 70.0])
    assert [float(one.lines[0].get_xdata()[0]) for one in macs.containers] == [27e6, 10e6]


def test_a_spread_is_claimed_only_where_there_is_one():
    def said(runs):
        return " ".join(draw("size", EXPERIMENT, runs).legends[0].get_title().get_text().split())

    both = said(RUNS)
    assert "± 1 standard deviation over these runs" in both and "a cell with 1 run has none" in both
    one = said({CELLS[1]: RUNS[CELLS[1]]})
    assert "one seed" in one and "±" not in one and "deviation" not in one
    assert "has none" not in said({CELLS[0]: RUNS[CELLS[0]]})


@pytest.mark.parametrize("name", FIGURES)
def test_nothing_overlaps_the_edge(name):
    figure = draw(name, EXPERIMENT, RUNS)
    figure.draw_without_rendering()
    shown = [axes for axes in figure.axes if axes.get_visible()]
    boxes = [axes.get_tightbbox() for axes in shown]
    for box in boxes:
        assert box.x0 >= -1 and box.y0 >= -1 and box.x1 <= figure.bbox.width + 1 and box.y1 <= figure.bbox.height + 1
    assert not any(box.overlaps(other) for k, box in enumerate(boxes) for other in boxes[k + 1 :])


@pytest.mark.parametrize("name", FIGURES)
def test_the_figure_is_told_in_words_inside_the_file(name):
    words = alt_text(name, EXPERIMENT, RUNS)
    assert words.startswith("D-gradients: ")
    assert ("ResNet, 14 layers, 2 runs: " in words) == (name != "gates")
    assert "not run" not in words
    root = ElementTree.fromstring(render(name, EXPERIMENT, RUNS)["svg"])
    assert words in "".join(root.itertext())


def test_the_same_runs_give_the_same_bytes_in_another_process(tmp_path):
    script = (
        "import sys, pathlib; sys.path.insert(0, sys.argv[1]); from tests.test_observation_plots import *\n"
        "write_observation_figures(EXPERIMENT, RUNS, pathlib.Path(sys.argv[2]))\n"
        "assert 'matplotlib.pyplot' not in sys.modules\n"
        "assert not {'keras', 'torch'} & set(sys.modules)"
    )
    root = str(Path(__file__).resolve().parents[1])
    (tmp_path / "matplotlibrc").write_text("font.size: 30\naxes.facecolor: red\n")
    subprocess.run([sys.executable, "-c", script, root, str(tmp_path)], check=True, cwd=tmp_path)
    for name in FIGURES:
        for kind, content in render(name, EXPERIMENT, RUNS).items():
            assert (tmp_path / f"D-gradients-{name.replace('_', '-')}.{kind}").read_bytes() == content


def test_files_are_drawn_once_and_go_with_their_runs(tmp_path):
    written = write_observation_figures(EXPERIMENT, RUNS, tmp_path)
    assert len(written) == 6 and all(path.exists() for path in written)
    times = [path.stat().st_mtime_ns for path in written]
    assert write_observation_figures(EXPERIMENT, RUNS, tmp_path) == written
    assert [path.stat().st_mtime_ns for path in written] == times
    without = {CELLS[2]: RUNS[CELLS[2]]}
    assert [path.name for path in write_observation_figures(EXPERIMENT, without, tmp_path)] == [
        "D-gradients-gates.svg",
        "D-gradients-gates.png",
    ]
    assert len(list(tmp_path.iterdir())) == 2
    assert write_observation_figures(EXPERIMENT, {}, tmp_path) == []


def test_accuracy_is_not_drawn_against_size_where_only_sizes_are_asked_for(tmp_path):
    claim = Claim(text="D: more", measure="macs", best=list(CELLS[:2]))
    counts = dataclasses.replace(EXPERIMENT, claims=[claim])
    names = {path.name for path in write_observation_figures(counts, RUNS, tmp_path)}
    assert names and not any("size" in name for name in names)
