"""Data sets: where they come from, how they are verified, how they are split."""

from kmodels.data.dataset import Dataset, from_arrays
from kmodels.data.errors import DataDamaged, DataError, DataUnavailable
from kmodels.data.sources import NAMES, load

__all__ = ["NAMES", "DataDamaged", "DataError", "DataUnavailable", "Dataset", "from_arrays", "load"]
