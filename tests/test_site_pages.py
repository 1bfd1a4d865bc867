"""What pages show of scripts and runs of all kinds: apart, escaped, with their figures, and with what is missing."""

import dataclasses

from kmodels.recipes import LENET_A
from kmodels.results.runs import write_run
from kmodels.spec.claims import Claim, Reported, Row
from kmodels.spec.experiment import Split
from tests.simulated_results import simulated
from tests.simulated_site import DROPOUT, SCRIPTS, build, parsed, read_page, script, tiny

HOSTILE = """<script>alert("1")</script> & '"><img src=x onerror=alert(2)> {{ 7 * 7 }} {% raw %}"""


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


def test_accuracy_on_the_test_images_is_nowhere_called_validation_accuracy(tmp_path):
    base = LENET_A.change(epochs=2, split=Split(kind="holdout", validation_fraction=0.1))
    part = tiny(base=base, repaired={"refit": {"split": Split(kind="test")}})
    runs = simulated([script(part)], seeds=1)
    build(tmp_path / "site", scripts=[script(part)], runs=runs)
    page = read_page(tmp_path / "site", "experiments/tiny.html")
    refit = next(run for run in runs if run.cell == "refit")
    accuracy = f"{100 * refit.scores['validation_accuracy']:.2f}"
    (line,) = (row for row in page.rows if row[:2] == ["–", "refit (added)"])
    assert line[2] == "test accuracy (%)" and line[4] == f"{accuracy} (1)"
    whole = {row[0]: row[1:] for row in page.rows if len(row) == 4}
    assert whole["validation accuracy (%)"][2] == whole["validation loss"][2] == "–"
    assert whole["test accuracy (%)"][2] == f"{accuracy} (1)" and whole["test loss"][:2] == ["–", "–"]
    (heading,) = (row for row in page.rows if row[-1:] == ["run file"])
    (run,) = (row for row in page.rows if row[0] == "refit (added)" and refit.key in row[-1])
    told = dict(zip(heading, run, strict=True))
    assert (told["validation accuracy"], told["test accuracy"]) == ("–", accuracy)


def test_one_row_is_not_called_rows(tmp_path):
    two = tiny(rows=[Row("A-1.2", "dropout=0.0"), Row("A-1.3", "dropout=0.5")])
    build(tmp_path / "site", scripts=[script(tiny(), name="one"), script(two, name="two")])
    assert " Row A-1.2 " in read_page(tmp_path / "site", "experiments/one.html").words
    assert " Rows A-1.2, A-1.3 " in read_page(tmp_path / "site", "experiments/two.html").words


def test_a_cell_that_no_report_has_is_marked_wherever_it_stands(tmp_path):
    part = tiny(repaired={"mended": {"head": "softmax"}})
    build(tmp_path / "site", scripts=[script(part)], runs=simulated([script(part)], seeds=1))
    for name in ("experiments/tiny.html", "models/lenet.html"):
        page = read_page(tmp_path / "site", name)
        cells = [entry for row in page.rows for entry in row if "mended" in entry]
        assert cells and set(cells) == {"mended (added)"}
        assert "(added): not in the report" in page.words
    assert "marked “(added)” is not in the report" in read_page(tmp_path / "site", "index.html").words
    plain = tiny()
    build(tmp_path / "plain", scripts=[script(plain)])
    assert "(added)" not in read_page(tmp_path / "plain", "experiments/tiny.html").words


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
