"""A table as a plain value, and how the terminal and Markdown show it."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from rich import box
from rich.console import Group
from rich.padding import Padding
from rich.table import Table as RichTable
from rich.text import Text

__all__ = ["ClaimLines", "Table", "markdown_table", "to_markdown", "to_rich"]

_STYLES = {
    "reproduced": "green",
    "confirmed": "green",
    "better": "cyan",
    "not reproduced": "red",
    "refuted": "red",
    "cannot tell": "yellow",
}
_HEADINGS = {"ours ± 95 % CI (n)": "ours\n± 95 % CI (n)", "sd over folds": "sd over\nfolds"}
_OURS_WIDTH = 19  # of words in a column of numbers, so that six columns fit into 80 characters


@dataclass(frozen=True)
class ClaimLines:
    """A claim and what the runs say of it.

    Attributes:
        text: the claim in words.
        verdict: the verdict; empty in the quick protocol.
        detail: p value or reason behind the verdict; may be empty.
        effects: one line for each pair of cells, with effect, interval, p and n.
    """

    text: str
    verdict: str
    detail: str
    effects: tuple[str, ...]


@dataclass(frozen=True)
class Table:
    """A table as it is shown, all numbers already written out.

    Attributes:
        title: experiment, question and protocol.
        columns: headings.
        rows: one entry a column each.
        footnotes: what the numbers are, assumptions, hardware, versions, command.
        claims: what the runs say of the experiment's claims.
    """

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    footnotes: tuple[str, ...]
    claims: tuple[ClaimLines, ...] = ()


def to_rich(table: Table) -> Group:
    """Returns the table for a terminal of 80 columns or more; numbers are never wrapped or cut at that width."""
    grid = RichTable(box=box.SIMPLE_HEAD, show_edge=False, collapse_padding=True, pad_edge=False)
    shown = [name for name in table.columns if name != "measure"]
    for name in shown:
        grid.add_column(_HEADINGS.get(name, name), no_wrap=name != "cell", overflow="fold")
    for row in table.rows:
        entries = dict(zip(table.columns, row, strict=True))
        if "measure" in entries:  # below the cell's name, as a column of its own leaves too little room
            entries["cell"] += f"\n{entries['measure']}"
        grid.add_row(*(Text(_broken(name, entries[name]), style=_STYLES.get(entries[name], "")) for name in shown))
    below = [part for claim in table.claims for part in _rich_claim(claim)]
    notes = [Padding(Text(note, style="dim"), (0, 0, 0, 1)) for note in table.footnotes]
    return Group(
        Text(table.title, style="bold"), Text(""), grid, Text(""), *below, *([Text("")] if below else []), *notes
    )


def _broken(column: str, entry: str) -> str:
    words_only = column.startswith("ours") and not re.match(r"[-\d]", entry)
    return textwrap.fill(entry, _OURS_WIDTH) if words_only else entry


def _rich_claim(claim: ClaimLines) -> Iterator[Padding]:
    verdict = Text(claim.verdict or "quick", style=_STYLES.get(claim.verdict, "bold"))
    yield Padding(Text.assemble("Claim ", (claim.text, "bold")), (0, 0, 0, 1))
    yield Padding(Text.assemble(verdict, f": {claim.detail}" if claim.detail else ""), (0, 0, 0, 3))
    yield from (Padding(Text(line), (0, 0, 0, 3)) for line in claim.effects)


def to_markdown(table: Table) -> str:
    r"""Returns the table as GitHub-flavoured Markdown; the same table always gives the same text.

    Example:
        >>> print(to_markdown(Table("t", ("row", "ours"), (("a|b", "1.00"),), ("note",))))
        ### t
        <BLANKLINE>
        | row | ours |
        | --- | --- |
        | a\|b | 1.00 |
        <BLANKLINE>
        - note
        <BLANKLINE>
    """
    lines = [f"### {_escaped(table.title)}", "", markdown_table(table.columns, table.rows)]
    if table.claims:
        lines.append("")
    for claim in table.claims:
        said = ": ".join(filter(None, (f"**{claim.verdict}**" if claim.verdict else "", _escaped(claim.detail))))
        lines.append(f"- Claim “{_escaped(claim.text)}”: {said}")
        lines += [f"  - {_escaped(line)}" for line in claim.effects]
    lines += ["", *(f"- {_escaped(note)}" for note in table.footnotes)]
    return "\n".join(lines) + "\n"


def markdown_table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Returns headings and rows alone, as Markdown without a newline at its end.

    Args:
        columns: headings, taken as they are.
        rows: one entry a column each, escaped here.
    """
    lines = [_markdown_row(columns), _markdown_row(["---"] * len(columns))]
    return "\n".join([*lines, *(_markdown_row(map(_escaped, row)) for row in rows)])


def _markdown_row(entries: Iterable[str]) -> str:
    return f"| {' | '.join(entries)} |"


def _escaped(text: str) -> str:
    return re.sub(r"([\\|*<`\[\]])", r"\\\1", " ".join(text.split()))
