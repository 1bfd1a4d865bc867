"""The static site: what it says, that all of it leads somewhere, and that the same results give the same bytes."""

import dataclasses
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from page_reader import Page
from simulated_results import simulated

from kmodels import site
from kmodels.__main__ import run_command
from kmodels.data.labels import labels_of
from kmodels.recipes import LENET_A
from kmodels.report import observation_plots, plots
from kmodels.results.predictions import Predictions
from kmodels.results.runs import write_run
from kmodels.site.classes import class_scores
from kmodels.site.evidence import changes, evidence, settings
from kmodels.site.publishing import publish_site, readme_results, stored_evidence
from kmodels.site.readme import BEGIN, END
from kmodels.site.rows import report_rows, shortened
from kmodels.spec.claims import Claim, Reported, Row
from kmodels.spec.declarations import Script, load_scripts
from kmodels.spec.experiment import Experiment, Split, grid

ROOT = Path(__file__).resolve().parents[1]
SCRIPTS = load_scripts(ROOT / "experiments")
DROPOUT = [script for script in SCRIPTS if script.name == "ablation_dropout"]
HOSTILE = """<script>alert("1")</script> & '"><img src=x onerror=alert(2)> {{ 7 * 7 }} {% raw %}"""


def labels(name):
    found = labels_of(name)
    return site.Labels(found.digest, found.test, tuple(map(str, range(found.num_classes))))


def read(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()
    }


def parsed(folder):
    return {name: Page(content.decode()) for name, content in read(folder).items() if name.endswith(".html")}


def read_page(folder, name):
    return Page((folder / name).read_text(encoding="utf-8"))


def build(folder, *, scripts=SCRIPTS, runs=(), results=None, drawn=(), **options):
    """Builds a site without drawing, which takes a second an experiment, but for the experiments named in `drawn`."""
    results = folder.parent / "results" if results is None else results
    render = plots.render

    def sparing(experiment, runs, **keys):
        if experiment.name in drawn:
            return render(experiment, runs, **keys)
        return {"svg": f"<svg xmlns='http://www.w3.org/2000/svg'><title>{experiment.name}</title></svg>\n".encode()}

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plots, "render", sparing)
        if not drawn:
            patch.setattr(observation_plots, "render", lambda name, experiment, runs, **keys: sparing(experiment, runs))
        return site.build_site(folder, scripts=scripts, results=results, runs=runs, **{"labels": labels, **options})


@pytest.fixture(scope="module")
def empty(tmp_path_factory):
    folder = tmp_path_factory.mktemp("empty") / "site"
    build(folder)
    return folder


@pytest.fixture(scope="module")
def full(tmp_path_factory):
    """The site as if everything had run, the runs, and what they say."""
    folder = tmp_path_factory.mktemp("full") / "site"
    runs = simulated(SCRIPTS)
    return folder, runs, build(folder, runs=runs, quick_runs=simulated(DROPOUT, seeds=1, quick=True))


@pytest.fixture(scope="module")
def full_pages(full):
    return parsed(full[0])


def tiny(name="A-tiny", question="Does it run?", **changes):
    base = LENET_A.change(epochs=2)
    return Experiment(
        **{
            "name": name,
            "question": question,
            "base": base,
            "cells": grid(dropout=[0.0, 0.5]),
            "rows": [Row("A-1.2", "dropout=0.0", Reported(0.98, 0.005))],
            "claims": [Claim(text="A: no dropout is best", best=["dropout=0.0", "dropout=0.5"])],
            **changes,
        }
    )


def script(*experiments, name="tiny", about="Does it run?"):
    return Script(Path("experiments") / f"{name}.py", about, experiments)


@pytest.mark.parametrize("state", ["empty", "full"])
def test_every_page_is_whole_and_every_link_leads_somewhere_in_the_site(state, request):
    folder = request.getfixturevalue(state)
    folder = folder if state == "empty" else folder[0]
    found = parsed(folder) if state == "empty" else request.getfixturevalue("full_pages")
    assert {"index.html", "models.html", "tuning.html", "experiments/ablation_dropout.html"} <= set(found)
    for name, page in found.items():
        for link in page.links:
            if link.startswith("data:,"):
                continue
            assert not link.startswith(("http:", "https:", "//", "file:", "/")), (name, link)
            path, _, anchor = link.partition("#")
            target = (folder / name).parent / path if path else folder / name
            if "/results/" in link:
                continue  # a run file, beside the site
            assert target.resolve().is_file(), (name, link)
            if anchor:
                assert anchor in found[target.resolve().relative_to(folder.resolve()).as_posix()].ids, (name, link)
        assert all(len(image["alt"]) > 40 for image in page.images)
        assert sum(tag == "h1" for tag, _ in page.tags) == 1


def test_no_page_asks_for_anything_outside_the_site(full):
    for name, content in read(full[0]).items():
        assert b"http://" not in content.replace(b"http://www.w3.org/", b"").replace(b"http://purl.org/", b"").replace(
            b"http://creativecommons.org/", b""
        ).replace(b"http://matplotlib", b""), name
        assert b"@import" not in content and b"url(http" not in content, name


def test_the_same_results_give_the_same_bytes_in_another_process_without_keras(full, tmp_path):
    (tmp_path / "experiments").mkdir()
    shutil.copy(ROOT / "experiments" / "ablation_skip_connections.py", tmp_path / "experiments")
    for run in [run for run in full[1] if run.experiment == "D-net"]:
        write_run(run, tmp_path / "results")
    folders = tmp_path / "experiments", tmp_path / "results"
    publish_site(*folders, tmp_path / "one")
    code = (
        "import sys\nfrom kmodels.__main__ import run_command\nassert run_command(sys.argv[1:]) == 0\n"
        "print(sorted({'keras', 'torch', 'tensorflow', 'jax'} & set(sys.modules)))"
    )
    words = ["report", "--experiments", str(folders[0]), "--results", str(folders[1]), "--out", str(tmp_path / "two")]
    command = [sys.executable, "-c", code, *words]
    done = subprocess.run(command, check=True, cwd=tmp_path, capture_output=True, text=True)
    assert done.stdout.splitlines()[-1] == "[]"
    assert read(tmp_path / "one") == read(tmp_path / "two")
    assert "figures/D-net.svg" in read(tmp_path / "one")
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "one").rglob("*")}
    publish_site(*folders, tmp_path / "one")
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "one").rglob("*")} == before


def test_where_nothing_has_run_the_pages_say_so_and_give_no_number(empty):
    pages = parsed(empty)
    front = [row for row in pages["index.html"].rows if len(row) == 6][1:]
    declared = [row for s in SCRIPTS for e in s.experiments for row in e.rows]
    assert len(front) == len(declared)
    assert {(row[4].partition(":")[0], row[5]) for row in front} == {("not run yet", "○ not run yet")}
    ids = {row.id for row in declared}
    assert f"0 of {len(ids)} rows have run" in pages["index.html"].words
    assert f"0 of {len(declared)} numbers" in pages["index.html"].words
    for name, page in pages.items():
        if name.startswith("experiments/"):
            assert page.images == []
            assert "± 0" not in page.words and "Hardware:" not in page.words


def test_the_front_page_has_every_row_with_its_own_numbers_and_verdict(full, full_pages):
    found = full[2]
    shown = [row for row in full_pages["index.html"].rows if len(row) == 6][1:]
    rows = report_rows(found)
    assert [row[0] for row in shown] == [row.id for row in rows]
    for entries, row in zip(shown, rows, strict=True):
        assert entries[1].startswith(row.line.cell)
        assert entries[3:] == [row.line.reported, row.line.ours, entries[5]]
        assert entries[5].endswith(row.line.word)
    assert {"reproduced", "cannot tell"} <= {row.line.word for row in rows}


def test_verdicts_are_counted_by_report(full, full_pages):
    totals = next(row for row in full_pages["index.html"].rows if row[:1] == ["all"])
    rows = report_rows(full[2])
    assert totals[-1] == str(len(rows))
    assert totals[1] == str(sum(row.line.word == "reproduced" for row in rows))


def test_every_run_that_counts_is_named_on_its_scripts_page(full, full_pages):
    for each in full[2]:
        words = full_pages[f"experiments/{each.script.name}.html"].words
        for part in each.parts:
            for run in (run for runs in part.counted.values() for run in runs):
                assert f"{run.experiment}/{run.key}.json" in words
            if part.counted:
                assert part.table.footnotes[-1].removeprefix("Made by: ") in words
            for row in {line.row.id for line in part.lines if line.row.id and line.estimate}:
                assert f"python -m kmodels verify {row}" in words
            assert all(line in words for line in part.experiment.assumptions)


def test_links_lead_to_run_files_where_results_lie_beside_the_site(tmp_path):
    runs = [run for run in simulated(SCRIPTS, seeds=1) if run.experiment == "D-net"]
    path = write_run(runs[0], tmp_path / "results")
    build(tmp_path / "site", runs=runs[:1])
    page = read_page(tmp_path / "site", "experiments/ablation_skip_connections.html")
    link = next(link for link in page.links if link.endswith(path.name))
    assert (tmp_path / "site" / "experiments" / link).resolve() == path.resolve()
    build(tmp_path / "deep" / "site", runs=runs[:1], results=tmp_path / "results")
    page = read_page(tmp_path / "deep" / "site", "experiments/ablation_skip_connections.html")
    assert not any(link.endswith(".json") for link in page.links)
    assert f"D-net/{path.name}" in page.words


def test_quick_runs_stand_apart_without_a_verdict_and_are_counted_nowhere(tmp_path):
    build(tmp_path / "site", quick_runs=simulated(DROPOUT, seeds=1, quick=True))
    page = read_page(tmp_path / "site", "experiments/ablation_dropout.html")
    front = read_page(tmp_path / "site", "index.html").words
    assert "Quick protocol" in page.words and "carries no verdict" in page.words
    part = page.words.split("Quick protocol Minutes")[1].split("Made by")[0]
    for word in ("reproduced", "confirmed", "refuted", "cannot tell"):
        assert word not in part
    assert "0 of" in front and "hours of training" not in front


def test_what_scripts_say_is_shown_and_never_obeyed(tmp_path):
    cells = {HOSTILE: {"dropout": 0.0}, "b": {"dropout": 0.5}}
    part = tiny(
        question=HOSTILE,
        cells=cells,
        rows=[Row(HOSTILE, HOSTILE, Reported(0.98, 0.005)), Row("A-2", "b")],
        claims=[Claim(text=HOSTILE, best=[HOSTILE, "b"])],
        assumptions=[HOSTILE],
    )
    hostile = script(part, name='a"b<i>', about=f"{HOSTILE}\n\n{HOSTILE}\n\n    {HOSTILE}\n")
    runs = [
        dataclasses.replace(run, device=HOSTILE, commit=HOSTILE, versions={HOSTILE: HOSTILE})
        for run in simulated([hostile])
    ]
    (tmp_path / "results" / "tuning" / "s").mkdir(parents=True)
    text = f"### {HOSTILE}\n\n| a | b |\n| --- | --- |\n| {HOSTILE} | x |\n\n- {HOSTILE}\n"
    (tmp_path / "results" / "tuning" / "s" / "table.md").write_text(text)
    build(tmp_path / "site", scripts=[hostile], runs=runs)
    plain = " ".join(HOSTILE.split())
    for name, page in parsed(tmp_path / "site").items():
        content = (tmp_path / "site" / name).read_text()
        assert "<script>alert" not in content and "<img src=x" not in content and "<i>" not in content, name
        assert not any("onerror" in found for _, found in page.tags), name
        assert sum(tag == "script" for tag, _ in page.tags) == 1
    pages = parsed(tmp_path / "site")
    assert plain in pages["index.html"].words
    assert pages['experiments/a"b<i>.html'].words.count(plain) >= 8
    assert plain in pages["tuning.html"].words


def test_an_earlier_site_is_made_new_and_anything_else_left_alone(tmp_path):
    one, other = script(tiny(), name="one"), script(tiny("A-other"), name="other")
    build(tmp_path / "site", scripts=[one, other])
    (tmp_path / "site" / "notes.txt").write_text("mine")
    build(tmp_path / "site", scripts=[one])
    names = set(read(tmp_path / "site"))
    assert "experiments/one.html" in names and "experiments/other.html" not in names and "notes.txt" in names
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "index.html").write_text("<p>mine</p>")
    with pytest.raises(ValueError, match="folder: expected a new folder or an earlier site"):
        build(tmp_path / "thesis", scripts=[one])
    assert read(tmp_path / "thesis") == {"index.html": b"<p>mine</p>"}


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


def test_class_by_class_stands_on_the_page_or_why_not(full_pages, tmp_path):
    page = full_pages["experiments/ablation_skip_connections.html"]
    assert "Confusion matrix: Net" in page.words and "taken for" in page.words
    run = next(run for run in simulated(SCRIPTS, seeds=1) if run.experiment == "D-net")
    build(tmp_path / "site", runs=[run], labels=lambda name: None)
    page = read_page(tmp_path / "site", "experiments/ablation_skip_connections.html")
    assert "its labels are not on the machine" in page.words and "Confusion matrix" not in page.words


def test_figures_beside_the_runs_are_shown_with_what_they_say_of_themselves(tmp_path):
    home = tmp_path / "results" / "A-tiny"
    home.mkdir(parents=True)
    words = "Gradient norms of five layers over ten epochs &amp; two seeds."
    (home / "A-tiny-gradients.svg").write_text(f"<svg><dc:description>{words}</dc:description></svg>\n")
    build(tmp_path / "site", scripts=[script(tiny())])
    (image,) = parsed(tmp_path / "site")["experiments/tiny.html"].images
    assert image["alt"] == "Gradient norms of five layers over ten epochs & two seeds."
    assert (tmp_path / "site" / "figures" / "A-tiny-gradients.svg").is_file()


def test_what_runs_observed_is_drawn_where_the_stored_figure_is_of_other_runs(tmp_path):
    runs = [run for run in simulated(SCRIPTS, seeds=1) if run.experiment == "D-gradients"]
    home = tmp_path / "results" / "D-gradients"
    home.mkdir(parents=True)
    (home / "D-gradients-size.svg").write_text("<svg>of other runs</svg>\n")
    build(tmp_path / "site", runs=runs)
    shown = {path.name: path.read_text() for path in (tmp_path / "site" / "figures").glob("D-gradients-*.svg")}
    assert sorted(shown) == [f"D-gradients-{name}.svg" for name in ("gates", "gradient-norms", "size")]
    assert not any("of other runs" in text for text in shown.values())


def test_a_run_that_lacks_what_a_row_needs_is_shown_all_the_same(tmp_path):
    base = LENET_A.change(epochs=2, split=Split(kind="holdout", validation_fraction=0.1))
    part = tiny(base=base, rows=[Row("A-1.2", "dropout=0.0", measure="test_ece")], claims=[])
    runs = simulated([script(part)], seeds=1)
    older = [dataclasses.replace(run, scores={k: v for k, v in run.scores.items() if k != "test_ece"}) for run in runs]
    build(tmp_path / "site", scripts=[script(part)], runs=older)
    page = read_page(tmp_path / "site", "experiments/tiny.html")
    assert any("not kept" in row and "Example CPU" in row for row in page.rows)


def test_ids_in_a_row_are_shortened():
    assert shortened(["E-T9", "E-T10", "E-T11", "E-L2"]) == "E-L2, E-T9 … E-T11"
    assert shortened(["A-1.2", "A-1.1"]) == "A-1.1, A-1.2"
    assert shortened([]) == ""


def test_readmes_results_are_those_of_the_stored_runs():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    block = readme_results(ROOT / "experiments", ROOT / "results")
    assert site.with_block(text, block) == text, "stale: python -m kmodels report --readme README.md"


def test_no_script_says_that_nothing_has_been_run_when_something_has():
    for each in stored_evidence(ROOT / "experiments", ROOT / "results"):
        if any(line.estimate for part in each.parts for line in part.lines):
            assert "not been run yet" not in each.script.about, each.script.path


def test_readme_lists_what_has_run_and_counts_the_rest(full):
    block = site.readme_block(evidence(SCRIPTS, []))
    declared = {row.id for s in SCRIPTS for e in s.experiments for row in e.rows}
    assert f"**0 of {len(declared)} rows** have run" in block
    assert "| row | cell |" not in block and "none has been asked yet" in block
    _, _, found = full
    block = site.readme_block(found)
    for row in report_rows(found):
        if row.line.row.reported is not None:
            assert row.has_run and f"| {row.id} | " in block and f" | {row.line.ours} | {row.line.word} |" in block
    assert "reproduced" in block.split("\n")[0]


def test_readmes_marks_are_needed_once_each():
    text = f"before\n{BEGIN}\nold\n{END}\nafter\n"
    again = site.with_block(text, "new")
    assert again == f"before\n{BEGIN}\n\nnew\n\n{END}\nafter\n"
    assert site.with_block(again, "new") == again
    for wrong in ("none", f"{BEGIN} only", f"{END} {BEGIN}", f"{text}{text}"):
        with pytest.raises(ValueError, match="readme: expected the marks"):
            site.with_block(wrong, "new")


def test_the_command_builds_and_says_what_is_wrong_in_one_line(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert run_command(["report", "--experiments", str(ROOT / "experiments")]) == 0
    assert capsys.readouterr().out == f"written: {Path('site') / 'index.html'}\n"
    assert run_command(["report"]) == 2
    assert capsys.readouterr().err.startswith("kmodels: folder: expected a folder of experiment scripts")
    readme = tmp_path / "README.md"
    assert run_command(["report", "--experiments", str(ROOT / "experiments"), "--readme", str(readme)]) == 1
    assert "README.md" in capsys.readouterr().err
    assert run_command(["report", "--out", "x", "--readme", str(readme)]) == 2
    assert "argument --readme: not allowed with argument --out" in capsys.readouterr().err
    readme.write_text(f"{BEGIN}\n{END}\n")
    assert run_command(["report", "--experiments", str(ROOT / "experiments"), "--readme", str(readme)]) == 0
    assert "rows** have run" in readme.read_text()


def test_a_damaged_run_is_named_left_as_it_is_and_not_counted(tmp_path, capsys):
    home = tmp_path / "results" / "D-net"
    home.mkdir(parents=True)
    (home / f"{'0' * 20}.json").write_text("{}")
    publish_site(ROOT / "experiments", tmp_path / "results", tmp_path / "site")
    assert f"not counted: {home / ('0' * 20)}.json" in capsys.readouterr().err
    assert [path.name for path in home.iterdir()] == [f"{'0' * 20}.json"]
