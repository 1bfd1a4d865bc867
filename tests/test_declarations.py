from pathlib import Path

import pytest

from kmodels.spec.declarations import load_scripts

ROOT = Path(__file__).resolve().parents[1]
SCRIPT = '''"""Does it {verb}?

More of it.
"""
from kmodels import Experiment, Recipe, Split, main

BASE = Recipe(model="lenet", dataset="digits", split=Split(kind="kfold", folds=2), epochs=1, batch_size=8,
              learning_rate=0.1)
SECOND = Experiment(name="{verb}-second", question="?", base=BASE, cells={{"one": {{}}}})
FIRST = Experiment(name="{verb}-first", question="?", base=BASE, cells={{"one": {{}}}})
AGAIN = SECOND
if __name__ == "__main__":
    main(FIRST)
'''


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "experiments"
    folder.mkdir()
    (folder / "b_run.py").write_text(SCRIPT.format(verb="run"))
    (folder / "a_work.py").write_text(SCRIPT.format(verb="work"))
    (folder / "_draft.py").write_text("raise SystemExit")
    (folder / "plain.py").write_text("x = 1")
    return folder


def test_scripts_come_by_name_with_what_they_declare_in_its_order(folder):
    work, run = load_scripts(folder)
    assert (work.name, run.name) == ("a_work", "b_run")
    assert [e.name for e in run.experiments] == ["run-second", "run-first"]
    assert run.question == "Does it run?"
    assert run.command == "python experiments/b_run.py"


def test_two_scripts_cannot_declare_one_name(folder):
    (folder / "c.py").write_text(SCRIPT.format(verb="run"))
    with pytest.raises(ValueError, match=r"c\.py: expected names of its own\. Received: 'run-second' of b_run\.py"):
        load_scripts(folder)


def test_what_cannot_be_executed_is_named(folder):
    (folder / "broken.py").write_text("1 / 0")
    with pytest.raises(ValueError, match=r"broken\.py: expected a script of experiments\. ZeroDivisionError"):
        load_scripts(folder)
    with pytest.raises(ValueError, match="folder: expected a folder"):
        load_scripts(folder / "elsewhere")


def test_the_projects_own_scripts_declare_something():
    scripts = load_scripts(ROOT / "experiments")
    assert len(scripts) >= 12
    assert all(script.question.endswith(".") or "?" in script.question for script in scripts)
