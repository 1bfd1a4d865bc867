"""`accelerate(mode="compile")`: the numbers of the recorded step, and files that a later process uses."""

import json
import os
import subprocess
import sys

import keras
import numpy as np
import pytest

from kmodels import optimizers
from kmodels.torch_step.compiler import can_compile
from tests.accelerated import check, convnet, features, fit, images, only_torch, perceptron

torch = pytest.importorskip("torch")
CANNOT = can_compile(torch.device("cpu"))

pytestmark = [only_torch, pytest.mark.slow, pytest.mark.skipif(CANNOT is not None, reason=str(CANNOT))]

TRAINS = """
    import json, os, sys
    from tests.accelerated import *
    x, y = images()
    out = {}
    for mode in ("record", "compile"):
        seed()
        model = accelerate(convnet(), mode=mode)
        out[mode] = fit(x, y, shuffle=False, batch_size=6, epochs=3)(model).history["loss"]
        out[mode + " weights"] = [float(w.sum()) for w in model.get_weights()]
        out[mode + " execution"] = execution(model)
    from torch._dynamo.utils import counters  # not before: it lets PyTorch choose a folder
    out["counters"] = {k: v for k, v in counters["inductor"].items() if "cache" in k}
    out["folder"] = os.environ.get("TORCHINDUCTOR_CACHE_DIR")
    print(json.dumps(out))
"""


def process(**environment):
    kept = {k: v for k, v in os.environ.items() if k not in ("TORCHINDUCTOR_CACHE_DIR", "XDG_CACHE_HOME")}
    code = "\n".join(line[4:] for line in TRAINS.splitlines())
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**kept, "KERAS_BACKEND": "torch", **{k: str(v) for k, v in environment.items()}},
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


def test_compiled_steps_agree_and_a_second_process_does_not_compile_again(scratch):
    first = process(XDG_CACHE_HOME=scratch)
    assert first["compile execution"] == "compiled" and first["record execution"] == "recorded"
    assert first["compile"] == pytest.approx(first["record"], rel=1e-4)
    assert first["compile weights"] == pytest.approx(first["record weights"], abs=1e-3)
    assert first["folder"] == str(scratch / "kmodels" / "compiled")
    assert first["counters"]["fxgraph_cache_miss"] >= 1

    second = process(XDG_CACHE_HOME=scratch)
    assert second["counters"].get("fxgraph_cache_miss", 0) == 0
    assert second["counters"]["fxgraph_cache_hit"] >= 1
    assert second["compile"] == first["compile"]


def test_a_folder_that_was_chosen_is_kept_and_one_that_cannot_be_made_is_no_error(scratch):
    chosen = process(TORCHINDUCTOR_CACHE_DIR=scratch / "chosen")
    assert chosen["folder"] == str(scratch / "chosen") and any((scratch / "chosen").iterdir())
    (scratch / "file").write_text("")
    assert process(XDG_CACHE_HOME=scratch / "file", TMPDIR=scratch)["compile execution"] == "compiled"


IMAGES, CLASSES = images()
X, Y = features()


@pytest.fixture
def folder(scratch, monkeypatch):
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(scratch))


def compiled(make, train, atol):
    return check(make, train, mode="compile", atol=atol)


@pytest.mark.usefixtures("folder")
def test_compiled_penalties_clipping_and_sample_weights_are_those_of_keras():
    def make():
        return convnet(optimizer=optimizers.Adam(1e-3, l2=0.1, global_clipnorm=0.5), metrics=["accuracy"])

    weights = np.linspace(0.0, 2.0, len(IMAGES))
    assert compiled(make, fit(IMAGES, CLASSES, batch_size=6, epochs=3, sample_weight=weights), atol=1e-6) is None


@pytest.mark.usefixtures("folder")
def test_a_compiled_schedule_decay_and_class_weights_are_those_of_keras():
    def make():
        rate = keras.optimizers.schedules.ExponentialDecay(0.05, 2, 0.8)
        return perceptron(optimizer=keras.optimizers.AdamW(rate, weight_decay=0.1, clipvalue=0.05))

    train = fit(X, Y, batch_size=8, epochs=3, class_weight={0: 0.5, 1: 1.0, 2: 3.0})
    assert compiled(make, train, atol=1e-6) is None


@pytest.mark.usefixtures("folder")
def test_compiled_bfloat16_is_that_of_keras_within_its_rounding():
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        assert compiled(perceptron, fit(X, Y, batch_size=8, epochs=3), atol=3e-3) is None
    finally:
        keras.config.set_dtype_policy(before)
