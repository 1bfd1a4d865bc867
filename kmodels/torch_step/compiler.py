"""Compiling a recorded step with inductor, once for all models and processes that take the same step."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable, Sequence

import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.fx.experimental.symbolic_shapes import ShapeEnv

from kmodels.torch_step.causes import CannotRecord, cause_of
from kmodels.torch_step.compiled_files import choose_folder
from kmodels.torch_step.fused_updates import with_foreach_updates
from kmodels.torch_step.opaque_convolution import with_opaque_convolutions
from kmodels.torch_step.opaque_pooling import with_opaque_pooling
from kmodels.torch_step.opaque_scalars import with_opaque_scalars

__all__ = ["can_compile", "compiled"]

Step = Callable[..., tuple[torch.Tensor, ...]]

_compiled: dict[str, Step] = {}
_KEPT = 16  # a search over widths must not keep a step for each
_LARGEST_CONSTANT = 1024  # elements; a larger one is not worth hashing: the graph that has it is compiled for itself


def can_compile(device: torch.device) -> str | None:
    """Returns why nothing can be compiled for a device, or None where it can."""
    if device.type == "cpu":
        compiler = os.environ.get("CXX", "g++")
        return None if shutil.which(compiler) or shutil.which("clang++") else f"no C++ compiler ({compiler}) was found"
    if device.type == "cuda":
        from torch.utils._triton import has_triton

        return None if has_triton() else "Triton is not installed or does not know this GPU"
    return f"nothing is compiled for {device.type}"


def compiled(graph: torch.fx.GraphModule, inputs: Sequence[torch.Tensor]) -> Step:
    """Compiles a recorded graph.

    Folds, seeds and repeated fits of one recipe record the same graph: all that differs are the tensors, which are its
    inputs. What was compiled for one of them serves the others, in this process at once, and in later ones through
    inductor's files, which it keeps in `TORCHINDUCTOR_CACHE_DIR`, else in `kmodels/compiled` in `$XDG_CACHE_HOME` or
    `~/.cache`, else, where that cannot be written, in a folder of its own under /tmp.

    Args:
        graph: of `recorded`; it is changed.
        inputs: tensors like those it will be called with.

    Returns:
        A function like the graph.

    Raises:
        CannotRecord: the compiler failed; the message says how.
    """
    if inputs[0].device.type == "cpu":
        with_foreach_updates(graph)
        with_opaque_convolutions(graph)
        with_opaque_pooling(graph)
        with_opaque_scalars(graph)
    key = _key(graph, inputs)
    if key is not None and key in _compiled:
        return _compiled[key]
    try:
        import torch._inductor

        choose_folder()
        # Inputs with a shape environment, without which inductor keeps no files; every shape in it is fixed.
        fake = FakeTensorMode(shape_env=ShapeEnv())
        examples = [fake.from_tensor(tensor, static_shapes=True) for tensor in inputs]
        with torch.no_grad():
            step: Step = torch._inductor.compile(graph, examples)
    except Exception as error:
        raise CannotRecord(f"compiling failed: {cause_of(error)}") from error
    if key is not None:
        _compiled[key] = step
        if len(_compiled) > _KEPT:
            del _compiled[next(iter(_compiled))]
    return step


def _key(graph: torch.fx.GraphModule, inputs: Sequence[torch.Tensor]) -> str | None:
    """A digest of all that a compiled graph depends on; None where it does not show all of it."""
    if any(True for _ in graph.children()):
        return None  # its code names parts of the graph without showing them
    constants = {name: value for name, value in vars(graph).items() if isinstance(value, torch.Tensor)}
    constants.update(graph.named_buffers())
    if any(value.numel() > _LARGEST_CONSTANT for value in constants.values()):
        return None
    held = [(name, str(value.dtype), value.tolist()) for name, value in sorted(constants.items())]
    shapes = [(tuple(t.shape), t.stride(), str(t.dtype), str(t.device)) for t in inputs]
    identity = repr((graph.code, held, shapes, torch.get_num_threads()))
    return hashlib.sha256(identity.encode()).hexdigest()
