"""Training images a second of kmodels over the same network written by hand in PyTorch, compiled, at its best.

    python -m benchmarks.throughput --json results/benchmarks/cpu.json --table benchmarks/README.md
    python -m benchmarks.throughput --models LeNet "ResNet 16-32-64" --rounds 9 --seconds 2
    python -m benchmarks.throughput --smoke            # does it run: seconds, tiny, nothing compiled

Both sides train in one process and take turns; a ratio is the median over rounds of two measurements of the same round.
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

import torch

from benchmarks.compare import measure_row
from benchmarks.machine import provenance
from benchmarks.memory import measure_memory
from benchmarks.settings import OPTIMIZERS, Settings, synthetic
from benchmarks.table import block, put_into, render
from benchmarks.twins import CASES
from kmodels.atomic_file import write_atomically
from kmodels.torch_step.keras_internals import current_device

__all__ = ["main", "measure"]

_IMAGES = 8192
_CLOCKS = {"wall": time.perf_counter, "cpu": time.process_time}
_PROCESSES = 3  # in which memory is measured: two that do the same differ by a tenth
_SMOKE = ("LeNet", "ResNet 16-32-64")


def _arguments(given: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.throughput", description=__doc__.splitlines()[0])
    parser.add_argument("--models", nargs="+", choices=CASES, default=list(CASES), help="rows; all by default")
    parser.add_argument("--batch", type=int, help="images a step, for all rows; by default the table's")
    parser.add_argument("--optimizer", nargs="+", choices=OPTIMIZERS, default=["adam"], help="one table each")
    parser.add_argument("--modes", nargs="+", choices=("record", "compile"), default=["record", "compile"])
    parser.add_argument("--precision", choices=("float32", "mixed_bfloat16"), default="float32")
    parser.add_argument("--rounds", type=int, default=7, help="how often each side is timed")
    parser.add_argument("--seconds", type=float, default=2.0, help="about how long each time; at least 2 steps")
    parser.add_argument("--clock", choices=_CLOCKS, default="wall", help="`cpu` for one thread on a busy machine")
    parser.add_argument("--threads", type=int, help="of PyTorch; its own choice by default")
    parser.add_argument("--images", type=int, default=_IMAGES, help="in memory")
    parser.add_argument("--no-stock", dest="stock", action="store_false", help="leave stock Keras out")
    parser.add_argument("--no-memory", dest="memory", action="store_false", help="leave memory out")
    parser.add_argument("--memory-only", action="store_true", help="of rows of --json, whose times stay; with --add")
    parser.add_argument("--json", type=Path, help="file to write the result to")
    parser.add_argument("--add", action="store_true", help="keep the rows of --json that are not measured anew")
    parser.add_argument("--table", type=Path, help="Markdown file whose table to replace")
    parser.add_argument("--smoke", action="store_true", help="seconds, tiny, nothing compiled: only whether it runs")
    options = parser.parse_args(given)
    if options.add and not (options.json and options.json.exists()):
        parser.error("--add needs --json with a file that exists")
    if options.memory_only and not (options.add and options.memory):
        parser.error("--memory-only needs --add, and not --no-memory")
    return options


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Measures every row that was asked for.

    Args:
        options: of the command line.

    Returns:
        The result, as plain values for JSON.
    """
    if options.smoke:
        options.models, options.batch, options.images = list(_SMOKE), 8, 64
        options.modes, options.rounds, options.seconds = ["record"], 2, 0.05
    if options.clock == "cpu":
        options.threads = 1  # the seconds of several threads would be added up
    if options.threads:
        torch.set_num_threads(options.threads)
    device = current_device()
    facts = provenance(device)
    settings_of_all = {name: getattr(options, name) for name in ("rounds", "seconds", "images", "clock")}
    result: dict[str, Any] = {"smoke": options.smoke, **facts, "settings": settings_of_all, "rows": []}
    rows = _known(options.json, result) if options.add else {}
    measured = {name: facts[name] for name in ("date", "command", "commit", "sources")} | {"settings": settings_of_all}
    for name in options.models:
        case = CASES[name]
        for batch in [options.batch] if options.batch else case.batches:
            images = max(options.images, batch)
            data = synthetic(case.shape, images)
            for optimizer in options.optimizer:
                settings = Settings(batch, optimizer, options.precision, device)
                if options.memory_only:
                    row = rows.get((name, batch, optimizer, options.precision), {})
                    if not row:
                        raise ValueError(
                            f"--memory-only: expected rows of --json. Received: {name}, {batch}, {optimizer}"
                        )
                    _memory(name, settings, row, images, torch.get_num_threads(), times=1, only=("twin", "compile"))
                    row["memory"] = _memory(name, settings, row, images, torch.get_num_threads())
                    row["measured"]["memory"] = {name: measured[name] for name in ("date", "command", "commit")}
                    _save(result | {"rows": _sorted(rows)}, options)
                    continue
                row = measure_row(
                    name,
                    case,
                    data,
                    settings,
                    rounds=options.rounds,
                    seconds=options.seconds,
                    modes=options.modes,
                    stock=options.stock,
                    report=_report,
                    clock=_CLOCKS[options.clock],
                )
                if options.memory and (name == options.models[0] or not options.smoke):
                    times = 1 if options.smoke else _PROCESSES
                    row["memory"] = _memory(name, settings, row, images, torch.get_num_threads(), times=times)
                rows[_identity(row)] = {**row, "measured": measured}
                _save(result | {"rows": _sorted(rows)}, options)  # what is known so far, should a later row fail
    return result | {"rows": _sorted(rows)}


def _sorted(rows: dict[tuple[Any, ...], dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted(rows.values(), key=lambda row: list(CASES).index(row["model"]))


def _identity(row: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(row[name] for name in ("model", "batch", "optimizer", "precision"))


def _known(path: Path, result: dict[str, Any]) -> dict[tuple[Any, ...], dict[str, Any]]:
    """The rows of an earlier result, which must be of the same machine, threads and versions."""
    before = json.loads(path.read_text(encoding="utf-8"))
    for name in ("smoke", "device", "threads", "cores", "versions"):
        if before[name] != result[name]:
            raise ValueError(f"--add: expected a file with {name}={result[name]!r}. Received: {before[name]!r}")
    return {_identity(row): row for row in before["rows"]}


def _memory(
    name: str,
    settings: Settings,
    row: dict[str, Any],
    images: int,
    threads: int,
    times: int = _PROCESSES,
    only: tuple[str, ...] = (),
) -> dict[str, Any]:
    """Returns what each side takes, or `only` some: of several processes the one with the median growth."""
    found = {}
    for side in ("twin", *row["ratios"]):
        if only and side not in only:
            continue
        variant = row["twin"]["fields"] if side == "twin" else {}
        common = {"steps": 4, "images": images, "threads": threads, "compiler": "compile" in row["ratios"], **variant}
        each = [measure_memory(name, settings, side, **common) for _ in range(times)]
        found[side] = sorted(each, key=lambda one: one["growth"])[len(each) // 2]
    growth = ", ".join(f"{side} {values['growth'] / 2**20:.0f} MiB" for side, values in found.items())
    _report(f"    memory: {growth}")
    return found


def _save(result: dict[str, Any], options: argparse.Namespace) -> None:
    if options.json:
        write_atomically(options.json, (json.dumps(result, indent=1) + "\n").encode())


def _report(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def main(given: Sequence[str] | None = None) -> int:
    """Measures, prints the table, writes JSON and Markdown where asked to."""
    options = _arguments(given)
    if options.table:
        block(options.table.read_text(encoding="utf-8"), "throughput")  # refused now rather than after an hour
    with tempfile.TemporaryDirectory() as cache:  # so that the seconds of compiling are those of a first time
        os.environ["TORCHINDUCTOR_CACHE_DIR"] = cache
        try:
            result = measure(options)
        except ValueError as error:
            print(error, file=sys.stderr)
            return 2
    print(render(result))
    if options.table:
        put_into(options.table, "throughput", render(result))
    return 0


if __name__ == "__main__":
    sys.exit(main())
