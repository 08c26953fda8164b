"""What the README shows is what comes out."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from ircost.cli import run

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text()


def test_the_first_screen_shows_the_true_report(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    monkeypatch.delenv("COLUMNS", raising=False)
    shown = re.search(r"^```console\n\$ irc (.*?)\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
    assert shown is not None
    assert run(shown[1].split()) == 0
    assert capsys.readouterr().out == shown[2]


def test_the_python_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    block = re.search(r"^```python\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
    assert block is not None
    exec(compile(block[1], "README.md", "exec"), {})
