"""The PyTorch side of a measurement: a twin in every variant an engineer would try, and the fastest of them."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from benchmarks.settings import Data, Settings

__all__ = ["TwinSide", "Variant"]


@dataclass(frozen=True)
class Variant:
    """A way to run the same training step.

    Attributes:
        compiled: None for eager, else the mode of `torch.compile` for forward, loss and backward.
        layout: `NCHW` or `NHWC` (channels last) in memory.
        optimizer: `foreach` or `fused`; `compiled` for a compiled foreach step.
        data: gathered from `float` images, or from `uint8` and then normalised.
    """

    compiled: str | None
    layout: str
    optimizer: str
    data: str = "float"

    def __str__(self) -> str:
        how = {None: "eager", "default": "compiled"}.get(self.compiled, f"compiled ({self.compiled})")
        return f"{how}, {self.layout}, {self.optimizer} optimizer, {self.data} images"


class TwinSide:
    """A twin with its optimizer and its data.

    Args:
        twin: builds the network.
        data: what it is trained on.
        settings: how.
        variant: how the step runs.
    """

    def __init__(self, twin: Callable[[], nn.Module], data: Data, settings: Settings, variant: Variant) -> None:
        torch.manual_seed(0)
        self.settings, self.variant = settings, variant
        self.device = torch.device(settings.device)
        self.format = torch.channels_last if variant.layout == "NHWC" else torch.contiguous_format
        self.model = twin().to(self.device, memory_format=self.format)
        self._optimizer = self._make_optimizer()
        self._images, self._labels = self._placed(data)
        mode = variant.compiled
        self._loss: Callable[[Tensor, Tensor], Tensor] = self._forward
        if mode is not None:
            self._loss = torch.compile(self._forward, mode=mode, dynamic=False)
        self._update: Callable[[], Any] = self._optimizer.step
        if variant.optimizer == "compiled":
            self._update = torch.compile(self._optimizer.step, mode=mode, dynamic=False)
        self._order: Tensor | None = None
        self._place = 0

    def _make_optimizer(self) -> torch.optim.Optimizer:
        rate, fused = self.settings.learning_rate, self.variant.optimizer == "fused"
        how: dict[str, Any] = {"fused": True} if fused else {"foreach": True}
        if self.settings.optimizer == "adam":
            if self.variant.compiled == "reduce-overhead" and not fused:
                how["capturable"] = True
            return torch.optim.Adam(self.model.parameters(), lr=rate, **how)
        return torch.optim.SGD(self.model.parameters(), lr=rate, momentum=0.9, nesterov=True, **how)

    def _placed(self, data: Data) -> tuple[Tensor, Tensor]:
        images = torch.from_numpy(data.images).to(self.device).permute(0, 3, 1, 2)
        if self.variant.data == "float":
            images = (images.float() / 255.0 - 0.5) / 0.25
        return images.contiguous(memory_format=self.format), torch.from_numpy(data.labels).to(self.device)

    def _forward(self, images: Tensor, labels: Tensor) -> Tensor:
        if images.dtype == torch.uint8:
            images = images.float().mul(1.0 / (255.0 * 0.25)).sub(2.0)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.settings.precision == "mixed_bfloat16"):
            logits = self.model(images)
        return F.cross_entropy(logits.float(), labels)

    def run(self, steps: int) -> None:
        """Trains a number of steps, on batches gathered in an order drawn anew every epoch."""
        batch, count = self.settings.batch, len(self._labels)
        for _ in range(steps):
            if self._order is None or self._place + batch > count:
                self._order, self._place = torch.randperm(count, device=self.device), 0
            chosen = self._order[self._place : self._place + batch]
            self._place += batch
            loss = self._loss(self._images[chosen], self._labels[chosen])
            loss.backward()
            self._update()
            self._optimizer.zero_grad(set_to_none=True)
        if self.device.type == "cuda":
            torch.cuda.synchronize()

    def first(self) -> float:
        """Trains a first step, compiling included; returns its seconds."""
        began = time.perf_counter()
        self.run(1)
        return time.perf_counter() - began
