"""The worked example of the documentation runs as it stands."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

PAGE = Path(__file__).resolve().parents[1] / "docs" / "tuning.md"


@pytest.mark.slow
def test_the_worked_example_runs_and_is_read_back_the_second_time(tmp_path):
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    (tmp_path / "example.py").write_text("\n".join(blocks[:2]))
    command = [sys.executable, "-W", "error:::kmodels", "example.py"]
    said = []
    for _ in range(2):
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr[-2000:]
        said.append(done.stdout.splitlines()[-1])
        assert float(re.search(r"\{4: ([\d.]+)|\{1: ([\d.]+)", said[-1]).group(0).split()[1]) > 0.9
    assert said[0] == said[1]
    assert (tmp_path / "searches" / "digits" / "trials.svg").exists()
