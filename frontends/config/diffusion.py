"""Diffusion transformers by the ``config.json`` of Hugging Face diffusers: one step that takes noise away."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from ircost.frontends.config.architecture import Architecture
from ircost.frontends.config.config_file import Config
from ircost.frontends.config.denoiser_parts import (
    Conditioning,
    Denoiser,
    JointLayer,
    Latents,
    ModulatedLayer,
    SingleLayer,
)
from ircost.frontends.config.layer_parts import Attention, FeedForward, Norm, Stack
from ircost.ir.errors import did_you_mean
from ircost.ir.types import DType

TIME_WIDTH = 256  # of the sines of a time; the same in all three
PLAIN = Norm("layer", 1e-6, has_scale=False)  # what modulates it takes the place of its weights


def denoiser(config: Config, name: str, dtype: DType) -> Architecture:
    """The model of a diffusers class.

    Raises:
        ConfigError: the class is not known, or a key is missing or wrong.
    """
    kind = config.text("_class_name")
    if kind not in CLASSES:
        raise config.error(f"'_class_name' is '{kind}'", help=did_you_mean(kind, CLASSES) or f"known: {list(CLASSES)}")
    config.passed("_diffusers_version", "upcast_attention", "norm_num_groups", "dropout")
    found = CLASSES[kind](config)
    return Architecture(
        name=name,
        family=kind,
        hidden=found.latents.hidden,
        embedding=found.latents,
        stack=Stack((), None),
        head=None,
        dtype=dtype,
        max_context=found.latents.most_tokens,
        is_decoder=False,
        denoiser=found,
    )


def _attention(config: Config, norm: Norm | None = None) -> Attention:
    heads, width = config.size("num_attention_heads"), config.size("attention_head_dim")
    return Attention(
        heads=heads,
        kv_heads=heads,
        width=width,
        value_width=width,
        scale=width**-0.5,
        is_causal=False,
        has_qkv_bias=True,
        has_out_bias=True,
        head_norm=norm,
    )


def _latents(config: Config, hidden: int, edge: int, **more: bool | int) -> Latents:
    patch, channels = config.size("patch_size"), config.size("in_channels")
    if edge % patch:
        raise config.error(f"patches of {patch} in latents of {edge}")
    out = config.size("out_channels", default=channels)
    return Latents(channels=channels, out=out, patch=patch, edge=edge, hidden=hidden, **more)  # type: ignore[arg-type]


def _dit(config: Config) -> Denoiser:
    """Source: Peebles, Xie, "Scalable Diffusion Models with Transformers", ICCV 2023; facebookresearch/DiT."""
    expected = {"norm_type": "ada_norm_zero", "activation_fn": "gelu-approximate", "attention_bias": True}
    for key, value in expected.items():
        if config.raw(key, default=value) != value:
            raise config.error(f"'{key}' is {config.values[key]!r}, {value!r} expected")
    config.passed("norm_elementwise_affine", "norm_eps")
    attention = _attention(config)
    hidden = attention.heads * attention.width
    layer = ModulatedLayer(attention, FeedForward(4 * hidden, "gelu_tanh", False, True), PLAIN)
    return Denoiser(
        latents=_latents(config, hidden, config.size("sample_size"), has_learnt_positions=True),
        conditioning=Conditioning(TIME_WIDTH, labels=config.size("num_embeds_ada_norm", default=1000) + 1),
        layers=(layer,) * config.size("num_layers"),
        norm=PLAIN,
    )


def _sd3(config: Config) -> Denoiser:
    """Source: Esser et al., "Scaling Rectified Flow Transformers", ICML 2024; diffusers, ``transformer_sd3.py``."""
    if config.listed("dual_attention_layers", default=[]):
        raise config.error("'dual_attention_layers' names layers with a second attention, which is not known here")
    named = config.text("qk_norm", default=None)
    if named not in (None, "rms_norm"):
        raise config.error(f"'qk_norm' is '{named}'", help="known: rms_norm")
    attention = _attention(config, Norm("rms", 1e-6) if named else None)
    hidden = attention.heads * attention.width
    if config.size("caption_projection_dim", default=hidden) != hidden:
        raise config.error(f"'caption_projection_dim' is not {hidden}, the width of {attention.heads} heads")
    layer = JointLayer(attention, FeedForward(4 * hidden, "gelu_tanh", False, True), PLAIN)
    last = JointLayer(attention, layer.feed_forward, PLAIN, is_last=True)
    count = config.size("num_layers")
    rows = config.size("pos_embed_max_size", default=96)
    return Denoiser(
        latents=_latents(config, hidden, config.size("sample_size"), table=rows),
        conditioning=Conditioning(TIME_WIDTH, pooled=config.size("pooled_projection_dim")),
        layers=(layer,) * (count - 1) + (last,),
        norm=PLAIN,
        prompt=config.size("joint_attention_dim"),
        prompt_tokens=77 + 256,
    )


def _flux(config: Config) -> Denoiser:
    """Source: black-forest-labs/flux, ``model.py``; diffusers, ``transformer_flux.py``."""
    attention = _attention(config, Norm("rms", 1e-6))
    hidden = attention.heads * attention.width
    axes = tuple(config.listed("axes_dims_rope", of=(int,), default=[16, 56, 56]))
    if sum(axes) != attention.width or any(axis % 2 for axis in axes):
        raise config.error(f"'axes_dims_rope' is {list(axes)}: even numbers that add up to {attention.width} expected")
    feed_forward = FeedForward(4 * hidden, "gelu_tanh", False, True)
    both = (JointLayer(attention, feed_forward, PLAIN),) * config.size("num_layers")
    single = (SingleLayer(attention, feed_forward, PLAIN),) * config.size("num_single_layers", default=0, least=0)
    has_guidance = config.flag("guidance_embeds")
    return Denoiser(
        latents=_latents(config, hidden, 64, is_packed=True),
        conditioning=Conditioning(TIME_WIDTH, pooled=config.size("pooled_projection_dim"), has_guidance=has_guidance),
        layers=both + single,
        norm=PLAIN,
        prompt=config.size("joint_attention_dim"),
        prompt_tokens=512 if has_guidance else 256,
        axes=axes,
    )


CLASSES: Mapping[str, Callable[[Config], Denoiser]] = {
    "DiTTransformer2DModel": _dit,
    "SD3Transformer2DModel": _sd3,
    "FluxTransformer2DModel": _flux,
}
