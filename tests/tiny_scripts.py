"""A folder of scripts, each an experiment of a second or two, and the `reproduce.py` that trains them all."""

DROPOUT = """
from dataclasses import replace
from tests import tiny_experiment

ONE = replace(tiny_experiment.TINY, name="A-one", quick={"epochs": EPOCHS})
LONG = replace(tiny_experiment.TINY, name="A-long", quick=None)
"""
HEAD = """
from dataclasses import replace
from tests import tiny_experiment

HEADS = {"softmax": {"head": "softmax"}, "logits": {}}
TWO = replace(tiny_experiment.TINY, name="A-two", cells=HEADS, rows=[], claims=[], quick={"epochs": EPOCHS})
"""
REPRODUCE = """
from pathlib import Path
from kmodels.running.reproduction import main

if __name__ == "__main__":
    main(Path(__file__).resolve().parent)
"""
QUICK_RUNS = 6  # two cells of A-one and one more of A-two, of two folds; A-two's other cell is A-one's first


def scripts(folder, epochs=1):
    folder.mkdir(parents=True)
    (folder / "ablation_dropout.py").write_text(DROPOUT.replace("EPOCHS", str(epochs)))
    (folder / "ablation_head.py").write_text(HEAD.replace("EPOCHS", str(epochs)))
    (folder / "reproduce.py").write_text(REPRODUCE)
    return folder
