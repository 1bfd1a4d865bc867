"""README's results, from the same values as the pages."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from kmodels.report.notes import ADDED
from kmodels.report.tables import markdown_table
from kmodels.site.evidence import Evidence
from kmodels.site.rows import VERDICTS, ReportRow, report_claims, report_rows, rows_run, shortened

__all__ = ["BEGIN", "END", "readme_block", "with_block"]

BEGIN = "<!-- results:begin (made by: python -m kmodels report --readme README.md) -->"
END = "<!-- results:end -->"


_ACCURACIES = ("validation_accuracy", "test_accuracy")


def readme_block(found: Sequence[Evidence]) -> str:
    """Returns what stands between README's marks: verdicts, the rows that have run, and what each script asks.

    Args:
        found: what the runs say of each script.
    """
    rows, claims = report_rows(found), report_claims(found)
    done = [row for row in rows if row.has_run]
    shown = [row for row in done if row.line.row.reported is not None or row.line.row.measure in _ACCURACIES]
    told = [claim for claim in claims if claim.verdict in ("confirmed", "refuted")]
    parts = [_summary(rows, done, [claim.verdict for claim in claims])]
    if shown:
        columns = ("row", "cell", "measure", "reported", "ours ± 95 % CI (n)", "verdict")
        parts.append(markdown_table(columns, map(_entries, shown)))
        if any(row.line.row.cell in row.part.experiment.repaired for row in shown):
            parts.append(f"(added): {ADDED}.")
    if len(shown) < len(done):
        parts.append(f"{len(done) - len(shown)} further numbers, which no report prints, are on the site.")
    if told:
        parts.append(markdown_table(("claim", "verdict"), ((claim.words.text, claim.verdict) for claim in told)))
    parts.append("What each script asks, and how many of its rows' numbers have run:")
    parts.append(markdown_table(("script", "question", "rows", "numbers run"), _scripts(found)))
    return "\n\n".join(part.strip() for part in parts)


def _summary(rows: Sequence[ReportRow], done: Sequence[ReportRow], claims: Sequence[str]) -> str:
    run, every = rows_run(rows)
    numbers = f"{len(done)} of {len(rows)} numbers, as a row may have several cells and measures"
    lines = [f"**{run} of {every} rows** have run under their report's protocol ({numbers})"]
    if done:
        counts = Counter(row.line.word for row in done)
        lines[0] += f": {_counted(counts, VERDICTS)}"
    known = Counter(verdict for verdict in claims if verdict != "not run yet")
    said = _counted(known, ("confirmed", "refuted", "cannot tell"))
    lines.append(f"Of {len(claims)} claims, {said or 'none has been asked yet'}.")
    return ". ".join(lines)


def _counted(counts: Counter[str], order: Sequence[str]) -> str:
    return ", ".join(f"{counts[word]} {word}" for word in order if counts[word])


def _entries(row: ReportRow) -> tuple[str, ...]:
    return row.id, row.line.cell, row.measure, row.line.reported, row.line.ours, row.line.word


def _scripts(found: Sequence[Evidence]) -> Iterator[tuple[str, ...]]:
    for each in found:
        own = [line for part in each.parts for line in part.lines if line.row.id]
        done = sum(line.estimate is not None for line in own)
        question = each.script.question.partition("?")[0] + "?" if "?" in each.script.question else each.script.question
        yield f"{each.script.name}.py", question, shortened(each.rows) or "–", f"{done} of {len(own)}" if own else "–"


def with_block(text: str, block: str) -> str:
    """Returns a text with what stands between its marks replaced.

    Args:
        text: such as README's.
        block: what `readme_block` returned.

    Raises:
        ValueError: the text does not have each mark once, in their order.
    """
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end or BEGIN in after or END in after or END in before:
        raise ValueError(f"readme: expected the marks {BEGIN} and {END}, each once. Received: {text[:40]!r} …")
    return f"{before}{BEGIN}\n\n{block}\n\n{END}{after}"
