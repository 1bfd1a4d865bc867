"""What kmodels does on a GPU: one command, 8 minutes, no network.

    KMODELS_DATA=folder python -m benchmarks.gpu              # folder holds cifar10.npz
    python -m benchmarks.gpu --smoke --out /tmp/gpu           # the same on a CPU: does it run

(a) the table at batch 512 in bfloat16, with achieved TFLOP/s and their share of a product of matrices, (b) CUDA graphs,
(c) feeding from NumPy or from the device, and Keras on JAX, (d) ten folds at once, (e) time to 94 % and 96 % accuracy.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

from benchmarks import gpu_parts
from benchmarks.fast import RECIPES, FastRecipe, Images, train_fast
from benchmarks.gpu_parts import Scale
from benchmarks.gpu_table import render
from benchmarks.machine import provenance
from benchmarks.settings import Settings, synthetic
from benchmarks.table import put_into
from kmodels.atomic_file import write_atomically
from kmodels.torch_step.keras_internals import current_device

__all__ = ["main"]

_MODELS = ("ResNet-18", "LeNet", "ResNet 16-32-64", "VGG16-BN", "MyConvNet", "SimpleDenseNet")
_SHARE = {"table": 0.42, "graphs": 0.5, "feeding": 0.56, "tfdata": 0.6, "jax": 0.64, "folds": 0.68, "fast": 1.0}
"""Share of the time budget that is gone when a part should have ended; no part begins after its own."""


def _arguments(given: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu", description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("results/gpu"), help="folder for the JSON file")
    parser.add_argument("--time-budget", type=float, default=480.0, metavar="SECONDS", help="for everything")
    parser.add_argument("--parts", nargs="+", choices=_SHARE, default=list(_SHARE), help="all by default")
    parser.add_argument("--models", nargs="+", choices=_MODELS, default=list(_MODELS), help="rows of the table")
    parser.add_argument("--batch", type=int, default=512, help="images a step")
    parser.add_argument("--runs", type=int, default=5, help="of the fast recipes, if the time allows")
    parser.add_argument("--table", type=Path, help="Markdown file whose table to replace")
    parser.add_argument("--smoke", action="store_true", help="tiny, nothing compiled, synthetic data: does it run")
    return parser.parse_args(given)


def main(given: Sequence[str] | None = None) -> int:
    """Runs the parts, prints what came out, and writes it as JSON after each part."""
    began = time.perf_counter()
    options = _arguments(given)
    device = current_device()
    if device == "cpu" and not options.smoke:
        print("benchmarks.gpu: there is no GPU; --smoke runs the same, tiny, on the CPU", file=sys.stderr)
        return 2
    scale = _scale(options, device)
    result: dict[str, Any] = {"smoke": options.smoke, **provenance(device), "time_budget": options.time_budget}
    result["settings"] = {"rounds": scale.rounds, "seconds": scale.seconds, "images": scale.images}
    peak = gpu_parts.matmul_rate(device, 256 if options.smoke else 8192, 0.02 if options.smoke else 1.0)
    result["matmul_teraflops"] = round(peak / 1e12, 3)
    _report(f"product of bfloat16 matrices: {peak / 1e12:.3g} TFLOP/s")

    def until(part: str) -> float:
        return began + _SHARE[part] * options.time_budget

    parts: dict[str, Callable[[], dict[str, Any]]] = {
        # the last row may begin when the part should end in a minute
        "table": lambda: gpu_parts.table(scale, deadline=until("table") - 60, peak=peak, report=_report),
        "graphs": lambda: gpu_parts.graphs(scale, _report),
        "feeding": lambda: gpu_parts.feeding(scale, _report),
        "tfdata": lambda: gpu_parts.tfdata(scale, _report),
        "jax": lambda: gpu_parts.jax(scale, _report),
        "folds": lambda: gpu_parts.folds(scale, _report),
        "fast": lambda: _fast(options, until("fast")),
    }
    name = "gpu-smoke.json" if options.smoke else "gpu.json"
    for part in options.parts:
        result[part] = _run(part, parts[part], until(part))
        result["seconds"] = round(time.perf_counter() - began, 1)
        write_atomically(options.out / name, (json.dumps(result, indent=1) + "\n").encode())
    print(render(result))
    if options.table:
        put_into(options.table, "gpu", render(result))
    return 0 if all("failed" not in result[part] for part in options.parts) else 1


def _run(part: str, function: Callable[[], dict[str, Any]], until: float) -> dict[str, Any]:
    """A part's result; that it failed, or that there was no time left, is a result too: the others still run."""
    if time.perf_counter() > until:
        _report(f"{part}: left out, the time was up")
        return {"left out": "the time was up"}
    began = time.perf_counter()
    try:
        found = function()
    except Exception as error:
        traceback.print_exc()
        found = {"failed": f"{type(error).__name__}: {error}"[:500]}
    torch._dynamo.reset()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    return {**found, "part_seconds": round(time.perf_counter() - began, 1)}


def _scale(options: argparse.Namespace, device: str) -> Scale:
    if options.smoke:
        settings = Settings(8, "adam", "mixed_bfloat16", device)
        tiny = {"rounds": 2, "seconds": 0.02, "images": 32}
        stand_in = device == "cpu"  # of CUDA's graphs
        return Scale(settings, modes=("record",), models=("LeNet",), feeding="LeNet", stand_in=stand_in, **tiny)
    settings = Settings(options.batch, "adam", "mixed_bfloat16", device)
    modes = ("record", "compile")
    return Scale(settings, rounds=5, seconds=0.4, images=8192, modes=modes, models=options.models)


def _fast(options: argparse.Namespace, deadline: float) -> dict[str, Any]:
    if options.smoke:
        tiny = FastRecipe(0.94, 1, (4, 8, 8, 8), (1, 0, 1), batch=8)
        part = synthetic((32, 32, 3), 32)
        images = part.images, part.labels
        return {"tiny": train_fast(tiny, images, images, runs=1, deadline=deadline, report=_report)}
    train, test = _cifar10()
    found: dict[str, Any] = {}
    for number, (target, recipe) in enumerate(RECIPES.items()):
        now = time.perf_counter()
        share = now + (deadline - now) * (0.4 if number == 0 else 1.0)
        _report(f"fast, {target}: {recipe.epochs} epochs")
        found[target] = train_fast(recipe, train, test, runs=options.runs, deadline=share, report=_report)
    return found


def _cifar10() -> tuple[Images, Images]:
    from kmodels import data

    dataset = data.load("cifar10", report=_report)
    test = dataset.open_test("accuracy of the fast recipes, once a run", _report)
    return (dataset.x_train, dataset.y_train), test


def _report(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
