import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.model_selection import KFold

from kmodels.data.splits import split_indices
from kmodels.spec.experiment import Split

LABELS = np.arange(200) % 10


def test_report_a_folds_are_those_of_scikit_learn():
    ours = split_indices(Split(kind="kfold", folds=10, random_state=0), LABELS)
    theirs = KFold(n_splits=10, shuffle=True, random_state=0).split(np.zeros((200, 1)))
    assert len(ours) == 10
    for (train, validation), (their_train, their_validation) in zip(ours, theirs, strict=True):
        assert np.array_equal(train, their_train) and np.array_equal(validation, their_validation)


def test_report_a_folds_of_mnist_size_start_where_they_always_did():
    _, validation = split_indices(Split(kind="kfold", folds=10), np.zeros(60_000, np.int64))[0]
    assert len(validation) == 6_000 and validation[:5].tolist() == [17, 18, 28, 50, 66]


def test_report_e_batches_are_exact_for_cifar10():
    [(train, validation)] = split_indices(Split(kind="batches"), np.zeros(50_000, np.int64))
    assert np.array_equal(train, np.arange(40_000)) and np.array_equal(validation, np.arange(40_000, 50_000))


def test_kind_test_trains_on_everything():
    [(train, validation)] = split_indices(Split(kind="test"), LABELS)
    assert np.array_equal(train, np.arange(200)) and validation is None


SPLITS = [
    Split(kind="kfold", folds=4, random_state=3),
    Split(kind="stratified_kfold", folds=4, random_state=3),
    Split(kind="holdout", validation_fraction=0.25, random_state=3),
    Split(kind="stratified_holdout", validation_fraction=0.25, random_state=3),
    Split(kind="batches"),
]


@pytest.mark.parametrize("split", SPLITS, ids=lambda split: split.kind)
@given(images=st.integers(20, 120), seed=st.integers(0, 5))
def test_every_image_is_in_exactly_one_part_of_each_fold(split, images, seed):
    labels = np.random.default_rng(seed).permutation(np.arange(images) % 4)
    parts = split_indices(split, labels)
    for train, validation in parts:
        assert train.dtype == validation.dtype == np.int64 and len(train) and len(validation)
        assert np.array_equal(np.sort(np.concatenate([train, validation])), np.arange(images))
        assert np.all(np.diff(train) > 0) and np.all(np.diff(validation) > 0)
    if split.kind.endswith("kfold"):
        held_out = np.concatenate([validation for _, validation in parts])
        assert np.array_equal(np.sort(held_out), np.arange(images))


@pytest.mark.parametrize("kind", ["stratified_kfold", "stratified_holdout"])
def test_stratified_parts_have_the_same_share_of_each_class(kind):
    how = {"folds": 5} if kind == "stratified_kfold" else {"validation_fraction": 0.2}
    labels = np.array([0] * 100 + [1] * 50)
    for train, validation in split_indices(Split(kind=kind, **how), labels):
        assert np.bincount(labels[train]).tolist() == [80, 40]
        assert np.bincount(labels[validation]).tolist() == [20, 10]


@pytest.mark.parametrize("split", SPLITS[:4], ids=lambda split: split.kind)
def test_same_random_state_same_parts_other_random_state_other_parts(split):
    def first(random_state):
        changed = Split(
            kind=split.kind,
            folds=split.folds,
            validation_fraction=split.validation_fraction,
            random_state=random_state,
        )
        return split_indices(changed, LABELS)[0][1].tolist()

    assert first(0) == first(0) != first(1)


@pytest.mark.parametrize(
    ("split", "labels", "message"),
    [
        (Split(kind="kfold", folds=10), np.zeros(5, np.int64), "n_splits=10"),
        (Split(kind="stratified_kfold", folds=5), np.array([0] * 20 + [7] * 3), "5 images or more of each class"),
        (Split(kind="batches"), np.zeros(4, np.int64), "5 images or more"),
        (Split(kind="test"), np.zeros((4, 2), np.int64), r"expected integers of shape \(images,\)"),
        (Split(kind="test"), np.zeros(4), "expected integers"),
    ],
)
def test_impossible_splits_are_refused(split, labels, message):
    with pytest.raises(ValueError, match=message):
        split_indices(split, labels)
