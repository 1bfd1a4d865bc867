import dataclasses
import io
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from kmodels.report import document
from kmodels.report.tables import Table, to_markdown, to_rich
from kmodels.report.wording import number, ours, reported
from kmodels.spec.claims import MEASURES, Claim, Reported, Row
from kmodels.spec.experiment import Experiment, Split
from kmodels.stats.inference import Estimate
from tests.simulated_runs import EXPERIMENT, run, seeds

COMMAND = "python experiments/ablation_dropout.py --protocol report"
ZERO, FIFTH, HALF, ADDED = EXPERIMENT.all_cells()
RUNS = {
    ZERO: seeds([[0.981, 0.983], [0.982, 0.984], [0.983, 0.985]], ZERO),
    FIFTH: seeds([[0.971, 0.973], [0.9721, 0.9742], [0.973, 0.9752]], FIFTH),
    HALF: seeds([[0.951, 0.953], [0.9522, 0.954], [0.953, 0.9551]], HALF),
}


def table(runs=RUNS, experiment=EXPERIMENT, protocol="report", folds=2, **options):
    return document.table(experiment, runs, protocol=protocol, folds=folds, command=COMMAND, **options)


def lines(value, width=80):
    buffer = io.StringIO()
    Console(file=buffer, width=width, color_system=None).print(to_rich(value))
    return buffer.getvalue().splitlines()


def test_the_whole_table():
    value = table()
    assert value.title == "A-dropout: Dropout after LeNet's first dense layer"
    assert value.columns == ("row", "cell", "reported", "ours ± 95 % CI (n)", "sd over folds", "verdict")
    assert value.rows == (
        ("A-1", ZERO, "98.32", "98.30 ± 0.25 (3)", "0.14", "reproduced"),
        ("A-2", FIFTH, "n/r", "97.31 ± 0.26 (3)", "0.15", "not reported"),
        ("A-3", HALF, "≥ 80.00", "95.31 ± 0.25 (3)", "0.14", "reproduced"),
        ("–", f"{ADDED} (added)", "–", "not run yet", "", ""),
    )
    notes = "\n".join(value.footnotes)
    assert "Assumed, as the report does not say: MNIST comes to 32x32 by zero padding" in notes
    assert "Runs: 18 (3 seeds × 2 folds at most a cell), 18.0 min in total." in notes
    assert "Data: mnist from npz (54000 train / 6000 validation images)." in notes
    assert "Hardware: Example CPU, 2 threads, Keras' own step." in notes
    assert "Software: torch backend, keras 3.15.1, torch 2.13.0; commit 0123456789." in notes
    assert value.footnotes[-1] == f"Made by: {COMMAND}"
    (claim,) = value.claims
    assert (claim.text, claim.verdict) == ("A: no dropout is best (validation accuracy)", "confirmed")
    assert re.fullmatch(
        rf"{ZERO} minus {FIFTH}: \+0.99 points, 95 % interval \[\+0.97, \+1.01\], p < 0.001, n = 3 seeds",
        claim.effects[0],
    )


def test_nothing_has_run():
    value = table({})
    assert {row[3] for row in value.rows} == {"not run yet"}
    assert {row[-1] for row in value.rows} == {"not run yet", ""}
    assert value.claims[0].verdict == "not run yet"
    assert not any(note.startswith(("Runs", "Hardware", "Software")) for note in value.footnotes)
    digits = re.findall(r"\d+\.\d+", "\n".join(entry for row in value.rows for entry in row[3:]))
    assert digits == []


def test_the_quick_protocol_says_so_and_gives_no_verdict():
    value = table(protocol="quick", dataset_note="on digits, not mnist", missing={ADDED: "not run here, about 3 h"})
    assert value.title.endswith("(quick protocol; on digits, not mnist)")
    assert "verdict" not in value.columns
    assert value.rows[-1][3] == "not run here, about 3 h"
    text = to_markdown(value)
    for word in ("reproduced", "confirmed", "refuted", "p =", "p <"):
        assert word not in text
    assert value.claims[0].detail == "points the claimed way"
    assert "epochs=4" in text


def test_the_quick_protocol_says_which_way_a_claim_points():
    against = {ZERO: RUNS[HALF], FIFTH: RUNS[FIFTH], HALF: RUNS[ZERO]}
    assert table(against, protocol="quick").claims[0].detail == "does not point the claimed way"
    assert table({ZERO: RUNS[FIFTH], FIFTH: RUNS[ZERO], HALF: RUNS[HALF]}, protocol="quick").claims[0].detail == (
        "points the claimed way in part"
    )
    assert table({ZERO: RUNS[ZERO]}, protocol="quick").claims[0].detail == "not run yet"


def test_an_unfinished_seed_is_named_and_not_counted():
    runs = {**RUNS, ZERO: {place: run for place, run in RUNS[ZERO].items() if place != (2, 1)}}
    value = table(runs)
    assert value.rows[0][3].endswith("(2)")
    assert f"Unfinished, not counted: {ZERO} has 2 seeds complete; seed 2 has 1 of 2 folds." in value.footnotes
    assert value.rows[0][-1] == "cannot tell"
    assert f"A-1, {ZERO}: cannot tell: n = 2 seeds, 3 or more are needed." in value.footnotes


def test_one_fold_needs_no_column_for_folds():
    value = table({ZERO: seeds([0.98, 0.981, 0.982])}, folds=1)
    assert "sd over folds" not in value.columns
    assert value.rows[0][3] == "98.10 ± 0.25 (3)"


def test_fewer_folds_than_the_reports_give_no_verdict_and_are_named():
    ten = dataclasses.replace(EXPERIMENT, base=EXPERIMENT.base.change(split=Split(kind="kfold", folds=10)))
    value = table(experiment=ten)
    assert [row[-1] for row in value.rows] == ["cannot tell", "not reported", "cannot tell", ""]
    assert value.footnotes[0].endswith("a seed's value being the mean over 2 of its 10 folds.")
    assert f"A-1, {ZERO}: cannot tell: 2 of the 10 folds that the report's number is over." in value.footnotes
    assert table({}, ten).rows[0][-1] == "not run yet"


def test_one_seed_shows_its_folds_and_reaches_no_verdict():
    claim = table({cell: seeds([[0.9 - 0.1 * i, 0.91 - 0.1 * i]], cell) for i, cell in enumerate(RUNS)}).claims[0]
    assert claim.verdict == "cannot tell"
    assert claim.effects[0].endswith("n = 1 seed, [+10.00, +10.00] over its 2 folds, corrected for their overlap")


def test_rows_of_several_measures_name_them():
    rows = [*EXPERIMENT.rows, Row("A-4", ZERO, Reported(0.30001, 0.000005), "validation_loss")]
    value = table(experiment=dataclasses.replace(EXPERIMENT, rows=rows))
    assert value.columns[2] == "measure"
    assert value.rows[3][2:5] == ("validation loss", "0.30001", "0.3000 ± 0.0000 (3)")


def test_a_number_of_other_images_is_said_to_be_so_where_its_interval_stands():
    for images, said in ((None, "."), (12_000, ", measured on 12,000 other images.")):
        rows = [Row("A-1", ZERO, Reported(0.9, other_images=images))]
        runs = {ZERO: seeds([[0.9, 0.9], [0.901, 0.901], [0.902, 0.902]])}
        notes = table(runs, dataclasses.replace(EXPERIMENT, rows=rows)).footnotes
        (shown,) = (note for note in notes if "single runs are expected" in note)
        assert re.search(r"expected in [\d.]+ … \d+\.\d\d(.*)$", shown)[1] == said


def test_an_experiment_without_rows_or_claims_lists_its_cells():
    bare = Experiment(name="bare", question="?", base=EXPERIMENT.base, cells=EXPERIMENT.cells)
    value = table(experiment=bare)
    assert [row[0] for row in value.rows] == ["–"] * 3
    assert value.claims == ()


def test_runs_of_an_unknown_cell_are_an_error():
    with pytest.raises(ValueError, match="Received: \\['nonsense'\\]"):
        table({"nonsense": RUNS[ZERO]})


def test_mixed_hardware_and_versions_are_counted():
    other = dataclasses.replace(run(ZERO, 3, 0), device="Other GPU", threads=0, versions={"keras": "3.15.2"}, commit="")
    notes = "\n".join(table({ZERO: {**RUNS[ZERO], (3, 0): other}}).footnotes)
    assert (
        "Hardware: Example CPU, 2 threads, Keras' own step (6 of 7 runs); Other GPU, Keras' own step (1 of 7 runs)."
        in notes
    )
    assert "keras 3.15.1 / 3.15.2" in notes
    assert "unknown (1 of 7 runs)" in notes


def test_claims_of_a_script_are_corrected_together():
    parts = [(dataclasses.replace(EXPERIMENT, name=name), RUNS, 2) for name in ("one", "two")]
    verdicts = document.claim_verdicts(parts)
    assert [v.family for vs in verdicts.values() for v in vs] == [2, 2]
    assert "after Holm's correction over 2 claims" in table(verdicts=verdicts["one"]).claims[0].detail


def test_a_claims_measure_is_asked_of_its_own_cells_alone():
    best = Claim(text="A: the best epoch", measure="best_validation_accuracy", best=[ZERO, HALF])
    without = {place: dataclasses.replace(run, curves={}) for place, run in RUNS[FIFTH].items()}
    value = table({**RUNS, FIFTH: without}, dataclasses.replace(EXPERIMENT, claims=[best]))
    assert value.claims[0].verdict == "confirmed"


@pytest.mark.parametrize("measure", ["seconds", "images_per_second", "peak_memory", "validation_accuracy"])
def test_time_and_memory_are_compared_on_one_machine_alone(measure):
    claim = Claim(text="A: it is better", measure=measure, best=[ZERO, HALF])
    experiment = dataclasses.replace(EXPERIMENT, claims=[claim])

    def on(device, cell, factor):
        return {
            place: dataclasses.replace(
                run,
                device=device,
                seconds={"fit": factor * (10 + place[0])},
                images_per_second=(100 + place[0]) / factor,
                peak_memory_bytes=factor * (10 + place[0]) * 2**30,
            )
            for place, run in RUNS[cell].items()
        }

    same = {ZERO: on("CPU: a", ZERO, 1), HALF: on("CPU: a", HALF, 2)}
    assert table(same, experiment).claims[0].verdict == "confirmed"
    other = {**same, HALF: on("CUDA: b", HALF, 2)}
    found = table(other, experiment).claims[0].verdict
    assert found == ("confirmed" if measure == "validation_accuracy" else "not run yet")
    one_seed = {**same, HALF: {**same[HALF], (2, 0): other[HALF][2, 0], (2, 1): other[HALF][2, 1]}}
    if measure != "validation_accuracy":
        assert "n = 2 seeds" in table(one_seed, experiment).claims[0].detail


def test_at_80_columns_no_number_is_cut_or_split():
    rows = [
        Row("E-T6", ZERO, Reported(132.08587, 0.000005), "validation_loss"),
        Row("A-3.3", HALF, Reported(0.8, 0.0, "at least")),
    ]
    runs = {cell: seeds([[v, v - 0.1], [0.5 * v, 0.4], [0.1, 0.2]], cell) for cell, v in ((ZERO, 1.0), (HALF, 0.99))}
    value = table(runs, dataclasses.replace(EXPERIMENT, rows=rows), missing={ADDED: "not run here, about 3 h"})
    shown = lines(value)
    assert all(len(line) <= 80 for line in shown)
    for row in value.rows:
        for name, entry in zip(value.columns, row, strict=True):
            if name not in ("cell", "measure") and re.search(r"\d", entry) and not entry.startswith("not run"):
                assert any(entry in line for line in shown), entry
            if name == "verdict" and entry:
                assert any(line.rstrip().endswith(entry) for line in shown)
    assert "…" not in "\n".join(shown[: len(value.rows) * 3])
    interval = re.search(r"\[([^,]+), ([^\]]+)\]", value.claims[0].effects[1])
    assert all(any(number in line for line in shown) for number in interval.groups())


def test_brackets_are_shown_and_not_read_as_markup():
    shown = "\n".join(lines(Table("[bold]t[/bold]", ("row", "cell"), (("[red]1", "[/x]"),), ("[i]",))))
    for text in ("[bold]t[/bold]", "[red]1", "[/x]", "[i]"):
        assert text in shown


def test_markdown_is_the_same_for_the_same_input():
    shuffled = {cell: dict(reversed(list(runs.items()))) for cell, runs in reversed(list(RUNS.items()))}
    assert to_markdown(table()) == to_markdown(table(shuffled))


@given(st.lists(st.text(max_size=12), min_size=2, max_size=2))
def test_markdown_keeps_every_row_on_one_line_with_its_cells(entries):
    text = to_markdown(Table("t", ("row", "cell"), (tuple(entries),), ()))
    row = text.split("\n")[4]
    assert len(re.findall(r"(?<!\\)(?:\\\\)*\|", row)) == 3
    assert text.count("\n") == 6


@pytest.mark.parametrize(
    ("value", "measure", "text"),
    [
        (0.78714, "test_accuracy", "78.71"),
        (1.0, "test_accuracy", "100.00"),
        (1.46117, "train_loss", "1.4612"),
        (-0.000001, "test_accuracy", "0.00"),
        (12.34, "seconds", "12.3"),
        (float("nan"), "train_loss", "diverged"),
    ],
)
def test_numbers(value, measure, text):
    assert number(value, MEASURES[measure]) == text


def test_ours_never_shows_an_interval_that_is_not_there():
    assert ours(Estimate(1, 0.5), MEASURES["test_accuracy"]) == "50.00 (1)"
    assert ours(Estimate(2, float("nan")), MEASURES["test_accuracy"]) == "diverged (2)"


@pytest.mark.parametrize(
    ("rounding", "text"), [(0.005, "98"), (0.0005, "98.0"), (0.00005, "98.00"), (0.0, "98.00"), (0.05, "98")]
)
def test_a_reported_number_has_the_digits_the_report_prints(rounding, text):
    assert reported(Row("x", "c", Reported(0.98, rounding)), MEASURES["test_accuracy"]) == text


def test_claim_on_spread_needs_folds_and_says_so_without_them():
    claim = Claim(text="most stable", measure="validation_accuracy_spread", best=[ZERO, HALF])
    experiment = dataclasses.replace(EXPERIMENT, claims=[claim])
    assert table({ZERO: seeds([0.9]), HALF: seeds([0.8])}, experiment, "quick", 1).claims[0].detail == "not run yet"
    assert table(experiment=experiment).claims[0].effects[0].endswith("n = 3 seeds")


def test_a_number_that_runs_did_not_keep_is_said_to_be_so():
    rows = [Row("A-1", ZERO, Reported(0.05), "test_ece"), Row("A-2", FIFTH, None, "test_ece")]
    base = EXPERIMENT.base.change(split=Split(kind="test"))
    asked = dataclasses.replace(EXPERIMENT, base=base, rows=rows, claims=[], assumptions=[])
    value = table({ZERO: {(0, 0): run(ZERO)}}, experiment=asked, folds=1)
    shown = {row[0]: dict(zip(value.columns, row, strict=True)) for row in value.rows}
    assert (shown["A-1"]["ours ± 95 % CI (n)"], shown["A-1"]["verdict"]) == ("not kept", "cannot tell")
    assert shown["A-2"]["ours ± 95 % CI (n)"] == "not run yet"
    assert "A-1, dropout=0.0: cannot tell: its runs do not keep the probabilities that this needs." in value.footnotes


def test_claims_of_ours_are_corrected_together_with_the_reports():
    claims = [dataclasses.replace(EXPERIMENT.claims[0], text=f"Repaired: {n}") for n in range(2)]
    experiment = dataclasses.replace(EXPERIMENT, claims=[*EXPERIMENT.claims, *claims])
    details = [claim.detail for claim in table(experiment=experiment).claims]
    assert all("after Holm's correction over 3 claims)" in detail for detail in details)


def test_a_row_with_two_measures_says_of_which_it_speaks():
    measures = ("validation_accuracy", "validation_loss")
    experiment = dataclasses.replace(EXPERIMENT, rows=[Row("A-1", ZERO, Reported(0.9, 0.005), m) for m in measures])
    runs = {ZERO: {place: one for place, one in RUNS[ZERO].items() if place[0] < 2}}
    notes = table(runs, experiment).footnotes
    assert f"A-1, {ZERO}, validation accuracy: cannot tell: n = 2 seeds, 3 or more are needed." in notes
    assert any(note.startswith(f"A-1, {ZERO}, validation loss: cannot tell") for note in notes)
