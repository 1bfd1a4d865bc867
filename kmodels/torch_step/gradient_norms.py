"""How long the gradient of each layer is, measured beside a training without moving anything of it."""

from __future__ import annotations

from collections.abc import Sequence

import keras
import numpy as np
import torch

from kmodels.torch_step.randomness import seed_torch

__all__ = ["gradient_norms"]


def gradient_norms(
    model: keras.Model, layers: Sequence[keras.layers.Layer], images: np.ndarray, labels: np.ndarray
) -> list[float]:
    """Returns the L2 norm of the loss's gradient with respect to the kernel of each layer, over one batch.

    In training mode, by Keras' own operations: batch normalisation uses the batch's statistics, dropout draws the same
    masks at every call. Running statistics, the generators of dropout and the optimizer stay as they were, and no
    gradient is left behind.

    Args:
        model: a compiled functional model.
        layers: layers of it, each with a kernel.
        images: float32 `(batch, height, width, channels)`, as the network takes them.
        labels: integers `(batch,)`.
    """
    kernels = [layer.kernel for layer in layers]
    device = kernels[0].value.device
    x, y = torch.as_tensor(images, device=device), torch.as_tensor(labels, device=device)
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []), torch.enable_grad():
        seed_torch(0)
        leaves = [kernel.value.detach().requires_grad_() for kernel in kernels]
        # what a layer assigns inside the scope (statistics, states of generators) is dropped with it
        with keras.StatelessScope(list(zip(kernels, leaves, strict=True))):
            loss = model.compute_loss(x=x, y=y, y_pred=model(x, training=True), training=True)
        gradients = torch.autograd.grad(loss, leaves)
    norms = torch.stack([torch.linalg.vector_norm(gradient.float()) for gradient in gradients])
    return [float(norm) for norm in norms.tolist()]
