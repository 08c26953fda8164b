"""Measured image generation against steps of the denoiser."""

from __future__ import annotations

import math
from collections.abc import Iterator

import pandas as pd

import ircost
from benchmarks.energy_servers import bias_and_error
from ircost.frontends import ImportOptions
from ircost.frontends.config import architecture_of
from ircost.frontends.config.config_file import Config
from ircost.frontends.config.frontend import build_pass
from ircost.ir.types import parse_dtype

TARGET = "h100_sxm"
MODEL = "stabilityai/stable-diffusion-3.5-large"
# Source: huggingface.co/stabilityai/stable-diffusion-3.5-large/transformer/config.json, as publicly known; 8.06 billion
# parameters, as its publisher says.
CONFIG = {
    **{"_class_name": "SD3Transformer2DModel", "attention_head_dim": 64, "caption_projection_dim": 2432},
    **{"in_channels": 16, "joint_attention_dim": 4096, "num_attention_heads": 38, "num_layers": 38},
    **{"out_channels": 16, "patch_size": 2, "pooled_projection_dim": 2048, "pos_embed_max_size": 192},
    **{"qk_norm": "rms_norm", "sample_size": 128},
}
GUIDED = 2  # each step runs with and without the prompt


def diffusion_lines(path: str) -> Iterator[str]:
    """Power, time and energy of one device; what is beside the denoiser (text, decoder of images) is left out."""
    table = pd.read_parquet(path)
    table = table[(table["model"] == MODEL) & (table["num_gpus"] == 1)]
    yield "| model | devices | rows | watts | seconds | joules |"
    yield "|---|--:|--:|--:|--:|--:|"
    logs = [_logs(row) for row in table.itertuples()]
    cells = [bias_and_error(column) for column in zip(*logs, strict=True)]
    yield f"| {MODEL} | 1 | {len(logs)} | {' | '.join(cells)} |"


def _logs(row: object) -> tuple[float, float, float]:
    """ln(predicted / measured) of mean power, time and energy of a batch of images."""
    batch, steps = row.batch_size, row.inference_steps  # type: ignore[attr-defined]
    architecture = architecture_of(Config(dict(CONFIG), "config.json"), "sd3.5-large")
    options = ImportOptions(dims={"batch": GUIDED * batch}, dtype=parse_dtype("bf16"))
    report = ircost.compile(build_pass(architecture, options), target=TARGET)
    measured_s = row.batch_latency_s  # type: ignore[attr-defined]
    measured_j = row.energy_per_image_joules * batch  # type: ignore[attr-defined]
    return (
        math.log(report.power_w / (measured_j / measured_s)),
        math.log(steps * report.latency_s / measured_s),
        math.log(steps * report.energy_j / measured_j),
    )
