"""How one network is trained: plain frozen values, standard library only."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from kmodels.checks import require
from kmodels.spec.rate import Restart, Schedule

__all__ = ["OptimizerName", "Precision", "Recipe", "Restart", "Schedule", "Split"]

SplitKind = Literal["kfold", "stratified_kfold", "holdout", "stratified_holdout", "batches", "test"]
Head = Literal["logits", "softmax"]
Precision = Literal["float32", "mixed_bfloat16", "mixed_float16"]
Normalization = Literal["unit", "standard", "report_e"]
Resize = Literal["pad", "bilinear"]
OptimizerName = Literal["adam", "adamw", "nadam", "sgd"]
Keep = Literal["last", "best_accuracy", "best_loss", "best_test_accuracy"]
Testing = Literal["standard", "report_c"]
Observable = Literal["gradient_norms", "gates", "size", "loss_sum"]
TrainMembers = Literal["jointly", "apart"]


@dataclass(frozen=True, kw_only=True)
class Split:
    """How the training images are divided into a training and a validation part.

    Attributes:
        kind: `kfold` / `stratified_kfold` (K parts, each the validation part once), `holdout` / `stratified_holdout`
            (one random validation part), `batches` (the last fifth in the data set's own order: report E's batch 5) or
            `test` (validate on the test set itself: a quirk of reports A and B).
        folds: number of parts K for the K-fold kinds, 1 otherwise.
        validation_fraction: share of the images held out, in (0, 1), for the hold-out kinds; 0 otherwise.
        random_state: seed of the division; the same for every run, so that all seeds see the same folds.

    Raises:
        ValueError: a field is outside its range.

    Example:
        >>> Split(kind="kfold", folds=10).folds
        10
    """

    kind: SplitKind
    folds: int = 1
    validation_fraction: float = 0.0
    random_state: int = 0

    def __post_init__(self) -> None:
        kinds = SplitKind.__args__  # type: ignore[attr-defined]
        require(self.kind in kinds, "kind", f"one of {', '.join(kinds)}", self.kind)
        if self.kind.endswith("kfold"):
            require(self.folds >= 2, "folds", "2 or more for a K-fold split", self.folds)
        else:
            require(self.folds == 1, "folds", f"1 for kind={self.kind!r}", self.folds)
        if self.kind.endswith("holdout"):
            require(
                0.0 < self.validation_fraction < 1.0,
                "validation_fraction",
                "a number in (0, 1)",
                self.validation_fraction,
            )
        else:
            require(
                self.validation_fraction == 0.0,
                "validation_fraction",
                f"0 for kind={self.kind!r}",
                self.validation_fraction,
            )


def _frozen(value: Any) -> Any:
    """JSON has no tuples: with lists as tuples a recipe read from a run file equals the one that was declared."""
    return tuple(map(_frozen, value)) if isinstance(value, list | tuple) else value


_CONSTANT = Schedule()


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How one network is trained; every setting that can move a number, none left to a default elsewhere.

    Attributes:
        model: name of a builder or preset in `kmodels.models.MODELS`.
        model_args: the builder's own arguments, all those that the experiment varies spelled out.
        head: what the loss is given: `logits`, or `softmax` for the reports' quirk of feeding softmax outputs to a
            cross-entropy that applies softmax again (reports A's LeNet, C and E).
        dataset: name known to `kmodels.data.load`.
        split: how validation images are held out.
        validation_drop_last: leave out the last validation images, which would not fill a batch of `batch_size`.
        train_images: use only the first this many images of the training part; None for all.
        image_size: height and width in pixels that images are brought to; None leaves them as they are.
        resize: `pad` with zeros around the image, or `bilinear` interpolation.
        normalization: `unit` (divide by 255), `standard` (training part's mean and standard deviation per channel) or
            `report_e` (that report's constants for CIFAR-10).
        crop_padding: pixels of zero padding before a random crop back to size; 0 for no cropping.
        flip: mirror half of the images left to right.
        rotation_degrees: rotate by an angle drawn evenly from ± this many degrees; 0 for none.
        epochs: passes over the training part, 1 or more; without those of `restarts`.
        restarts: further trainings, one after the other, each with its own epochs and rate, from the weights of the
            epoch that `keep` chose of all before it.
        keep: which epoch's weights are evaluated: the `last`, or the first of those with the best validation accuracy
            (`best_accuracy`, as report C does), validation loss (`best_loss`) or test accuracy (`best_test_accuracy`:
            a quirk of report E, for which the test images are looked at after every epoch).
        patience: end after more than this many epochs in a row that were no better by the measure of `keep`, 0 or more;
            None to train all epochs.
        batch_size: images a step, 1 or more.
        drop_last: leave out a last batch that is not full.
        optimizer: `adam`, `adamw`, `nadam` or `sgd`, each with PyTorch's semantics (see `kmodels.optimizers`).
        learning_rate: step size, above 0; of the first epoch after warming up, where a schedule changes it.
        schedule: how the learning rate changes; constant by default.
        momentum: decay of the momentum buffer, in [0, 1); for `sgd`, 0 otherwise.
        nesterov: Nesterov's momentum; needs momentum.
        l2: this times each trainable variable is added to its gradient, 0 or more: PyTorch's `weight_decay` of Adam,
            NAdam and SGD.
        weight_decay: decoupled decay, 0 or more: each trainable variable is multiplied by 1 - learning rate × this
            before a step, as in AdamW, whose default of 0.01 is not taken for granted here.
        clip_norm: largest norm of all gradients together, above 0; None for any.
        precision: `float32`, `mixed_bfloat16` or `mixed_float16`.
        testing: how test images are scored: `standard`, with running statistics and the likeliest class; or `report_c`,
            which adds that report's quirks to it: statistics of each image's own, the class drawn from the predicted
            distribution, and both.
        observe: what is recorded beside the scores, see `kmodels.spec.observations`; of `gradient_norms` (of each
            layer's kernel over the training), `gates` (of squeeze-and-excite, by class), `size` (parameters and
            operations) and `loss_sum` (of an epoch's batches).
        train_members: how an ensemble comes about: its members are trained `jointly`, through the combined output; or
            `apart`, one after the other, each as this recipe would train it alone, and combined then. Only for models
            whose `model_args` name their `members`.

    Raises:
        ValueError: a field is outside its range; the message names it.

    Example:
        >>> recipe = Recipe(model="lenet", model_args={"dropout": 0.0}, dataset="mnist", image_size=32,
        ...                 split=Split(kind="kfold", folds=10), epochs=30, batch_size=128, learning_rate=5e-4)
        >>> recipe.change(dropout=0.5, epochs=2).model_args["dropout"]
        0.5
    """

    model: str
    model_args: Mapping[str, Any] = field(default_factory=dict)
    head: Head = "logits"
    dataset: str
    split: Split
    validation_drop_last: bool = False
    train_images: int | None = None
    image_size: int | None = None
    resize: Resize = "pad"
    normalization: Normalization = "unit"
    crop_padding: int = 0
    flip: bool = False
    rotation_degrees: float = 0.0
    epochs: int
    restarts: tuple[Restart, ...] = ()
    keep: Keep = "last"
    patience: int | None = None
    batch_size: int
    drop_last: bool = False
    optimizer: OptimizerName = "adam"
    learning_rate: float
    schedule: Schedule = _CONSTANT
    momentum: float = 0.0
    nesterov: bool = False
    l2: float = 0.0
    weight_decay: float = 0.0
    clip_norm: float | None = None
    precision: Precision = "float32"
    testing: Testing = "standard"
    observe: tuple[Observable, ...] = ()
    train_members: TrainMembers = "jointly"

    def __post_init__(self) -> None:
        object.__setattr__(self, "model_args", {name: _frozen(value) for name, value in self.model_args.items()})
        kinds: dict[str, Any] = {"head": Head, "precision": Precision, "keep": Keep, "testing": Testing}
        kinds |= {"normalization": Normalization, "resize": Resize, "train_members": TrainMembers}
        for name, kind in {**kinds, "optimizer": OptimizerName}.items():
            allowed = kind.__args__
            require(getattr(self, name) in allowed, name, f"one of {', '.join(allowed)}", getattr(self, name))
        for name in ("epochs", "batch_size"):
            value = getattr(self, name)
            require(type(value) is int and value >= 1, name, "an integer, 1 or more", value)
        for name in ("train_images", "image_size"):
            value = getattr(self, name)
            require(value is None or (type(value) is int and value >= 1), name, "None or an integer, 1 or more", value)
        require(
            isinstance(self.crop_padding, int) and self.crop_padding >= 0,
            "crop_padding",
            "an integer, 0 or more",
            self.crop_padding,
        )
        require(
            0.0 <= self.rotation_degrees <= 180.0, "rotation_degrees", "a number in [0, 180]", self.rotation_degrees
        )
        require(0.0 < self.learning_rate < math.inf, "learning_rate", "a finite number above 0", self.learning_rate)
        require(isinstance(self.schedule, Schedule), "schedule", "a Schedule", self.schedule)
        self._check_course()
        if self.optimizer == "sgd":
            require(0.0 <= self.momentum < 1.0, "momentum", "a number in [0, 1)", self.momentum)
        else:
            require(self.momentum == 0.0, "momentum", f"0 for optimizer={self.optimizer!r}", self.momentum)
        require(not self.nesterov or self.momentum > 0.0, "nesterov", "False where momentum is 0", self.nesterov)
        for name in ("l2", "weight_decay"):
            require(0.0 <= getattr(self, name) < math.inf, name, "a finite number, 0 or more", getattr(self, name))
        fits = self.clip_norm is None or 0.0 < self.clip_norm < math.inf
        require(fits, "clip_norm", "None or a finite number above 0", self.clip_norm)
        object.__setattr__(self, "observe", tuple(self.observe))
        known: tuple[str, ...] = Observable.__args__  # type: ignore[attr-defined]
        sorted_out = self.observe == tuple(name for name in known if name in self.observe)
        require(sorted_out, "observe", f"some of {', '.join(known)}, in this order, each once", self.observe)
        if self.train_members == "apart":
            named = isinstance(self.model_args.get("members"), tuple) and len(self.model_args["members"]) >= 2
            expected = "'jointly' where model_args do not name two members or more"
            require(named, "train_members", expected, self.train_members)
            require(not self.observe, "observe", "nothing where members are trained apart", self.observe)

    def _check_course(self) -> None:
        """How long it is trained, in how many goes, and which epoch counts."""
        object.__setattr__(self, "restarts", tuple(self.restarts))
        restarts = all(isinstance(restart, Restart) for restart in self.restarts)
        require(restarts, "restarts", "a sequence of Restart", self.restarts)
        watched = self.split.kind == "test" and self.keep == "best_test_accuracy"
        require(not watched, "keep", "'best_accuracy' where the validation images are the test images", self.keep)
        warmup = self.schedule.warmup_epochs
        for epochs in (self.epochs, *(restart.epochs for restart in self.restarts)):
            require(warmup < epochs, "warmup_epochs", f"fewer than the {epochs} epochs", warmup)
        patience = self.patience
        if patience is not None:
            require(type(patience) is int and patience >= 0, "patience", "None or an integer, 0 or more", patience)
            require(self.keep != "last", "patience", "None for keep='last', which measures nothing", patience)
            require(not self.restarts, "patience", "None where there are restarts", patience)

    @property
    def total_epochs(self) -> int:
        """Passes over the training part, those of the restarts included; with `patience` the most there can be."""
        return self.epochs + sum(restart.epochs for restart in self.restarts)

    @property
    def needs_gpu(self) -> bool:
        """Whether its numbers mean something on a GPU only: CPUs have no arithmetic in float16 of their own."""
        return self.precision == "mixed_float16"

    def change(self, **changes: Any) -> Recipe:
        """Returns this recipe with some fields, or some of the builder's arguments in `model_args`, changed.

        Args:
            **changes: a field of the recipe, or a key already present in `model_args`.

        Raises:
            ValueError: a name is neither.
        """
        fields = {f.name for f in dataclasses.fields(self)}
        model_args = dict(changes.get("model_args", self.model_args))
        own = {}
        for name, value in changes.items():
            if name in fields:
                own[name] = value
            elif name in model_args:
                model_args[name] = value
            else:
                expected = f"a field of Recipe or an argument in model_args ({', '.join(model_args) or 'empty'})"
                raise ValueError(f"change: expected {expected}. Received: {name}={value!r}")
        return dataclasses.replace(self, **{**own, "model_args": model_args})

    def as_dict(self) -> dict[str, Any]:
        """Returns every field as JSON-ready values, nested values included."""
        restarts = [dataclasses.asdict(restart) for restart in self.restarts]
        lists = {"restarts": restarts, "observe": list(self.observe)}
        return {**dataclasses.asdict(self), "schedule": self.schedule.as_dict(), **lists}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Recipe:
        """Returns the recipe that `as_dict` wrote, now or before it had all of today's fields.

        Raises:
            ValueError: a field is missing, unknown or out of range.
        """
        try:
            nested = {"split": Split(**values["split"]), "schedule": Schedule(**values.get("schedule", {}))}
            restarts = tuple(Restart(**restart) for restart in values.get("restarts", ()))
            return cls(**{**values, **nested, "restarts": restarts})
        except (TypeError, KeyError) as error:
            raise ValueError(f"recipe: expected the fields of Recipe. Received: {dict(values)!r} ({error})") from error
