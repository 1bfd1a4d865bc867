"""Do short trainings take longer with `kmodels.accelerate` than with Keras alone? At the lengths where it is closest.

python -m benchmarks.short --json results/benchmarks/short.json --table benchmarks/README.md   # 25 minutes
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import statistics
import sys
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

os.environ.setdefault("KERAS_BACKEND", "torch")  # before Keras is imported; it has no other effect

import keras
import numpy as np
import torch

from benchmarks.machine import provenance
from benchmarks.table import put_into, rows_and_head
from kmodels import accelerate, models
from kmodels.atomic_file import write_atomically

__all__ = ["NETWORKS", "TRAININGS", "Training", "main", "measure", "render"]

_BATCH = 32
_SHORT = 5  # images that the last batch of an epoch lacks


@dataclass(frozen=True)
class Training:
    """A training of some steps.

    Attributes:
        epochs: of `fit`; 0 for `train_on_batch`.
        steps: an epoch, or in all.
        whole: all batches are of one size and there is no validation; else the last ones are short, and five batches
            are evaluated each epoch.
        told: `accelerate` is given the number of steps.
    """

    epochs: int
    steps: int
    whole: bool = True
    told: bool = False

    def __str__(self) -> str:
        total = self.steps * max(self.epochs, 1)
        what = f"`fit`, {total} steps" if self.epochs else f"`train_on_batch`, {total} steps"
        return what + ("" if self.whole else ", short last batches, validation") + (", `steps` given" * self.told)


TRAININGS = (
    Training(1, 125),
    Training(1, 126),
    Training(10, 25, whole=False),
    Training(40, 25, whole=False),
    Training(16, 25, whole=False, told=True),
    Training(0, 1510),
)
# the shortest that are recorded, of networks that take many operations a layer
LONGER = {"LSTM": Training(1, 1501), "Python loop": Training(1, 626)}


def _dense(layers: int) -> keras.Model:
    inputs = keras.Input((8, 8, 1))
    x = keras.layers.Flatten()(inputs)
    for _ in range(layers - 1):
        x = keras.layers.Dense(16, activation="relu")(x)
    return keras.Model(inputs, keras.layers.Dense(10)(x))


def _lstm() -> keras.Model:
    inputs = keras.Input((40, 8))
    return keras.Model(inputs, keras.layers.Dense(10)(keras.layers.LSTM(16)(inputs)))


class _Moments(keras.layers.Layer):
    """A recurrent layer as users write it."""

    def build(self, shape: tuple[int | None, ...]) -> None:
        self.kernel = self.add_weight(shape=(shape[-1], shape[-1]))

    def call(self, x: Any) -> Any:
        state = x[:, 0]
        for moment in range(1, x.shape[1]):
            state = keras.ops.tanh(x[:, moment] + keras.ops.matmul(state, self.kernel))
        return state


def _loop() -> keras.Model:
    inputs = keras.Input((40, 8))
    return keras.Model(inputs, keras.layers.Dense(10)(_Moments()(inputs)))


def _wrapped() -> keras.Model:
    """A network that cannot be recorded, as PyTorch's module computes with its parameters themselves."""
    inputs = keras.Input((8,))
    x = keras.layers.TorchModuleWrapper(torch.nn.Linear(8, 8), output_shape=(None, 8))(inputs)
    return keras.Model(inputs, keras.layers.Dense(10)(x))


def _noisy() -> keras.Model:
    """A network that cannot be recorded, which shows where it ends."""
    x = inputs = keras.Input((12, 12, 3))
    for _ in range(6):
        x = keras.layers.Conv2D(8, 3, padding="same", use_bias=False)(x)
        x = keras.layers.ReLU()(keras.layers.BatchNormalization()(x))
    x = keras.layers.GaussianNoise(0.1, seed=3)(keras.layers.GlobalAveragePooling2D()(x))
    return keras.Model(inputs, keras.layers.Dense(10)(x))


class _Read(keras.metrics.Mean):
    """Cannot be recorded, as it reads a number; a step comes to it last."""

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        return super().update_state(float(keras.ops.max(y_pred).detach()))


NETWORKS: dict[str, Callable[[], keras.Model]] = {
    "one dense layer": lambda: _dense(1),
    "two dense layers": lambda: _dense(2),
    "eight dense layers": lambda: _dense(8),
    "LeNet": lambda: models.build("lenet"),
    "LSTM": _lstm,
    "Python loop": _loop,
    "seeded noise": _noisy,
    "reading metric": lambda: _dense(1),
    "PyTorch module": _wrapped,
}


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Returns the content of the JSON file."""
    torch.set_num_threads(1)
    facts = provenance("cpu")
    began, rows = time.process_time(), []
    importlib.import_module("kmodels.torch_step.entry")
    loading = time.process_time() - began
    for network in options.networks:
        trainings = (*TRAININGS, LONGER[network]) if network in LONGER else TRAININGS
        for training in trainings[: 2 if options.smoke else None]:
            seconds: dict[str, list[float]] = {"keras": [], "accelerated": []}
            for turn in range(options.rounds + 1):
                for side, kept in seconds.items():
                    taken = _seconds(network, training, accelerated=side == "accelerated")
                    kept += [taken] * (turn > 0)  # the first one of a kind also loads code
            ratios = [b / a for a, b in zip(*seconds.values(), strict=True)]
            row = {"network": network, "training": str(training), "batch": _BATCH, "ratios": ratios}
            row |= {name: facts[name] for name in ("date", "commit")}
            rows.append(row | {"seconds": {side: statistics.median(kept) for side, kept in seconds.items()}})
            sys.stderr.write(f"{network}, {training}: {statistics.median(ratios):.2f}\n")
    return {**facts, "smoke": options.smoke, "rounds": options.rounds, "loading": loading, "rows": rows}


def _seconds(network: str, training: Training, *, accelerated: bool) -> float:
    """CPU time of one training of a new network, from the call of `accelerate` on."""
    model = NETWORKS[network]()
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    reading = [_Read()] if network == "reading metric" else []
    model.compile(keras.optimizers.Adam(1e-3), loss, metrics=["accuracy", *reading])
    random = np.random.default_rng(0)
    count = _BATCH * (training.steps if training.epochs else 1) - (0 if training.whole else _SHORT)
    x = random.normal(size=(count, *model.input_shape[1:])).astype("float32")
    y = random.integers(0, 10, count)
    held = None if training.whole else (x[: _BATCH * 5 - _SHORT], y[: _BATCH * 5 - _SHORT])
    began = time.process_time()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "kmodels.accelerate")  # that nothing is recorded
        if accelerated:
            accelerate(model, steps=training.epochs * training.steps if training.told else None)
        if training.epochs:
            model.fit(x, y, batch_size=_BATCH, epochs=training.epochs, validation_data=held, verbose=0)
        else:
            for _ in range(training.steps):
                model.train_on_batch(x, y)
    return time.process_time() - began


def render(result: dict[str, Any]) -> str:
    """Returns the table of a result, with the line that says where it was measured.

    Args:
        result: the content of its JSON file.
    """
    networks = list(dict.fromkeys(row["network"] for row in result["rows"]))
    lines: dict[str, dict[str, str]] = {}
    for row in result["rows"]:
        ratios = row["ratios"]
        cell = f"**{statistics.median(ratios):.2f}** ({min(ratios):.2f} to {max(ratios):.2f})"
        lines.setdefault(row["training"], dict.fromkeys(networks, ""))[row["network"]] = cell
    table = rows_and_head(["training", *networks], [[name, *cells.values()] for name, cells in lines.items()])
    versions = result["versions"]
    about = ", ".join(f"{name} {versions[name]}" for name in ("python", "torch", "keras"))
    trial = " **A trial of the program, not a measurement.**" if result["smoke"] else ""
    where = f"{result['device']}, 1 thread; {about}; {result['date']}; batches of {_BATCH}"
    how = f"median of {result['rounds']} pairs of CPU time, least and most in brackets"
    loading = f"loading the recorder, once a process: {result['loading']:.2f} s"
    return f"{table}\n\n{where}; {how}; {loading}.{trial}"


def main(given: Sequence[str] | None = None) -> int:
    """Measures, prints the table, and writes it where it is asked for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.short", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--networks", nargs="+", choices=NETWORKS, default=list(NETWORKS), help="all by default")
    parser.add_argument("--rounds", type=int, default=5, help="how often each training is timed")
    parser.add_argument("--json", type=Path, help="file to write the result to")
    parser.add_argument("--add", action="store_true", help="keep what the JSON file has of other networks")
    parser.add_argument("--table", type=Path, help="Markdown file whose table to replace")
    parser.add_argument("--smoke", action="store_true", help="seconds: only whether it runs")
    options = parser.parse_args(given)
    if options.smoke:
        options.networks, options.rounds = options.networks[:1], 1
    if options.rounds < 1:
        parser.error(f"--rounds: expected 1 or more. Received: {options.rounds}")
    if options.json and not options.json.parent.is_dir():  # asked before minutes of measuring, not after
        parser.error(f"--json: expected a file in a folder that is there. Received: {options.json}")
    if options.table and not options.table.is_file():
        parser.error(f"--table: expected a Markdown file that is there. Received: {options.table}")
    if options.add and not (options.json and options.json.is_file()):
        parser.error(f"--add: expected --json with a file that is there. Received: {options.json}")
    result = measure(options)
    if options.add:
        before = json.loads(options.json.read_text(encoding="utf-8"))["rows"]
        rows = result["rows"] + [row for row in before if row["network"] not in options.networks]
        result["rows"] = sorted(rows, key=lambda row: list(NETWORKS).index(row["network"]))
    table = render(result)
    print(table)
    if options.json:
        write_atomically(options.json, (json.dumps(result, indent=1) + "\n").encode())
    if options.table:
        put_into(options.table, "short trainings", table)
    return 0


if __name__ == "__main__":
    sys.exit(main())
