"""Layers that keep a state of one size in place of a cache, as a config tells of them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace

from ircost.frontends.config.config_file import Config
from ircost.frontends.config.layer_parts import (
    DeltaNet,
    KimiDelta,
    LightningAttention,
    Mamba,
    Mamba2,
    Norm,
    Recurrent,
    ShortConvolution,
)


def mamba(config: Config, hidden: int, norm: Norm) -> Mamba:
    inner = config.size("intermediate_size", default=int(config.number("expand", default=2.0) * hidden))
    _check_activation(config)
    config.passed("residual_in_fp32")
    return Mamba(
        inner=inner,
        state=config.size("state_size", default=16),
        rank=_rank(config, "time_step_rank", hidden),
        window=config.size("conv_kernel", default=4),
        has_bias=config.flag("use_bias"),
        has_conv_bias=config.flag("use_conv_bias", default=True),
    )


def _check_activation(config: Config) -> None:
    if config.text("hidden_act", default="silu") != "silu":
        raise config.error(f"'hidden_act' is '{config.values['hidden_act']}'", help="the kernels have silu")


def falcon_mamba(config: Config, hidden: int, norm: Norm) -> Mamba:
    """Steps and both projections are normed, without weights."""
    epsilon = config.number("mixer_rms_eps", default=1e-6)
    return replace(mamba(config, hidden, norm), step_norm=Norm("rms", epsilon, has_scale=False))


def jamba_mamba(config: Config, hidden: int, norm: Norm) -> Mamba:
    return Mamba(
        inner=config.size("mamba_expand", default=2) * hidden,
        state=config.size("mamba_d_state", default=16),
        rank=_rank(config, "mamba_dt_rank", hidden),
        window=config.size("mamba_d_conv", default=4),
        has_bias=config.flag("mamba_proj_bias"),
        has_conv_bias=config.flag("mamba_conv_bias", default=True),
        step_norm=norm,
    )


def _rank(config: Config, key: str, hidden: int) -> int:
    if config.raw(key, default="auto") == "auto":
        return math.ceil(hidden / 16)
    return config.size(key)


def mamba2(config: Config, hidden: int, norm: Norm) -> Mamba2:
    heads, width = config.size("num_heads", default=128), config.size("head_dim", default=64)
    inner = int(config.number("expand", default=2.0) * hidden)
    if inner != heads * width:
        raise config.error(f"{heads} heads of {width}, and the inner width is {inner}", help="expand x hidden_size")
    if not config.flag("rms_norm", default=True):
        raise config.error("'rms_norm' is false, which is not known here")
    _check_activation(config)
    config.passed("norm_before_gate", "time_step_rank", "intermediate_size", "residual_in_fp32", "chunk_size")
    return Mamba2(
        heads=heads,
        width=width,
        state=config.size("state_size", default=128),
        groups=config.size("n_groups", default=8),
        window=config.size("conv_kernel", default=4),
        has_bias=config.flag("use_bias"),
        has_conv_bias=config.flag("use_conv_bias", default=True),
        norm=norm,
        steps=_step_limits(config),
    )


def _step_limits(config: Config) -> tuple[float, float]:
    least, most = config.listed("time_step_limit", of=(int, float), length=2, default=[0.0, math.inf])
    return float(least), 0.0 if math.isinf(most) else float(most)


def hybrid_mamba2(config: Config, hidden: int, norm: Norm) -> Mamba2:
    """Of models some of whose layers attend: Bamba, Granite 4."""
    _check_activation(config)
    heads, inner = config.size("mamba_n_heads"), config.size("mamba_expand", default=2) * hidden
    config.passed("mamba_chunk_size", "mamba_d_head")
    width = inner // heads if config.values.get("mamba_d_head", "auto") == "auto" else config.size("mamba_d_head")
    if heads * width != inner:
        raise config.error(
            f"{heads} heads of {width}, and the inner width is {inner}", help="mamba_expand x hidden_size"
        )
    return Mamba2(
        heads=heads,
        width=width,
        state=config.size("mamba_d_state", default=256),
        groups=config.size("mamba_n_groups", default=1),
        window=config.size("mamba_d_conv", default=4),
        has_bias=config.flag("mamba_proj_bias"),
        has_conv_bias=config.flag("mamba_conv_bias", default=True),
        norm=norm,
        steps=_step_limits(config),
    )


def lightning(config: Config, hidden: int, norm: Norm) -> LightningAttention:
    heads = config.size("num_attention_heads")
    config.passed("block_size")
    return LightningAttention(
        heads=heads,
        width=config.size("head_dim", default=hidden // heads),
        layers=config.size("num_hidden_layers"),
        norm=replace(norm, epsilon=1e-6),
    )


def delta_net(config: Config, hidden: int, norm: Norm) -> DeltaNet:
    part = DeltaNet(
        key_heads=config.size("linear_num_key_heads", default=16),
        value_heads=config.size("linear_num_value_heads", default=32),
        key_width=config.size("linear_key_head_dim", default=128),
        value_width=config.size("linear_value_head_dim", default=128),
        window=config.size("linear_conv_kernel_dim", default=4),
        norm=norm,
    )
    if part.value_heads % part.key_heads:
        raise config.error(f"{part.value_heads} heads of values cannot share {part.key_heads} heads of keys evenly")
    return part


def nemotron_mamba2(config: Config, hidden: int, norm: Norm) -> Mamba2:
    if config.text("mamba_hidden_act", default="silu") != "silu":
        raise config.error(f"'mamba_hidden_act' is '{config.values['mamba_hidden_act']}'", help="the kernels have silu")
    config.passed("chunk_size", "expand", "mamba_proj_bias", "residual_in_fp32")
    return Mamba2(
        heads=config.size("mamba_num_heads"),
        width=config.size("mamba_head_dim", default=64),
        state=config.size("ssm_state_size", default=128),
        groups=config.size("n_groups", default=8),
        window=config.size("conv_kernel", default=4),
        has_bias=config.flag("use_bias"),
        has_conv_bias=config.flag("use_conv_bias", default=True),
        norm=norm,
        steps=_step_limits(config),
    )


def falcon_mamba2(config: Config, hidden: int, norm: Norm) -> Mamba2:
    """Beside attention in each layer (Falcon-H1)."""
    heads = config.size("mamba_n_heads")
    inner = config.size("mamba_d_ssm", default=None) or config.size("mamba_expand", default=2) * hidden
    width = inner // heads if config.raw("mamba_d_head", default="auto") == "auto" else config.size("mamba_d_head")
    if heads * width != inner:
        raise config.error(f"{heads} heads of {width}, and the inner width is {inner}", help="mamba_d_ssm")
    has_bias = config.flag("mamba_proj_bias")
    if has_bias != config.flag("projectors_bias"):
        raise config.error("'mamba_proj_bias' and 'projectors_bias' differ, which is not known here")
    config.passed("mamba_expand", "mamba_chunk_size")
    factors = config.listed("ssm_multipliers", of=(int, float), length=5, default=[1.0] * 5)
    is_normed, is_norm_first = config.flag("mamba_rms_norm"), config.flag("mamba_norm_before_gate", default=True)
    return Mamba2(
        heads=heads,
        width=width,
        state=config.size("mamba_d_state", default=256),
        groups=config.size("mamba_n_groups", default=1),
        window=config.size("mamba_d_conv", default=4),
        has_bias=has_bias,
        has_conv_bias=config.flag("mamba_conv_bias", default=True),
        norm=norm if is_normed else None,
        is_norm_first=is_normed and is_norm_first,
        steps=_step_limits(config),
        factors=tuple(float(factor) for factor in factors),
    )


def short_convolution(config: Config, hidden: int, norm: Norm) -> ShortConvolution:
    """Of LFM2: as many channels as the model is wide."""
    for key in ("conv_dim", "conv_dim_out", "block_dim"):
        if (width := config.size(key, default=hidden)) != hidden:
            raise config.error(f"'{key}' is {width}, and the model is {hidden} wide", help="they are one here")
    return ShortConvolution(hidden, config.size("conv_L_cache", default=3), config.flag("conv_bias"))


def kimi_delta(config: Config, hidden: int, norm: Norm) -> KimiDelta:
    """Checkpoints have a section for it, transformers keys of its own."""
    _check_activation(config)
    said, names = (
        config.section("linear_attn_config"),
        ("linear_num_heads", "linear_head_dim", "linear_conv_kernel_dim"),
    )
    if said is None:
        said = config
    else:
        config.passed(*names)
        names = ("num_heads", "head_dim", "short_conv_kernel_size")
    heads, width, window = (said.size(key, default=usual) for key, usual in zip(names, (32, 128, 4), strict=True))
    return KimiDelta(heads, width, width, window, norm)


def bailing_delta(config: Config, hidden: int, norm: Norm) -> KimiDelta:
    """Of Ling 3.0: heads are attention's, and nothing is projected to a narrow width in between.

    What transformers saves has keys of its own for both, and under ``head_dim`` the part of a head that turns.
    """
    _check_activation(config)
    config.passed("head_dim", "short_conv_kernel_size")
    heads = config.size("linear_num_heads", "num_attention_heads")
    width = config.size("linear_head_dim", "head_dim", default=128)
    window = config.size("linear_conv_kernel_dim", "short_conv_kernel_size", default=4)
    least = config.number("kda_lower_bound", default=-5.0)
    return KimiDelta(heads, width, 0, window, norm, least if config.flag("kda_safe_gate", default=True) else 0.0)


KINDS: Mapping[str, Callable[[Config, int, Norm], Recurrent]] = {
    "mamba": mamba,
    "falcon mamba": falcon_mamba,
    "jamba mamba": jamba_mamba,
    "mamba2": mamba2,
    "hybrid mamba2": hybrid_mamba2,
    "nemotron mamba2": nemotron_mamba2,
    "lightning": lightning,
    "delta net": delta_net,
    "falcon mamba2": falcon_mamba2,
    "short convolution": short_convolution,
    "kimi delta": kimi_delta,
    "bailing delta": bailing_delta,
}
