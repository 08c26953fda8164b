"""From a config to a model: which kind of model it is, and what its numbers are stored in."""

from __future__ import annotations

from dataclasses import replace

from ircost.frontends.config.architecture import Architecture
from ircost.frontends.config.config_file import NO_DEFAULT, Config
from ircost.frontends.config.diffusion import denoiser
from ircost.frontends.config.encoder_decoder import encoder_decoder
from ircost.frontends.config.families import ALIASES, FAMILIES, TEXT_ALONE, TEXT_OF
from ircost.frontends.config.family import Family
from ircost.frontends.config.quantisation import quantised
from ircost.frontends.config.reading import Reader
from ircost.frontends.config.section_defaults import fill
from ircost.frontends.config.step_keys import with_usual_keys
from ircost.frontends.config.unsupported import EXPORT, missing_part
from ircost.frontends.config.vision import VISION, image_encoder, seen_by, text_and_images
from ircost.ir.errors import IrcError, did_you_mean
from ircost.ir.types import DType, bf16, parse_dtype

DTYPE_KEYS = ("torch_dtype", "dtype")
# Families whose own files have keys of their own.
REWRITTEN = {"step3p5": with_usual_keys}
CONTRASTED = ("clip", "siglip")
# Of models whose text alone is built.
VISION_KEYS = (
    *("vision_config", "projector_hidden_act", "multimodal_projector_bias", "spatial_merge_size", "downsample_ratio"),
    *("vision_feature_layer", "vision_feature_select_strategy", "image_seq_length", "force_image_size", "ps_version"),
    *("template", "select_layer", "dynamic_image_size", "min_dynamic_patch", "max_dynamic_patch", "use_thumbnail"),
    *("use_backbone_lora", "use_llm_lora", "hidden_size", "audio_config", "vision_soft_tokens_per_image"),
    *(
        "image_grid_pinpoints",
        "vision_aspect_ratio",
        "downsample_factor",
        "alignment_intermediate_size",
        "scale_factor",
    ),
    *("projector_hidden_size", "projector_bias", "projector_use_layernorm", "insert_layer_id", "image_size"),
    *("downsample_mode", "merge_kernel_size", "merger_times", "patch_size", "video_token_index", "_pad_token_id"),
    *("spatial_pool_mode", "spatial_pool_stride", "adapter_layer_norm_eps", "video_seq_length"),
)


def architecture_of(config: Config, name: str = "") -> Architecture:
    """The parts of the model that a config describes.

    Raises:
        ConfigError: a key is missing or wrong, two contradict each other, or one is there that nobody knows.
    """
    name = name or str(config.values.get("_name_or_path") or config.values.get("model_type"))
    found = _whole(config, name)
    sections = [config, *filter(None, (config.section("text_config"),))]
    found = next((new for section in sections if (new := quantised(found, section)) is not None), found)
    config.check_all_read()
    named = [
        section for section in (*sections, config.section("llm_config"), config.section("language_config")) if section
    ]
    is_said = any(key in section for section in named for key in DTYPE_KEYS)
    return found if is_said else replace(found, is_dtype_said=False)


def _whole(config: Config, name: str) -> Architecture:
    """Several modalities have a section each; models of diffusers name a class."""
    if "_class_name" in config:
        return denoiser(config, name, _dtype(config))
    family_name = ALIASES.get(config.text("model_type"), config.text("model_type"))
    if family_name in CONTRASTED:
        return text_and_images(config, family_name, name, _dtype(config))
    _check_supported(config, family_name)
    sections = [config.section(key) for key in ("text_config", "llm_config", "language_config")]
    text = next((section for section in sections if section is not None), config)
    if text is not config:
        if "tie_word_embeddings" in config:
            # The whole model's word counts: its class ties the head, whatever its text says.
            text.values["tie_word_embeddings"] = config.flag("tie_word_embeddings")
        fill(text, text.text("model_type", default=TEXT_OF.get(family_name, "llama")))
    if family_name in TEXT_ALONE:
        config.passed(*VISION_KEYS)
        towers = "tower of images and sound" if "audio_config" in config else "vision tower"
        return replace(_of_text(text, name, _dtype(config, text)), unbuilt=towers)
    has_vision = config.section("vision_config") is not None
    if (has_vision or text is not config) and family_name not in VISION:
        raise config.error(
            f"model_type '{family_name}' is not known: its vision tower cannot be told from the config",
            help=f"known: {', '.join((*VISION, *TEXT_ALONE))}; a text_config alone is read by its own model_type",
        )
    found = _of_text(text, name, _dtype(config, text))
    return seen_by(found, config, family_name) if has_vision else found


def _of_text(config: Config, name: str, dtype: DType) -> Architecture:
    family_name, family = _family(config)
    if family_name in REWRITTEN:
        REWRITTEN[family_name](config)
    if family.sides is not None:
        return encoder_decoder(config, family, family_name, family.sides, name, dtype)
    reader = Reader(config, family, family_name)
    if family.images is not None:
        return image_encoder(reader, family.images, name, dtype)
    return reader.architecture(name, dtype)


def _family(config: Config) -> tuple[str, Family]:
    name = config.text("model_type", default="llama" if config.path else NO_DEFAULT)
    name = TEXT_OF.get(ALIASES.get(name, name), ALIASES.get(name, name))
    _check_supported(config, name)
    if name not in FAMILIES:
        raise config.error(
            f"model_type '{name}' is not known: its computation cannot be told from the config",
            help=f"{did_you_mean(name, FAMILIES)} Names alike may be other models; {EXPORT}",
        )
    return name, FAMILIES[name]


def _check_supported(config: Config, name: str) -> None:
    """Raises:
    ConfigError: a model that is known, and of which some part is not built here.
    """
    missing = missing_part(name)
    if missing is not None:
        part, remedy = missing
        raise config.error(f"model_type '{name}' is not supported: {part} cannot be built here", help=remedy)


def _dtype(*configs: Config) -> DType:
    """The first that names one; bf16 where none does."""
    names = [config.raw(*DTYPE_KEYS, default=None) for config in configs]
    for config, name in zip(configs, names, strict=True):
        if name is not None:
            try:
                return parse_dtype({"float16": "f16", "bfloat16": "bf16", "float32": "f32"}.get(str(name), str(name)))
            except IrcError as error:
                raise config.error(f"'torch_dtype' is '{name}'", help=error.help) from None
    return bf16
