"""Ten folds of LeNet on a CPU, taken as one vectorised step, over the ten trained one after the other.

    python -m benchmarks.folds --json results/benchmarks/folds.json --table benchmarks/README.md
    python -m benchmarks.folds --smoke                 # does it run: seconds, tiny, nothing compiled

Ten folds one after the other are ten times one fold, which takes turns with the vectorised step, round by round.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

os.environ.setdefault("KERAS_BACKEND", "torch")  # before Keras is imported; it has no other effect

import torch

from benchmarks import gpu_parts
from benchmarks.gpu_parts import Scale
from benchmarks.machine import provenance
from benchmarks.settings import Settings
from benchmarks.table import block, put_into, rows_and_head, where
from kmodels.atomic_file import write_atomically

__all__ = ["main", "measure", "render"]

_BATCH = 128
_IMAGES = 12_800  # in memory
_LEAST_ROUNDS = 5
_CLOCKS = {"wall": time.perf_counter, "cpu": time.process_time}
_STEPS = {"record": "recorded", "compile": "compiled"}


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Returns the content of the JSON file.

    Args:
        options: of the command line.
    """
    torch.set_num_threads(1)
    modes, batch, images = ["record", "compile"], _BATCH, _IMAGES
    if options.smoke:
        modes, batch, images = ["record"], 8, 32
    settings = Settings(batch)
    rows = []
    for mode in modes:
        scale = Scale(settings, options.rounds, options.seconds, images, modes=[mode], models=[])
        _report(f"{_STEPS[mode]}:")
        found = gpu_parts.folds(scale, _report, clock=_CLOCKS[options.clock])
        torch._dynamo.reset()
        cost = {name: round(value / found["folds"], 4) for name, value in found.pop("ratio").items()}
        rows.append({"mode": mode, "batch": batch, "optimizer": settings.optimizer, **found, "ratio": cost})
    fixed = {"rounds": options.rounds, "seconds": options.seconds, "images": images, "clock": options.clock}
    return {"smoke": options.smoke, **provenance("cpu"), "settings": fixed, "rows": rows}


def render(result: dict[str, Any]) -> str:
    """Returns the table of a result, with the line that says where it was measured.

    Args:
        result: the content of its JSON file.
    """
    head = ["model", "folds", "batch", "optimizer", "step", "at once / one by one", "first step, s: at once / one fold"]
    lines = []
    for row in result["rows"]:
        cost, first = row["ratio"], row["first_step_seconds"]
        cells = [row["model"], str(row["folds"]), str(row["batch"]), row["optimizer"], _STEPS[row["mode"]]]
        cells.append(f"**{cost['median']:.2f}** ({cost['least']:.2f} to {cost['most']:.2f})")
        lines.append([*cells, f"{first['vectorised']:.1f} / {first['one fold']:.1f}"])
    return f"{rows_and_head(head, lines)}\n\n{where(result)}"


def main(given: Sequence[str] | None = None) -> int:
    """Measures, prints the table, and writes it where it is asked for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.folds", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7, help=f"how often each side is timed; {_LEAST_ROUNDS} or more")
    parser.add_argument("--seconds", type=float, default=2.0, help="about how long each time; at least 2 steps")
    parser.add_argument("--clock", choices=_CLOCKS, default="wall", help="`cpu` on a busy machine")
    parser.add_argument("--json", type=Path, help="file to write the result to")
    parser.add_argument("--table", type=Path, help="Markdown file whose table to replace")
    parser.add_argument("--smoke", action="store_true", help="seconds, tiny, nothing compiled: only whether it runs")
    options = parser.parse_args(given)
    if options.smoke:
        options.rounds, options.seconds = 2, 0.02
    elif options.rounds < _LEAST_ROUNDS:
        parser.error(f"--rounds: expected {_LEAST_ROUNDS} or more. Received: {options.rounds}")
    if options.json and not options.json.parent.is_dir():  # asked before minutes of measuring, not after
        parser.error(f"--json: expected a file in a folder that is there. Received: {options.json}")
    if options.table:
        block(options.table.read_text(encoding="utf-8"), "folds")
    with tempfile.TemporaryDirectory() as cache:  # so that the seconds of compiling are those of a first time
        os.environ["TORCHINDUCTOR_CACHE_DIR"] = cache
        result = measure(options)
    table = render(result)
    print(table)
    if options.json:
        write_atomically(options.json, (json.dumps(result, indent=1) + "\n").encode())
    if options.table:
        put_into(options.table, "folds", table)
    return 0


def _report(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
