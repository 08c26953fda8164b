"""Starting up: quick, quiet about what it does not need, helpful if a command is wrong."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import click
import pytest

import ircost
from ircost.cli import COMMANDS
from ircost.cli import irc as irc_group

ROOT = Path(__file__).resolve().parents[2]
PYTHON = [sys.executable, "-m", "ircost"]
HEAVY = ("numpy", "onnx", "rich", "pydantic", "lark", "sklearn")


def imported_by(*arguments: str) -> set[str]:
    """Packages that a command line imports, in a process of its own."""
    command = [sys.executable, "-X", "importtime", "-m", "ircost", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=True)
    return {line.rpartition("|")[2].strip().partition(".")[0] for line in done.stderr.splitlines()}


def test_help_imports_nothing_heavy() -> None:
    assert not imported_by("--help") & set(HEAVY)


@pytest.mark.parametrize("command", ["targets", "models", "passes", "ops"])
def test_listings_need_neither_onnx_nor_rich(command: str) -> None:
    assert not imported_by(command) & {"onnx", "rich", "sklearn"}


@pytest.mark.parametrize(
    "arguments",
    [
        ("compile", "examples/small_cnn.yaml", "--target", "h100", "--model", "hybrid"),
        ("predict", "--kernel", "device=h200 m=4096 n=4096 k=8192"),
    ],
    ids=lambda arguments: arguments[0],
)
def test_trees_are_asked_without_what_they_were_fitted_with(arguments: tuple[str, ...]) -> None:
    assert not imported_by(*arguments) & {"lightgbm", "pandas", "scipy", "sklearn"}


def test_help_names_every_command(irc) -> None:
    shown = irc("--help").out
    assert all(
        re.search(rf"^  {command} +{re.escape(line)}", shown, re.MULTILINE) for command, (_, line) in COMMANDS.items()
    )


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(irc, command: str) -> None:
    outcome = irc(command, "--help")
    assert outcome.code == 0
    assert outcome.out.startswith(f"Usage: irc {command}")


def test_nothing_at_all_is_help(irc) -> None:
    assert irc() == irc("--help")


def test_version(irc) -> None:
    assert irc("--version").out == f"irc {ircost.__version__}\n"


def test_module_runs_as_command() -> None:
    done = subprocess.run([*PYTHON, "--version"], capture_output=True, text=True, cwd=ROOT, check=True)
    assert done.stdout == f"irc {ircost.__version__}\n"


def test_misspelt_command(irc) -> None:
    outcome = irc("compil", "model.onnx")
    assert outcome.code == 2
    assert outcome.err == "error: no command 'compil'\n  help: did you mean compile? (irc --help lists all)\n"


def test_misspelt_option(irc) -> None:
    outcome = irc("compile", "model.onnx", "--tagret", "h100")
    assert outcome.code == 2
    assert outcome.err.startswith("error: no option '--tagret'\n  help: did you mean --target")


def test_missing_argument(irc) -> None:
    assert irc("compile").err == "error: missing argument 'MODEL'\n  help: irc compile --help tells more\n"


def test_reader_that_goes_away_is_no_error() -> None:
    producer = subprocess.Popen([*PYTHON, "ops"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=ROOT)
    assert producer.stdout is not None and producer.stderr is not None
    producer.stdout.close()
    assert producer.stderr.read() == b""
    assert producer.wait() == 0


def test_letters_that_the_terminal_lacks_do_not_end_the_report(mlp: Path) -> None:
    model = mlp.rename(mlp.with_name("模型.irc"))
    environment = {"PYTHONIOENCODING": "latin-1", "PATH": ""}
    done = subprocess.run([*PYTHON, "compile", model], capture_output=True, cwd=ROOT, env=environment, check=True)
    assert b"/??.irc  ->  h100_sxm" in done.stdout


def test_the_page_on_the_command_line_names_every_option() -> None:
    page = (ROOT / "docs/command-line.md").read_text()
    context = click.Context(irc_group)
    for name in COMMANDS:
        assert f"\n    irc {name} " in page
        command = irc_group.get_command(context, name)
        assert command is not None
        options = [option for parameter in command.params for option in parameter.opts if option.startswith("--")]
        assert [option for option in options if f"`{option}" not in page] == [], name
