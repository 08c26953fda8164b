"""Without PyTorch, its frontend says what is missing."""

from __future__ import annotations

import subprocess
import sys

CODE = """
import sys
sys.modules["torch"] = None
import ircost
ircost.from_torch(None)
"""


def test_the_extra_is_named() -> None:
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=False)
    assert "PyTorch is not installed" in done.stderr
    assert "pip install 'ircost[torch]'" in done.stderr
