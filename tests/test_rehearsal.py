"""A rehearsal refuses what a recording would refuse, by kind, and changes nothing."""

import contextlib
import gc
import weakref

import keras
import numpy as np
import pytest

from kmodels.acceleration import accelerate, explain
from tests.accelerated import crossentropy, features, only_torch, perceptron
from tests.rehearsed import rehearsed, values

pytestmark = [only_torch]

torch = pytest.importorskip("torch")

from kmodels.torch_step import recording  # noqa: E402
from kmodels.torch_step.causes import CannotRecord  # noqa: E402
from kmodels.torch_step.rehearsal import WritesState, rehearse  # noqa: E402

VECTOR, NUMBER = torch.ones(3), torch.tensor(3.0)
X, Y = features()


READ = {
    "if": lambda x: x if x.sum() > 0 else -x,
    "float": lambda x: x * float(x[0]),
    "int": lambda x: x * int(x[0]),
    "index": lambda x: x + [5, 6, 7][x.long()[2]],
    "range": lambda x: x + sum(range(x.long()[1])),
    "max": lambda x: max(x),
    "numpy": lambda x: x * float(x.detach().cpu().numpy()[0]),
    "numpy of a constant": lambda x: x * float(torch.tensor([3.0]).numpy()[0]),
    "array": lambda x: x * np.asarray(x)[0],
    "address": lambda x: x + x.data_ptr() % 2,
    "equal": lambda x: x if torch.equal(x, x * 1) else -x,
    "allclose": lambda x: x if torch.allclose(x, x * 1) else -x,
    "is_nonzero": lambda x: x if torch.is_nonzero(x[0]) else -x,
    "seed": lambda x: x + torch.rand(3, generator=torch.Generator().manual_seed(int(x[0]))),
    "generator": lambda x: x + torch.rand(3, generator=torch.Generator().manual_seed(1)),
    "vector from elsewhere": lambda x: x + VECTOR,
    "vector from elsewhere, alone": lambda x: x + VECTOR.sum(),
    "number from elsewhere": lambda x: x * NUMBER,
    "if of one that was computed": lambda x: x if torch.rand(()).item() > 2 else float(x.sum()) * x,
}
TAKEN = {
    "numbers from Python": lambda x: x * 2 + 1,
    "numbers from NumPy": lambda x: x + torch.as_tensor(np.ones(3, "float32")) + torch.from_numpy(np.ones(3)),
    "a constant": lambda x: x + torch.tensor([1.0, 2.0, 3.0]),
    "constants read": lambda x: x * torch.tensor(3.0).item() * float(torch.tensor(2.0)) * int(torch.tensor(2)),
    "if of a constant": lambda x: x if bool(torch.tensor(True)) else -x,
    "constants in memory that held data": lambda x: sum(
        (x * i).sum() * torch.tensor(2.0).item() + torch.zeros(()).item() for i in range(200)
    ),
    "a number from elsewhere, computed alone": lambda x: NUMBER * 0.5 * x,
    "a number from elsewhere, read": lambda x: float(NUMBER) * x,
    "a shape from elsewhere": lambda x: x + VECTOR.shape[0],
    "shapes that depend on data": lambda x: torch.unique(x).sum() + x[x > 0].sum() + x.nonzero().sum() + x,
    "tensors for numbers": lambda x: torch.full((3,), x[0]) + torch.add(x, x, alpha=x[0]) + x.clone().fill_(x[1]),
    "printed constants": lambda x: x + len(repr(torch.tensor([1.0, 2.0]))) * 0,
    "one-hot": lambda x: torch.nn.functional.one_hot(x.long(), 4) + torch.argmax(x),
    "legacy constructors": lambda x: x + torch.FloatTensor([1, 2, 3]) + x.new_tensor([1, 2, 3]),
    "vmap and grad": lambda x: torch.func.vmap(lambda v: v * 2)(x) + torch.func.grad(lambda v: (v * v).sum())(x),
    "dropout": lambda x: torch.dropout(x, 0.5, True),
}


@pytest.mark.parametrize("name", READ)
def test_what_is_refused_could_not_be_recorded(name):
    assert rehearsed(READ[name]) == (False, False)


@pytest.mark.parametrize("name", TAKEN)
def test_what_can_be_recorded_goes_through(name):
    assert rehearsed(TAKEN[name]) == (True, True)


@pytest.mark.parametrize(
    ("reads", "asks"),
    [
        (lambda x: x * x[0].item(), lambda x: x if x[0].item() > 0 else -x),
        (lambda x: x + x.tolist()[0], lambda x: x if x.tolist()[0] > 0 else -x),
    ],
)
def test_a_number_from_a_tensor_is_refused_though_a_graph_may_hold_it(reads, asks):
    """What a program does with it is not seen; most often it is compared."""
    assert rehearsed(reads) == (False, True)
    assert rehearsed(asks) == (False, False)


SEEDED = {
    "seed": lambda x: torch.manual_seed(1) and x + torch.rand(3),
    "seed at the end": lambda x: (x + torch.rand(3), torch.manual_seed(1))[0],
    "state": lambda x: torch.set_rng_state(STATE) or x + torch.rand(3),
    "fork": lambda x: forked(x),
    "checkpoint": lambda x: checkpointed(x, lambda y: torch.dropout(y, 0.5, True)),
}
STATE = torch.Generator().manual_seed(99).get_state()


def forked(x):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(7)
        return x + torch.rand(3)


def checkpointed(x, function):
    y = x.clone().requires_grad_()
    result = torch.utils.checkpoint.checkpoint(function, y, use_reentrant=False)
    return torch.autograd.grad(result.sum(), y)[0]


@pytest.mark.parametrize("name", SEEDED)
def test_a_generator_that_is_set_is_refused(name):
    """A graph would draw on."""
    with pytest.raises(CannotRecord, match="sets the state of PyTorch's generator"):
        rehearse(lambda tensors: SEEDED[name](tensors[0]), [], [values()], shared=0)


def test_a_checkpoint_without_chance_goes_through():
    assert rehearsed(lambda x: checkpointed(x, torch.sin))[0]


def test_an_error_of_the_functions_own_is_said():
    with pytest.raises(CannotRecord, match=r"inconsistent tensor size.*lambda.* \(test_rehearsal.py:"):
        rehearse(lambda tensors: tensors[0] @ torch.ones(7), [], [values()], shared=0)


def test_only_so_many_samples_are_taken():
    state, array, batch = torch.ones(1), torch.ones(6), [torch.ones(4, 2), torch.tensor(2.0)]
    shapes = []
    step = lambda tensors: shapes.append([tuple(t.shape) for t in tensors])  # noqa: E731
    for samples in (2, None):
        rehearse(step, [state], [array, *batch], shared=1, samples=samples)
    assert shapes == [[(1,), (6,), (2, 2), ()], [(1,), (6,), (4, 2), ()]]


WRITES = {
    "in place": lambda x: x.add_(1),
    "as an element": lambda x: x.__setitem__(0, 5.0),
    "through a view": lambda x: x[:2].mul_(3),
    "as an output": lambda x: torch.add(x, 1, out=x),
    "in a list": lambda x: torch._foreach_add_([x], 1),
    "at random": lambda x: x.normal_(),
}


@pytest.mark.parametrize("name", WRITES)
@pytest.mark.parametrize("of", ["state", "array"])
def test_what_is_to_be_kept_is_not_written(name, of):
    kept, batch = [torch.ones(3), torch.ones(3)], torch.ones(4)
    place = ["state", "array"].index(of)

    def step(tensors):
        WRITES[name](tensors[2])
        WRITES[name](tensors[place])

    drawn = torch.get_rng_state()
    with pytest.raises(WritesState, match=r"writes over a variable in place, in .* \(test_rehearsal.py"):
        rehearse(step, kept[:1], [kept[1], batch], shared=1)
    if of == "state":
        rehearse(step, kept[:1], [kept[1], batch], shared=1, copied=True)
    assert all(torch.equal(tensor, torch.ones(len(tensor))) for tensor in (*kept, batch))
    assert torch.equal(torch.get_rng_state(), drawn)


def test_statistics_that_a_kernel_writes_without_saying_so_are_not_written():
    mean = torch.zeros(3)
    step = lambda t: torch.nn.functional.batch_norm(t[1], t[0], t[0] + 1, training=True)  # noqa: E731
    with pytest.raises(WritesState):
        rehearse(step, [mean], [torch.rand(4, 3)], shared=0)
    assert rehearse(step, [mean], [torch.rand(4, 3)], shared=0, copied=True).operations
    assert torch.equal(mean, torch.zeros(3))


@pytest.mark.parametrize("shape", [(), (3,)])
def test_a_tensor_from_elsewhere_is_not_written(shape):
    elsewhere = torch.zeros(shape)
    with pytest.raises(CannotRecord, match="no variable of the model"):
        rehearse(lambda tensors: elsewhere.add_(1), [], [values()], shared=0)
    assert not elsewhere.any()


def test_a_parameter_itself_is_not_the_value_that_the_step_gives_it():
    weight = torch.nn.Parameter(torch.ones(3))
    assert rehearse(lambda tensors: tensors[0] * 2, [weight], [], shared=0).operations == 1
    with pytest.raises(CannotRecord, match="no variable of the model"):
        rehearse(lambda tensors: weight * 2, [weight], [], shared=0)


@pytest.mark.parametrize("through", [False, True])
def test_nothing_is_kept_of_a_rehearsal(through):
    """Or a batch's activations would lie in memory until garbage is collected."""
    held = []

    def step(tensors):
        held.extend(weakref.ref(tensor) for tensor in [tensors[1], tensors[1] * 2])
        if not through:
            float(tensors[1][0])

    gc.disable()
    try:
        with contextlib.nullcontext() if through else contextlib.suppress(CannotRecord):
            rehearse(step, [torch.ones(2)], [torch.ones(3)], shared=0, copied=True)
        assert [reference() for reference in held] == [None, None]
    finally:
        gc.enable()


class Reads(keras.metrics.Mean):
    def update_state(self, y_true, y_pred, sample_weight=None):
        return super().update_state(float(keras.ops.max(y_pred).detach()))


def noisy():
    inputs = keras.Input((6,))
    x = keras.layers.GaussianNoise(0.1, seed=3)(keras.layers.Dense(4)(inputs))
    model = keras.Model(inputs, keras.layers.Dense(3)(x))
    model.compile("adam", crossentropy())
    return model


def weighted():
    weights = torch.tensor([1.0, 2.0, 3.0])
    model = perceptron()
    model.compile("adam", lambda y, p: keras.ops.mean(keras.ops.square(p) * weights))
    return model


class Counts(keras.layers.Layer):
    def call(self, x):
        self.seen.append(len(x))
        return x


def counting():
    inputs, layer = keras.Input((6,)), Counts()
    layer.seen = []
    model = keras.Model(inputs, keras.layers.Dense(3)(layer(inputs)))
    model.compile("adam", crossentropy())
    return model


@pytest.mark.parametrize(
    ("make", "cause"),
    [
        (lambda: perceptron(metrics=[Reads()]), "host, in Reads.update_state (test_rehearsal.py:"),
        (noisy, "host, in GaussianNoise.call (gaussian_noise.py:"),
        (weighted, "no variable of the model, in weighted.<locals>.<lambda> (test_rehearsal.py:"),
        (counting, ".seen, which is no variable"),
    ],
)
def test_nothing_is_recorded_of_what_cannot_be(make, cause, monkeypatch):
    """Which would take as long as some tens of steps."""
    monkeypatch.setattr(recording, "recorded", lambda *given: pytest.fail("it was recorded"))
    model = accelerate(make(), mode="record")
    with pytest.warns(UserWarning, match="Keras' own step is used"):
        model.fit(X, Y, epochs=2, verbose=0)
    assert cause in explain(model)


def test_layers_that_are_given_other_numbers_of_samples_are_recorded():
    class Fixed(keras.layers.Layer):
        def call(self, x):
            return x + keras.ops.ones((8, 1)) * 0 if len(x) == 8 else keras.ops.reshape(x, (-1, 77))

    inputs = keras.Input((6,), batch_size=8)
    model = keras.Model(inputs, keras.layers.Dense(3)(Fixed()(inputs)))
    model.compile("adam", crossentropy())
    accelerate(model, mode="record").fit(X[:32], Y[:32], batch_size=8, verbose=0)
    assert "recorded" in explain(model)
