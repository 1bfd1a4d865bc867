"""The benchmark of short trainings, but for its measuring: `tests/test_benchmarks.py` runs it."""

import pytest

from benchmarks import short


@pytest.mark.parametrize("option", ["--json", "--table"])
def test_a_target_that_cannot_be_written_is_said_before_anything_is_measured(option, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(short, "measure", lambda _: pytest.fail("measured first"))
    with pytest.raises(SystemExit):
        short.main([option, str(tmp_path / "no" / "file.md")])
    assert f"{option}: expected" in capsys.readouterr().err
