"""The page on `accelerate` runs as it stands, block after block."""

import re
from pathlib import Path

from tests.accelerated import only_torch

pytestmark = [only_torch]

PAGE = Path(__file__).resolve().parents[1] / "docs" / "accelerate.md"


def test_the_blocks_of_the_page_run(capsys):
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert len(blocks) == 3
    for shown in (blocks, blocks[::2]):  # a reader may leave out the one on modes
        names = {}
        for block in shown:
            exec(compile(block, str(PAGE), "exec"), names)  # the page's own code
        assert "recorded" in capsys.readouterr().out
