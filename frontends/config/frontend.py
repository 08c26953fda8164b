"""A ``config.json`` as a model: what users say of a run, and the notes that go with the answer."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from ircost.frontends.config.architecture import Architecture
from ircost.frontends.config.build import BuiltModel, build_model
from ircost.frontends.config.config_file import Config, ConfigError, read_config
from ircost.frontends.config.plan import parse_mesh
from ircost.frontends.config.architecture_reading import architecture_of
from ircost.frontends.config.workload import Workload, workload_of
from ircost.frontends.imported import Imported, ImportOptions
from ircost.ir.errors import did_you_mean

DIMS = ("batch", "seq", "context")
DEFAULT_TOKENS = 2048


def import_config(path: str, options: ImportOptions) -> Imported:
    """Reads a config, and builds the pass that the options ask for.

    Raises:
        ConfigError: the config or an option is wrong; says which, and what is expected.
    """
    config = bare_config(read_config(path))
    for name in options.dims:
        if name not in DIMS:
            raise ConfigError(f"a configuration has no dim '{name}'", help=did_you_mean(name, DIMS))
    if options.shapes or options.values or options.bounds:
        raise ConfigError(
            "--shape, --value and --bound are of ONNX files", help="--batch, --seq and --context size a run"
        )
    architecture = architecture_of(config, Path(path).stem if Path(path).stem != "config" else Path(path).parent.name)
    if options.dtype is not None:
        architecture = replace(architecture, dtype=options.dtype)
    workload, notes = _workload(architecture, options)
    built = build_model(architecture, workload, parse_mesh(options.mesh))
    nodes = sum(1 for _ in built.module.walk())
    batch = {"batch": workload.batch}
    return Imported(built.module, (*notes, *_notes(built)), nodes, batch, built)


def bare_config(config: Config) -> Config:
    """Of a bundled file, the part that is a ``config.json``."""
    inner = config.section("config") if "about" in config else None
    return config if inner is None else Config(inner.values, config.file)


def _workload(architecture: Architecture, options: ImportOptions) -> tuple[Workload, list[str]]:
    """As asked for; what was left out is filled in, and told."""
    sizes = {name: options.dims[name] for name in DIMS if name in options.dims}
    notes = []
    phase = options.phase
    if not phase:
        phase = "encode" if not architecture.is_decoder else "decode" if set(sizes) == {"context"} else "prefill"
        notes.append(f"phase {phase} (--phase)")
    needed = {"prefill": "seq", "encode": "seq", "decode": "context"}.get(phase)
    if needed and not sizes.keys() & {"seq", "context"}:
        limit = architecture.max_context or DEFAULT_TOKENS
        sizes[needed] = min(DEFAULT_TOKENS, limit)
        notes.append(f"{needed} {sizes[needed]} (--{needed})")
    if "batch" not in sizes:
        notes.append("batch 1 (--batch)")
    return workload_of(phase, cache_dtype=options.cache_dtype, **sizes), notes


def _notes(built: BuiltModel) -> Iterator[str]:
    if built.mesh.ranks > 1:
        yield f"kernels, memory and energy are those of one of {built.mesh.ranks} ranks"
