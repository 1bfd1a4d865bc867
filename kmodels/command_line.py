"""What the command lines of scripts share: errors in one line, an end in good order, output that any terminal takes."""

from __future__ import annotations

import argparse
import io
import os
import shutil
import signal
import sys
import textwrap
import threading
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import NoReturn

__all__ = [
    "BACKENDS",
    "PIPELINES",
    "Parser",
    "WrongUse",
    "check_backend",
    "check_kept_weights",
    "fitted",
    "positive",
    "printable",
    "process",
    "say",
    "script_parser",
]

BACKENDS = ("torch", "jax", "tensorflow")
PIPELINES = ("memory", "tfdata")


class WrongUse(Exception):
    """A wrong value on the command line, in one line."""


class Parser(argparse.ArgumentParser):
    """Raises `WrongUse` where argparse would print its usage and end the process."""

    def error(self, message: str) -> NoReturn:
        """Called by argparse."""
        raise WrongUse(message)


def script_parser() -> Parser:
    """Returns a parser without arguments that describes the running script by the script's own words."""
    return Parser(
        description=fitted(sys.modules["__main__"].__doc__ or ""),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )


def fitted(text: str, columns: int | None = None) -> str:
    r"""Returns a module's docstring as wide as the terminal: paragraphs wrapped, commands as they are.

    Args:
        text: the docstring; indented lines are commands, whose comment moves below where both are too long for a line.
        columns: width; None for the terminal's, 80 at least.

    Example:
        >>> print(fitted("One\ntwo.\n\n    command    # why", 14))
        One two.
        <BLANKLINE>
            command
                # why
    """
    width = columns or max(80, shutil.get_terminal_size().columns)
    parts = []
    for paragraph in text.strip().split("\n\n"):
        if not paragraph.startswith(" "):
            parts.append(textwrap.fill(" ".join(paragraph.split()), width, break_long_words=False))
            continue
        lines = []
        for line in paragraph.splitlines():
            command, mark, comment = line.partition(" # ")
            fits = len(line) <= width or not mark
            lines += [line] if fits else [command.rstrip(), f"        # {comment}"]
        parts.append("\n".join(lines))
    return "\n\n".join(parts)


def positive(text: str) -> int:
    """Returns the integer of an argument; the type of argparse for 1 or more."""
    try:
        value = int(text)
    except ValueError:
        value = 0
    if value < 1:
        raise argparse.ArgumentTypeError(f"expected an integer, 1 or more. Received: {text!r}")
    return value


def check_backend() -> str:
    """Returns the Keras backend that the environment asks for.

    Raises:
        WrongUse: there is no such backend.
    """
    backend = os.environ.get("KERAS_BACKEND", "torch")
    if backend not in BACKENDS:
        raise WrongUse(f"KERAS_BACKEND: expected one of {', '.join(BACKENDS)}. Received: {backend!r}")
    return backend


def process(command: Callable[[], int]) -> NoReturn:
    """Runs a command as this process, whose exit status it returns, and ends it.

    A full disk or a reader that goes away costs status 1 and no traceback; SIGTERM and SIGHUP unwind.

    Args:
        command: does the work and returns the exit status.
    """
    # OpenMP threads spin while they wait: for long, and LeNet takes ten times as long on cores that are busy otherwise;
    # not at all, and it takes 1.8 times as long on quiet ones. It has to be said before PyTorch is imported.
    os.environ.setdefault("GOMP_SPINCOUNT", "10000")
    printable()
    _end_in_order()
    try:
        status = command()
        sys.stdout.flush()
    except OSError as error:  # of standard output itself: `| head`, a full disk
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # what is still buffered has nowhere to go
        if not isinstance(error, BrokenPipeError):
            say(f"{Path(sys.argv[0]).name}: standard output: {error}")
        status = 1
    sys.exit(status)


def _end_in_order() -> None:
    """Makes SIGTERM and SIGHUP unwind: else an npm client that is fetching goes on, and temporary files stay."""
    if threading.current_thread() is not threading.main_thread():
        return

    def end(number: int, _frame: FrameType | None) -> NoReturn:
        signal.signal(number, signal.SIG_DFL)  # a second one ends the process at once
        sys.exit(128 + number)

    for name in ("SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)  # there is no SIGHUP on Windows
        if number is not None and signal.getsignal(number) is signal.SIG_DFL:  # nohup has it ignored
            signal.signal(number, end)


def check_kept_weights() -> None:
    """Checks what the environment says of large weights, before hours of training and not after them.

    Raises:
        WrongUse: it is neither nothing nor `all`.
    """
    asked = os.environ.get("KMODELS_KEEP_WEIGHTS", "")
    if asked not in ("", "all"):
        raise WrongUse(f"KMODELS_KEEP_WEIGHTS: expected all, or nothing. Received: {asked!r}")


def say(line: str) -> None:
    """Writes a line to standard error at once: what is no result."""
    print(line, file=sys.stderr, flush=True)  # noqa: T201 - the command line's own voice


def printable() -> None:
    """Lets standard output take any text: where its encoding has no ±, a question mark stands for it."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")
