"""What is committed: every run is what it says, the labels kept for checking are the data sets', and all is small."""

import dataclasses
import re
import shutil
import subprocess
import sys
from pathlib import Path

import matplotlib
import numpy as np
import pytest

from kmodels.data.catalog import CATALOG
from kmodels.data.errors import DataDamaged
from kmodels.data.labels import KEPT, labels_of
from kmodels.results.weights import LARGEST, read_weights
from kmodels.spec.declarations import load_scripts
from kmodels.verification.rows import read_results, verify_all

ROOT = Path(__file__).resolve().parents[1]
SCRIPTS = load_scripts(ROOT / "experiments")


def committed(script):
    """Files of a script's experiments that git knows."""
    folders = [f"results/{experiment.name}" for experiment in script.experiments]
    listed = subprocess.run(["git", "ls-files", *folders], cwd=ROOT, capture_output=True, text=True, check=True)
    return [ROOT / line for line in listed.stdout.splitlines()]


def read(path):
    return path.read_text(encoding="utf-8")


def test_every_committed_run_is_what_it_says():
    listed = subprocess.run(["git", "ls-files", "results"], cwd=ROOT, capture_output=True, text=True, check=True)
    committed = {ROOT / line for line in listed.stdout.splitlines()}
    stored = read_results(ROOT / "results")
    runs = {path: run for path, run in stored.runs.items() if path in committed}
    found = verify_all(dataclasses.replace(stored, runs=runs))
    assert found.differences == ()
    assert found.runs == len(runs)


@pytest.mark.parametrize("script", [s for s in SCRIPTS if committed(s)], ids=lambda script: script.name)
def test_committed_tables_and_figures_are_those_of_the_committed_runs(script, tmp_path):
    kept = committed(script)
    for path in [path for other in SCRIPTS for path in committed(other)]:  # scripts share runs
        if path.suffix in (".json", ".npz"):
            (tmp_path / path.parent.name).mkdir(exist_ok=True)
            shutil.copy(path, tmp_path / path.parent.name)
    command = [sys.executable, str(script.path), "--report", "--protocol", "report", "--out", str(tmp_path)]
    subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    names = {experiment.name for experiment in script.experiments}
    found = {path for path in tmp_path.rglob("*") if path.is_file() and path.parent.name in names}
    made = {f"{path.parent.name}/{path.name}" for path in found if path.suffix != ".png"}  # made beside, not tracked
    assert made == {f"{path.parent.name}/{path.name}" for path in kept}
    for path in kept:
        again = tmp_path / path.parent.name / path.name
        if path.suffix == ".svg":
            assert re.search("kmodels-inputs:[0-9a-f]+", read(again))[0] in read(path), path.name
        drawn_here = path.suffix == ".svg" and f"<dc:title>Matplotlib {matplotlib.__version__}</dc:title>" in read(path)
        if path.suffix == ".md" or drawn_here:  # another Matplotlib may draw the same figure in other words
            assert read(again) == read(path), path.name


def test_all_tracked_files_together_stay_below_20_megabytes():
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True)
    sizes = [(ROOT / name).stat().st_size for name in listed.stdout.split("\0") if name and (ROOT / name).exists()]
    assert len(sizes) > 100
    assert sum(sizes) < 20e6


def test_weights_of_small_networks_are_committed():
    """Of a cell that a row names; of others there is room for some."""
    experiments = [experiment for script in SCRIPTS for experiment in script.experiments]
    of_rows = {(experiment.name, row.cell) for experiment in experiments for row in experiment.rows}
    stored, held = read_results(ROOT / "results"), 0
    for path, run in stored.runs.items():
        if run.weights is not None and run.weights.file:
            held += (run.experiment, run.cell) in of_rows
            assert len(read_weights(path.with_name(run.weights.file), run.weights)) > 3
        elif run.weights is not None:
            assert run.weights.size > LARGEST or (run.experiment, run.cell) not in of_rows, path
    assert held > 15


def test_kept_labels_are_those_that_the_keys_of_runs_are_about():
    for name in KEPT:
        labels, facts = labels_of(name), CATALOG[name]
        assert (labels.digest, labels.num_classes) == (facts.digest, len(facts.class_names))
        assert (len(labels.train), len(labels.test)) == (facts.train_images, facts.test_images)
    assert np.bincount(labels_of("cifar10").test).tolist() == [1000] * 10
    assert labels_of("digits").test.shape == (297,)


def test_labels_that_were_changed_are_found_out(monkeypatch):
    monkeypatch.setitem(KEPT, "mnist", KEPT["cifar10"])
    with pytest.raises(DataDamaged, match=r"mnist\.npz: expected the labels of mnist, sha256 3edb456524"):
        labels_of.__wrapped__("mnist")


@pytest.mark.network
@pytest.mark.slow
@pytest.mark.parametrize("name", ["mnist", "cifar10"])
def test_kept_labels_are_those_of_the_images(name):
    from kmodels import data

    try:
        dataset = data.load(name, report=lambda line: None)
    except data.DataUnavailable as error:
        pytest.skip(f"{name} is out of reach: {error}")
    labels, (_, test) = labels_of(name), dataset.open_test("to compare labels", log=lambda line: None)
    assert labels.digest == dataset.digest
    np.testing.assert_array_equal(labels.train, dataset.y_train)
    np.testing.assert_array_equal(labels.test, test)
