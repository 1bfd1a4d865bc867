"""No collection of garbage begins while a step is recorded."""

import gc

import pytest

from tests.accelerated import only_torch

pytestmark = [only_torch]

torch = pytest.importorskip("torch")

from kmodels.torch_step.causes import CannotRecord  # noqa: E402
from kmodels.torch_step.garbage import collection_paused  # noqa: E402
from kmodels.torch_step.recorder import recorded  # noqa: E402


def test_no_collection_begins_while_a_step_is_recorded():
    begun = []
    note = lambda phase, info: begun.append(info["generation"])  # noqa: E731
    gc.callbacks.append(note)
    try:
        with collection_paused():
            begun.clear()
            kept = [[i] for i in range(200_000)]
            assert begun == [] and not gc.isenabled()
        assert gc.isenabled() and len(kept) == 200_000
    finally:
        gc.callbacks.remove(note)
    gc.disable()
    try:
        with collection_paused():
            pass
        assert not gc.isenabled()  # as the user has it
        with pytest.raises(CannotRecord):
            recorded(lambda tensors: {"x": tensors[0] if tensors[0].sum() > 0 else -tensors[0]}, [torch.ones(3)])
        assert not gc.isenabled()
    finally:
        gc.enable()
