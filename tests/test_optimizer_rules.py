"""What the recorder applies is what the optimizer itself does, to the bit."""

import keras
import numpy as np
import pytest

if keras.backend.backend() != "torch":
    pytest.skip("records PyTorch operations", allow_module_level=True)

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.fx.experimental.proxy_tensor import make_fx

from kmodels import optimizers
from kmodels.torch_step.optimizer_rules import Unsupported, update_rule

SHAPES = {"kernel": (3, 3, 4, 5), "bias": (7,), "matrix": (17, 9), "gain": ()}
STEPS = 8
SCHEDULE = keras.optimizers.schedules.ExponentialDecay(0.02, 3, 0.7)
STOCK = keras.optimizers

THEIRS = [
    (STOCK.Adam, {}),
    (STOCK.Adam, {"learning_rate": SCHEDULE, "weight_decay": 0.1}),
    (STOCK.Adam, {"amsgrad": True, "beta_1": 0.5, "clipvalue": 0.1}),
    (STOCK.Adam, {"epsilon": 1e-3, "clipnorm": 0.5}),
    (STOCK.AdamW, {"weight_decay": 0.3, "global_clipnorm": 0.5}),
    (STOCK.AdamW, {"amsgrad": True, "learning_rate": SCHEDULE}),
    (STOCK.Nadam, {}),
    (STOCK.Nadam, {"learning_rate": SCHEDULE, "weight_decay": 0.1, "beta_2": 0.9, "clipnorm": 0.5}),
    (STOCK.SGD, {}),
    (STOCK.SGD, {"learning_rate": SCHEDULE, "momentum": 0.9}),
    (STOCK.SGD, {"momentum": 0.9, "nesterov": True, "weight_decay": 0.1, "clipvalue": 0.1}),
    (STOCK.SGD, {"momentum": 0.5, "global_clipnorm": 0.5}),
]
OURS = [
    (optimizers.Adam, {}),
    (optimizers.Adam, {"l2": 0.1, "global_clipnorm": 0.5, "beta_1": 0.0}),
    (optimizers.Adam, {"learning_rate": SCHEDULE, "weight_decay": 0.1, "clipnorm": 0.5}),
    (optimizers.AdamW, {"weight_decay": 0.3, "l2": 0.1}),
    (optimizers.NAdam, {}),
    (optimizers.NAdam, {"learning_rate": SCHEDULE, "l2": 0.1, "weight_decay": 0.1, "global_clipnorm": 0.5}),
    (optimizers.SGD, {"l2": 0.1}),
    (optimizers.SGD, {"momentum": 0.9, "clipvalue": 0.1}),
    (optimizers.SGD, {"momentum": 0.9, "nesterov": True, "l2": 0.1, "global_clipnorm": 0.5, "weight_decay": 0.1}),
]


def named(case):
    kind, options = case
    return "-".join([kind.__module__.partition(".")[0], kind.__name__, *map(str, options)])


def built(kind, options, *, exclude=(), seed=0):
    rng = np.random.default_rng(seed)
    variables = [keras.Variable(rng.normal(size=shape).astype("float32"), name=n) for n, shape in SHAPES.items()]
    optimizer = kind(**{"learning_rate": 0.02, **options})
    if exclude:
        optimizer.exclude_from_weight_decay(var_names=list(exclude))
    optimizer.build(variables)
    return optimizer, variables


def random_gradients(seed=1, steps=STEPS):
    rng = np.random.default_rng(seed)
    return [
        [torch.tensor(np.asarray(rng.normal(size=s) * 10 ** rng.uniform(-4, 1), "float32")) for s in SHAPES.values()]
        for _ in range(steps)
    ]


def numbers(variables):
    return [variable.numpy() for variable in variables]


def as_keras_does(kind, options, gradients, **how):
    optimizer, variables = built(kind, options, **how)
    for step in gradients:
        with torch.no_grad():
            optimizer.apply(step, variables)
    return numbers(variables), numbers(update_rule(optimizer).slots())


def rate_of(optimizer):
    return keras.ops.convert_to_tensor(optimizer.learning_rate).detach()


def as_recorded(kind, options, gradients, *, record, **how):
    optimizer, variables = built(kind, options, **how)
    rule = update_rule(optimizer)
    values, slots = [v.value.detach() for v in variables], [v.value.detach() for v in rule.slots()]
    step = optimizer.iterations.value.detach()

    def update(*tensors):
        rule.apply(*tensors)
        return ()

    if record:
        before = [tensor.clone() for tensor in (*values, *slots)]
        update = make_fx(update, tracing_mode="fake")(values, gradients[0], slots, step, rate_of(optimizer))
        for tensor, kept in zip((*values, *slots), before, strict=True):
            torch.testing.assert_close(tensor, kept, rtol=0, atol=0)  # recording is not a step
        assert not any("_local_scalar_dense" in str(node.target) for node in update.graph.nodes)
    for given_step in gradients:
        kept = [gradient.clone() for gradient in given_step]
        update(values, given_step, slots, step, rate_of(optimizer))
        for gradient, copy in zip(given_step, kept, strict=True):
            assert torch.equal(gradient, copy)
        optimizer.iterations.assign_add(1)
    return numbers(variables), numbers(rule.slots())


def assert_equal(found, expected):
    for ours, theirs in zip(found, expected, strict=True):
        assert len(ours) == len(theirs)
        for a, b in zip(ours, theirs, strict=True):
            np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("record", [False, True], ids=["directly", "recorded"])
@pytest.mark.parametrize("case", THEIRS + OURS, ids=named)
def test_optimizers_are_followed_to_the_bit(case, record):
    gradients = random_gradients()
    assert_equal(as_recorded(*case, gradients, record=record), as_keras_does(*case, gradients))


@settings(max_examples=25, derandomize=True)
@given(
    st.floats(1e-4, 0.1),
    st.floats(0.0, 0.99),
    st.floats(0.1, 0.9999),
    st.sampled_from([{}, {"clipnorm": 0.3}, {"global_clipnorm": 0.3}, {"global_clipnorm": 1e3}, {"clipvalue": 0.01}]),
    st.sampled_from([None, 0.0, 0.2]),
    st.sampled_from([STOCK.Adam, STOCK.Nadam]),
    st.integers(0, 100),
)
def test_whatever_the_numbers_the_bits_are_keras(rate, beta_1, beta_2, clipping, decay, kind, seed):
    options = {"learning_rate": rate, "beta_1": beta_1, "beta_2": beta_2, "weight_decay": decay, **clipping}
    gradients = random_gradients(seed, 4)
    found = as_recorded(kind, options, gradients, record=False, seed=seed)
    assert_equal(found, as_keras_does(kind, options, gradients, seed=seed))


@pytest.mark.parametrize("kind", [STOCK.AdamW, optimizers.AdamW])
@pytest.mark.parametrize("exclude", [["bias"], ["bias", "kernel", "gain"]])
def test_variables_are_kept_from_decay(kind, exclude):
    options = {"weight_decay": 5.0, **({"l2": 0.5} if kind is optimizers.AdamW else {})}
    gradients = random_gradients()
    how = {"exclude": exclude}
    expected = as_keras_does(kind, options, gradients, **how)
    assert_equal(as_recorded(kind, options, gradients, record=True, **how), expected)
    decayed_too = as_keras_does(kind, options, gradients)
    assert np.abs(expected[0][1] - decayed_too[0][1]).max() > 0.1


@pytest.mark.parametrize("case", [THEIRS[1], THEIRS[7], THEIRS[-1], OURS[1], OURS[5], OURS[-1]], ids=named)
@pytest.mark.filterwarnings("ignore:Gradients do not exist for variables:UserWarning")  # Keras says what is tested
def test_a_variable_without_a_gradient_is_left_alone_with_its_slots(case):
    gradients = [[None, *step[1:]] for step in random_gradients()]
    optimizer, variables = built(*case)
    rule = update_rule(optimizer)
    for step in gradients:
        values = [v.value.detach() for v in variables]
        slots = [v.value.detach() for v in rule.slots()]
        rule.apply(values, step, slots, optimizer.iterations.value, rate_of(optimizer))
        optimizer.iterations.assign_add(1)
    expected = as_keras_does(*case, gradients)
    assert_equal((numbers(variables), numbers(rule.slots())), expected)
    np.testing.assert_array_equal(variables[0].numpy(), built(*case)[1][0].numpy())


def test_a_learning_rate_of_zero_changes_nothing_and_makes_no_nan():
    """A schedule may end there, and gradients of a dead unit are zero."""
    for kind in (optimizers.Adam, optimizers.NAdam, optimizers.SGD, STOCK.Adam):
        optimizer, variables = built(kind, {})
        rule, before = update_rule(optimizer), numbers(variables)
        zeros = [torch.zeros(shape) for shape in SHAPES.values()]
        slots = [v.value.detach() for v in rule.slots()]
        rule.apply([v.value.detach() for v in variables], zeros, slots, torch.tensor(0), torch.tensor(0.0))
        assert_equal((numbers(variables),), (before,))


class MyAdam(keras.optimizers.Adam):
    """May do anything."""


class OurAdam(optimizers.Adam):
    """May do anything."""


@pytest.mark.parametrize(
    ("make", "cause"),
    [
        (lambda: STOCK.RMSprop(), "RMSprop"),
        (lambda: MyAdam(), "MyAdam"),
        (lambda: OurAdam(), "OurAdam"),
        (lambda: STOCK.LossScaleOptimizer(STOCK.Adam()), "LossScaleOptimizer"),
        (lambda: STOCK.Adam(use_ema=True), "moving average of the weights"),
        (lambda: optimizers.SGD(use_ema=True), "moving average of the weights"),
        (lambda: STOCK.SGD(gradient_accumulation_steps=2), "accumulates gradients"),
        (lambda: STOCK.AdamW(loss_scale_factor=128.0), "scales the loss"),
        (lambda: STOCK.Adam(beta_1=torch.tensor(0.9)), "beta_1 is not a plain number"),
    ],
)
def test_what_no_rule_has_is_refused_by_name(make, cause):
    optimizer = make()
    optimizer.build([keras.Variable([1.0])])
    with pytest.raises(Unsupported, match=cause):
        update_rule(optimizer)


def test_variables_that_a_step_treats_otherwise_are_refused():
    layer = keras.layers.Dense(2, kernel_constraint="non_neg")
    layer.build((None, 3))
    optimizer = STOCK.Adam()
    optimizer.build(layer.trainable_variables)
    with pytest.raises(Unsupported, match="kernel has a constraint"):
        update_rule(optimizer)
    variable = keras.Variable([1.0], name="scale")
    variable.overwrite_with_gradient = True
    optimizer = STOCK.Adam()
    optimizer.build([variable])
    with pytest.raises(Unsupported, match="scale is overwritten with its gradient"):
        update_rule(optimizer)


def test_an_optimizer_that_is_not_built_is_an_error():
    with pytest.raises(ValueError, match="optimizer: expected a built optimizer"):
        update_rule(STOCK.Adam())


def test_slots_are_all_of_the_optimizers_variables_but_two():
    for kind, options in THEIRS + OURS:
        optimizer, _ = built(kind, options)
        slots = {id(variable) for variable in update_rule(optimizer).slots()}
        own = {
            id(v) for v in optimizer.variables if v is not optimizer.iterations and v is not optimizer._learning_rate
        }
        assert slots == own, (kind, options)


def test_settings_differ_once_a_number_is_changed():
    for kind, name, value in (
        (STOCK.SGD, "momentum", 0.5),
        (STOCK.Adam, "beta_1", 0.5),
        (STOCK.AdamW, "weight_decay", 0.5),
        (optimizers.NAdam, "l2", 0.5),
        (optimizers.Adam, "global_clipnorm", 0.5),
    ):
        optimizer, _ = built(kind, {"momentum": 0.9} if kind is STOCK.SGD else {})
        rule = update_rule(optimizer)
        before = rule.settings()
        assert rule.settings() == before
        setattr(optimizer, name, value)
        assert rule.settings() != before


def test_lists_that_do_not_belong_together_are_an_error():
    optimizer, variables = built(STOCK.Adam, {})
    rule = update_rule(optimizer)
    values = [v.value.detach() for v in variables]
    slots = [v.value.detach() for v in rule.slots()]
    rest = (torch.tensor(0), torch.tensor(0.1))
    for arguments, name in (
        ((values[1:], random_gradients()[0], slots), "values"),
        ((values, random_gradients()[0][1:], slots), "gradients"),
        ((values, random_gradients()[0], slots[1:]), "slots"),
        ((values, [None] * 4, slots), "gradients"),
    ):
        with pytest.raises(ValueError, match=f"{name}: expected"):
            rule.apply(*arguments, *rest)
