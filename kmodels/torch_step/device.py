"""What a run computes on: the device's name, CPU threads and peak memory."""

from __future__ import annotations

import platform
import resource
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = ["Device", "device_of", "forget_peak_memory", "processor", "threads", "use_threads"]


@dataclass(frozen=True)
class Device:
    """A device in words, with what it has used so far.

    Attributes:
        name: such as `CPU: Intel(R) Xeon(R) …` or `CUDA: NVIDIA H100`.
        threads: CPU threads of the backend; 0 where the backend does not say.
        peak_memory_bytes: peak allocation on CUDA, else the peak resident set of the process; since
            `forget_peak_memory` where the system can tell (CUDA, Linux), else since the process began.
    """

    name: str
    threads: int
    peak_memory_bytes: int


def device_of(weight: Any, backend: str) -> Device:
    """Returns the device that a weight lies on: what a network was trained with, whatever else the machine has.

    Args:
        weight: a weight as its backend holds it, the `value` of a Keras variable.
        backend: `torch`, `jax` or `tensorflow`; only torch is asked for its threads and the memory of a GPU.
    """
    threads, kind, name = 0, "cpu", ""
    if backend == "torch":
        import torch

        threads, kind = torch.get_num_threads(), weight.device.type
        if kind == "cuda":
            name = torch.cuda.get_device_name(weight.device)
            return Device(f"CUDA: {name}", threads, int(torch.cuda.max_memory_allocated(weight.device)))
    elif backend == "jax":
        held = next(iter(weight.devices()))
        kind, name = held.platform, held.device_kind
    else:
        kind = weight.device.rpartition("device:")[2].partition(":")[0].lower()
    peak = _peak_resident_bytes()
    if kind != "cpu":
        return Device(": ".join(filter(None, (kind.upper(), name))), threads, peak)
    return Device(f"CPU: {processor()}", threads, peak)


def processor() -> str:
    """Returns the name of the CPU."""
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _peak_resident_bytes() -> int:
    status = Path("/proc/self/status")
    if status.exists():
        for line in status.read_text(encoding="utf-8").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def forget_peak_memory(backend: str) -> None:
    """Lets the peak memory that `device_of` tells be that of what follows, where the system can do that.

    Args:
        backend: as for `device_of`.
    """
    with suppress(OSError):  # not on Linux, or not allowed
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    if backend == "torch":
        import torch

        if torch.cuda.is_available() and torch.cuda.is_initialized():
            torch.cuda.reset_peak_memory_stats()


def threads(backend: str) -> int:
    """Returns the CPU threads of the backend; 0 where it is not PyTorch."""
    if backend != "torch":
        return 0
    import torch

    return int(torch.get_num_threads())


def use_threads(backend: str, count: int) -> None:
    """Sets the CPU threads of PyTorch, as sums of another number of threads differ in their last bits."""
    if backend == "torch" and count > 0:
        import torch

        torch.set_num_threads(count)
