"""All of an experiments folder as if it had run: numbers that are made up, run files that are whole."""

import numpy as np

from kmodels.data.catalog import CATALOG
from kmodels.data.labels import KEPT, labels_of
from kmodels.results.key import run_key
from kmodels.results.predictions import Predictions
from kmodels.results.runs import REVISION, Run
from kmodels.spec.claims import MEASURES
from kmodels.spec.tasks import tasks

_FURTHER = [name for name in MEASURES if name.startswith(("test_accuracy_", "mean_prob", "majority"))]
_OBSERVED = {
    "size": {"parameters": 62006, "macs": 651_720},
    "loss_sum": {"epochs": [150.0, 130.5]},
    "gradient_norms": {"layers": ["stem", "last"], "kernel_sizes": [3, 3], "norms": [[0.1, 1.0], [0.2, 1.0]]},
    "gates": {"blocks": ["se"], "mean": [[0.5] * 10], "sd": [[0.1] * 10], "between_classes": [0.1],
              "within_classes": [0.2]},
}  # fmt: skip


def simulated(scripts, *, seeds=3, folds=3, quick=False):
    """Returns runs of every cell of every experiment: `folds` of each split's folds at most, `seeds` seeds."""
    found = {}
    for script in scripts:
        for experiment in script.experiments:
            if quick and experiment.quick is None:
                continue
            for task in tasks(experiment, quick=quick, seeds=seeds, folds=folds, cells=experiment.all_cells()):
                run = _run(task, experiment)
                found.setdefault(run.key, run)
    return list(found.values())


def _run(task, experiment):
    recipe = task.recipe
    digest = CATALOG[recipe.dataset].digest or "0" * 64
    key = run_key(recipe, data_digest=digest, seed=task.seed, fold=task.fold, backend="torch", revision=REVISION)
    random = np.random.default_rng(int(key[:12], 16))
    reported = [r for r in experiment.rows if r.cell == task.cell and r.reported and MEASURES[r.measure].unit == "%"]
    level = np.random.default_rng(len(str(recipe))).uniform(0.7, 0.9) if not reported else reported[0].reported.value
    accuracy = float(np.clip(level + random.normal(0, 0.004), 0, 1))
    rise = 1 - np.exp(-np.linspace(0.3, 4, recipe.epochs))
    labels = labels_of(recipe.dataset).test if recipe.dataset in KEPT else None
    return Run(
        key=key,
        experiment=task.experiment,
        cell=task.cell,
        protocol=task.protocol,
        recipe=recipe.as_dict(),
        seed=task.seed,
        fold=task.fold,
        data={"name": recipe.dataset, "digest": digest, "source": "npz", "train_images": 54000,
              "validation_images": 6000, "test_images": 10000, "num_classes": 10},
        scores={"validation_accuracy": accuracy, "validation_loss": 2 - accuracy, "train_loss": 1.6 - accuracy / 2,
                "train_accuracy": min(1.0, accuracy + 0.02), "test_accuracy": accuracy, "test_nll": 1 - accuracy / 2,
                "test_ece": 0.03, **dict.fromkeys(_FURTHER, accuracy)},
        curves={"loss": list(2.3 - 1.5 * rise), "val_loss": list(2.3 - 1.4 * rise), "accuracy": list(accuracy * rise),
                "val_accuracy": list(accuracy * rise), "test_accuracy": list(accuracy * rise)},
        observations={name: _OBSERVED[name] for name in recipe.as_dict()["observe"]},
        predictions=None if labels is None else Predictions(_classes(labels, accuracy, random)),
        seconds={"build": 1.0, "fit": 590.0},
        images_per_second=9000.0,
        peak_memory_bytes=10**9,
        device="Example CPU",
        threads=2,
        backend="torch",
        revision=REVISION,
        versions={"keras": "3.15.1", "torch": "2.13.0"},
        commit="0123456789abcdef",
    )  # fmt: skip


def _classes(labels, accuracy, random):
    wrong = random.random(len(labels)) > accuracy
    return np.where(wrong, (labels + random.integers(1, 10, len(labels))) % 10, labels).astype("uint8")
