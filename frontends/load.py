"""Picks the frontend for a file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

from ircost.frontends.imported import Imported, ImportOptions
from ircost.ir.errors import UnsupportedError
from ircost.ir.reading import read_module
from ircost.ir.registry import Registry

Frontend: TypeAlias = Callable[[str, ImportOptions], Imported]

NO_OPTIONS = ImportOptions()


def _load_frontends() -> None:
    FRONTENDS.add("onnx", load_onnx)
    FRONTENDS.add("irc", load_text)
    FRONTENDS.add("json", load_config)
    FRONTENDS.add("yaml", load_yaml)
    FRONTENDS.add("yml", load_yaml)


# By the ending of the file's name, without its dot.
FRONTENDS: Registry[Frontend] = Registry("frontend", "ircost.frontends", load_builtin=_load_frontends)


def load(path: str | Path, options: ImportOptions = NO_OPTIONS) -> Imported:
    """Reads a model.

    Args:
        path: an ``.onnx`` file, a YAML graph, IR text in an ``.irc`` file, a ``config.json`` or a folder that holds
            one, or what an installed frontend takes.

    Raises:
        IrcError: the file cannot be read, is damaged, holds an operator that is not known, or leaves a dim unbound.
    """
    if Path(path).is_dir():
        path = Path(path) / "config.json"
    ending = Path(path).suffix.removeprefix(".").lower()
    if ending not in FRONTENDS:
        known = ", ".join(f".{name}" for name in FRONTENDS.names())
        name = f"its name ends in '.{ending}'" if ending else "its name has no ending"
        raise UnsupportedError(f"cannot tell what {path} is: {name}", help=f"known: {known}")
    return FRONTENDS.get(ending)(str(path), options)


def load_onnx(path: str, options: ImportOptions) -> Imported:
    from ircost.frontends.onnx.importer import import_onnx  # onnx takes half a second to import

    _check_no_workload(path, options)
    return import_onnx(path, options)


def load_config(path: str, options: ImportOptions) -> Imported:
    from ircost.frontends.config.frontend import import_config

    return import_config(path, options)


def load_yaml(path: str, options: ImportOptions) -> Imported:
    from ircost.frontends.yaml.importer import import_yaml

    _check_no_workload(path, options)
    return import_yaml(path, options)


def load_text(path: str, options: ImportOptions) -> Imported:
    _check_no_workload(path, options)
    bound = [*options.dims, *options.shapes, *options.values]
    if bound:
        raise UnsupportedError(f"{path} is IR text, there is no '{bound[0]}' to bind", help="its shapes are fixed")
    try:
        text = Path(path).read_text(encoding="utf-8")
    except OSError as error:
        raise UnsupportedError(f"cannot read {path}: {error.strerror}", help="check the path") from None
    except UnicodeDecodeError:
        raise UnsupportedError(f"{path} is not text in UTF-8", help="IR text is what 'irc opt' prints") from None
    module = read_module(text, path, locate=True)
    return Imported(module, (), sum(1 for _ in module.walk()))


def _check_no_workload(path: str, options: ImportOptions) -> None:
    """A file that says what it computes leaves nothing to ask for: no answer is better than one to something else.

    Raises:
        UnsupportedError: a phase, a mesh or a cache's number format was asked for.
    """
    asked = {"--phase": options.phase, "--mesh": options.mesh, "--cache-dtype": options.cache_dtype}
    for option, value in asked.items():
        if value:
            raise UnsupportedError(
                f"{path} says itself what it computes: {option} {value} is of models by their configuration",
                help="give a config.json or a name (irc models), or leave the option out",
            )


def load_torch(module: Any, *arguments: Any, **options: Any) -> Imported:
    """A module of PyTorch; see ``ircost.from_torch``.

    Raises:
        UnsupportedError: PyTorch is not installed.
    """
    try:
        from ircost.frontends.torch.importer import import_module
    except ModuleNotFoundError as error:
        if error.name != "torch":
            raise
        raise UnsupportedError("PyTorch is not installed", help="pip install 'ircost[torch]'") from None
    return import_module(module, *arguments, **options)
