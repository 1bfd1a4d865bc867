"""Sites of made-up runs: built without drawing, and read back page by page."""

from pathlib import Path

import pytest

from kmodels import site
from kmodels.data.labels import labels_of
from kmodels.recipes import LENET_A
from kmodels.report import observation_plots, plots
from kmodels.spec.claims import Claim, Reported, Row
from kmodels.spec.declarations import Script, load_scripts
from kmodels.spec.experiment import Experiment, grid
from tests.page_reader import Page

ROOT = Path(__file__).resolve().parents[1]
SCRIPTS = load_scripts(ROOT / "experiments")
DROPOUT = [script for script in SCRIPTS if script.name == "ablation_dropout"]


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
