"""Report C's whole protocol against its listing, transcribed to a few lines of PyTorch, on a few small images."""

import keras
import numpy as np
import pytest

from kmodels import augment, data, recipes
from kmodels.data.splits import split_indices
from kmodels.spec.experiment import Split
from kmodels.spec.tasks import Task
from kmodels.training.train import train

pytestmark = pytest.mark.skipif(keras.backend.backend() != "torch", reason="the listing is PyTorch's")

RECIPE = recipes.CONVNET_C.change(
    dataset="digits",
    split=Split(kind="stratified_holdout", validation_fraction=0.05),
    train_images=164,
    epochs=7,
    patience=0,
    learning_rate=1e-3,
)


def small_net():
    """The network of the listing for images of 8x8."""
    from torch import nn
    from twins.convnet import MyConvNet

    net = MyConvNet(softmax=True)
    net.fc[0] = nn.Linear(128 * 2 * 2, 16 * 7 * 7)
    return net


def listing(twin, digits, recipe):
    """The loop of the listing, with our order of the images; returns its log, the kept weights and their epoch."""
    import copy

    import torch
    from torch import nn, optim

    [(train_part, held)] = split_indices(recipe.split, digits.y_train)
    train_part = train_part[: recipe.train_images]
    transform = augment.Transform(mean=(0.0,), std=(1.0,))

    def tensors(part):
        x = augment.apply(digits.x_train[part], None, transform)
        return torch.from_numpy(x.transpose(0, 3, 1, 2).copy()), torch.from_numpy(digits.y_train[part])

    def batches(part):  # drop_last
        return [tensors(part[i : i + 16]) for i in range(0, len(part) // 16 * 16, 16)]

    criterion = nn.CrossEntropyLoss()
    optimizer = optim.Adam(twin.parameters(), lr=recipe.learning_rate, weight_decay=1e-5)
    scheduler = optim.lr_scheduler.StepLR(optimizer, step_size=2, gamma=0.9)
    best_acc, stale, log, kept, kept_epoch = 0, 0, [], None, 0
    for epoch in range(recipe.epochs):
        twin.train()
        losses, accs = [], []
        order = augment.draw_epoch(len(train_part), transform, seed=0, fold=0, epoch=epoch).order
        for imgs, labels in batches(train_part[order]):
            logits = twin(imgs)
            loss = criterion(logits, labels)
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(twin.parameters(), max_norm=10)
            optimizer.step()
            accs.append((logits.argmax(dim=-1) == labels).float().mean())
            losses.append(loss.item())
        twin.eval()
        valid_loss, valid_accs = [], []
        for imgs, labels in batches(held):
            with torch.no_grad():
                logits = twin(imgs)
            valid_loss.append(criterion(logits, labels).item())
            valid_accs.append((logits.argmax(dim=-1) == labels).float().mean())
        valid_acc = float(sum(valid_accs) / len(valid_accs))
        log.append(
            [sum(losses) / len(losses), float(sum(accs) / len(accs)), sum(valid_loss) / len(valid_loss), valid_acc]
        )
        if valid_acc > best_acc:
            best_acc, stale, kept, kept_epoch = valid_acc, 0, copy.deepcopy(twin.state_dict()), epoch + 1
        else:
            stale += 1
            if stale > recipe.patience:
                break
        scheduler.step()
    return np.array(log), kept, kept_epoch


@pytest.mark.slow
def test_the_listing_and_the_recipe_come_to_the_same(monkeypatch):
    import torch
    from equality import copy_weights
    from twins.weights import draw_weights

    digits = data.load("digits")
    twin = draw_weights(small_net(), gain=1.0)
    monkeypatch.setattr("kmodels.training.network.initialize", lambda model, seed: copy_weights(model, twin))
    asked = Task(experiment="C-tiny", cell="c", protocol="report", recipe=RECIPE, seed=0, fold=0)
    run = train(asked, digits)
    log, kept, kept_epoch = listing(twin, digits, RECIPE)

    ours = np.array([run.curves[name] for name in ("loss", "accuracy", "val_loss", "val_accuracy")]).T
    assert ours.shape == log.shape
    # Rounding grows from step to step, on one processor more than on another, to one of the images that validate.
    # Validation losses differ most: PyTorch's running variance is of n - 1, Keras' of n, here of 256 at the least.
    np.testing.assert_allclose(ours[:2], log[:2], atol=1e-3)
    np.testing.assert_allclose(ours, log, atol=0.02)
    assert run.scores["kept_epoch"] == kept_epoch
    assert kept_epoch < len(log) < RECIPE.epochs, "neither the choice nor the patience is put to the test"

    # the listing's own test: a fresh network, never put into inference mode, one image at a time, the class drawn
    net = small_net()
    net.load_state_dict(kept)
    x_test, y_test = digits.open_test("test", lambda line: None)
    transform = augment.Transform(mean=(0.0,), std=(1.0,))
    x = torch.from_numpy(augment.apply(x_test, None, transform).transpose(0, 3, 1, 2).copy())
    with torch.no_grad():
        drawn_from = torch.cat([net(image[None]) for image in x]).numpy().astype("float64")
        usual = net.eval()
        net.load_state_dict(kept)  # running statistics have moved
        plain = usual(x).numpy().astype("float64")
    few = 6.5 / len(y_test)  # images that lie on the border between two classes
    assert run.scores["test_accuracy"] == pytest.approx(np.mean(plain.argmax(1) == y_test), abs=few)
    assert run.scores["test_accuracy_training_mode"] == pytest.approx(np.mean(drawn_from.argmax(1) == y_test), abs=few)
    for name, shares in (("sampled", plain), ("training_mode_sampled", drawn_from)):
        right = shares[np.arange(len(y_test)), y_test]  # a softmax already: no second one
        deviation = np.sqrt(np.sum(right * (1 - right))) / len(y_test)
        assert abs(run.scores[f"test_accuracy_{name}"] - right.mean()) < 4 * deviation
