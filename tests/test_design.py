"""The shape of the project: public names load, files stay short, and names say what is inside."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

import kmodels

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = ("kmodels", "experiments", "tuning", "benchmarks", "tests")
SOURCES = [path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py")]


@pytest.mark.parametrize("name", kmodels.__all__)
def test_every_public_name_loads(name):
    assert getattr(kmodels, name) is not None
    assert name in dir(kmodels)


def test_another_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'trian'"):
        kmodels.trian  # noqa: B018


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_file_is_short_and_named_for_what_it_holds(path):
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 300
    assert path.stem not in ("utils", "helpers", "base", "common", "misc")


def test_what_tests_share_lies_in_no_test():
    """A test imported from another is collected with it, and cannot be split or renamed alone."""
    named = r"^ *(?:from|import) (?:tests\.)?(test_\w+)"
    tests = (ROOT / "tests").glob("*.py")
    assert [path.name for path in tests if re.search(named, path.read_text(encoding="utf-8"), re.MULTILINE)] == []


def test_importing_the_package_loads_nothing_heavy():
    code = "import sys, kmodels; print(sorted({'keras', 'numpy', 'torch', 'tensorflow'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.strip() == "[]"


def test_every_package_is_in_the_wheel():
    import tomllib

    listed = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]
    found = {".".join(path.parent.relative_to(ROOT).parts) for path in (ROOT / "kmodels").rglob("__init__.py")}
    assert set(listed) == found
