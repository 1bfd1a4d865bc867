"""Results of the benchmarks as Markdown, and the README's blocks that are made of them.

python -m benchmarks.table results/benchmarks/cpu.json benchmarks/README.md throughput
"""

from __future__ import annotations

import json
import math
import re
import sys
from pathlib import Path
from typing import Any

from kmodels.atomic_file import write_atomically
from kmodels.plural import counted

__all__ = ["block", "put_into", "render", "rows_and_head", "where"]

_NAMES = {"record": "recorded", "compile": "compiled", "stock": "stock Keras"}


def render(result: dict[str, Any]) -> str:
    """Returns the table of a result of `benchmarks.throughput`, with the line that says where it was measured.

    Args:
        result: the content of its JSON file.
    """
    sides = list(dict.fromkeys(side for row in result["rows"] for side in row["ratios"]))
    ours = [side for side in sides if side != "stock"]
    head = ["model", "batch", "optimizer", "twin, images/s", *(_NAMES[side] for side in sides), "must / aim"]
    head += ["`auto`", "compile, s: twin / ours", f"memory: twin / {' / '.join(_NAMES[side] for side in sides)}, MiB"]
    lines = []
    for row in result["rows"]:
        cells = [row["model"], str(row["batch"]), row["optimizer"]]
        cells.append(f"{_number(row['images_per_second']['twin'])} ({row['twin']['variant']})")
        cells += [_ratio(row["ratios"][side]) if side in row["ratios"] else "" for side in sides]
        cells += [f"{row['must']:.2f} / {row['aim']:.2f}", row["auto"]]
        first = row["first_step_seconds"]
        cells.append(f"{first['twin']:.0f} / {first[ours[-1]]:.0f}")
        memory = row.get("memory", {})
        found = [memory[side]["growth"] / 2**20 for side in ("twin", *sides) if side in memory]
        cells.append(" / ".join(f"{value:.0f}" for value in found))
        lines.append(cells)
    parts = rows_and_head(head, lines), where(result), _auto_against_stock(result)
    return "\n\n".join(part for part in parts if part)


def _auto_against_stock(result: dict[str, Any]) -> str:
    """Returns when a run by `auto` has overtaken one by stock Keras, and where it stands once compiled."""
    head = ["model", "batch", "optimizer", "recorded is ahead after", "compiled after", "time until then / stock Keras"]
    lines = []
    for row in result["rows"]:
        speed, first = row["images_per_second"], row["first_step_seconds"]
        compiled = re.search(r"compiled after (\d+) steps", row["auto"])
        if compiled is None or not {"record", "compile", "stock"} <= speed.keys():
            continue
        ours, stock = (row["batch"] / speed[side] for side in ("record", "stock"))
        ahead = "never"
        if ours < stock:
            overtaken = max(math.ceil((first["record"] - first["stock"]) / (stock - ours)), 1)
            ahead = f"{counted(overtaken, 'step')}, {overtaken * stock:.1f} s"
        steps = int(compiled[1])
        share = (first["record"] + steps * ours + first["compile"]) / (first["stock"] + steps * stock)
        cells = [row["model"], str(row["batch"]), row["optimizer"]]
        lines.append([*cells, ahead, f"{steps:,} steps", f"**{share:.2f}**"])
    return rows_and_head(head, lines) if lines else ""


def rows_and_head(head: list[str], rows: list[list[str]]) -> str:
    """Returns a Markdown table."""
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (head, ["---"] * len(head), *rows))


def _ratio(value: dict[str, float]) -> str:
    return f"**{value['median']:.2f}** ({value['least']:.2f} to {value['most']:.2f})"


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}"


def where(result: dict[str, Any]) -> str:
    """Returns the line that says on what machine, with what, when and how a result was measured."""
    versions, settings = result["versions"], result["settings"]
    libraries = ", ".join(f"{name} {versions[name]}" for name in ("python", "torch", "keras") if name in versions)
    smoke = " **A trial of the program, not a measurement.**" if result.get("smoke") else ""
    clock = " of CPU time, on a busy machine" if settings.get("clock") == "cpu" else ""
    threads = counted(result["threads"], "thread")
    each = [row.get("measured", {}).get("settings", settings) for row in result.get("rows", ())] or [settings]
    rounds = sorted({one["rounds"] for one in each})
    times = " or ".join(map(str, rounds))
    return (
        f"{result['device']}, {threads}; {libraries}; {result['date']}; median of {times} rounds of"
        f" {settings['seconds']:g} s{clock}, least and most of the paired ratios in brackets.{smoke}"
    )


def block(text: str, name: str) -> str:
    """Returns what stands between the marks of a block of a Markdown file.

    Raises:
        ValueError: the text has no such block.
    """
    begin, end = _marks(name)
    if begin not in text or end not in text:
        raise ValueError(f"text: expected the marks {begin} and {end}. Received: neither or one")
    return text.partition(begin)[2].partition(end)[0].strip()


def put_into(path: Path, name: str, content: str) -> None:
    """Replaces what stands between the marks of a block of a Markdown file."""
    text = path.read_text(encoding="utf-8")
    block(text, name)
    begin, end = _marks(name)
    before, _, rest = text.partition(begin)
    after = rest.partition(end)[2]
    write_atomically(path, f"{before}{begin}\n{content.strip()}\n{end}{after}".encode())


def _marks(name: str) -> tuple[str, str]:
    return f"<!-- {name} -->", f"<!-- end of {name} -->"


if __name__ == "__main__":
    source, page, name = sys.argv[1:]
    put_into(Path(page), name, render(json.loads(Path(source).read_text(encoding="utf-8"))))
