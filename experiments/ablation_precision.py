"""Is half precision faster, does it need less memory, and does it cost accuracy?  Report B-6.

    python experiments/ablation_precision.py                      # what is known; too slow for a quick run
    python experiments/ablation_precision.py --protocol report    # as the report would train it: 3 seeds, on a GPU
    python experiments/ablation_precision.py --report             # table and figures from results, no training

The report names apex's O1, mixed precision in float16, and measures nothing. Float16 needs a GPU: elsewhere that cell
is left out and says so. Seconds and memory are compared on one machine alone: the lines under the table name it.
The report's protocol has not been run yet.
"""

from kmodels import Claim, Experiment, Row, main
from kmodels.recipes import VGG16_B, VGG16_B_ASSUMED

_HALF = ("float16, mixed", "bfloat16, mixed")
_MEASURES = ("images_per_second", "seconds", "peak_memory", "test_accuracy")

B = Experiment(
    name="B-precision",
    question="VGG-16 in float32 and in half precision, CIFAR-10, Adam 0.005 in steps, 50 epochs",
    base=VGG16_B,
    cells={
        "float32": {"precision": "float32"},  # said, so that --precision does not change it
        "float16, mixed": {"precision": "mixed_float16"},
        "bfloat16, mixed": {"precision": "mixed_bfloat16"},
    },
    rows=[
        Row("B-6", cell, measure=measure)
        for measure in _MEASURES
        for cell in ("float32", "float16, mixed", "bfloat16, mixed")
    ],
    claims=[
        *(Claim(text=f"B-6: {half} is faster", measure="seconds", best=[half, "float32"]) for half in _HALF),
        *(
            Claim(text=f"B-6: {half} takes less memory", measure="peak_memory", best=[half, "float32"])
            for half in _HALF
        ),
        *(
            Claim(
                text=f"Beyond B-6: {half} is as accurate (within 0.5 points)",
                measure="test_accuracy",
                equal=[half, "float32"],
            )
            for half in _HALF
        ),
    ],
    assumptions=[
        *VGG16_B_ASSUMED,
        "The network is not stated: VGG-16 is assumed. O1 is read as Keras' mixed_float16: weights, statistics and the "
        "logits in float32, products in float16, the loss scaled by a factor that adapts.",
    ],
)

if __name__ == "__main__":
    main(B)
