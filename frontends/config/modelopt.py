"""What NVIDIA's ModelOpt says of a checkpoint: in ``hf_quant_config.json`` beside the config, or in the config."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ircost.frontends.config.architecture import Quantisation
from ircost.frontends.config.config_file import Config, read_section
from ircost.frontends.config.wide_modules import has_head
from ircost.ir.errors import did_you_mean
from ircost.ir.types import DType, f4e2m1, f8e4m3, f8e8m0, f16, f32, i8, u4

BESIDE = "hf_quant_config.json"
MIXED = "MIXED_PRECISION"


@dataclass(frozen=True, slots=True)
class Algorithm:
    """Args:
    weights, scales, activations: as of `Quantisation`. block: elements of a row that share a scale, where the file
        says no ``group_size``. rows: that share it, too.
    """

    weights: DType
    scales: DType
    activations: DType | None = None
    block: int = 0
    rows: int = 1


# Source: NVIDIA/TensorRT-Model-Optimizer, ``modelopt/torch/export/model_config.py``; vllm-project/vllm,
# ``quantization/modelopt.py``, which runs FP8_PB_WO as products of FP8 whose activations are quantised on the way.
ALGORITHMS: dict[str, Algorithm] = {
    "FP8": Algorithm(f8e4m3, f32, f8e4m3),
    "FP8_PER_CHANNEL_PER_TOKEN": Algorithm(f8e4m3, f32, f8e4m3),
    "FP8_PB_WO": Algorithm(f8e4m3, f32, f8e4m3, 128, 128),
    "MXFP8": Algorithm(f8e4m3, f8e8m0, f8e4m3, 32),
    "NVFP4": Algorithm(f4e2m1, f8e4m3, f4e2m1, 16),
    "NVFP4_AWQ": Algorithm(f4e2m1, f8e4m3, f4e2m1, 16),
    "W4A16_NVFP4": Algorithm(f4e2m1, f8e4m3, None, 16),
    "W4A16_AWQ": Algorithm(u4, f16, None, 128),
    "W8A16": Algorithm(i8, f16),
}
CACHES: dict[str, DType] = {"FP8": f8e4m3, "INT8": i8, "NVFP4": f4e2m1}
# What follows from the algorithm, or is of the tool.
TOLD_ELSEWHERE = ("config_groups", "producer", "weights", "input_activations", "has_zero_point", "pre_quant_scale")


def beside(config: Config, file: Path) -> Config:
    """The config with what stands in ModelOpt's file next to it, where it says nothing of quantisation itself."""
    path = file.with_name(BESIDE)
    if file.name != "config.json" or "quantization_config" in config or not path.is_file():
        return config
    values = read_section(path)
    return Config({**config.values, "quantization_config": {**values, "quant_method": "modelopt"}}, config.file)


def read_modelopt(section: Config) -> Quantisation:
    """Raises:
    ConfigError: the algorithm, or the cache's, is not known here.
    """
    section.passed("producer")
    said = section.section("quantization") or section
    said.passed(*TOLD_ELSEWHERE)
    cache = _cache(said)
    if said.text("quant_algo").upper() == MIXED:
        return _mixed(said, cache)
    skipped = tuple(str(x) for x in said.listed("exclude_modules", "ignore", default=[]))
    said.passed("quantized_layers")
    return replace(_form(said), skipped=skipped, cache=cache)


def _form(said: Config) -> Quantisation:
    """Of all layers, or of one module."""
    name = said.text("quant_algo").upper()
    if name not in ALGORITHMS:
        raise said.error(
            f"'quant_algo' is '{name}'", help=did_you_mean(name, ALGORITHMS, f"known: {_names(ALGORITHMS)}")
        )
    found = ALGORITHMS[name]
    block = said.size("group_size", default=found.block, least=0) if found.block else 0
    said.passed("group_size")
    return Quantisation(found.weights, found.scales, block, found.rows, activations=found.activations)


def _mixed(said: Config, cache: DType | None) -> Quantisation:
    """Each module by itself, those alike together; modules that are not listed stay wide."""
    listed = said.section("quantized_layers")
    if listed is None or not listed.values:
        raise said.error(f"'quant_algo' is {MIXED}, and no 'quantized_layers' say of which module what")
    said.passed("exclude_modules", "ignore", "group_size")
    found: dict[Quantisation, list[str]] = {}
    for module in listed.values:
        own = listed.section(module)
        if own is None:
            raise listed.error(f"'{module}' is null, a section expected", module)
        own.passed(*TOLD_ELSEWHERE, "kv_cache_quant_algo", "quantization")
        found.setdefault(_form(own), []).append(module)
    mixed = tuple((form, tuple(modules)) for form, modules in found.items())
    head = next((form for form, modules in mixed if has_head(modules)), None)
    return replace(mixed[0][0], cache=cache, mixed=mixed, head=head)


def _cache(said: Config) -> DType | None:
    """Either an algorithm's name, or a scheme as compressed-tensors has it."""
    value: Any = said.raw("kv_cache_quant_algo", "kv_cache_scheme", default=None)
    if isinstance(value, dict):
        value = {"float": "FP", "int": "INT"}.get(value.get("type", "float"), "") + str(value.get("num_bits"))
    if value is not None and value not in CACHES:
        raise said.error(
            f"a cache of {value} is not known", help=f"known: {_names(CACHES)}; or take it out and give --cache-dtype"
        )
    return CACHES[value] if value is not None else None


def _names(table: Mapping[str, object]) -> str:
    return ", ".join(table)
