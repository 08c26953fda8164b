"""The folders, the packaging table and the links must tell the same story."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SETUPTOOLS = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
FOLDERS: dict[str, str] = SETUPTOOLS["package-dir"]


def test_every_package_folder_is_listed() -> None:
    found = {
        ".".join([name, *init.parent.relative_to(ROOT / folder).parts])
        for name, folder in FOLDERS.items()
        for init in (ROOT / folder).rglob("__init__.py")
        if not any(part.is_symlink() for part in init.parents)
    }
    assert found == set(SETUPTOOLS["packages"])


@pytest.mark.parametrize(("name", "folder"), [(n, f) for n, f in FOLDERS.items() if n != "ircost"])
def test_the_link_in_ircost_points_at_the_folder(name: str, folder: str) -> None:
    link = ROOT / "ircost" / name.removeprefix("ircost.")
    if not link.is_symlink():
        pytest.skip("this checkout has no symbolic links")
    assert link.resolve() == ROOT / folder
