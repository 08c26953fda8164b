"""Every bundled model, in every phase it has: builds, verifies, prints, parses, and has the published weights."""

from __future__ import annotations

from typing import Any

import pytest

from ircost.datasets.model_configs import KnownModel, known_models
from ircost.frontends.config import Architecture, architecture_of, build_model
from ircost.frontends.config.config_file import Config
from ircost.frontends.config.parameters import count_parameters
from ircost.frontends.config.workload import workload_of
from ircost.ir.parser import parse_module
from ircost.ir.verify import verify

SIZES: dict[str, dict[str, Any]] = {
    "prefill": {"batch": 2, "seq": 24},
    "chunk": {"batch": 2, "seq": 8, "context": 24},
    "decode": {"batch": 2, "context": 24},
    "verify": {"batch": 2, "seq": 4, "context": 24},
    "encode": {"batch": 2, "seq": 24},
    "denoise": {"batch": 2, "seq": 256},
}
KNOWN = tuple(known_models())
MODELS = [pytest.param(model, id=model.name) for model in KNOWN]
CACHES = [pytest.param(model, id=model.name) for model in KNOWN if model.kv_bytes_per_token is not None]


def read(model: KnownModel) -> Architecture:
    config = {key: value for key, value in model.config.items() if key != "quantization_config"}
    return architecture_of(Config(config, f"{model.name}.json"), model.name)


@pytest.mark.parametrize("model", MODELS)
def test_builds_in_every_phase(model: KnownModel) -> None:
    architecture = read(model)
    for phase in architecture.phases:
        source = 20 if architecture.has_source and phase != "encode" else 0
        module = build_model(architecture, workload_of(phase, source=source, **SIZES[phase])).module
        verify(module)
        assert str(parse_module(str(module))) == str(module)
        main = module.main
        for names, values in ((main.attrs["inputs"], main.arguments), (main.attrs["outputs"], main.results)):
            assert isinstance(names, tuple)
            assert len(set(names)) == len(names) == len(values)


@pytest.mark.parametrize("model", MODELS)
def test_has_the_published_weights(model: KnownModel) -> None:
    counted = count_parameters(read(model))
    if model.parameters is not None:
        assert counted == model.parameters
    elif "the shapes come to" in model.parameters_source:
        assert counted == int(model.parameters_source.rpartition("the shapes come to ")[2])


@pytest.mark.parametrize("model", CACHES)
def test_has_the_published_cache(model: KnownModel) -> None:
    built = build_model(read(model), workload_of("decode", context=24))
    assert built.kv_bytes_per_token == model.kv_bytes_per_token
