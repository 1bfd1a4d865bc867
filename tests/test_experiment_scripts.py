"""The scripts of `experiments/`: what they print without Keras, and the commands that they say of themselves."""

import subprocess
import sys

import pytest
from declared_experiments import EXPERIMENTS, ROOT, SCRIPTS


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.stem)
def test_a_scripts_plan_and_help_need_no_keras(script):
    code = (
        "import runpy, sys\n"
        "for flag in ('--list', '--help'):\n"
        f"    sys.argv = ['{script.name}', flag]\n"
        "    try:\n"
        f"        runpy.run_path({str(script)!r}, run_name='__main__')\n"
        "    except SystemExit as ended:\n"
        "        assert not ended.code, ended.code\n"
        "print('loaded', sorted({'keras', 'torch', 'numpy', 'scipy', 'matplotlib'} & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip().endswith("loaded []")
    for experiment in EXPERIMENTS[script.stem]:
        assert f"{experiment.name}: {experiment.question}" in done.stdout
    assert "usage:" in done.stdout


def test_a_script_says_its_own_commands():
    for script in SCRIPTS:
        text = script.read_text(encoding="utf-8")
        said = [line for line in text.split('"""')[1].splitlines() if line.strip().startswith("python ")]
        assert len(said) >= 3
        assert all(f"python experiments/{script.name}" in line for line in said), script.name
