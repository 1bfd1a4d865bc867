"""Where a network's squeeze-and-excite gates are."""

from __future__ import annotations

import keras

__all__ = ["gate_layers"]


def gate_layers(model: keras.Model) -> dict[str, keras.layers.Layer]:
    """Returns the layers that gates come out of, by the name of their block, in the network's order.

    Args:
        model: a network whose blocks were made by `kmodels.models.blocks.squeeze_excite`; those of nested models do
            not count.

    Returns:
        Block -> layer, whose output is `(batch, 1, 1, channels)`, each number in (0, 1).

    Example:
        >>> from kmodels.models import build
        >>> list(gate_layers(build("se_resnet14_d")))[:2]
        ['stage1_block1_se', 'stage1_block2_se']
        >>> gate_layers(build("plain_net"))
        {}
    """
    names = [layer.name for layer in model.layers]
    blocks = [name.removesuffix("_scale") for name in names if name.endswith("_scale")]
    return {block: model.get_layer(f"{block}_expand") for block in blocks if f"{block}_expand" in names}
