"""The pages as text: templates filled with what is known. Everything that comes from outside is escaped."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from typing import Any
from urllib.parse import quote

import jinja2

from kmodels.report.notes import ADDED
from kmodels.report.wording import abbreviated, number
from kmodels.results.runs import Run
from kmodels.site import rows
from kmodels.site.classes import ClassScores, Labels, class_scores
from kmodels.site.evidence import Evidence, Part, changes, measures, named, settings
from kmodels.site.figures import Figure
from kmodels.site.networks import Network, trained_network
from kmodels.site.studies import DeclaredStudy, FoundStudy
from kmodels.spec.claims import MEASURES, Measure
from kmodels.spec.experiment import Experiment
from kmodels.spec.recipe import Recipe
from kmodels.stats.measured import measured, of_one_run

__all__ = ["Known", "pages", "source"]

_SYMBOLS = {
    **dict.fromkeys(("reproduced", "confirmed"), "✓"),
    **dict.fromkeys(("not reproduced", "refuted"), "✗"),
    "better": "▲",
    "cannot tell": "?",
    "not reported": "–",
    "not run yet": "○",
}
_CLAIM_VERDICTS = ("confirmed", "refuted", "cannot tell", "not run yet")
_ASSUMED = "Assumed, as the report does not say: "


@dataclass(frozen=True)
class Known:
    """All that pages are made of.

    Attributes:
        scripts: the experiments and what their runs say.
        networks: every network.
        declared: the studies that scripts declare.
        studies: those that have results.
        labels: name of a data set -> its test labels, or None where they cannot be had.
        figures: an experiment -> its figures.
        results: link from the site's folder to the results folder; None where there is none.
    """

    scripts: Sequence[Evidence]
    networks: Sequence[Network]
    declared: Sequence[DeclaredStudy]
    studies: Sequence[FoundStudy]
    labels: Callable[[str], Labels | None]
    figures: Callable[[Part], Sequence[Figure]]
    results: str | None


def pages(known: Known) -> Iterator[tuple[str, bytes]]:
    """Yields each file of the site: its path within the site, and its content.

    The same `known` always gives the same bytes.
    """
    environment = _environment()

    def page(path: str, template: str, **context: Any) -> tuple[str, bytes]:
        root = "../" * path.count("/")
        text = environment.get_template(template).render(root=root, results=known.results, **context)
        return path, text.encode()

    for name in ("style.css", "table.js"):
        yield name, source(name)
    yield page("index.html", "index.html", **_front(known.scripts))
    for each in known.scripts:
        shown = [_section(part, known) for part in each.parts]
        yield from ((f"figures/{figure.name}.svg", figure.svg) for section in shown for figure in section["figures"])
        about = _paragraphs(each.script.about)
        yield page(f"experiments/{each.script.name}.html", "experiment.html", each=each, about=about, sections=shown)
    yield page("models.html", "models.html", networks=known.networks)
    uses = _uses(known)
    for network in known.networks:
        own = uses.get(network.name, [])
        yield page(f"models/{network.name}.html", "model.html", network=network, uses=own)
    for study in known.studies:
        for name, svg in study.figures.items():
            yield f"figures/tuning-{study.name}-{name}.svg", svg
        if study.csv is not None:
            yield f"tuning/{study.name}.csv", study.csv
    waiting = [one for one in known.declared if one.name not in {study.name for study in known.studies}]
    yield page("tuning.html", "tuning.html", studies=known.studies, waiting=waiting)


def source(name: str) -> bytes:
    """Returns a file of this package, such as `style.css`."""
    return resources.files("kmodels.site").joinpath(name).read_bytes()


def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("kmodels.site"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "link": lambda path: quote(str(path), safe="/"),
        "slug": lambda word: str(word).replace(" ", "-"),
        "symbol": lambda word: _SYMBOLS.get(word, ""),
        "short": abbreviated,
    }
    environment.globals |= {"shortened": rows.shortened, "added": ADDED}
    return environment


def _front(scripts: Sequence[Evidence]) -> dict[str, Any]:
    found, claims = rows.report_rows(scripts), rows.report_claims(scripts)
    counted = {
        run.key: run for each in scripts for part in each.parts for runs in part.counted.values() for run in runs
    }
    return {
        "rows": found,
        "claims": claims,
        "scripts": scripts,
        "verdicts": rows.VERDICTS,
        "counts": Counter(row.line.word for row in found),
        "by_report": rows.by_report(found),
        "claim_verdicts": _CLAIM_VERDICTS,
        "claim_counts": Counter(claim.verdict for claim in claims),
        "run_count": len(counted),
        "hours": sum(sum(run.seconds.values()) for run in counted.values()) / 3600,
        "have_run": sum(row.has_run for row in found),
        "rows_run": rows.rows_run(found),
    }


def _paragraphs(about: str) -> list[tuple[str, str]]:
    """A docstring after its first line: (kind, text), commands apart from prose."""
    blocks = [block for block in about.partition("\n")[2].split("\n\n") if block.strip()]
    return [
        ("commands", "\n".join(line.strip() for line in block.strip("\n").splitlines()))
        if all(line.startswith("    ") for line in block.strip("\n").splitlines())
        else ("prose", " ".join(block.split()))
        for block in blocks
    ]


def _section(part: Part, known: Known) -> dict[str, Any]:
    """What a script's page says of one experiment."""
    experiment, counted = part.experiment, part.counted
    notes = [note for note in part.table.footnotes if not note.startswith((_ASSUMED, "Made by: "))]
    return {
        "part": part,
        "name": experiment.name,
        "rows": [line.row.id for line in part.lines if line.row.id],
        "run_rows": sorted({line.row.id for line in part.lines if line.row.id and line.estimate is not None}),
        "command": part.table.footnotes[-1].removeprefix("Made by: "),
        "notes": notes,
        "figures": known.figures(part),
        "base": settings(experiment.base),
        "changes": {cell: changes(experiment.base, experiment.recipe(cell)) for cell in experiment.all_cells()},
        "models": {cell: _network(experiment.recipe(cell), known) for cell in experiment.all_cells()},
        "measures": measures(part),
        "measure_names": list(dict.fromkeys(line.measure.label for line in part.lines)),
        "measures_shown": list(dict.fromkeys(named(line.measure) for line in part.lines)),
        "run_measures": [measure.label for measure in _of_runs(part)],
        "runs": {cell: [_run_line(run, cell, part) for run in runs] for cell, runs in counted.items()},
        "run_count": sum(map(len, counted.values())),
        "classes": _classes(part, counted, known),
    }


def _run_line(run: Run, cell: str, part: Part) -> dict[str, Any]:
    return {
        "run": run,
        "values": [_value(run, cell, measure, part.experiment) for measure in _of_runs(part)],
        "minutes": f"{sum(run.seconds.values()) / 60:.1f}",
        "commit": run.commit[:10],
        "path": f"{run.experiment}/{run.key}.json",
    }


def _of_runs(part: Part) -> list[Measure]:
    """Measures of the runs behind the lines, each once."""
    asked = ((line.row.cell, of_one_run(line.row.measure)) for line in part.lines)
    return list(dict.fromkeys(part.experiment.measure(cell, name) for cell, name in asked))


def _value(run: Run, cell: str, measure: Measure, experiment: Experiment) -> str:
    name = next((name for name in MEASURES if experiment.measure(cell, name) == measure), None)
    if name is None:  # such as validation accuracy of a run that was validated on the test images
        return "–"
    lacks = measure.probabilities and name not in run.scores and not run.diverged
    return "not kept" if lacks else number(measured(run, name), measure)


def _classes(part: Part, counted: Mapping[str, list[Run]], known: Known) -> dict[str, Any] | None:
    """Scores per class of each cell, or why there are none; None where no run kept predictions."""
    kept = {cell: [run for run in runs if run.predictions is not None] for cell, runs in counted.items()}
    kept = {cell: runs for cell, runs in kept.items() if runs}
    if not kept:
        return None
    scores: dict[str, ClassScores] = {}
    missing = set()
    for cell, runs in kept.items():
        name = str(runs[0].data["name"])
        labels = known.labels(name)
        if labels is None:
            missing.add(name)
            continue
        found = class_scores(runs, labels)
        if found is not None:
            scores[cell] = found
    names = {found.names for found in scores.values()}
    best = {
        names_of: [
            max((s.per_class[k] for s in scores.values() if s.names == names_of and not math.isnan(s.per_class[k])),
                default=math.nan)
            for k in range(len(names_of))
        ]
        for names_of in names
    }  # fmt: skip
    return {"scores": scores, "missing": sorted(missing), "best": best}


def _network(recipe: Recipe, known: Known) -> str:
    """Name of the network that a recipe trains where it has a page, else nothing."""
    trained = trained_network(recipe, known.networks)
    return trained[0].name if trained else ""


def _uses(known: Known) -> dict[str, list[dict[str, Any]]]:
    """The cells that train each network, under whichever name, and what they change of it."""
    found: dict[str, list[dict[str, Any]]] = {}
    for each in known.scripts:
        for part in each.parts:
            for cell in part.experiment.all_cells():
                ids = dict.fromkeys(row.id for row in part.experiment.rows if row.cell == cell)
                recipe = part.experiment.recipe(cell)
                trained = trained_network(recipe, known.networks)
                if trained is None:
                    continue
                network, arguments = trained
                changed = ", ".join(f"{name}={value!r}" for name, value in arguments.items())
                use = {"script": each.script.name, "part": part, "cell": cell, "rows": list(ids), "changed": changed}
                use |= {"added": cell in part.experiment.repaired}
                found.setdefault(network.name, []).append(use)
    return found
