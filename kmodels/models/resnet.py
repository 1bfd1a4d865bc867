"""Residual networks: one builder for the reports' variants and for the field's references."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import keras

from kmodels.models.blocks import WEIGHTS, batch_norm, conv_block, logits, max_pool, relu
from kmodels.models.checks import require, require_dropout, require_input_shape, require_integer, require_integers
from kmodels.models.residual import BLOCKS, SHORTCUTS, STRIDE_ON, basic, bottleneck, preactivation

__all__ = ["resnet"]

_FOUR_STAGES = {
    ("basic", 18): (2, 2, 2, 2),
    ("basic", 34): (3, 4, 6, 3),
    ("bottleneck", 50): (3, 4, 6, 3),
    ("bottleneck", 101): (3, 4, 23, 3),
    ("bottleneck", 152): (3, 8, 36, 3),
}
_POOLS = (None, "ceil", "padded")
_DOWNSAMPLING = ("stride", "average_pool")
_HEADS = ("average_pool", "flatten")


def resnet(
    input_shape: tuple[int, int, int],
    num_classes: int,
    *,
    depth: int | None = None,
    blocks_per_stage: int | Sequence[int] | None = None,
    widths: Sequence[int] = (64, 128, 256, 512),
    block: str | None = None,
    stem_width: int | None = None,
    stem_kernel: int = 3,
    stem_stride: int = 1,
    stem_bias: bool = False,
    stem_batch_norm: bool = True,
    stem_pool: str | None = None,
    stride_on: str = "3x3",
    downsampling: str = "stride",
    shortcut: str = "projection",
    se_reduction: int | None = None,
    head: str = "average_pool",
    dropout: float = 0.0,
    weights: str = "torch",
    name: str = "resnet",
) -> keras.Model:
    """Builds a residual network: a stem, stages of residual blocks, pooling and one dense layer.

    The stages after the first halve height and width. With the defaults it is ResNet-18 with the stem for small
    images; `kmodels.models.MODELS` holds the reports' and the field's variants as presets.

    Args:
        input_shape: `(height, width, channels)`, large enough that the last stage sees a pixel.
        num_classes: number of classes, 2 or more.
        depth: layers with weights on the longest path. With four stages 18, 34 (basic), 50, 101 or 152 (bottleneck);
            with three 6n + 2 (basic) or 6n + 4 (preactivation). 18 unless `blocks_per_stage` is given.
        blocks_per_stage: blocks of each stage, or one number for all, in place of `depth`.
        widths: channels of each stage; a bottleneck puts out four times as many.
        block: `basic`, `bottleneck` or `preactivation`; None for what `depth` implies, `basic` without a depth.
        stem_width: channels of the stem; None for the first of `widths`.
        stem_kernel: height and width of the stem's kernel in pixels, odd; zeros on each side keep the size.
        stem_stride: step of the stem's convolution.
        stem_bias: give the stem's convolution a bias.
        stem_batch_norm: batch normalisation after the stem's convolution; the preactivation block brings its own, and
            its stem is the convolution alone.
        stem_pool: 3x3 max pooling with stride 2 after the stem: `ceil` (no padding, sizes rounded up), `padded` (one
            pixel on each side) or None.
        stride_on: which convolution of a bottleneck takes the stride: `1x1` (the first) or `3x3`.
        downsampling: `stride` (first block of each later stage) or `average_pool` (2x2 after every stage, no strides).
        shortcut: `projection` where the shape changes (option B), `pad` with zeros (option A) or `none` at all, which
            leaves a plain network of the same layers.
        se_reduction: squeeze-and-excite before every sum, with this reduction; None for none.
        head: `average_pool` over all pixels, or `flatten` them, before the dense layer.
        dropout: share of the dense layer's inputs set to zero in training, in [0, 1).
        weights: distribution of the initial kernels, see `kmodels.models.blocks.kernel_initializer`; the dense layer
            keeps PyTorch's default under either `he`.
        name: name of the model.

    Returns:
        A functional model from `(batch, height, width, channels)` to float32 logits `(batch, num_classes)`.

    Raises:
        ValueError: an argument is out of range or two do not go together; the message names it.

    Example:
        >>> resnet((32, 32, 3), 10, depth=20, widths=(16, 32, 64), shortcut="pad").count_params()
        271098

    Reference:
        He et al., Deep Residual Learning for Image Recognition, 2016; reports A, B, D and E.
    """
    kind, blocks = _stages(depth, blocks_per_stage, widths, block)
    for argument, value, allowed in (
        ("stem_pool", stem_pool, _POOLS),
        ("stride_on", stride_on, STRIDE_ON),
        ("downsampling", downsampling, _DOWNSAMPLING),
        ("shortcut", shortcut, SHORTCUTS),
        ("head", head, _HEADS),
        ("weights", weights, WEIGHTS),
    ):
        require(value in allowed, argument, f"one of {', '.join(map(repr, allowed))}", value)
    require_integer("stem_kernel", stem_kernel, 1)
    require(stem_kernel % 2 == 1, "stem_kernel", "an odd number", stem_kernel)
    require_integer("stem_stride", stem_stride, 1)
    require_integer("stem_width", 1 if stem_width is None else stem_width, 1, which=", or None")
    require_integer("num_classes", num_classes, 2)
    require_dropout(dropout)
    if se_reduction is not None:
        require_integer("se_reduction", se_reduction, 1, min(widths), ", the fewest channels")
    pooled = downsampling == "average_pool"
    shrink = stem_stride * (2 if stem_pool else 1) * 2 ** (len(blocks) - (0 if pooled else 1))
    require_input_shape(input_shape, smallest=shrink)
    if pooled:
        even = all(size % shrink == 0 for size in input_shape[:2])
        require(even, "input_shape", f"multiples of {shrink} pixels for downsampling={downsampling!r}", input_shape)

    inputs = keras.Input(input_shape, name="images")
    x = conv_block(
        inputs,
        stem_width or widths[0],
        stem_kernel,
        stride=stem_stride,
        use_bias=stem_bias,
        normalize=stem_batch_norm and kind != "preactivation",
        activate=kind != "preactivation",
        name="stem",
        weights=weights,
    )
    if stem_pool is not None:
        padding = 1 if stem_pool == "padded" else 0
        x = max_pool(x, 3, 2, padding=padding, ceil_mode=stem_pool == "ceil", name="stem_pool")
    for stage, (count, width) in enumerate(zip(blocks, widths, strict=True), start=1):
        for index in range(1, count + 1):
            x = _BUILDERS[kind](
                x,
                width,
                2 if index == 1 and stage > 1 and not pooled else 1,
                name=f"stage{stage}_block{index}",
                shortcut=shortcut,
                se_reduction=se_reduction,
                weights=weights,
                stride_on=stride_on,
            )
        if pooled:
            x = keras.layers.AveragePooling2D(2, data_format="channels_last", name=f"stage{stage}_pool")(x)
    if kind == "preactivation":
        x = relu(batch_norm(x, name="last_bn"), name="last_relu")
    if head == "flatten":
        x = keras.layers.Flatten(data_format="channels_last", name="flatten")(x)
    else:
        x = keras.layers.GlobalAveragePooling2D(data_format="channels_last", name="average")(x)
    x = keras.layers.Dropout(dropout, name="dropout")(x)
    # the He distributions are meant for layers with a ReLU behind them
    last_weights = "xavier" if weights == "xavier" else "torch"
    return keras.Model(inputs, logits(x, num_classes, weights=last_weights), name=name)


_BUILDERS: dict[str, Callable[..., Any]] = {"basic": basic, "bottleneck": bottleneck, "preactivation": preactivation}


def _stages(
    depth: int | None, blocks_per_stage: int | Sequence[int] | None, widths: Sequence[int], block: str | None
) -> tuple[str, tuple[int, ...]]:
    """Returns the kind of block, and how many of them each stage has."""
    require(block is None or block in BLOCKS, "block", f"None or one of {', '.join(BLOCKS)}", block)
    require_integers("widths", widths, "channels of each stage, 1 or more", fewest=1)
    if blocks_per_stage is not None:
        require(depth is None, "depth", "None together with blocks_per_stage", depth)
        counts = (blocks_per_stage,) * len(widths) if isinstance(blocks_per_stage, int) else tuple(blocks_per_stage)
        expected = f"a number or {len(widths)} numbers, each 1 or more"
        require(len(counts) == len(widths) and min(counts) >= 1, "blocks_per_stage", expected, blocks_per_stage)
        return block or "basic", counts
    depth = 18 if depth is None else depth
    if len(widths) == 4:
        for (kind, known), counts in _FOUR_STAGES.items():
            if known == depth and block in (None, kind):
                return kind, counts
        fitting = [str(known) for kind, known in _FOUR_STAGES if block in (None, kind)]
        expected = f"one of {', '.join(fitting)}" if fitting else f"None (blocks_per_stage) for block={block!r}"
        require(False, "depth", expected, depth)
    require(len(widths) == 3, "depth", f"None (blocks_per_stage) for {len(widths)} stages", depth)
    require(block != "bottleneck", "block", "basic or preactivation for three stages and a depth", block)
    beside = 4 if block == "preactivation" else 2
    expected = f"6n + {beside} with n of 1 or more for three stages"
    require(depth > beside and (depth - beside) % 6 == 0, "depth", expected, depth)
    return block or "basic", ((depth - beside) // 6,) * 3
