"""What a run computes on: the device's name, CPU threads and peak memory."""

from __future__ import annotations

import platform
import resource
import sys
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Device", "current_device"]


@dataclass(frozen=True)
class Device:
    """A device in words, with what it has used so far.

    Attributes:
        name: such as `CPU: Intel(R) Xeon(R) …` or `CUDA: NVIDIA H100`.
        threads: CPU threads of the backend; 0 where the backend does not say.
        peak_memory_bytes: peak resident set of the process on a CPU, peak allocation on CUDA.
    """

    name: str
    threads: int
    peak_memory_bytes: int


def current_device(backend: str) -> Device:
    """Returns the device that a backend trains on by default.

    Args:
        backend: `torch`, `jax` or `tensorflow`; only torch is asked for CUDA and its threads.
    """
    threads = 0
    if backend == "torch":
        import torch

        threads = torch.get_num_threads()
        if torch.cuda.is_available():
            return Device(f"CUDA: {torch.cuda.get_device_name()}", threads, int(torch.cuda.max_memory_allocated()))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return Device(f"CPU: {_processor()}", threads, peak if sys.platform == "darwin" else peak * 1024)


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
