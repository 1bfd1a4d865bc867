"""Should the learning rate fall, and how fast?  Reports E-T1 … E-T3.

    python experiments/ablation_schedule.py                      # what is known; too slow for a quick run
    python experiments/ablation_schedule.py --protocol report    # as the report trained it: 3 seeds, hours
    python experiments/ablation_schedule.py --report             # table and figures from results, no training

The report's protocol has not been run yet.
"""

from kmodels import Claim, Experiment, Reported, Row, main
from kmodels.recipe import Schedule
from kmodels.recipes import RESNET18_E, RESNET18_E_ASSUMED

RESNET18 = Experiment(
    name="E-schedule",
    question="Decay of the learning rate per epoch, ResNet-18, CIFAR-10, 30 epochs",
    base=RESNET18_E,
    cells={
        "decay 1": {"schedule": Schedule()},
        "decay 0.9": {"schedule": Schedule(kind="exponential", gamma=0.9)},
        "decay 0.45": {"schedule": Schedule(kind="exponential", gamma=0.45)},
    },
    repaired={
        "decay 1, logits": {"schedule": Schedule(), "head": "logits"},
        "decay 0.9, logits": {"head": "logits"},
        "decay 0.45, logits": {"schedule": Schedule(kind="exponential", gamma=0.45), "head": "logits"},
    },
    rows=[
        Row("E-T1", "decay 1", Reported(0.7645, 0.00005)),
        Row("E-T1", "decay 1", Reported(132.08587, 0.000005), "train_loss_sum"),
        Row("E-T2", "decay 0.9", Reported(0.7871, 0.00005)),
        Row("E-T2", "decay 0.9", Reported(130.22897, 0.000005), "train_loss_sum"),
        Row("E-T3", "decay 0.45", Reported(0.5028, 0.00005)),
        Row("E-T3", "decay 0.45", Reported(154.83982, 0.000005), "train_loss_sum"),
    ],
    claims=[
        Claim(
            text="E-T1 … E-T3: decay 0.9 is most accurate, then none, then 0.45",
            order=["decay 0.9", "decay 1", "decay 0.45"],
        ),
        Claim(
            text="E-T1 … E-T3: training losses the other way round, lowest for 0.9",
            measure="train_loss",
            order=["decay 0.9", "decay 1", "decay 0.45"],
        ),
    ],
    assumptions=RESNET18_E_ASSUMED,
)

if __name__ == "__main__":
    main(RESNET18)
