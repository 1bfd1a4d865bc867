"""A step that was recorded for one kind of batches."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from kmodels.torch_step.step import State
from kmodels.torch_step.work import Work

__all__ = ["Recording"]


@dataclass
class Recording:
    """How a kind of batches is computed.

    Attributes:
        state: the tensors that the step reads and writes, which are given to `function` before the batch.
        function: computes one step and returns its values, in the order of `names`.
        names: of the step's logs.
        work: counted in the graph.
        compile_at: number of steps after which it is compiled; None for never, and once it is.
        graph: what is compiled then; None where nothing will be.
        compiled: whether `function` is compiled.
        calls: steps taken so far.
    """

    state: State
    function: Any
    names: list[str]
    work: Work
    compile_at: int | None
    graph: torch.fx.GraphModule | None
    compiled: bool = False
    calls: int = 0

    def __str__(self) -> str:
        how = "compiled" if self.compiled else "recorded"
        if self.compile_at is not None:
            how += f", to be compiled after {self.compile_at} steps"
        return f"{self.work.operations} operations, {self.work.flops / 1e9:.3g} GFLOP a batch, {how}"
