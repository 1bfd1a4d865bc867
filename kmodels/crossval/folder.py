"""A folder of finished folds: what lies there is read, what does not is trained and written at once."""

from __future__ import annotations

import json
import traceback
from collections.abc import Callable, Iterable
from pathlib import Path

from kmodels.atomic_file import write_json
from kmodels.crossval.result import CrossValidation, FoldFailed, FoldScore

__all__ = ["finish_folds", "kept_folds"]

_FAILED = ".failed.json"


def kept_folds(folder: Path) -> list[FoldScore]:
    """Returns the scores that a folder holds, by file name; what it keeps of failures is none.

    Args:
        folder: what `finish_folds` was given.

    Raises:
        ValueError: a file holds something else.
    """
    paths = sorted(path for path in folder.glob("*.json") if not path.name.endswith(_FAILED))
    return [FoldScore.from_dict(json.loads(path.read_text(encoding="utf-8"))) for path in paths]


def finish_folds(
    wanted: Iterable[tuple[int, int, str]],
    train: Callable[[int, int, str], FoldScore],
    *,
    metric: str,
    folder: Path | None,
    whole: Callable[[str], bool] = lambda name: True,
    on_fold: Callable[[FoldScore], None] | None = None,
) -> CrossValidation:
    """Trains the folds that a folder does not hold.

    Args:
        wanted: seed, fold and file name (without its ending) of each training, in order.
        train: trains one of them, from the same three values.
        metric: name of what is scored.
        folder: where scores are kept, and of a failure its cause; None keeps nothing.
        whole: whether a fold whose score is there, by its file name, has all else that belongs to it.
        on_fold: called after each fold, also one that was read.

    Raises:
        FoldFailed: a training failed; its `__cause__` is why, and finished folds are kept.
        OSError: a file cannot be written.
    """
    scores, reused = [], 0
    for seed, fold, name in wanted:
        path = None if folder is None else folder / name
        score = _known(path) if path is not None and whole(name) else None
        if score is not None:
            reused += 1
        else:
            score = _trained(train, seed, fold, name, path)
        scores.append(score)
        if on_fold is not None:
            on_fold(score)
    return CrossValidation(metric=metric, scores=tuple(scores), reused=reused)


def _trained(
    train: Callable[[int, int, str], FoldScore], seed: int, fold: int, name: str, path: Path | None
) -> FoldScore:
    try:
        score = train(seed, fold, name)
    except Exception as cause:
        failure = FoldFailed(seed, fold, cause)
        if path is not None:
            record = {"kind": failure.kind, "cause": str(failure), "traceback": traceback.format_exc()}
            write_json(path.with_name(f"{name}{_FAILED}"), record)
        raise failure from cause
    if path is not None:
        write_json(path.with_name(f"{name}.json"), score.as_dict())
        path.with_name(f"{name}{_FAILED}").unlink(missing_ok=True)
    return score


def _known(path: Path) -> FoldScore | None:
    try:
        return FoldScore.from_dict(json.loads(path.with_name(f"{path.name}.json").read_text(encoding="utf-8")))
    except FileNotFoundError:
        return None
