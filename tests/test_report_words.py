"""What tables call things: measures by the images they are of, and what a claim about counts rests on."""

import dataclasses

import pytest

from kmodels.report import document
from kmodels.spec.claims import Claim
from kmodels.spec.experiment import Split
from tests.simulated_runs import EXPERIMENT, run, seeds

ZERO, FIFTH, HALF, ADDED = EXPERIMENT.all_cells()
RUNS = {cell: seeds([[0.9, 0.91]], cell) for cell in (ZERO, FIFTH, HALF)}


def table(runs=RUNS, experiment=EXPERIMENT, folds=2):
    return document.table(experiment, runs, protocol="report", folds=folds, command="python x.py")


def test_what_is_validated_on_the_test_images_is_called_by_their_name():
    refit = {"refit": {"split": Split(kind="test")}, "refit, logits": {"split": Split(kind="test"), "head": "logits"}}
    claims = [*EXPERIMENT.claims, Claim(text="Repaired: logits help", best=["refit, logits", "refit"])]
    claims += [Claim(text="Ours: refitting helps", best=["refit", ZERO], measure="validation_loss")]
    value = table(
        {**RUNS, "refit": seeds([0.99], "refit")}, dataclasses.replace(EXPERIMENT, repaired=refit, claims=claims)
    )
    shown = {row[1]: row[2] for row in value.rows}
    assert shown == {
        **dict.fromkeys((ZERO, FIFTH, HALF), "validation accuracy"),
        **dict.fromkeys(("refit (added)", "refit, logits (added)"), "test accuracy"),
    }
    assert value.footnotes[0].startswith("Numbers: validation accuracy in %, test accuracy in %;")
    note = "Validated on the test images, and so called test accuracy or loss, not validation"
    assert f"{note}: refit (added), refit, logits (added)." in value.footnotes
    assert not any(line.startswith(note) for line in table().footnotes)
    assert [claim.text.rpartition("(")[2] for claim in value.claims] == [
        "validation accuracy)",
        "test accuracy)",
        "test loss and validation loss)",
    ]


def test_a_note_says_what_added_means_where_a_cell_is():
    note = "(added): not in the report: a quirk of it mended, or a further question."
    assert note in table().footnotes
    assert note not in table(experiment=dataclasses.replace(EXPERIMENT, repaired={})).footnotes


def sized(cell, *, parameters, macs):
    return {(0, 0): dataclasses.replace(run(cell), observations={"size": {"parameters": parameters, "macs": macs}})}


@pytest.mark.parametrize(
    ("measure", "said"),
    [
        ("parameters", "{0} 130,602 against {1} 175,258, {1} 175,258 against {2} 175,258 trainable parameters"),
        (
            "macs",
            "{0} 5,800,001 against {1} 555,400,000, {1} 555,400,000 against {2} 886,440 multiply-accumulates an image",
        ),
    ],
)
def test_why_a_claim_about_counts_is_so_is_said_by_the_counts(measure, said):
    runs = {
        ZERO: sized(ZERO, parameters=130_602, macs=5_800_001),
        FIFTH: sized(FIFTH, parameters=175_258, macs=555_400_000),
        HALF: sized(HALF, parameters=175_258, macs=886_440),
    }
    claim = Claim(text="A: ever larger", measure=measure, order=[ZERO, FIFTH, HALF])
    base = EXPERIMENT.base.change(split=Split(kind="holdout", validation_fraction=0.1))
    experiment = dataclasses.replace(EXPERIMENT, base=base, claims=[claim])
    (words,) = table(runs, experiment, folds=1).claims
    assert (words.verdict, words.detail) == ("refuted", f"counted: {said.format(ZERO, FIFTH, HALF)}")
    (words,) = table({cell: runs[cell] for cell in (ZERO, FIFTH)}, experiment, folds=1).claims
    assert words.verdict == "cannot tell" and words.detail.endswith("; some cells have not been counted")
