"""PyTorch unless KERAS_BACKEND says otherwise, also for tests that import Keras before kmodels."""

import os
import shutil

import pytest
from hypothesis import settings

os.environ.setdefault("KERAS_BACKEND", "torch")
# OpenMP threads that spin for long while they wait make small networks ten times slower on a busy machine
os.environ.setdefault("GOMP_SPINCOUNT", "10000")
if "PYTEST_XDIST_WORKER" in os.environ:  # workers share the cores: with a thread for each core in all they would wait
    os.environ.setdefault("OMP_NUM_THREADS", "1")

if os.environ["KERAS_BACKEND"] != "torch":  # all of these is about PyTorch's steps; a skipped test would fail CI
    collect_ignore = [
        "test_acceleration_assignments.py",
        "test_benchmarks.py",
        "test_compiler.py",
        "test_cuda_graph.py",
        "test_memory_format.py",
        "test_optimizer_rules.py",
        "test_substitution.py",
        "test_work.py",
    ]


def pytest_configure(config):
    # keras 3.15 turns a torch tensor into an array through a protocol that NumPy 2 calls with one argument more
    config.addinivalue_line(
        "filterwarnings", "ignore:__array__ implementation doesn't accept a copy keyword:DeprecationWarning"
    )


# a busy machine is no failure: how long an example takes says nothing of what it shows
settings.register_profile("unhurried", deadline=None)
settings.load_profile("unhurried")


@pytest.fixture
def scratch(tmp_path):
    """A folder that goes with the test: pytest keeps those of three runs, and files of networks are large."""
    yield tmp_path
    shutil.rmtree(tmp_path)
