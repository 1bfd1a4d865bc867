"""A site on disk: what was there before, what is wrong with what it is made of, and the command that makes it."""

from pathlib import Path

import pytest

from kmodels.__main__ import run_command
from kmodels.site.publishing import publish_site
from kmodels.site.readme import BEGIN, END
from tests.simulated_site import ROOT, build, read, script, tiny


def test_an_earlier_site_is_made_new_and_anything_else_left_alone(tmp_path):
    one, other = script(tiny(), name="one"), script(tiny("A-other"), name="other")
    build(tmp_path / "site", scripts=[one, other])
    (tmp_path / "site" / "notes.txt").write_text("mine")
    build(tmp_path / "site", scripts=[one])
    names = set(read(tmp_path / "site"))
    assert "experiments/one.html" in names and "experiments/other.html" not in names and "notes.txt" in names
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "index.html").write_text("<p>mine</p>")
    with pytest.raises(ValueError, match="folder: expected a new folder or an earlier site"):
        build(tmp_path / "thesis", scripts=[one])
    assert read(tmp_path / "thesis") == {"index.html": b"<p>mine</p>"}


def test_the_command_builds_and_says_what_is_wrong_in_one_line(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert run_command(["report", "--experiments", str(ROOT / "experiments")]) == 0
    assert capsys.readouterr().out == f"written: {Path('site') / 'index.html'}\n"
    assert run_command(["report"]) == 2
    assert capsys.readouterr().err.startswith("kmodels: folder: expected a folder of experiment scripts")
    readme = tmp_path / "README.md"
    assert run_command(["report", "--experiments", str(ROOT / "experiments"), "--readme", str(readme)]) == 1
    assert "README.md" in capsys.readouterr().err
    assert run_command(["report", "--out", "x", "--readme", str(readme)]) == 2
    assert "argument --readme: not allowed with argument --out" in capsys.readouterr().err
    readme.write_text(f"{BEGIN}\n{END}\n")
    assert run_command(["report", "--experiments", str(ROOT / "experiments"), "--readme", str(readme)]) == 0
    assert "rows** have run" in readme.read_text()


def test_a_damaged_run_is_named_left_as_it_is_and_not_counted(tmp_path, capsys):
    home = tmp_path / "results" / "D-net"
    home.mkdir(parents=True)
    (home / f"{'0' * 20}.json").write_text("{}")
    publish_site(ROOT / "experiments", tmp_path / "results", tmp_path / "site")
    assert f"not counted: {home / ('0' * 20)}.json" in capsys.readouterr().err
    assert [path.name for path in home.iterdir()] == [f"{'0' * 20}.json"]
