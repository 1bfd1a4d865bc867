"""A progress bar on stderr for what takes seconds, and a plain line where there is no terminal."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

__all__ = ["progress", "to_stderr"]


def to_stderr(line: str) -> None:
    """Writes one line to stderr, at once."""
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


@contextmanager
def progress(
    task: str, total: int, report: Callable[[str], None], *, unit: str = "bytes"
) -> Iterator[Callable[[int], None]]:
    """Shows how far a task is; gives a function that takes the amount done so far.

    Args:
        task: what is being done, such as `mnist: downloading`.
        total: the whole amount.
        report: receives one line at the start where stderr is no terminal.
        unit: what is counted; `bytes` are shown as megabytes.
    """
    if not sys.stderr.isatty():
        report(f"{task} ({total / 1e6:.0f} MB)" if unit == "bytes" else f"{task} ({total} {unit})")
        yield lambda done: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    amount = (DownloadColumn(),) if unit == "bytes" else (MofNCompleteColumn(), TextColumn(unit))
    columns = (TextColumn("{task.description}"), BarColumn(), *amount, TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        shown = bar.add_task(task, total=total)
        yield lambda done: bar.update(shown, completed=min(done, total))
