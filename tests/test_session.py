"""Tables in the terminal: what is left out of them changes no verdict."""

from dataclasses import replace

import pytest

from kmodels import cli
from kmodels.results.runs import write_run
from kmodels.spec.claims import Claim
from kmodels.spec.declarations import Script
from kmodels.spec.experiment import Experiment, Split
from tests.simulated_results import simulated
from tests.simulated_runs import BASE


def experiment(name):
    cells = {"slow": {}, "fast": {"learning_rate": 1e-3 if name == "X-one" else 2e-3}}
    claim = Claim(text=f"{name}: fast is better", best=["fast", "slow"])
    base = BASE.change(split=Split(kind="holdout", validation_fraction=0.1))
    return Experiment(name=name, question="?", base=base, cells=cells, claims=[claim])


ONE, TWO = experiment("X-one"), experiment("X-two")


@pytest.fixture
def results(tmp_path):
    for run in simulated([Script(tmp_path / "x.py", "?", (ONE,))]):
        accuracy = 0.9 if run.cell == "slow" else 0.9 + (0.01, 0.02, 0.03)[run.seed]  # p = 0.037
        write_run(replace(run, scores={**run.scores, "validation_accuracy": accuracy}), tmp_path)
    return tmp_path


def said(capsys, results, *flags, experiments):
    assert cli.run_command(experiments, ["--report", "--out", str(results), *flags]) == 0
    return " ".join(capsys.readouterr().out.split())


def test_claims_are_corrected_over_the_whole_script_whatever_is_shown(results, capsys):
    whole = said(capsys, results, experiments=(ONE, TWO))
    part = said(capsys, results, "--only", "X-one", experiments=(ONE, TWO))
    alone = said(capsys, results, experiments=(ONE,))
    corrected = "cannot tell: p = 0.0371 (p = 0.0742 after Holm's correction over 2 claims)"
    assert corrected in whole and corrected in part
    assert "X-two" not in part
    assert "confirmed: p = 0.0371" in alone
