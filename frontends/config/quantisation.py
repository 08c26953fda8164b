"""What a ``quantization_config`` says of the weights."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from ircost.frontends.config.architecture import Architecture, Quantisation
from ircost.frontends.config.config_file import NO_DEFAULT, Config
from ircost.frontends.config.modelopt import read_modelopt
from ircost.frontends.config.wide_modules import (
    PartlyWideError,
    UnknownModuleError,
    has_head,
    with_forms,
    with_wide_parts,
)
from ircost.ir.errors import did_you_mean
from ircost.ir.types import DType, bf16, f4e2m1, f8e4m3, f8e5m2, f8e8m0, f16, f32, i8, u4, u8

BITS: dict[int, DType] = {4: u4, 8: u8}
# Type and bits of compressed-tensors.
COMPRESSED: dict[tuple[Any, Any], DType] = {
    ("float", 8): f8e4m3,
    ("int", 8): i8,
    ("int", 4): u4,
    ("float", 4): f4e2m1,
}
# Formats of files whose weights are pruned, and names of a class that say all products. Source:
# vllm-project/compressed-tensors, ``CompressionFormat`` and ``is_match``.
SPARSE = ("sparse-bitmask", "sparse-24-bitmask", "marlin-24")
EVERYTHING = "Linear"
# Scales of 4-bit floats by the size of their blocks: NVFP4 and MXFP4. Sources: NVIDIA, "Introducing NVFP4 for Efficient
# and Accurate Low-Precision Inference", 2025; OCP Microscaling Formats 1.0, 2023.
BLOCK_SCALES: dict[int, DType] = {16: f8e4m3, 32: f8e8m0}


def quantised(model: Architecture, config: Config) -> Architecture | None:
    """A model with the weights that a config says of it; None where it says nothing.

    Raises:
        ConfigError: the method, or something that it says, is not known here.
    """
    section = config.section("quantization_config")
    if section is None:
        return None
    try:
        form = _read(section)
    except re.error as error:
        raise section.error(f"names of modules: {error}") from None
    listed = "quantised modules" if form.mixed else "modules that stay wide"
    try:
        stack = with_wide_parts(model.stack, form.skipped)
        stack = with_forms(stack, [modules for _, modules in form.mixed]) if form.mixed else stack
    except UnknownModuleError as error:
        raise section.error(f"{listed}: '{error}' is no part known here") from None
    except (PartlyWideError, re.error) as error:
        raise section.error(f"{listed}: {error}") from None
    has_own = model.head is not None and not model.head.is_tied
    return replace(model, quantisation=form if has_own else replace(form, head=None), stack=stack)


def _read(section: Config) -> Quantisation:
    # ModelOpt of 2025 left the method out, which its own name of an algorithm stands for.
    method = section.text("quant_method", default="modelopt" if "quant_algo" in section else NO_DEFAULT)
    if method not in METHODS:
        raise section.error(f"'quant_method' is '{method}'", help=did_you_mean(method, METHODS, _known()))
    found = METHODS[method](section)
    section.passed(*TOLD_ELSEWHERE)
    return found


def _known() -> str:
    return f"known: {', '.join(METHODS)}"


# How the file was made, or what kernels run it: no sizes.
TOLD_ELSEWHERE = (
    *("version", "backend", "use_exllama", "exllama_config", "cache_block_outputs", "batch_size", "dataset"),
    *("damp_percent", "static_groups", "true_sequential", "sym", "desc_act", "model_seqlen", "pad_token_id"),
    *("max_input_length", "block_name_to_quantize", "module_name_preceding_first_block", "checkpoint_format"),
    *("modules_in_block_to_quantize", "is_marlin_format", "do_fuse", "fuse_max_seq_len", "modules_to_fuse", "meta"),
    *("activation_scale_ub", "bnb_4bit_compute_dtype", "llm_int8_enable_fp32_cpu_offload", "tokenizer"),
    *("llm_int8_threshold", "llm_int8_has_fp16_weight", "bnb_4bit_quant_storage", "dequantize", "use_cuda_fp16"),
    *("_load_in_4bit", "_load_in_8bit", "scale_fmt"),
)


def _fp8(section: Config) -> Quantisation:
    """DeepSeek's blocks, or a scale for each channel."""
    name = section.text("fmt", default="e4m3")
    formats = {"e4m3": f8e4m3, "float8_e4m3fn": f8e4m3, "e5m2": f8e5m2}
    if name not in formats:
        raise section.error(f"'fmt' is '{name}'", help=f"known: {', '.join(formats)}")
    scheme = section.text("activation_scheme", default="dynamic")
    if scheme not in ("dynamic", "static"):
        raise section.error(f"'activation_scheme' is '{scheme}'", help="known: dynamic, static")
    sizes = section.listed("weight_block_size", of=(int,), default=[])
    rows, block = (int(sizes[0]), int(sizes[1])) if len(sizes) == 2 else (1, 0)
    skipped = _skipped(section, "modules_to_not_convert", "ignored_layers")
    return Quantisation(formats[name], f32, block, rows, activations=formats[name], skipped=skipped)


def _fbgemm(section: Config) -> Quantisation:
    """A scale for each row of weights and of activations."""
    return Quantisation(f8e4m3, f32, activations=f8e4m3, skipped=_skipped(section, "modules_to_not_convert"))


def _mxfp4(section: Config) -> Quantisation:
    """Blocks of 32 share a power of two. Source: OCP Microscaling Formats 1.0, 2023."""
    return Quantisation(f4e2m1, f8e8m0, 32, skipped=_skipped(section, "modules_to_not_convert"))


def _integers(section: Config) -> Quantisation:
    """GPTQ and AWQ: groups of a row with a scale and a zero point."""
    bits = section.size("bits", "w_bit")
    if bits not in BITS:
        raise section.error(f"'bits' is {bits}", help=f"known: {', '.join(map(str, BITS))}")
    group = section.raw("group_size", "q_group_size", default=128)
    has_zeros = not section.flag("sym") if "sym" in section else section.flag("zero_point", default=True)
    section.passed("zero_point")
    block = 0 if group == -1 else int(group)
    form = Quantisation(BITS[bits], f16, block, has_zeros=has_zeros)
    skipped = _skipped(section, "modules_to_not_convert")
    return replace(form, skipped=skipped, head=form if section.flag("lm_head") else None)


def _bits_and_bytes(section: Config) -> Quantisation:
    """LLM.int8(), or 4 bits in blocks of 64 whose scales are themselves 8-bit with double quantisation."""
    skipped = _skipped(section, "llm_int8_skip_modules")
    if section.flag("load_in_8bit"):
        return Quantisation(i8, f16, activations=None, skipped=skipped)
    section.text("bnb_4bit_quant_type", default="nf4")
    is_double = section.flag("bnb_4bit_use_double_quant")
    if not section.flag("load_in_4bit"):
        raise section.error("neither 'load_in_4bit' nor 'load_in_8bit' is true")
    return Quantisation(f4e2m1, u8 if is_double else f32, 64, skipped=skipped)


def _compressed(section: Config) -> Quantisation:
    """compressed-tensors: groups of targets, each with formats of weights and of inputs."""
    section.passed("global_compression_ratio", "quantization_status")
    sparsity = section.raw("sparsity_config", default={})
    for said in (section.text("format", default=""), sparsity.get("format", "dense")):
        if said in SPARSE:
            raise section.error(f"sparse weights are not known here, and the format is {said}")
    groups: dict[str, Any] = section.raw("config_groups")
    if not isinstance(groups, dict) or not groups:
        raise section.error("'config_groups' holds no group")
    skipped = _skipped(section, "ignore")
    found = [(_group(section, group), _targets(section, group)) for group in groups.values()]
    # A name counts for more than a class: what is later in the list is what a part has.
    found.sort(key=lambda each: EVERYTHING not in each[1])
    heads = [form for form, names in found if has_head(_as_patterns(names))]
    head = heads[-1] if heads and not has_head(skipped) else None
    is_one = len(found) == 1 and EVERYTHING in found[0][1]
    mixed = () if is_one else tuple((form, _as_patterns(names)) for form, names in found)
    return replace(found[0][0], skipped=skipped, cache=_cache_format(section), head=head, mixed=mixed)


def _targets(section: Config, group: dict[str, Any]) -> tuple[str, ...]:
    targets = group.get("targets", [EVERYTHING])
    if not isinstance(targets, list) or not targets:
        raise section.error(f"'targets' is {targets!r}, a list of modules expected")
    return tuple(map(str, targets))


def _as_patterns(names: tuple[str, ...]) -> tuple[str, ...]:
    return tuple("re:.*" if name == EVERYTHING else name for name in names)


def _group(section: Config, group: dict[str, Any]) -> Quantisation:
    if group.get("format") in SPARSE:
        raise section.error(f"sparse weights are not known here, and the format is {group['format']}")
    weights, inputs = group.get("weights") or {}, group.get("input_activations")
    kind = (weights.get("type"), weights.get("num_bits"))
    if kind not in COMPRESSED:
        raise section.error(f"weights of {kind[1]} bits, {kind[0]}, are not known")
    rows, block = weights.get("block_structure") or (1, int(weights.get("group_size") or 0))
    is_narrow = inputs is not None and (inputs.get("type"), inputs.get("num_bits")) == kind and kind != ("int", 4)
    if inputs is not None and not is_narrow:
        raise section.error(f"inputs of {inputs.get('num_bits')} bits, {inputs.get('type')}, are not known")
    has_zeros = not weights.get("symmetric", True)
    if has_zeros and is_narrow:
        raise section.error("weights with zero points are not known beside inputs of as few bits")
    return Quantisation(
        COMPRESSED[kind],
        BLOCK_SCALES.get(block, bf16) if kind == ("float", 4) else bf16,
        max(block, 0),
        rows,
        has_zeros,
        activations=COMPRESSED[kind] if is_narrow else None,
    )


def _cache_format(section: Config) -> DType | None:
    """Of keys and values, by compressed-tensors' scheme of them."""
    scheme = section.raw("kv_cache_scheme", default={})
    kind = (scheme.get("type", "float"), scheme.get("num_bits"))
    if scheme and kind not in COMPRESSED:
        raise section.error(f"a cache of {kind[1]} bits, {kind[0]}, is not known")
    return COMPRESSED[kind] if scheme else None


def _skipped(section: Config, *keys: str) -> tuple[str, ...]:
    """Modules that stay wide, as they are called in a list."""
    return tuple(str(name) for name in section.listed(*keys, default=[]))


METHODS: dict[str, Callable[[Config], Quantisation]] = {
    "fp8": _fp8,
    "fbgemm_fp8": _fbgemm,
    "mxfp4": _mxfp4,
    "gptq": _integers,
    "awq": _integers,
    "bitsandbytes": _bits_and_bytes,
    "compressed-tensors": _compressed,
    **dict.fromkeys(("modelopt", "modelopt_fp4", "modelopt_mxfp8"), read_modelopt),
}
