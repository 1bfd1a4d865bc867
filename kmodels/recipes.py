"""The base recipes of the reports: what each report's runner sets, with every field that varies spelled out."""

from __future__ import annotations

from kmodels.spec import Recipe, Split

__all__ = ["LENET_A"]

LENET_A = Recipe(
    model="lenet",
    model_args={"dropout": 0.0},
    head="softmax",
    dataset="mnist",
    split=Split(kind="kfold", folds=10, random_state=0),
    image_size=32,
    epochs=15,
    batch_size=256,
    optimizer="adam",
    learning_rate=1e-3,
)
"""Report A's LeNet on MNIST with the defaults of its runner: Adam, 10 folds, softmax fed to the cross-entropy."""
