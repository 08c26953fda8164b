"""Models that see: vision towers alone, beside a text encoder, and in front of a language model."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from ircost.frontends.config.architecture import Architecture
from ircost.frontends.config.config_file import Config
from ircost.frontends.config.families import FAMILIES
from ircost.frontends.config.family import Images
from ircost.frontends.config.layer_parts import Attention, FeedForward, Layer, Stack
from ircost.frontends.config.reading import Reader
from ircost.frontends.config.section_defaults import fill
from ircost.frontends.config.tower_parts import (
    AttentionPooler,
    AverageProjector,
    Contrast,
    LayersProjector,
    Outlet,
    Patches,
    Pooler,
    ShuffleProjector,
    Tower,
)
from ircost.ir.types import DType


def section_reader(config: Config, name: str, usual: str) -> Reader:
    """Of a section with a family of its own, which it may leave unsaid.

    Raises:
        ConfigError: the section is missing, or its family is not known.
    """
    section = config.section(name)
    if section is None:
        raise config.error(f"'{name}' is missing")
    family = section.text("model_type", default=usual)
    if family not in FAMILIES:
        raise section.error(f"model_type '{family}' is not known", help="known here: " + ", ".join(VISION))
    fill(section, family)
    return Reader(section, FAMILIES[family], family)


# ---- vision alone, and beside text


def image_encoder(reader: Reader, images: Images, name: str, dtype: DType) -> Architecture:
    """ViT: all tokens, and the first one through a pooler."""
    config = reader.config
    width = config.size("pooler_output_size", default=reader.hidden)
    config.passed("encoder_stride", "pooler_act")
    return Architecture(
        name=name,
        family=reader.name,
        hidden=reader.hidden,
        embedding=patches_of(reader, images),
        stack=reader.stack(),
        head=None,
        dtype=dtype,
        is_decoder=False,
        outlet=Pooler("pooler", "first", width, True, "tanh") if reader.family.has_pooler else None,
    )


def patches_of(reader: Reader, images: Images) -> Patches:
    config = reader.config
    image, patch = config.size("image_size", default=images.image), config.size("patch_size", default=images.patch)
    if patch > image:
        raise config.error(f"patches of {patch} pixels in images of {image}")
    return Patches(
        channels=config.size("num_channels", default=3),
        image=image,
        patch=patch,
        hidden=reader.hidden,
        has_bias=images.has_bias,
        class_token=images.class_token,
        norm=reader.norm if images.has_norm else None,
    )


def text_and_images(config: Config, family: str, name: str, dtype: DType) -> Architecture:
    """Two encoders, and how alike what they make is: CLIP, SigLIP."""
    text = section_reader(config, "text_config", f"{family}_text_model")
    vision = section_reader(config, "vision_config", f"{family}_vision_model")
    config.passed("logit_scale_init_value", "text_config_dict", "vision_config_dict", "projection_dim")
    for reader in (text, vision):
        reader.config.passed("projection_dim", "vocab_size", "max_position_embeddings")
    make = {"clip": _clip_outlets, "siglip": _siglip_outlets}[family]
    text_outlet, image_outlet = make(config, text, vision)
    return Architecture(
        name=name,
        family=family,
        hidden=text.hidden,
        embedding=text.embedding(),
        stack=text.stack(),
        head=None,
        dtype=dtype,
        max_context=text.max_context(),
        is_decoder=False,
        outlet=text_outlet,
        tower=vision_tower(vision, outlet=image_outlet),
        contrast=Contrast(has_bias=family == "siglip"),
    )


def _clip_outlets(config: Config, text: Reader, vision: Reader) -> tuple[Outlet, Outlet]:
    """The norm behind a vision tower's layers is of its class token alone."""
    width = config.size("projection_dim", default=512)
    return (
        Pooler("projection", "last", width, False),
        Pooler("projection", "first", width, False, norm=vision.norm),
    )


def _siglip_outlets(config: Config, text: Reader, vision: Reader) -> tuple[Outlet, Outlet]:
    width = text.config.size("projection_size", default=text.hidden)
    vision.config.passed("vision_use_head")
    attention, feed_forward = vision.attention(0), vision.feed_forward(0)
    assert isinstance(feed_forward, FeedForward), "no experts there"
    return Pooler("projection", "last", width, True), AttentionPooler(attention, feed_forward, vision.norm)


# ---- in front of a language model


def seen_by(architecture: Architecture, config: Config, family: str) -> Architecture:
    """A language model with the tower and the projector that make tokens of images for it."""
    return replace(architecture, tower=VISION[family](config, architecture.hidden))


def vision_tower(reader: Reader, outlet: Outlet | None, layers: int | None = None, has_norm: bool = True) -> Tower:
    """Args:
    layers: that are run, where not all are. has_norm: whether what they make passes the norm behind the last.
    """
    images, stack = reader.family.images, reader.stack()
    assert images is not None, "a vision tower reads images"
    run = Stack(stack.layers[:layers], stack.final_norm if has_norm else None)
    idle = Stack(stack.layers[layers:] if layers is not None else (), None if has_norm else reader.norm)
    is_idle = bool(idle.layers or idle.final_norm)
    patches = patches_of(reader, images)
    return Tower("vision", patches, run, outlet, patches.tokens, idle if is_idle else None)


def _gemma3(config: Config, width: int) -> Tower:
    reader = section_reader(config, "vision_config", "siglip_vision_model")
    reader.config.passed("vision_use_head")
    tokens = config.size("mm_tokens_per_image", default=256)
    tower = vision_tower(reader, AverageProjector(tokens, replace(reader.norm, kind="rms", has_bias=False), width))
    side = patches_of(reader, _images(reader)).side
    if round(tokens**0.5) ** 2 != tokens or side % round(tokens**0.5):
        raise config.error(f"{side} x {side} patches cannot be averaged to {tokens} tokens")
    return tower


def _llava(config: Config, width: int) -> Tower:
    """Features of one layer, the last but one usually; those behind it are held and not run."""
    reader = section_reader(config, "vision_config", "clip_vision_model")
    reader.config.passed("projection_dim", "vocab_size", "max_position_embeddings")
    config.passed("vocab_size", "image_seq_length", "ignore_index")
    layer = config.raw("vision_feature_layer", default=-2)
    if not isinstance(layer, int) or not -reader.layers - 1 <= layer <= reader.layers:
        raise config.error(f"'vision_feature_layer' is {layer}, one of the {reader.layers} layers expected")
    strategy = config.text("vision_feature_select_strategy", default="default")
    if strategy not in ("default", "full"):
        raise config.error(f"'vision_feature_select_strategy' is '{strategy}'", help="known: default, full")
    outlet = LayersProjector(
        width,
        reader.activation_of(config.text("projector_hidden_act", default="gelu")),
        config.flag("multimodal_projector_bias", default=True),
        _images(reader).class_token if strategy == "default" else "",
    )
    return vision_tower(reader, outlet, layer if layer >= 0 else reader.layers + 1 + layer, has_norm=False)


def _llama4(config: Config, width: int) -> Tower:
    reader = section_reader(config, "vision_config", "llama4_vision_model")
    section = reader.config
    section.passed("vision_output_dim", "vision_feature_layer", "vision_feature_select_strategy", "projector_dropout")
    outlet = ShuffleProjector(
        ratio=section.number("pixel_shuffle_ratio", default=0.5),
        inner=section.size("projector_input_dim", default=4096),
        out=section.size("projector_output_dim", default=4096),
        width=width,
        activation="gelu",
        has_bias=section.flag("multi_modal_projector_bias", default=False),
    )
    tower = vision_tower(reader, outlet)
    patches = patches_of(reader, _images(reader))
    if not 0 < outlet.ratio <= 1 or patches.side % round(1 / outlet.ratio):
        raise section.error(f"{patches.side} patches an edge cannot be joined at a ratio of {outlet.ratio:g}")
    return replace(tower, stack=replace(tower.stack, layers=tuple(_on_a_grid(section, tower.stack, patches.side))))


def _on_a_grid(section: Config, stack: Stack, side: int) -> list[Layer]:
    """Patches turn by row and column."""
    found = []
    for layer in stack.layers:
        if not isinstance(layer.mixer, Attention) or layer.mixer.rotary is None:
            raise section.error("the patches of llama4 are told apart by rotary positions, and these have none")
        mixer = replace(layer.mixer, rotary=replace(layer.mixer.rotary, side=side))
        found.append(replace(layer, mixer=mixer))
    return found


def _images(reader: Reader) -> Images:
    assert reader.family.images is not None, "a vision tower reads images"
    return reader.family.images


VISION: Mapping[str, Callable[[Config, int], Tower]] = {"gemma3": _gemma3, "llava": _llava, "llama4": _llama4}
