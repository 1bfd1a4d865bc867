"""The preparation inside the step against NumPy's `apply`: eagerly, recorded and compiled."""

import dataclasses

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch._dynamo.testing import CompileCounter
from torch.fx.experimental.proxy_tensor import make_fx

from kmodels.augment import Draws, Transform, apply, draw_epoch, scale_and_shift
from kmodels.geometry import rotation_terms
from kmodels.torch_step.prepare import prepare, prepare_traced

MEAN, STD = (0.49, 0.0, 0.44, 0.5), (0.25, 1.0, 0.26, 1e-3)


@st.composite
def cases(draw):
    """A transform and images that fit it: any sizes, 1 to 4 channels, every augmentation on or off."""
    height, width, channels = draw(st.integers(1, 9)), draw(st.integers(1, 9)), draw(st.integers(1, 4))
    resize = draw(st.sampled_from(["pad", "bilinear"]))
    least = max(height, width) if resize == "pad" else 1
    levels = draw(st.booleans())  # leaves the grey levels themselves
    transform = Transform(
        mean=(0.0,) * channels if levels else MEAN[:channels],
        std=(1 / 255,) * channels if levels else STD[:channels],
        image_size=draw(st.none() | st.integers(least, 14)),
        resize=resize,
        crop_padding=draw(st.integers(0, min(height, width) - 1)),
        flip=draw(st.booleans()),
        rotation_degrees=draw(st.sampled_from([0.0, 7.5, 90.0, 180.0])),
    )
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    images = rng.integers(0, 256, (draw(st.integers(1, 6)), height, width, channels), dtype=np.uint8)
    return transform, images, draw(st.integers(0, 2**32 - 1))


def tensors(draws: Draws) -> dict[str, torch.Tensor]:
    arrays = {"indices": draws.order, "offsets": draws.offsets, "flips": draws.flips}
    if draws.angles is not None:
        arrays["terms"] = rotation_terms(draws.angles)
    return {name: torch.from_numpy(array) for name, array in arrays.items() if array is not None}


def arguments(transform, images, seed=0):
    """What `prepare` takes but the transform, and what NumPy makes of the same draws."""
    draws = draw_epoch(len(images), transform, seed=seed, fold=0, epoch=0)
    labels = np.arange(len(images), dtype=np.uint8)
    expected = apply(images[draws.order], draws, transform), labels[draws.order]
    return (torch.from_numpy(images), torch.from_numpy(labels), tensors(draws)), expected


def assert_bytes(prepared, expected):
    for tensor, array in zip(prepared, expected, strict=True):
        assert tensor.is_contiguous() and tensor.numpy().dtype == array.dtype and tuple(tensor.shape) == array.shape
        assert tensor.numpy().tobytes() == array.tobytes()


BOTH = pytest.mark.parametrize("prepare", [prepare, prepare_traced], ids=["operator", "traced"])
CASES = pytest.mark.parametrize(
    "changes",
    [
        {},
        {"image_size": 13},
        {"image_size": 7, "resize": "bilinear"},
        {"crop_padding": 2, "flip": True},
        {"rotation_degrees": 20.0, "image_size": 12},
    ],
    ids=lambda changes: "+".join(changes) or "plain",
)


def case(changes, channels=3):
    transform = Transform(mean=MEAN[:channels], std=(0.25, 0.2, 0.26)[:channels])
    images = np.random.default_rng(1).integers(0, 256, (6, 10, 8, channels), dtype=np.uint8)
    return dataclasses.replace(transform, **changes), images


@BOTH
@settings(max_examples=200)
@given(cases())
def test_the_bytes_are_those_of_numpy(prepare, case):
    transform, images, seed = case
    made, expected = arguments(transform, images, seed)
    before = made[0].clone()
    assert_bytes(prepare(*made, transform), expected)
    assert torch.equal(made[0], before), "the resident images stay as they are"


@BOTH
@settings(max_examples=50)
@given(cases())
def test_without_choices_nothing_is_augmented(prepare, case):
    transform, images, _ = case
    order = torch.tensor([len(images) - 1, 0, 0])  # any images in any order, more than once
    prepared = prepare(torch.from_numpy(images), torch.arange(len(images)), {"indices": order}, transform)
    assert_bytes(prepared, (apply(images[order.numpy()], None, transform), order.numpy()))


@BOTH
@CASES
def test_what_was_recorded_on_one_batch_is_right_for_the_next(prepare, changes):
    transform, images = case(changes)
    made, _ = arguments(transform, images, seed=1)
    recorded = make_fx(lambda *each: prepare(*each, transform), tracing_mode="fake")(*made)
    made, expected = arguments(transform, images[::-1].copy(), seed=2)
    assert_bytes(recorded(*made), expected)
    constants = [name for name, _ in recorded.named_buffers()]
    assert not constants, "a constant would be copied to the device in each step"


@BOTH
@CASES
def test_dynamo_takes_it_as_one_graph(prepare, changes):
    transform, images = case(changes)
    counter = CompileCounter()
    compiled = torch.compile(prepare, backend=counter, fullgraph=True, dynamic=False)
    for seed in (1, 2):
        made, expected = arguments(transform, images, seed)
        assert_bytes(compiled(*made, transform), expected)
    assert counter.frame_count == 1


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:`torch.jit.script_method` is deprecated:DeprecationWarning")  # inductor imports it
@BOTH
@CASES
def test_compiled_by_inductor_it_keeps_the_levels_and_comes_within_a_millionth(prepare, changes):
    torch._dynamo.reset()
    transform, images = case(changes)
    levels = dataclasses.replace(transform, mean=(0.0,) * 3, std=(1 / 255,) * 3)
    for each, tolerance in ((levels, 0.0), (transform, 1e-6)):
        made, expected = arguments(each, images)
        compiled = torch.compile(lambda *a, each=each: prepare(*a, each), fullgraph=True, dynamic=False)
        prepared = compiled(*made)
        np.testing.assert_allclose(prepared[0].numpy(), expected[0], rtol=0, atol=tolerance)
        np.testing.assert_array_equal(prepared[1].numpy(), expected[1])


@BOTH
def test_the_scale_of_every_channel_is_the_one_all_pipelines_use(prepare):
    rng = np.random.default_rng(0)
    for _ in range(200):
        mean, std = rng.uniform(0, 1, 2), rng.uniform(1e-3, 1, 2)
        transform = Transform(mean=tuple(mean), std=tuple(std))
        black = torch.zeros((1, 1, 1, 2), dtype=torch.uint8)
        prepared, _ = prepare(black, torch.zeros(1), {"indices": torch.tensor([0])}, transform)
        assert prepared.numpy().tobytes() == scale_and_shift(transform)[1].tobytes()


@BOTH
def test_labels_may_be_one_hot(prepare):
    transform, images = case({})
    one_hot = torch.eye(6)
    _, labels = prepare(torch.from_numpy(images), one_hot, {"indices": torch.tensor([4, 1])}, transform)
    assert torch.equal(labels, one_hot[[4, 1]])


@BOTH
@pytest.mark.parametrize("wrong", [{"flips"}, {"offsets", "flips", "terms"}])
def test_other_choices_than_the_transforms_are_refused(prepare, wrong):
    transform, images = case({"crop_padding": 2, "flip": True})
    every = dataclasses.replace(transform, rotation_degrees=5.0)
    (resident, labels, draws), _ = arguments(every, images)
    draws = {name: draws[name] for name in {"indices"} | wrong}
    with pytest.raises(ValueError, match=r"draws: expected \['flips', 'offsets'\] besides the indices\. Received"):
        prepare(resident, labels, draws, transform)


@BOTH
def test_images_that_do_not_fit_are_refused(prepare):
    transform, images = case({})
    draws = {"indices": torch.tensor([0])}
    with pytest.raises(ValueError, match=r"images: expected dtype uint8\. Received: images=torch.float32"):
        prepare(torch.from_numpy(images).float(), torch.arange(6), draws, transform)
    with pytest.raises(ValueError, match=r"mean: expected 1 numbers"):
        prepare(torch.from_numpy(images[..., :1].copy()), torch.arange(6), draws, transform)


@CASES
def test_the_operator_is_what_it_is_registered_as(changes):
    """Its shapes, strides and types without running it, that it writes to no argument, and that it compiles."""
    transform, images = case(changes)
    (resident, labels, draws), _ = arguments(transform, images)
    choices = [draws.get(name) for name in ("indices", "offsets", "flips", "terms")]
    fields = (transform.mean, transform.std, transform.image_size, transform.resize, transform.crop_padding)
    torch.library.opcheck(
        torch.ops.kmodels.prepare,
        (resident, labels, *choices, *fields),
        test_utils=("test_schema", "test_faketensor", "test_aot_dispatch_static"),
    )
