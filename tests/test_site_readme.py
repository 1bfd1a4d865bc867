"""README's results: those of the stored runs, between marks that are there once."""

import pytest

from kmodels import site
from kmodels.site.evidence import evidence
from kmodels.site.publishing import readme_results, stored_evidence
from kmodels.site.readme import BEGIN, END
from kmodels.site.rows import report_rows
from tests.simulated_results import simulated
from tests.simulated_site import ROOT, SCRIPTS


def test_readmes_results_are_those_of_the_stored_runs():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    block = readme_results(ROOT / "experiments", ROOT / "results")
    assert site.with_block(text, block) == text, "stale: python -m kmodels report --readme README.md"


def test_no_script_says_that_nothing_has_been_run_when_something_has():
    for each in stored_evidence(ROOT / "experiments", ROOT / "results"):
        if any(line.estimate for part in each.parts for line in part.lines):
            assert "not been run yet" not in each.script.about, each.script.path


def test_readme_lists_what_has_run_and_counts_the_rest():
    block = site.readme_block(evidence(SCRIPTS, []))
    declared = {row.id for s in SCRIPTS for e in s.experiments for row in e.rows}
    assert f"**0 of {len(declared)} rows** have run" in block
    assert "| row | cell |" not in block and "none has been asked yet" in block
    found = evidence(SCRIPTS, simulated(SCRIPTS))
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
