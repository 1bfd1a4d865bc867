"""How much memory training takes, each side in a process of its own.

On a CPU: how far the resident set rises above what it was after imports, data and building the network; PyTorch's
compiler counts as an import on every side, whether its step is compiled or not. On CUDA: the most that was allocated.
"""

from __future__ import annotations

import ctypes
import gc
import json
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

from benchmarks.settings import Settings, synthetic

__all__ = ["measure_memory"]

_ROOT = Path(__file__).resolve().parent.parent


def measure_memory(
    case: str,
    settings: Settings,
    side: str,
    *,
    steps: int,
    images: int,
    threads: int,
    compiler: bool = True,
    **variant: Any,
) -> dict[str, int]:
    """Measures a side in a new process.

    Args:
        case: name in `CASES`.
        settings: how to train.
        side: `twin`, `stock` or a mode of `kmodels.accelerate`.
        steps: training steps.
        images: in memory.
        threads: of PyTorch.
        compiler: import PyTorch's compiler first, whether this side's step is compiled or not.
        **variant: fields of the twin's variant.

    Returns:
        Bytes: `before`, `after` training, `peak`, and `growth`, which on CUDA is the most that was allocated.
    """
    given = {
        "case": case,
        "settings": vars(settings),
        "side": side,
        "steps": steps,
        "images": images,
        "threads": threads,
        "compiler": compiler,
        "variant": variant,
    }
    command = [sys.executable, "-m", "benchmarks.memory", json.dumps(given)]
    done = subprocess.run(command, cwd=_ROOT, capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"{case}, {side}: {done.stderr[-2000:]}")
    found: dict[str, int] = json.loads(done.stdout.splitlines()[-1])
    return found


def _main(given: dict[str, Any]) -> dict[str, int]:
    import torch

    from benchmarks.keras_side import KerasSide
    from benchmarks.twin_side import TwinSide, Variant
    from benchmarks.twins import CASES

    if given["threads"]:
        torch.set_num_threads(given["threads"])
    case, settings = CASES[given["case"]], Settings(**given["settings"])
    data = synthetic(case.shape, given["images"])
    if given["compiler"] and settings.device == "cpu":
        _import_compiler()
    side: Any
    if given["side"] == "twin":
        side = TwinSide(case.twin, data, settings, Variant(**given["variant"]))
    else:
        side = KerasSide(case.preset, data, settings, given["side"])
    _give_back()
    before = _resident()
    _forget_peak()
    side.run(given["steps"])
    after, peak = _resident(), _peak()
    growth = peak - before
    if settings.device.startswith("cuda"):
        growth = int(torch.cuda.max_memory_allocated())
    return {"before": before, "after": after, "peak": peak, "growth": growth}


def _import_compiler() -> None:
    """Has PyTorch import all of its compiler, which it does bit by bit while it compiles."""
    import torch

    torch.compile(lambda images: torch.nn.functional.conv2d(images, images).relu().sum())(torch.ones(1, 1, 8, 8))


def _give_back() -> None:
    """Has the heap give back what making the images left over: a side would else grow into it unseen."""
    gc.collect()
    if (trim := getattr(ctypes.CDLL(None), "malloc_trim", None)) is not None:  # glibc's
        trim(0)


def _resident() -> int:
    return _status("VmRSS")


def _peak() -> int:
    return _status("VmHWM")


def _forget_peak() -> None:
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return  # the peak of the whole process then stands in for it


def _status(name: str) -> int:
    status = Path("/proc/self/status")
    if status.exists():
        for line in status.read_text().splitlines():
            if line.startswith(f"{name}:"):
                return int(line.split()[1]) * 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


if __name__ == "__main__":
    print(json.dumps(_main(json.loads(sys.argv[1]))))
