import dataclasses
import itertools
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import numpy as np
import pytest

from kmodels.report.plots import PANELS, alt_text, average, draw, fingerprint, render, write_figures
from kmodels.spec.claims import Claim, Row
from kmodels.spec.recipe import Split
from tests.simulated_runs import EXPERIMENT, run, seeds

ZERO, FIFTH, HALF, ADDED = EXPERIMENT.all_cells()
RUNS = {ZERO: seeds([[0.9, 0.92], [0.91, 0.93]]), ADDED: seeds([0.8], ADDED)}


def test_the_band_is_one_standard_deviation_over_all_runs():
    curve = average(RUNS[ZERO], "val_accuracy", 2)
    assert curve.runs == 4
    assert curve.mean[-1] == pytest.approx(0.915)
    assert curve.sd[-1] == pytest.approx(np.std([0.9, 0.92, 0.91, 0.93], ddof=1))
    assert average(RUNS[ZERO], "val_accuracy", 1).runs == 2


def test_one_run_has_no_band_and_none_no_curve():
    assert average(RUNS[ADDED], "loss", 1).sd is None
    assert average({}, "loss", 1) is None
    assert average(RUNS[ZERO], "learning_rate", 1) is None


def test_a_line_ends_with_the_shortest_run():
    runs = {(0, 0): run(epochs=5), (1, 0): run(seed=1, epochs=3)}
    assert len(average(runs, "loss", 1).mean) == 3


def test_the_figure_shows_each_cell_that_has_run_in_its_units():
    figure = draw(EXPERIMENT, RUNS, folds=2, note="quick protocol")
    assert [axes.get_title() for axes in figure.axes] == [title for title, _ in PANELS.values()]
    for axes in figure.axes:
        assert axes.get_xlabel() == "epoch"
        assert axes.get_ylabel() in ("cross-entropy (nats)", "accuracy (%)")
        assert [line.get_label() for line in axes.lines] == [f"{ZERO}, 4 runs", f"{ADDED} (added), 1 run"]
        assert len(axes.collections) == 1  # a band for the cell with several runs
    assert figure.axes[3].lines[0].get_ydata()[-1] == pytest.approx(91.5)
    assert "quick protocol" in figure.get_suptitle()
    legend = figure.legends[0]
    assert "± 1 standard deviation over these runs" in legend.get_title().get_text()


@pytest.mark.parametrize(
    ("tested", "expected"), [((ZERO, ADDED), "Test"), ((ADDED,), "Validation or test"), ((), "Validation")]
)
def test_where_the_test_images_validate_the_panels_say_so(tested, expected):
    on_test = {"split": Split(kind="test")}
    cells = {name: {**changes, **on_test} if name in tested else changes for name, changes in EXPERIMENT.cells.items()}
    added = {ADDED: {**EXPERIMENT.repaired[ADDED], **(on_test if ADDED in tested else {})}}
    experiment = dataclasses.replace(EXPERIMENT, cells=cells, repaired=added, rows=[], claims=[])
    titles = [axes.get_title() for axes in draw(experiment, RUNS, folds=2).axes]
    assert titles == ["Training loss", f"{expected} loss", "Training accuracy", f"{expected} accuracy"]
    words = alt_text(experiment, RUNS, folds=2)
    assert ("validation accuracy 80.00 %" in words) == (ADDED not in tested)
    assert ("test accuracy 80.00 %" in words) == (ADDED in tested)


def test_a_band_is_claimed_only_where_there_is_one():
    def said(*cells):
        figure = draw(EXPERIMENT, {cell: RUNS[cell] for cell in cells}, folds=2)
        return " ".join(figure.legends[0].get_title().get_text().split())

    assert "one seed" in said(ADDED) and "±" not in said(ADDED)
    assert "has none" not in said(ZERO)
    assert "± 1 standard deviation" in said(ZERO, ADDED) and "a cell with 1 run has none" in said(ZERO, ADDED)


@pytest.mark.parametrize("count", [1, 11, 30])
def test_panels_stay_tall_enough_to_read_whatever_the_number_of_cells(count):
    cells = {f"a cell with so long a name that a row has one, number {k}": {"epochs": k + 1} for k in range(count)}
    many = dataclasses.replace(EXPERIMENT, cells=cells, repaired={}, rows=(), claims=())
    figure = draw(many, {cell: seeds([0.9], cell) for cell in cells}, folds=1)
    figure.draw_without_rendering()
    for axes in figure.axes:
        box = axes.get_window_extent()
        assert 0.5 < box.height / box.width < 1
    legend = figure.legends[0].get_tightbbox()
    assert all(axes.get_tightbbox().y0 > legend.y1 for axes in figure.axes) and legend.y0 >= 0


@pytest.mark.parametrize("epochs", [1, 2, 30])
def test_epochs_are_counted_in_whole_numbers(epochs):
    figure = draw(EXPERIMENT, {ZERO: {(0, 0): run(epochs=epochs)}}, folds=1)
    figure.draw_without_rendering()
    assert all(place == round(place) for axes in figure.axes for place in axes.get_xticks())


def test_lines_differ_without_colour_and_beyond_the_palette():
    cells = {f"cell {k}": {"epochs": k + 1} for k in range(12)}
    many = dataclasses.replace(EXPERIMENT, cells=cells, repaired={}, rows=(), claims=())
    lines = draw(many, {cell: seeds([0.9], cell) for cell in cells}, folds=1).axes[0].lines
    assert len({(line.get_color(), line.get_linestyle()) for line in lines}) == 12
    assert all(a.get_linestyle() != b.get_linestyle() for a, b in itertools.pairwise(lines))


def test_nothing_overlaps():
    figure = draw(
        EXPERIMENT, RUNS, folds=2, note="a note that makes the title long enough to need a second line of text"
    )
    figure.draw_without_rendering()
    boxes = [axes.get_tightbbox() for axes in figure.axes]
    boxes += [figure.legends[0].get_tightbbox(), figure._suptitle.get_tightbbox()]
    for k, box in enumerate(boxes):
        assert box.x0 >= 0 and box.y0 >= 0 and box.x1 <= figure.bbox.width and box.y1 <= figure.bbox.height
        assert not any(box.overlaps(other) for other in boxes[k + 1 :])


def test_the_same_input_gives_the_same_bytes_in_another_process(tmp_path):
    script = (  # pyplot holds figures and settings for the whole process: a library must not touch it
        "import sys, pathlib; sys.path.insert(0, sys.argv[1]); from tests.test_plots import *\n"
        "write_figures(EXPERIMENT, RUNS, pathlib.Path(sys.argv[2]), folds=2)\n"
        "assert 'matplotlib.pyplot' not in sys.modules"
    )
    root = str(Path(__file__).resolve().parents[1])
    (tmp_path / "matplotlibrc").write_text("font.size: 30\naxes.facecolor: red\n")  # a user's taste must not matter
    subprocess.run([sys.executable, "-c", script, root, str(tmp_path)], check=True, cwd=tmp_path)
    files = render(EXPERIMENT, RUNS, folds=2)
    assert {kind: (tmp_path / f"A-dropout.{kind}").read_bytes() for kind in files} == files


def test_the_svg_is_xml_with_title_text_and_description_and_no_date():
    svg = render(EXPERIMENT, RUNS, folds=2)["svg"].decode()
    root = ElementTree.fromstring(svg)
    assert root.find("{http://www.w3.org/2000/svg}title").text.startswith("A-dropout")
    texts = {element.text for element in root.iter("{http://www.w3.org/2000/svg}text")}
    assert {"Training loss", "accuracy (%)", f"{ZERO}, 4 runs"} <= texts
    assert alt_text(EXPERIMENT, RUNS, folds=2) in "".join(root.itertext())
    assert "<dc:date>" not in svg


def test_the_alternative_text_tells_where_each_line_ends():
    text = alt_text(EXPERIMENT, RUNS, folds=2)
    assert f"{ZERO}, 4 runs: after epoch 5 training loss 0.1000" in text
    assert "validation accuracy 91.50 %" in text
    assert FIFTH not in text


def test_unchanged_figures_are_left_alone_and_changed_ones_are_not(tmp_path):
    paths = write_figures(EXPERIMENT, RUNS, tmp_path, folds=2)
    assert [path.name for path in paths] == ["A-dropout.svg", "A-dropout.png"]
    before = {path: (path.stat().st_ino, path.read_bytes()) for path in paths}
    write_figures(EXPERIMENT, RUNS, tmp_path, folds=2)
    assert {path: (path.stat().st_ino, path.read_bytes()) for path in paths} == before
    write_figures(EXPERIMENT, {**RUNS, FIFTH: seeds([0.7], FIFTH)}, tmp_path, folds=2)
    assert all(path.read_bytes() != before[path][1] for path in paths)


def test_cut_and_missing_files_are_drawn_again(tmp_path):
    svg, png = paths = write_figures(EXPERIMENT, RUNS, tmp_path, folds=2)
    whole = [path.read_bytes() for path in paths]
    svg.write_bytes(whole[0][:-20])
    write_figures(EXPERIMENT, RUNS, tmp_path, folds=2)
    assert svg.read_bytes() == whole[0]
    svg.unlink()
    png.write_bytes(whole[1][:-20])
    write_figures(EXPERIMENT, RUNS, tmp_path, folds=2)
    assert [path.read_bytes() for path in paths] == whole
    assert sorted(tmp_path.iterdir()) == sorted(paths)


def test_nothing_to_draw_removes_old_figures(tmp_path):
    for kind in ("svg", "png"):
        (tmp_path / f"A-dropout.{kind}").write_bytes(b"of an earlier time")
    assert write_figures(EXPERIMENT, {}, tmp_path, folds=2) == []
    assert list(tmp_path.iterdir()) == []


def test_the_fingerprint_sees_every_value_of_every_curve():
    seen = {fingerprint(EXPERIMENT, RUNS, folds=2), fingerprint(EXPERIMENT, RUNS, folds=2, note="quick protocol")}
    first = RUNS[ZERO][0, 0]
    for name in PANELS:
        for epoch in (0, 4):
            curve = list(first.curves[name])
            curve[epoch] += 1e-6
            changed = dataclasses.replace(first, curves={**first.curves, name: curve})
            seen.add(fingerprint(EXPERIMENT, {**RUNS, ZERO: {**RUNS[ZERO], (0, 0): changed}}, folds=2))
    assert len(seen) == 10


def test_drawing_leaves_matplotlibs_settings_alone():
    import matplotlib

    before = dict(matplotlib.rcParams)
    render(EXPERIMENT, RUNS, folds=2)
    assert dict(matplotlib.rcParams) == before


def test_what_only_counts_draws_no_curve_of_the_step_that_it_trains(tmp_path):
    claim = Claim(text="A: fewer", measure="parameters", best=[ZERO, FIFTH])
    counts = dataclasses.replace(EXPERIMENT, rows=[], claims=[claim])
    assert counts.only_counts and not EXPERIMENT.only_counts
    assert write_figures(counts, RUNS, tmp_path, folds=2) == []
    timed = dataclasses.replace(counts, rows=[Row("A-1", ZERO, measure="seconds")])
    assert len(write_figures(timed, RUNS, tmp_path, folds=2)) == 2
