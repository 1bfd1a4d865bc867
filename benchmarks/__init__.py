"""How fast kmodels trains, against the same networks written by hand in PyTorch."""

import os

os.environ.setdefault("KERAS_BACKEND", "torch")  # before anything here imports Keras
