"""Searches on the site: tables read back from what was stored, figures, the CSV file, what has not run."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kmodels import site
from kmodels.report.tables import Table, to_markdown
from kmodels.site.studies import declared_studies, found_studies, read_tables
from tests.page_reader import Page

TEXT = st.text(max_size=12).map(lambda text: " ".join(text.split()))
TABLE = Table(
    "A-lenet: 2 trials",
    ("rank", "hyper-parameters", "accuracy (%)", "fold sd", "folds", "epochs", "s", "status"),
    (("1", "dropout=0.5, net=a|b", "98.71 ± 0.12", "0.20", "10", "10", "120", "completed"), ("–",) * 7 + ("failed",)),
    ("trial 1 failed: [no] <memory>", "Made by: python tuning/tune_lenet.py --protocol report"),
)
SVG = b"<svg xmlns='http://www.w3.org/2000/svg'></svg>\n"


@given(TEXT, st.lists(st.lists(TEXT, min_size=3, max_size=3).map(tuple), max_size=3), st.lists(TEXT, max_size=2))
def test_what_was_written_as_markdown_is_read_back(title, rows, notes):
    table = Table(title, ("a", "b (%)", "c"), tuple(rows), tuple(notes))
    text = "\n".join(map(to_markdown, (table, TABLE)))
    assert read_tables(text) == (table, TABLE)


def stored(results):
    home = results / "tuning" / "A-lenet"
    home.mkdir(parents=True)
    (home / "table.md").write_text(to_markdown(TABLE), encoding="utf-8")
    (home / "trials.csv").write_text("trial,rank\n0,1\n")
    (home / "trials.svg").write_bytes(SVG)
    return home


def test_a_study_shows_its_trials_figures_and_csv(tmp_path):
    stored(tmp_path / "results")
    site.build_site(tmp_path / "site", scripts=(), results=tmp_path / "results", runs=())
    page = Page((tmp_path / "site" / "tuning.html").read_text(encoding="utf-8"))
    for row in TABLE.rows:
        assert list(row) in page.rows
    assert all(note in page.words for note in TABLE.footnotes)
    assert "tuning/A-lenet.csv" in page.links
    assert (tmp_path / "site" / "tuning" / "A-lenet.csv").read_text() == "trial,rank\n0,1\n"
    assert (tmp_path / "site" / "figures" / "tuning-A-lenet-trials.svg").read_bytes() == SVG
    assert page.images[0]["alt"].startswith("A-lenet: Score of each trial")
    assert "not finished" not in page.words


def test_a_search_that_is_going_on_is_shown_as_such(tmp_path):
    home = tmp_path / "tuning" / "B-vgg"
    home.mkdir(parents=True)
    metrics = {"val_accuracy": {"observations": [{"value": [0.5]}]}}
    trial = {
        "trial_id": "0",
        "status": "COMPLETED",
        "metrics": {"metrics": metrics},
        "hyperparameters": {"values": {"dropout": 0.5}},
        "message": None,
    }
    state = {"objective": "val_accuracy", "direction": "max", "trials": {"0": trial}}
    (home / "oracle.json").write_text(json.dumps(state))
    (tmp_path / "tuning" / "empty").mkdir()
    (study,) = found_studies(tmp_path)
    assert (study.name, study.finished, study.csv) == ("B-vgg", False, None)
    assert study.tables[0].rows[0][:3] == ("1", "dropout=0.5", "50.00")


def test_studies_that_have_not_run_are_named_with_their_command(tmp_path):
    (tmp_path / "tuning").mkdir()
    text = '"""Which rate?  Row B-1.\n\nMore."""\nfrom x import Study\nSTUDY = Study(name="B-vgg", question="?")\n'
    (tmp_path / "tuning" / "tune_vgg.py").write_text(text)
    (tmp_path / "tuning" / "notes.py").write_text("x = 1\n")
    (declared,) = declared_studies(tmp_path / "tuning")
    assert (declared.name, declared.question) == ("B-vgg", "Which rate?  Row B-1.")
    assert declared_studies(tmp_path / "nowhere") == ()
    site.build_site(tmp_path / "site", scripts=(), results=tmp_path, runs=(), declared=[declared])
    page = Page((tmp_path / "site" / "tuning.html").read_text(encoding="utf-8"))
    assert ["B-vgg", "Which rate?", "python tuning/tune_vgg.py --protocol report"] in page.rows


def test_a_script_that_is_no_python_is_named(tmp_path):
    (tmp_path / "tune_x.py").write_text("Study(name=")
    with pytest.raises(ValueError, match=r"tune_x\.py: expected a script of studies"):
        declared_studies(tmp_path)
