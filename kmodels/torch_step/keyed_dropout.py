"""Dropout masks that are a function of a key: no generator whose state must be read on the host, saved or restored.

Keras' seeded dropout makes a PyTorch generator from its seed in every step, which waits for the device. Here the mask
is hashed from (seed, number of the call, position), integers that are already tensors: the same mask whether a step
is computed layer by layer, recorded, compiled, replayed or resumed.
"""

from __future__ import annotations

import torch

__all__ = ["keep_mask"]

_LOW = 0xFFFFFFFF


def keep_mask(key: torch.Tensor, inputs: torch.Tensor, rate: float) -> torch.Tensor:
    """Returns which elements are kept, each with probability `1 - rate`.

    Args:
        key: integers `(2,)`, the seed and the number of the call, on the device of `inputs`.
        inputs: gives the shape of the mask.
        rate: share that is dropped, in (0, 1).

    Returns:
        Booleans of the shape of `inputs`.
    """
    seed, call = key[0].to(torch.int64) & _LOW, key[1].to(torch.int64) & _LOW
    index = torch.arange(inputs.numel(), device=inputs.device, dtype=torch.int64)
    drawn = _mixed(_mixed(index + _mixed(seed)) ^ _mixed(_mixed(call) + seed))
    return (drawn >= round(rate * 2**32)).reshape(inputs.shape)


def _mixed(x: torch.Tensor) -> torch.Tensor:
    """Returns a 32-bit hash, each bit of which depends on every bit of `x` (the constants are a known pair)."""
    x = x & _LOW
    x = _times(x ^ (x >> 16), 0x7FEB352D)
    x = _times(x ^ (x >> 15), 0x846CA68B)
    return x ^ (x >> 16)


def _times(x: torch.Tensor, factor: int) -> torch.Tensor:
    """Multiplies modulo 2³² in two halves: a product of two 32-bit numbers would overflow a signed 64-bit integer."""
    high, low = factor >> 16, factor & 0xFFFF
    return (x * low + (((x * high) & 0xFFFF) << 16)) & _LOW
