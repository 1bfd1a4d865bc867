"""The site of all scripts, with nothing run and with everything: whole, of one piece, the same bytes again."""

import shutil
import subprocess
import sys

import pytest

from kmodels.results.runs import write_run
from kmodels.site.publishing import publish_site
from kmodels.site.rows import report_rows
from tests.simulated_results import simulated
from tests.simulated_site import DROPOUT, ROOT, SCRIPTS, build, parsed, read, read_page


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
    declared = {
        (row.id, row.measure, repr(e.recipe(row.cell))) for s in SCRIPTS for e in s.experiments for row in e.rows
    }
    assert len(front) == len(declared)
    assert {(row[4].partition(":")[0], row[5]) for row in front} == {("not run yet", "○ not run yet")}
    ids = {row_id for row_id, _, _ in declared}
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
    shown = {row[0]: row[1:] for row in full_pages["index.html"].rows if len(row) == 7}
    rows = report_rows(full[2])
    assert shown["verdict"] == ["A", "B", "C", "D", "E", "all"]
    assert shown["all"][-1] == str(len(rows))
    assert shown["all"][0] == str(sum(row.report == "A" for row in rows))
    assert shown["✓ reproduced"][-1] == str(sum(row.line.word == "reproduced" for row in rows))


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


def test_class_by_class_stands_on_the_page_or_why_not(full_pages, tmp_path):
    page = full_pages["experiments/ablation_skip_connections.html"]
    assert "Confusion matrix: Net" in page.words and "taken for" in page.words
    run = next(run for run in simulated(SCRIPTS, seeds=1) if run.experiment == "D-net")
    build(tmp_path / "site", runs=[run], labels=lambda name: None)
    page = read_page(tmp_path / "site", "experiments/ablation_skip_connections.html")
    assert "its labels are not on the machine" in page.words and "Confusion matrix" not in page.words
