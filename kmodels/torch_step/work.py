"""What a recorded step costs and what compiling it would save: counted from the graph, never timed.

A choice made by a clock would differ from one run to the next, and so would the numbers. These counts depend on the
network and the batch alone; the rates that turn them into seconds are rounded measurements, the same for everybody.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch.utils.flop_counter import flop_registry

__all__ = ["Work", "steps_until_compiling_pays", "work_of"]


@dataclass(frozen=True)
class Work:
    """A step's work.

    Attributes:
        operations: nodes of the graph.
        flops: floating-point operations of its convolutions and matrix products.
        traffic: bytes that all its operations write.
    """

    operations: int
    flops: int
    traffic: int


@dataclass(frozen=True)
class _Rates:
    """Seconds an operation, an elementwise byte, and of compiling: at all, and for each node."""

    call: float
    byte: float
    compile: float
    compile_node: float


_RATES = {"cpu": _Rates(call=4e-6, byte=1.5e-10, compile=12.0, compile_node=0.05)}
_OTHER = _Rates(call=8e-6, byte=1e-12, compile=10.0, compile_node=0.03)
_SAVED = 0.5  # share of the calls and of the traffic that fusing takes away


def work_of(graph: torch.fx.GraphModule) -> Work:
    """Counts a recorded graph's work."""
    operations = flops = traffic = 0
    for node in graph.graph.nodes:
        if node.op != "call_function":
            continue
        operations += 1
        value = node.meta.get("val")
        traffic += sum(_bytes(part) for part in (value if isinstance(value, tuple | list) else [value]))
        formula = flop_registry.get(getattr(node.target, "overloadpacket", None))
        if formula is not None:
            given = [_value(argument) for argument in node.args]
            flops += int(formula(*given, out_val=value, **{k: _value(v) for k, v in node.kwargs.items()}))
    return Work(operations, flops, traffic)


def steps_until_compiling_pays(work: Work, device: torch.device) -> int:
    """Returns after how many steps compiling has saved about what it costs; the same for every machine of a kind.

    Args:
        work: of one step.
        device: a CPU, or a GPU.
    """
    rates = _RATES.get(device.type, _OTHER)
    saved = _SAVED * (work.operations * rates.call + work.traffic * rates.byte)
    return math.ceil((rates.compile + work.operations * rates.compile_node) / saved)


def _value(argument: object) -> object:
    if isinstance(argument, torch.fx.Node):
        return argument.meta.get("val")
    if isinstance(argument, list | tuple):
        return [_value(part) for part in argument]
    return argument


def _bytes(value: object) -> int:
    return value.numel() * value.element_size() if isinstance(value, torch.Tensor) else 0
