"""Do skip connections help, added or concatenated?  Reports D-1 … D-3.

    python experiments/ablation_skip_connections.py                      # what is known, then a quick run of the Net
    python experiments/ablation_skip_connections.py --protocol report    # as the report trained it: 3 seeds, hours
    python experiments/ablation_skip_connections.py --report             # table and figures from results, no training

The report's plain "Net" is far smaller and shallower than its ResNet; beside it stands the same ResNet without its
shortcuts. Row D-4 is in ablation_attention.py.
The report's protocol has not been run yet.
"""

from kmodels import Claim, Experiment, Reported, Row, main
from kmodels.recipe import Schedule
from kmodels.recipes import PLAIN_NET_D, PLAIN_NET_D_ASSUMED, RESNET_D, RESNET_D_ASSUMED

_NET = {  # the recipe of PLAIN_NET_D, so that both experiments share its runs
    "model": "plain_net",
    "epochs": 10,
    "optimizer": "adam",
    "learning_rate": 1e-3,
    "schedule": Schedule(),
    "momentum": 0.0,
    "l2": 0.0,
}

NET = Experiment(
    name="D-net",
    question="The plain convolutional Net, CIFAR-10, Adam 0.001, 10 epochs",
    base=PLAIN_NET_D,
    cells={"Net": {}},
    rows=[Row("D-1", "Net", Reported(0.64, 0.005))],
    seeds=5,
    quick={"epochs": 3, "train_images": 20_000},
    assumptions=PLAIN_NET_D_ASSUMED,
)

RESNET = Experiment(
    name="D-skip-connections",
    question="Net, ResNet and SimpleDenseNet, CIFAR-10, 20 epochs",
    base=RESNET_D,
    cells={
        "ResNet": {},
        "SimpleDenseNet": {"model": "densenet_d"},
        "Net": _NET,
        "ResNet without its shortcuts": {"model": "plain14_d"},
    },
    repaired={"SimpleDenseNet, 3x3 stem of stride 1": {"model": "densenet_d_small_stem"}},
    rows=[
        Row("D-2", "ResNet", Reported(0.80, 0.0, "at least")),
        Row("D-3", "SimpleDenseNet", Reported(0.75, 0.0, "at least")),
    ],
    claims=[
        Claim(
            text="D-3: SimpleDenseNet is above Net and below ResNet",
            order=["ResNet", "SimpleDenseNet", "Net"],
        ),
        Claim(
            text="D-2, D-3: ResNet over-fits less than SimpleDenseNet",
            measure="accuracy_gap",
            best=["ResNet", "SimpleDenseNet"],
        ),
        Claim(
            text="D-5: at equal depth shortcuts make training easier",
            measure="mean_train_loss",
            best=["ResNet", "ResNet without its shortcuts"],
        ),
        Claim(
            text="Repaired: SimpleDenseNet is held back by its stem, which leaves the first block 8x8 pixels",
            best=["SimpleDenseNet, 3x3 stem of stride 1", "SimpleDenseNet"],
        ),
    ],
    assumptions=[
        *RESNET_D_ASSUMED,
        "“Over 80 %” and “over 75 %” may be training accuracy; validation accuracy is assumed.",
        "Net trains as in row D-1: Adam, 10 epochs.",
    ],
)

if __name__ == "__main__":
    main(NET, RESNET)
