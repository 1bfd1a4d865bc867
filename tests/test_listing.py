"""What Python asks of PyTorch while a step is recorded is compared with what it asks when there are values."""

import copy
import pickle

import numpy as np
import pytest

from tests.accelerated import only_torch
from tests.rehearsed import rehearsed

pytestmark = [only_torch]

torch = pytest.importorskip("torch")

from kmodels.torch_step.listing import Calls, Operations, difference, unlisted  # noqa: E402

OTHERWISE = {
    "type": lambda x: x * 2 if type(x) is torch.Tensor else x.exp(),
    "factor": lambda x: x * (2.0 if type(x) is torch.Tensor else 3.0),
    "text": lambda x: x * 2 if "." in str(x) else x.exp(),
    "text of a number": lambda x: x * 2 if f"{x[0]}" else x.exp(),
    "content": lambda x: x if 1.0 in x else -x,
    "copy": lambda x: x * copy.deepcopy(x),
    "storage": lambda x: x * x.untyped_storage().nbytes(),
    "pickle": lambda x: x * len(pickle.dumps(x)),
    "dlpack": lambda x: x * np.from_dlpack(x)[0],
    "a size that depends on data": lambda x: attempt(lambda: x.exp() if x[x > 0].shape[0] else x, x),
    "an error of a read": lambda x: attempt(lambda: x * float(x[0]), x),
}


def attempt(way, other):
    try:
        return way()
    except Exception:
        return other


@pytest.mark.parametrize("name", OTHERWISE)
def test_what_goes_another_way_without_values_is_known(name):
    assert rehearsed(OTHERWISE[name]) in [(False, True), (False, False), (True, False)]


def test_calls_are_listed_with_their_failures_and_without_what_is_inside_of_them():
    operations = Operations()
    calls = Calls(operations)
    x = torch.ones(3)
    with calls, operations:
        x.shape  # noqa: B018
        torch.nn.functional.one_hot(x.long(), 4)
        with unlisted():
            x.exp()
        with pytest.raises(RuntimeError):
            x + torch.ones(7)
    names = [getattr(call, "__name__", call) for call, *_ in calls.made]
    assert names == ["long", "one_hot", "ones", "add", "fails"]
    assert operations.count > len(names)


def test_the_first_difference_is_named():
    add, exp, fails = (torch.add,), (torch.exp,), ("fails",)
    assert difference([add], [add]) is None
    found = difference([add, exp], [add])
    assert found == "without values it does something else: nothing in place of torch.exp"
    found = difference([add], [exp, fails])
    assert found == "without values it does something else: torch.exp in place of torch.add"
    found = difference([(torch.mul, "2.0")], [(torch.mul, "3.0")])
    assert found == "without values it does something else: torch.mul(3.0) in place of torch.mul(2.0)"
