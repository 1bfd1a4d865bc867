"""Several training steps replayed as one CUDA graph: one launch where there were thousands.

A graph replays the kernels of its capture on the memory of its capture. The variables stay where they are; what
changes from batch to batch is copied into buffers that belong to the graph.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any

import torch

__all__ = ["Replay", "Replays", "captured", "constants_to_device"]

Function = Callable[..., tuple[torch.Tensor, ...]]
_WARM_UPS = 3


class Replay:
    """A captured sequence of steps.

    Args:
        replay: runs what was captured.
        inputs: for each step its buffers; a tensor that was resident when it was captured is its own buffer.
        outputs: of the last step.
    """

    def __init__(
        self, replay: Callable[[], None], inputs: Sequence[Sequence[torch.Tensor]], outputs: Sequence[torch.Tensor]
    ) -> None:
        self._replay, self._inputs, self._outputs = replay, inputs, outputs

    def __call__(self, batches: Sequence[Sequence[torch.Tensor]]) -> tuple[torch.Tensor, ...]:
        """Takes as many steps as were captured.

        Args:
            batches: the tensors of each batch.

        Returns:
            The outputs of the last step, copies that the next call leaves alone.
        """
        with torch.no_grad():
            for buffers, tensors in zip(self._inputs, batches, strict=True):
                for buffer, tensor in zip(buffers, tensors, strict=True):
                    if buffer is not tensor:
                        buffer.copy_(tensor, non_blocking=True)
            self._replay()
            return tuple(output.clone() for output in self._outputs)


def captured(
    function: Function,
    state: Sequence[torch.Tensor],
    batches: Sequence[Sequence[torch.Tensor]],
    *,
    resident: int,
    capture: Callable[[Callable[[], Any]], Callable[[], None]] | None = None,
) -> Replay:
    """Captures one step for each batch, without any of them counting.

    The state and PyTorch's generators of random numbers are afterwards what they were before.

    Args:
        function: of the state's and a batch's tensors; changes the state in place.
        state: tensors that stay where they are.
        batches: tensors of each batch, of the shapes that will come.
        resident: how many tensors at the beginning of a batch never change and are not copied.
        capture: runs a function once and returns what replays it; None for a CUDA graph.

    Returns:
        What replays the steps.

    Raises:
        RuntimeError: the step does something that cannot be captured, such as waiting for the device.
    """
    inputs = [[*batch[:resident], *(tensor.clone() for tensor in batch[resident:])] for batch in batches]
    outputs: list[torch.Tensor] = []

    def steps() -> None:
        for buffers in inputs:
            outputs[:] = function(*state, *buffers)

    with torch.no_grad():
        kept = [tensor.clone() for tensor in state]
        try:
            device = state[0].device
            with _generators_kept(device), torch.cuda.device(device) if device.type == "cuda" else nullcontext():
                replay = (capture or _cuda_graph)(steps)
        finally:
            for tensor, value in zip(state, kept, strict=True):
                tensor.copy_(value)
    return Replay(replay, inputs, outputs)


@contextmanager
def _generators_kept(device: torch.device) -> Iterator[None]:
    """Puts the generators of the host and of the device back after the block, whatever it drew."""
    host = torch.get_rng_state()
    there = torch.cuda.get_rng_state(device) if device.type == "cuda" else None
    try:
        yield
    finally:
        torch.set_rng_state(host)
        if there is not None:
            torch.cuda.set_rng_state(there, device)


def _cuda_graph(steps: Callable[[], Any]) -> Callable[[], None]:
    # Elsewhere first, so that libraries choose and allocate what they do once before anything is captured.
    side = torch.cuda.Stream()  # of the current device, which `captured` has set
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(_WARM_UPS):
            steps()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph, capture_error_mode="thread_local"):
        steps()
    return graph.replay  # type: ignore[no-any-return, unused-ignore]


class Replays:
    """The captures of one model, each made when it is first needed.

    Attributes:
        refused: why nothing is captured any more, or None.

    Args:
        capture: see `captured`.
    """

    def __init__(self, capture: Callable[[Callable[[], Any]], Callable[[], None]] | None = None) -> None:
        self._capture = capture
        self._kept: dict[Any, tuple[list[int], Replay]] = {}
        self.refused: str | None = None

    def __len__(self) -> int:
        """Returns how many captures there are."""
        return len(self._kept)

    def clear(self) -> None:
        """Forgets all captures, as when a step is recorded anew."""
        self._kept.clear()

    def take(
        self,
        key: Any,
        function: Any,
        state: Sequence[torch.Tensor],
        batches: Sequence[Sequence[torch.Tensor]],
        resident: int,
    ) -> tuple[torch.Tensor, ...] | None:
        """Takes one step for each batch by a replay.

        Args:
            key: names the function and the shapes of a batch.
            function: see `captured`.
            state: see `captured`.
            batches: see `captured`.
            resident: see `captured`.

        Returns:
            The outputs of the last step, or None where the steps could not be captured; nothing has changed then.
        """
        where = [tensor.data_ptr() for tensor in (*state, *batches[0][:resident])]
        known, replay = self._kept.get((key, len(batches)), (None, None))
        if replay is None or known != where:  # a variable that was put elsewhere in memory would not be seen
            try:
                if isinstance(function, torch.fx.GraphModule):
                    constants_to_device(function, state[0].device)
                replay = captured(function, state, batches, resident=resident, capture=self._capture)
            except RuntimeError as error:
                self.refused = str(error).partition("\n")[0]
                return None
            self._kept[key, len(batches)] = where, replay
        return replay(batches)


def constants_to_device(graph: torch.fx.GraphModule, device: torch.device) -> None:
    """Moves a recorded graph's constants to the device: a copy from the host cannot be captured."""
    for name, value in list(vars(graph).items()):
        if isinstance(value, torch.Tensor) and value.device != device:
            setattr(graph, name, value.to(device))
    for name, buffer in list(graph.named_buffers(recurse=False)):
        if buffer.device != device:
            graph.register_buffer(name, buffer.to(device))
