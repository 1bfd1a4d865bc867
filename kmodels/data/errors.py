"""What can go wrong when a data set is loaded: it is not there, or it is there and wrong."""

__all__ = ["DataDamaged", "DataError", "DataUnavailable", "SourceUnavailable"]


class DataError(Exception):
    """A data set could not be loaded; the message says why and what to do."""


class DataUnavailable(DataError):
    """No source has the data set: the message lists what was tried, why each failed and what to do."""


class DataDamaged(DataError):
    """A file is there but is not what it must be: the message names it and says what was expected.

    Never a reason to read another source instead: whoever put the file there should know that it is not used.
    """


class SourceUnavailable(Exception):
    """One source cannot give the data set here; the message is the reason, and the next source is tried."""
