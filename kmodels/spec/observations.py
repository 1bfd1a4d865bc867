"""What a run recorded beside its scores, as it is stored: gradients, gates, size, sums. Standard library only.

`gradient_norms`: `layers` (paths of all layers with a kernel, in the network's order), `kernel_sizes` (height of each
one's kernel in pixels, 0 for a dense layer) and `norms`: for each probe (before the training, then after each epoch)
the L2 norm of the loss's gradient with respect to each layer's kernel, over one fixed batch of training images that are
not augmented, in training mode, without penalties.

`gates`: `blocks` (names of the squeeze-and-excite blocks, in the network's order) and, for each block, over the
validation images after the training: `mean` and `sd` (for each class the mean gate, and the standard deviation over its
images of an image's mean gate), `between_classes` (standard deviation over the classes of a channel's mean gate) and
`within_classes` (that over the images of a class), both averaged over the channels as root mean square.

`size`: `parameters` (trainable) and `macs` (multiply-accumulate operations an image).

`loss_sum`: `epochs`, for each the sum of its training batches' mean losses, as report E prints it, to six decimals.

Other numbers are rounded to four significant digits, sizes are whole; what is not finite, or of no image, is None.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

__all__ = ["gradient_ratio", "is_observations", "rounded"]


def rounded(value: float) -> float | None:
    """Returns a number with four significant digits; None where it is not finite.

    Example:
        >>> rounded(0.0123456), rounded(float("inf"))
        (0.01235, None)
    """
    near = float(f"{value:.4g}")  # of the very largest numbers infinite
    return near if math.isfinite(near) else None


def gradient_ratio(observations: Mapping[str, Any], *, untrained: bool = False) -> float:
    """Returns by how many powers of ten the first convolution's gradient is longer than the last one's.

    The decimal logarithm of the ratio of their norms, mean over the probes after each epoch: negative where gradients
    vanish on their way to the first layer, positive where they grow. Convolutions of one pixel (shortcuts, gates) do
    not count; a network without larger ones is measured by its first and last layer. What the initial weights do is
    a matter of its own, as a few epochs may turn it round.

    Args:
        observations: what a run stored, `gradient_norms` among it.
        untrained: the probe before the training, alone.

    Returns:
        The mean; not a number where a gradient is zero or was not finite.

    Raises:
        ValueError: there are no gradient norms.

    Example:
        >>> probes = [[9.0, 9.0, 5.0], [0.1, 1.0, 5.0]]
        >>> norms = {"layers": ["stem", "last", "logits"], "kernel_sizes": [3, 3, 0], "norms": probes}
        >>> gradient_ratio({"gradient_norms": norms})
        -1.0
        >>> gradient_ratio({"gradient_norms": norms}, untrained=True)
        0.0
    """
    found = observations.get("gradient_norms")
    if found is None:
        raise ValueError(f"observations: expected gradient_norms among them. Received: {sorted(observations)}")
    large = [place for place, size in enumerate(found["kernel_sizes"]) if size > 1]
    first, last = (large[0], large[-1]) if large else (0, -1)
    probes = found["norms"][:1] if untrained else found["norms"][1:]
    ratios = [(probe[first], probe[last]) for probe in probes]
    if not ratios or any(not above or not below for above, below in ratios):
        return math.nan
    return math.fsum(math.log10(above / below) for above, below in ratios) / len(ratios)


def is_observations(value: Any) -> bool:
    """Returns whether a value that was read has the form that this module describes."""
    if not isinstance(value, Mapping) or not set(value) <= set(_FORMS):
        return False
    return all(isinstance(part, Mapping) and _FORMS[name](part) for name, part in value.items())


def _gradient_norms(part: Mapping[str, Any]) -> bool:
    layers: Any = part.get("layers")
    norms = part.get("norms")
    if set(part) != {"layers", "kernel_sizes", "norms"} or not _texts(layers):
        return False
    sizes = part["kernel_sizes"]
    if not (isinstance(sizes, list) and len(sizes) == len(layers) and all(map(_count, sizes))):
        return False
    return isinstance(norms, list) and bool(norms) and all(_numbers(probe, len(layers)) for probe in norms)


def _gates(part: Mapping[str, Any]) -> bool:
    blocks: Any = part.get("blocks")
    if set(part) != {"blocks", "mean", "sd", "between_classes", "within_classes"} or not _texts(blocks):
        return False
    if not all(_numbers(part[name], len(blocks)) for name in ("between_classes", "within_classes")):
        return False
    tables = [part[name] for name in ("mean", "sd")]
    if not all(isinstance(table, list) and len(table) == len(blocks) for table in tables):
        return False
    classes = {len(row) if isinstance(row, list) else -1 for table in tables for row in table}
    return len(classes) == 1 and all(_numbers(row, max(classes)) for table in tables for row in table)


def _size(part: Mapping[str, Any]) -> bool:
    return set(part) == {"parameters", "macs"} and all(map(_count, part.values()))


def _loss_sum(part: Mapping[str, Any]) -> bool:
    sums: Any = part.get("epochs")
    return set(part) == {"epochs"} and isinstance(sums, list) and bool(sums) and _numbers(sums, len(sums))


_FORMS: dict[str, Callable[[Mapping[str, Any]], bool]] = {
    "gradient_norms": _gradient_norms,
    "gates": _gates,
    "size": _size,
    "loss_sum": _loss_sum,
}


def _texts(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(entry, str) for entry in value)


def _count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _numbers(value: Any, length: int) -> bool:
    """Whether it is a list of so many numbers, each finite and 0 or more, or None."""
    if not isinstance(value, list) or len(value) != length:
        return False
    numbers = [entry for entry in value if entry is not None]
    kinds = all(isinstance(entry, int | float) and not isinstance(entry, bool) for entry in numbers)
    return kinds and all(0 <= entry < math.inf for entry in numbers)
