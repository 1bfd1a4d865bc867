"""Searches for hyper-parameters: what each study's folder holds, and which studies there are."""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass, field
from pathlib import Path

from kmodels.report.tables import Table
from kmodels.tuner.table import trial_table
from kmodels.tuner.trials import read_search

__all__ = ["DeclaredStudy", "FoundStudy", "declared_studies", "found_studies", "read_tables"]

_FIGURES = {
    "trials": "Score of each trial in the order in which they began, and the best so far.",
    "hyperparameters": "Score of each trial against each hyper-parameter; a star marks the best.",
}


@dataclass(frozen=True)
class DeclaredStudy:
    """A study that a script declares.

    Attributes:
        name: folder name of its results; empty where the script does not spell it out.
        script: file name of the script.
        question: first line of its docstring.
        command: command line that runs it under its report protocol.
    """

    name: str
    script: str
    question: str
    command: str


@dataclass(frozen=True)
class FoundStudy:
    """A study that has run, or is running.

    Attributes:
        name: folder name of its results.
        tables: trials, then what was compared.
        figures: name -> SVG file's content.
        alt: name -> the figure in words.
        csv: the trials as a CSV file; None where there is none yet.
        finished: whether the study came to its end.
    """

    name: str
    tables: tuple[Table, ...]
    figures: dict[str, bytes] = field(default_factory=dict)
    alt: dict[str, str] = field(default_factory=dict)
    csv: bytes | None = None
    finished: bool = True


def declared_studies(folder: Path) -> tuple[DeclaredStudy, ...]:
    """Returns the studies that a folder's scripts declare; read, not executed, as they would load Keras.

    Args:
        folder: usually `tuning`; it need not exist.

    Raises:
        ValueError: a file is not Python; the message names it.
    """
    found = []
    for path in sorted(folder.glob("[!_]*.py")):
        try:
            tree = ast.parse(path.read_text(encoding="utf-8"))
        except SyntaxError as error:
            raise ValueError(f"{path}: expected a script of studies. {error}") from error
        question = (ast.get_docstring(tree) or "").strip().partition("\n")[0].strip()
        command = f"python {folder.name}/{path.name} --protocol report"
        found += [DeclaredStudy(name, path.name, question, command) for name in _names(tree)]
    return tuple(found)


def _names(tree: ast.Module) -> list[str]:
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    studies = [call for call in calls if isinstance(call.func, ast.Name) and call.func.id == "Study"]
    named = [{word.arg: word.value for word in call.keywords}.get("name") for call in studies]
    return [str(node.value) if isinstance(node, ast.Constant) else "" for node in named]


def found_studies(results: Path) -> tuple[FoundStudy, ...]:
    """Returns the studies whose results are stored, by name.

    Args:
        results: results folder; studies are under `tuning` in it.
    """
    folders = sorted(path for path in (results / "tuning").glob("*") if path.is_dir())
    return tuple(study for study in map(_found, folders) if study is not None)


def _found(folder: Path) -> FoundStudy | None:
    if (folder / "table.md").is_file():
        tables, finished = read_tables((folder / "table.md").read_text(encoding="utf-8")), True
    elif (folder / "oracle.json").is_file():
        tables, finished = (trial_table(read_search(folder)),), False
    else:
        return None
    figures = {name: (folder / f"{name}.svg").read_bytes() for name in _FIGURES if (folder / f"{name}.svg").is_file()}
    csv = (folder / "trials.csv").read_bytes() if (folder / "trials.csv").is_file() else None
    alt = {name: f"{folder.name}: {_FIGURES[name]} The numbers stand in the table of trials." for name in figures}
    return FoundStudy(folder.name, tables, figures, alt, csv, finished)


def read_tables(text: str) -> tuple[Table, ...]:
    r"""Returns the tables that `kmodels.report.tables.to_markdown` wrote, without claims.

    Args:
        text: one table or several, one below the other.

    Example:
        >>> read_tables("### t\n\n| row | ours |\n| --- | --- |\n| a\\|b | 1.00 |\n\n- note\n")
        (Table(title='t', columns=('row', 'ours'), rows=(('a|b', '1.00'),), footnotes=('note',), claims=()),)
    """
    tables = []
    for block in re.split(r"^### ", text, flags=re.MULTILINE)[1:]:
        title, _, rest = block.partition("\n")
        lines = rest.split("\n")
        head, _, *rows = [_entries(line) for line in lines if line.startswith("| ")]
        notes = tuple(_plain(line[2:]) for line in lines if line.startswith("- "))
        tables.append(Table(_plain(title), head, tuple(rows), notes))
    return tuple(tables)


def _entries(line: str) -> tuple[str, ...]:
    return tuple(_plain(entry.strip()) for entry in re.findall(r"((?:\\.|[^|\\])+)\|", line.removeprefix("|")))


def _plain(text: str) -> str:
    return re.sub(r"\\(.)", r"\1", text)
