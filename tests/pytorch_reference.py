"""PyTorch's optimizers in float64 and NumPy: what every backend is held to. Checked against `torch.optim` itself."""

import numpy as np

SHAPES = ((3, 4), (7,), ())


def start(seed):
    rng = np.random.default_rng(seed)
    return [rng.normal(size=shape).astype("float32") for shape in SHAPES]


def random_gradients(seed, steps):
    """Gradients whose size varies over five orders of magnitude from one variable and step to the next."""
    rng = np.random.default_rng(seed + 1)
    return [
        [np.asarray(rng.normal(size=shape) * 10 ** rng.uniform(-4, 1), "float32") for shape in SHAPES]
        for _ in range(steps)
    ]


def clipped(gradients, largest):
    norm = np.sqrt(sum(np.sum(gradient**2) for gradient in gradients))
    return [gradient * min(1.0, largest / (norm + 1e-6)) for gradient in gradients]


def reference(
    kind,
    values,
    gradients,
    rates,
    *,
    l2=0.0,
    weight_decay=None,
    global_clipnorm=None,
    momentum=0.0,
    nesterov=False,
    beta_1=0.9,
    beta_2=0.999,
    epsilon=1e-8,
    momentum_decay=4e-3,
):
    """Returns the values after a step with each of the gradients and rates."""
    values = [np.asarray(value, "float64") for value in values]
    first = [np.zeros_like(value) for value in values]
    second = [np.zeros_like(value) for value in values]
    product = 1.0
    for step, (given, rate) in enumerate(zip(gradients, rates, strict=True), start=1):
        given = [np.asarray(gradient, "float64") for gradient in given]
        if global_clipnorm is not None:
            given = clipped(given, global_clipnorm)
        mu, following = (beta_1 * (1 - 0.5 * 0.96 ** (t * momentum_decay)) for t in (step, step + 1))
        product *= mu
        for i, gradient in enumerate(given):
            values[i] = values[i] * (1 - rate * (weight_decay or 0.0))
            gradient = gradient + l2 * values[i]
            if kind == "SGD":
                first[i] = gradient if step == 1 else momentum * first[i] + gradient
                direction = gradient + momentum * first[i] if nesterov else first[i]
                values[i] = values[i] - rate * (direction if momentum else gradient)
                continue
            first[i] = beta_1 * first[i] + (1 - beta_1) * gradient
            second[i] = beta_2 * second[i] + (1 - beta_2) * gradient**2
            denominator = np.sqrt(second[i] / (1 - beta_2**step)) + epsilon
            if kind == "NAdam":
                ahead = gradient * (1 - mu) / (1 - product) + first[i] * following / (1 - product * following)
            else:
                ahead = first[i] / (1 - beta_1**step)
            values[i] = values[i] - rate * ahead / denominator
    return values
