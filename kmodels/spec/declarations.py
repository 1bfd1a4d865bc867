"""What the scripts of a folder declare, read by path: nothing here imports a script as a module of a package."""

from __future__ import annotations

import ast
import runpy
from dataclasses import dataclass
from pathlib import Path

from kmodels.spec.experiment import Experiment

__all__ = ["Script", "load_scripts"]


@dataclass(frozen=True)
class Script:
    """One script of experiments.

    Attributes:
        path: where it stands.
        about: its docstring.
        experiments: what it declares, in its order.
    """

    path: Path
    about: str
    experiments: tuple[Experiment, ...]

    @property
    def name(self) -> str:
        """The file's name without its ending."""
        return self.path.stem

    @property
    def question(self) -> str:
        """The docstring's first line."""
        return self.about.strip().partition("\n")[0].strip()

    @property
    def command(self) -> str:
        """The command line that runs it, without flags."""
        return f"python {self.path.parent.name}/{self.path.name}"


def load_scripts(folder: Path) -> tuple[Script, ...]:
    """Returns the scripts of a folder that declare experiments, by name.

    Scripts are executed, without what stands under `if __name__ == "__main__"`: the folder is trusted as code is.

    Args:
        folder: usually `experiments`; files whose name begins with an underscore are left out.

    Raises:
        ValueError: there is no such folder, a script cannot be executed, or two declare experiments of one name.
    """
    if not folder.is_dir():
        raise ValueError(f"folder: expected a folder of experiment scripts. Received: {str(folder)!r}")
    scripts: list[Script] = []
    owner: dict[str, Path] = {}
    for path in sorted(folder.glob("[!_]*.py")):
        experiments = _declared(path)
        for experiment in experiments:
            first = owner.setdefault(experiment.name, path)
            if first != path:
                raise ValueError(f"{path}: expected names of its own. Received: {experiment.name!r} of {first.name}")
        if experiments:
            about = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
            scripts.append(Script(path, about, experiments))
    return tuple(scripts)


def _declared(path: Path) -> tuple[Experiment, ...]:
    try:
        names = runpy.run_path(str(path), run_name=path.stem)
    except (Exception, SystemExit) as error:  # whatever a script can raise
        raise ValueError(f"{path}: expected a script of experiments. {type(error).__name__}: {error}") from error
    found: dict[str, Experiment] = {}
    for value in names.values():
        if isinstance(value, Experiment):
            found.setdefault(value.name, value)
    return tuple(found.values())
