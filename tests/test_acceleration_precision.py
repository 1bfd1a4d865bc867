"""`accelerate`: dtype policies, low-rank adaptation and quantization."""

import keras
import pytest

from tests.accelerated import check, convnet, crossentropy, features, fit, images, only_torch, perceptron

pytestmark = [only_torch]

X, Y = features()
IMAGES, CLASSES = images()


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "float64", "mixed_float16"])
def test_dtype_policies(policy):
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        cause = check(convnet, fit(IMAGES, CLASSES), atol=3e-2 if policy == "mixed_bfloat16" else 2e-5)
        assert cause is None if policy != "mixed_float16" else "float16" in cause
        if policy == "mixed_bfloat16":
            assert check(convnet, fit(IMAGES, CLASSES), exact=True) is None
    finally:
        keras.config.set_dtype_policy(before)


def test_low_rank_adaptation_and_quantization():
    def adapted():
        model = perceptron()
        model.layers[1].enable_lora(2)
        model.compile("sgd", crossentropy())
        return model

    assert check(adapted, fit(X, Y), exact=True) is None
    check(adapted, fit(X, Y))

    def quantized():
        model = perceptron()
        model.layers[1].quantize("int8")
        model.compile("sgd", crossentropy())
        return model

    check(quantized, fit(X, Y))
