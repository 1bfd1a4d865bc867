import keras
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.special import log_softmax, softmax

from kmodels.models import average_net, build, ensemble
from kmodels.models.ensemble import CombineLogits
from kmodels.models.initial_weights import initialize, layer_paths
from tests.equality import check_inference, check_training, copy_weights, images, in_order, only_torch, randomize
from tests.twin_steps import nchw
from tests.twins.alexnet import alexnet as twin_alexnet
from tests.twins.convnet import MyConvNet
from tests.twins.ensemble import AverageNet
from tests.twins.lenet import lenet as twin_lenet
from tests.twins.plain_net import Net
from tests.twins.resnet import BasicBlock, ResNet
from tests.twins.resnet_layers import modules
from tests.twins.weights import draw_weights

RULES = ["mean_logits", "mean_probabilities", "majority"]
as_array = keras.ops.convert_to_numpy


def members(count=2):
    return [build("plain_net") for _ in range(count)]


def pair():
    model = average_net((32, 32, 3), 10, members=("lenet", "plain_net", "lenet"))
    twin = AverageNet([draw_weights(twin_lenet(), gain=16.0), draw_weights(Net()), draw_weights(twin_lenet(), 1, 16.0)])
    copy_weights(model, twin)
    return model, twin


@pytest.mark.backend
def test_is_the_listing_in_inference_mode():
    check_inference(*pair(), images(2, (32, 32, 3)))


@only_torch
def test_members_are_trained_jointly_as_in_the_listing():
    check_training(*pair(), images(8, (32, 32, 3)))


@only_torch
def test_members_with_batch_norm_keep_their_own_statistics():
    model = ensemble([build("convnet"), build("convnet")])
    twin = AverageNet([draw_weights(MyConvNet(), seed) for seed in (0, 1)])
    randomize(twin, seed=2)
    copy_weights(model, twin)
    check_training(model, twin, images(8, (28, 28, 1)))


@only_torch
def test_alexnet_with_resnet_18_is_report_as():
    model = build("average_net")
    twin = AverageNet([draw_weights(twin_alexnet(drop_rate=0.0)), ResNet(BasicBlock, (2, 2, 2, 2))])
    randomize(twin, seed=0)
    alexnet, resnet = (model.get_layer(f"member{i}") for i in (1, 2))
    pairs = [*in_order(alexnet, twin.nets[0]).items()], [*modules(resnet, twin.nets[1]).items()]
    copy_weights(
        model, twin, {f"member{i + 1}/{layer}": f"nets.{i}.{name}" for i in (0, 1) for layer, name in pairs[i]}
    )
    trainable = sum(int(np.prod(w.shape)) for w in model.trainable_weights)
    assert trainable == sum(p.numel() for p in twin.parameters()) == 46_787_978 + 11_181_642
    check_inference(model, twin, images(1, (224, 224, 3)))


@only_torch
@pytest.mark.parametrize("loaded", [False, True])
def test_steps_of_fit_are_pytorchs_steps(loaded, tmp_path):
    # Keras forgets the old gradients only of parameters that it lists
    model, twin = pair()
    if loaded:
        model.save(tmp_path / "model.keras")
        model = keras.saving.load_model(tmp_path / "model.keras", safe_mode=True)
    x, y = images(8, (32, 32, 3)), np.arange(8)
    model.compile(keras.optimizers.SGD(0.05), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    optimizer = torch.optim.SGD(twin.train().parameters(), 0.05)
    before = as_array(model(x))
    for _ in range(3):
        model.train_on_batch(x, y)
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(twin(nchw(x)), torch.from_numpy(y)).backward()
        optimizer.step()
    assert np.abs(as_array(model(x)) - before).max() > 0.1
    check_inference(model, twin, x, tolerance=1e-4)


SHAPES = [(2, 1, 2), (3, 4, 6), (5, 3, 4)]  # few, as JAX compiles for each
# JAX and TensorFlow take numbers below 1e-38 for zero, so that a vote for one of them is a tie there
LOGITS = st.floats(-50, 50, width=32, allow_subnormal=False)


@pytest.mark.backend
@settings(max_examples=50)
@given(st.sampled_from(SHAPES).flatmap(lambda s: arrays("float32", s, elements=LOGITS)))
def test_rules_are_what_they_are_called(logits):
    logits = logits + np.float32(0.0)  # no -0.0, which JAX and TensorFlow hold to be less than 0.0
    found = {rule: as_array(CombineLogits(rule)(list(logits))) for rule in RULES}
    exact = logits.astype("float64")
    np.testing.assert_allclose(found["mean_logits"], exact.mean(0), rtol=1e-5, atol=1e-5)
    probabilities = softmax(exact, axis=-1).mean(0)
    np.testing.assert_allclose(softmax(found["mean_probabilities"], axis=-1), probabilities, rtol=1e-4, atol=1e-7)
    votes = [np.bincount(column, minlength=logits.shape[-1]) for column in logits.argmax(-1).T]
    np.testing.assert_allclose(np.exp(found["majority"]), np.array(votes) / len(logits), rtol=1e-5, atol=2e-7)
    assert [row.argmax() for row in found["majority"]] == [row.argmax() for row in votes]  # the first of equals


@pytest.mark.backend
def test_mean_probability_below_the_smallest_float32_is_not_lost():
    logits = [np.array([[0.0, -200.0]], "float32"), np.array([[0.0, -300.0]], "float32")]
    expected = log_softmax(logits[0].astype("float64"), -1) - np.log([1.0, 2.0])
    np.testing.assert_allclose(as_array(CombineLogits("mean_probabilities")(logits)), expected, rtol=1e-6, atol=1e-6)


@pytest.mark.backend
@pytest.mark.parametrize("rule", RULES)
def test_trained_members_are_used_and_not_copied(rule):
    trained = members(3)
    for seed, member in enumerate(trained):
        initialize(member, seed)
    model, x = ensemble(trained, rule=rule), images(4, (32, 32, 3))
    outputs = [as_array(member(x, training=False)) for member in trained]
    expected = as_array(CombineLogits(rule)(outputs))
    np.testing.assert_allclose(as_array(model(x, training=False)), expected, rtol=1e-4, atol=1e-5)
    for variable in trained[0].trainable_variables:
        variable.assign(np.zeros(variable.shape))
    outputs[0] = np.zeros_like(outputs[0])
    expected = as_array(CombineLogits(rule)(outputs))
    np.testing.assert_allclose(as_array(model(x, training=False)), expected, rtol=1e-4, atol=1e-5)


@only_torch
@pytest.mark.parametrize("rule", ["mean_logits", "mean_probabilities"])
def test_gradients_of_a_mean_reach_every_member(rule):
    model = ensemble(members(), rule=rule)
    loss = torch.nn.functional.cross_entropy(model(images(4, (32, 32, 3)), training=True), torch.arange(4))
    gradients = torch.autograd.grad(loss, [v.value for v in model.trainable_variables])
    assert len(gradients) == 20
    assert all(bool(g.abs().max() > 0.0) for g in gradients)


def test_paths_are_unique_and_independent_of_what_was_built_before():
    inner = ensemble(members())
    paths = [path for path, _ in layer_paths(ensemble([inner, ensemble(members()), build("plain_net")]))]
    assert len(set(paths)) == len(paths)
    for member in ("member1/member1", "member1/member2", "member2/member1", "member2/member2", "member3"):
        assert f"{member}/conv1" in paths


def test_members_start_differently_and_repeat_with_the_seed():
    starts = []
    for _ in range(2):
        model = ensemble(members())
        initialize(model, 5)
        starts.append({f"{path}": layer.get_weights() for path, layer in layer_paths(model) if layer.weights})
    for path, weights in starts[0].items():
        for weight, again in zip(weights, starts[1][path], strict=True):
            np.testing.assert_array_equal(weight, again)
    assert (starts[0]["member1/conv1"][0] != starts[0]["member2/conv1"][0]).any()


@pytest.mark.backend
@pytest.mark.parametrize("rule", RULES)
def test_a_saved_ensemble_loads_in_safe_mode_with_equal_outputs(rule, tmp_path):
    model, x = ensemble(members(), rule=rule), images(2, (32, 32, 3))
    model.save(tmp_path / "ensemble.keras")
    loaded = keras.models.load_model(tmp_path / "ensemble.keras", safe_mode=True)
    np.testing.assert_array_equal(as_array(model(x, training=False)), as_array(loaded(x, training=False)))


@pytest.mark.backend
@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_half_precision_members_are_combined_in_float32(rule, policy):
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        logits = ensemble(members(), rule=rule)(images(2, (32, 32, 3)))
    finally:
        keras.config.set_dtype_policy(before)
    assert keras.backend.standardize_dtype(logits.dtype) == "float32"


def test_bad_arguments_are_named():
    one, other = build("plain_net"), build("plain_net", num_classes=7)
    unbuilt = keras.Sequential([keras.layers.Dense(10)])
    for arguments, message in [
        ({"members": []}, "members: expected 2 or more models. Received: members=\\[\\]"),
        ({"members": [one]}, "members: expected 2 or more models"),
        ({"members": [one, one]}, "members: expected different models"),
        ({"members": [one, other]}, "members: expected models with equal input and output shapes"),
        (
            {"members": [one, build("lenet", (28, 28, 1))]},
            "members: expected models with equal input and output shapes",
        ),
        ({"members": [one, unbuilt]}, "members: expected built models with one input"),
        ({"members": [one, "lenet"]}, "members: expected built models with one input"),
        ({"members": members(), "rule": "median"}, "rule: expected one of mean_logits, .* Received: rule='median'"),
    ]:
        with pytest.raises(ValueError, match=message):
            ensemble(**arguments)
    with pytest.raises(ValueError, match="rule: expected one of"):
        CombineLogits("median")
