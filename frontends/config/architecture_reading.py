"""From a config to a model: which kind of model it is, and what its numbers are stored in."""

from __future__ import annotations

from ircost.frontends.config.architecture import Architecture
from ircost.frontends.config.config_file import Config
from ircost.frontends.config.encoder_decoder import encoder_decoder
from ircost.frontends.config.families import ALIASES, FAMILIES, Family
from ircost.frontends.config.reading import Reader
from ircost.ir.errors import IrcError, did_you_mean
from ircost.ir.types import DType, bf16, parse_dtype


def architecture_of(config: Config, name: str = "") -> Architecture:
    """The parts of the model that a config describes.

    Raises:
        ConfigError: a key is missing or wrong, two contradict each other, or one is there that nobody knows.
    """
    name = name or str(config.values.get("_name_or_path") or config.values.get("model_type"))
    found = _whole(config, name)
    config.check_all_read()
    return found


def _whole(config: Config, name: str) -> Architecture:
    text = _language_part(config)
    family_name, family = _family(text)
    dtype = _dtype(config, text)
    if family.sides is not None:
        return encoder_decoder(config, family, family_name, family.sides, name, dtype)
    return Reader(text, family, family_name).architecture(name, dtype)


def _language_part(config: Config) -> Config:
    """The part of a model for several modalities that reads text; vision towers are models of their own."""
    text = config.section("text_config")
    if text is not None and ("model_type" not in text or _known(str(text.values.get("model_type")))):
        return text
    return config


def _known(name: str) -> bool:
    return ALIASES.get(name, name) in FAMILIES


def _family(config: Config) -> tuple[str, Family]:
    name = config.text("model_type")
    name = ALIASES.get(name, name)
    if name not in FAMILIES:
        raise config.error(
            f"model_type '{name}' is not known: its computation cannot be told from the config",
            help=did_you_mean(name, FAMILIES) or "known: " + ", ".join(FAMILIES),
        )
    return name, FAMILIES[name]


def _dtype(*configs: Config) -> DType:
    """The first that names one; bf16 where none does."""
    names = [config.raw("torch_dtype", "dtype", default=None) for config in configs]
    for config, name in zip(configs, names, strict=True):
        if name is not None:
            try:
                return parse_dtype({"float16": "f16", "bfloat16": "bf16", "float32": "f32"}.get(str(name), str(name)))
            except IrcError as error:
                raise config.error(f"'torch_dtype' is '{name}'", help=error.help) from None
    return bf16
