"""What pages are made of, as values: differences between cells, confusion matrices, ids of rows."""

import dataclasses

import numpy as np

from kmodels import site
from kmodels.recipes import LENET_A
from kmodels.results.predictions import Predictions
from kmodels.site.classes import class_scores
from kmodels.site.evidence import changes, evidence, settings
from kmodels.site.rows import report_rows, shortened
from tests.simulated_results import simulated
from tests.simulated_site import SCRIPTS, script, tiny


def test_differences_are_named_setting_by_setting():
    base = LENET_A
    cell = base.change(dropout=0.5, epochs=3, head="logits")
    assert {(c.field, c.base, c.cell) for c in changes(base, cell)} == {
        ("dropout", "0.0", "0.5"),
        ("epochs", "15", "3"),
        ("head", "softmax", "logits"),
    }
    assert changes(base, base) == ()
    assert settings(base)["split.folds"] == "10" and settings(base)["train_images"] == "none"


def test_a_confusion_matrix_is_over_all_runs_of_a_cell():
    names = ("cat", "dog")
    right = site.Labels("d", np.array([0, 0, 1, 1]), names)
    run = simulated(SCRIPTS[:1], seeds=1)[0]
    said = [np.array([0, 1, 1, 1], "uint8"), np.array([0, 0, 0, 1], "uint8")]
    runs = [dataclasses.replace(run, data={"digest": "d"}, predictions=Predictions(classes)) for classes in said]
    found = class_scores(runs, right)
    assert (found.shares == [[75.0, 25.0], [25.0, 75.0]]).all()
    assert (found.per_class, found.runs, found.images) == ([75.0, 75.0], 2, 4)
    assert found.mistakes(1) == [("cat", "dog", 25.0)]
    other = dataclasses.replace(runs[0], data={"digest": "another"})
    assert class_scores([other, dataclasses.replace(run, predictions=None)], right) is None


def test_ids_in_a_row_are_shortened():
    assert shortened(["E-T9", "E-T10", "E-T11", "E-L2"]) == "E-L2, E-T9 … E-T11"
    assert shortened(["A-1.2", "A-1.1"]) == "A-1.1, A-1.2"
    assert shortened([]) == ""


def test_a_row_that_two_scripts_ask_about_is_listed_once():
    names = ("A-first", "A-second", "A-third")
    longer = {"cells": {"dropout=0.0": {"epochs": 3}}, "claims": []}
    parts = [tiny(names[0]), tiny(names[1]), tiny(names[2], **longer)]
    rows = report_rows(evidence([script(part, name=part.name) for part in parts], []))
    assert [(row.id, row.part.experiment.name) for row in rows] == [("A-1.2", names[0]), ("A-1.2", names[2])]
