"""A ``config.json`` as a model: what users say of a run, and the notes that go with the answer."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from ircost.frontends.config.architecture import Architecture
from ircost.frontends.config.architecture_reading import architecture_of
from ircost.frontends.config.build import BuiltModel, build_model
from ircost.frontends.config.cached_rows import SCALES, check_cache_format
from ircost.frontends.config.config_file import Config, ConfigError, config_file, read_config
from ircost.frontends.config.layer_parts import LatentAttention
from ircost.frontends.config.modelopt import beside
from ircost.frontends.config.plan import parse_mesh
from ircost.frontends.config.workload import Workload, workload_of
from ircost.frontends.imported import Imported, ImportOptions
from ircost.ir.errors import did_you_mean
from ircost.ir.types import DType, bf16, tf32

DIMS = ("batch", "seq", "context", "source")
DEFAULT_TOKENS = 2048
DEFAULT_SOURCE = 512  # T5's prompts in training; the models know no limit


def import_config(path: str, options: ImportOptions) -> Imported:
    """Reads a config, and builds the pass that the options ask for.

    Raises:
        ConfigError: the config or an option is wrong; says which, and what is expected.
    """
    return build_pass(read_architecture(path), options)


def read_architecture(path: str | Path) -> Architecture:
    """The parts of the model in a ``config.json``, or in a bundled file.

    Raises:
        ConfigError: the config is wrong.
    """
    stem, config = Path(path).stem, beside(read_config(path), config_file(path))
    return architecture_of(bare_config(config), stem if stem != "config" else Path(path).parent.name)


def build_pass(architecture: Architecture, options: ImportOptions) -> Imported:
    """The pass that the options ask for.

    Raises:
        ConfigError: an option is wrong, or the model lacks what it asks for.
    """
    for name in options.dims:
        if name not in DIMS:
            raise ConfigError(f"a configuration has no dim '{name}'", help=did_you_mean(name, DIMS))
    if options.shapes or options.values or options.bounds:
        raise ConfigError(
            "--shape, --value and --bound are of ONNX files", help="--batch, --seq and --context size a run"
        )
    if options.dtype is not None:
        check_format(options.dtype)
        architecture = replace(architecture, dtype=options.dtype)
    workload, notes = _workload(architecture, options)
    notes += _format_notes(architecture, options.dtype)
    built = build_model(architecture, workload, parse_mesh(options.mesh))
    nodes = sum(1 for _ in built.module.walk())
    return Imported(built.module, (*notes, *_notes(built)), nodes, {"batch": workload.batch}, built)


def _format_notes(architecture: Architecture, asked: DType | None) -> list[str]:
    if asked is None and not architecture.is_dtype_said:
        return [f"{architecture.dtype}: the config names no number format (--dtype)"]
    if asked is not None and asked.bits < bf16.bits:
        return [
            f"--dtype {asked}: all of the model is in it, embedding, head and cache too, and nothing is quantised on "
            "the way; a checkpoint whose quantization_config says what is narrow is larger and slower"
        ]
    return []


def check_format(dtype: DType) -> None:
    """Raises:
    ConfigError: weights and activations are not kept in this format.
    """
    if dtype == tf32:
        raise ConfigError(
            "tf32 is a way to multiply f32, no format of weights",
            help="--dtype f32 with a pass convert-dtype{to=tf32} before the others",
        )
    if dtype in SCALES:
        raise ConfigError(
            f"--dtype {dtype}: blocks of weights need scales, which a checkpoint's quantization_config tells of",
            help="'f16', 'bf16', 'f8e4m3' need none",
        )
    if not dtype.is_float:
        raise ConfigError(
            f"--dtype {dtype}: integers need quantisation, with scales that data give",
            help="a config's quantization_config says how, and 'f16', 'bf16', 'f8e4m3' need none",
        )


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
        phase = architecture.phases[0] if set(sizes) - {"batch", "source"} != {"context"} else "decode"
        phase = phase if phase in architecture.phases else architecture.phases[0]
        notes.append(f"phase {phase} (--phase)")
    images = architecture.image_tokens(phase)
    if images:
        _check_images(architecture, phase, images, sizes)
    needed = {"prefill": "seq", "encode": "seq", "decode": "context", "denoise": "seq"}.get(phase)
    if images and not architecture.contrast:
        sizes["seq"] = images
        notes.append(f"an image is {images} tokens")
    elif needed and not sizes.keys() & {"seq", "context"}:
        sizes[needed] = architecture.usual_tokens or min(DEFAULT_TOKENS, architecture.longest(phase) or DEFAULT_TOKENS)
        notes.append(f"{needed} {sizes[needed]} (--{needed})")
    if "source" in sizes and (not architecture.has_source or phase == "encode"):
        raise ConfigError(f"phase {phase} of {architecture.name} has no dim 'source': it attends to no encoder")
    if architecture.has_source and phase != "encode" and "source" not in sizes:
        sizes["source"] = architecture.usual_source or DEFAULT_SOURCE
        notes.append(f"source {sizes['source']}, tokens that an encoder made (--dim source=N)")
    if "batch" not in sizes:
        notes.append("batch 1 (--batch)")
    if architecture.is_decoder and architecture.tower is not None:
        notes.append(_left_out(architecture, phase))
    if architecture.unbuilt:
        notes.append(f"the {architecture.unbuilt} is left out: what it is made of is not known here")
    cache_dtype = options.cache_dtype
    said = architecture.quantisation.cache if architecture.quantisation is not None else None
    if said is not None and cache_dtype is None and phase != "encode":
        cache_dtype = said
        notes.append(f"cached keys and values are {said}, as the checkpoint's scheme of them says (--cache-dtype)")
    if cache_dtype is not None:
        check_cache_format(cache_dtype)
    return workload_of(phase, cache_dtype=cache_dtype, **sizes), notes


def _check_images(architecture: Architecture, phase: str, tokens: int, sizes: dict[str, int]) -> None:
    """Raises:
    ConfigError: a number of tokens was given, and images have another.
    """
    given = sizes.get("seq", sizes.get("context", tokens))
    if given != tokens and not architecture.contrast:
        raise ConfigError(
            f"{phase} of {given} tokens, and an image of {architecture.name} is {tokens}",
            help="leave --seq out; --batch counts images",
        )


def _left_out(architecture: Architecture, phase: str) -> str:
    """Which part of a model another phase runs."""
    tower = architecture.tower
    assert tower is not None, "asked for where there is one"
    part = "vision tower" if tower.name == "vision" else tower.name
    if phase == "encode":
        return f"phase encode runs the {part} alone; the decoder, as if on another device, has phases of its own"
    return f"weights and work of the {part} are left out, as if another device held it: --phase encode runs it"


def _notes(built: BuiltModel) -> Iterator[str]:
    yield from _note_on_indexer(built)
    if built.state_bytes_per_sequence:
        held = built.state_bytes_per_sequence / 2**20
        yield f"layers with a state keep {held:,.1f} MiB a sequence, however long it is"
    if built.mesh.pp > 1:
        of_stage = "one rank of each stage" if built.mesh.stage_ranks > 1 else "all stages"
        yield f"kernels and energy are those of {of_stage}, one after the other; memory is that of the fullest device"
    elif built.mesh.ranks > 1:
        yield f"kernels, memory and energy are those of one of {built.mesh.ranks} ranks"


def _note_on_indexer(built: BuiltModel) -> Iterator[str]:
    """Whether tokens are chosen at all: what a pass costs hangs on that."""
    mixers = [mixer for layer in built.architecture.stack.layers for mixer in layer.mixers]
    indexers = [mixer.indexer for mixer in mixers if isinstance(mixer, LatentAttention) and mixer.indexer is not None]
    if not indexers:
        return
    most, work = max(indexer.chosen for indexer in indexers), built.workload
    if work.past or work.rows > most:
        yield f"sparse attention: each query sees the {most:,} tokens at most that an indexer chooses"
    else:
        yield (
            f"sparse attention: a prompt of {work.rows:,} tokens is no longer than the {most:,} that an indexer "
            "chooses: all of it is seen, and of the indexer only the keys for the cache are made"
        )
