"""What a result was measured with: machine, versions, command, date."""

from __future__ import annotations

import os
import platform
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

from kmodels.results import environment
from kmodels.torch_step.device import device_of

__all__ = ["provenance"]


def provenance(device: str) -> dict[str, Any]:
    """Returns the facts that every result file begins with.

    Args:
        device: what was measured on, in PyTorch's words.
    """
    found = device_of(torch.zeros(1, device=device), "torch")
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        "command": " ".join(["python -m", _module(), *sys.argv[1:]]),
        "device": found.name,
        "threads": found.threads,
        "cores": os.cpu_count(),
        "platform": platform.platform(terse=True),
        "versions": environment.versions(),
        "cuda": torch.version.cuda,
        "commit": environment.commit(),
        "sources": environment.sources_digest(),
    }


def _module() -> str:
    path = Path(sys.argv[0])
    return f"{path.parent.name}.{path.stem}"
