"""Networks of random hyper-parameters, and what the compiler finds of a network: what a text model is to foretell."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ircost.api import compile_model
from ircost.backends import Target
from ircost.cost_models.tile_traffic import sums_bytes
from ircost.cost_models.tiling import figures_of as level_figures
from ircost.datasets.convnets import EfficientNet, RegNet, ResNet, convnet
from ircost.datasets.transformers import Transformer, transformer
from ircost.frontends.imported import ImportOptions
from ircost.frontends.yaml.importer import import_yaml
from ircost.ir import Module
from ircost.ir.clone import clone_module
from ircost.ir.nest_reading import nest_of
from ircost.ir.printer import print_module
from ircost.ir.schedule import parse_schedule
from ircost.passes import PassContext, parse_pipeline, run_pipeline
from ircost.report import Report

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"
LEVEL = 2  # of the pipeline: the default
FIGURES: Mapping[str, str] = {
    "latency_s": "latency by the analytical model",
    "kernels": "kernels after the default pipeline",
    "peak_bytes": "weights and activations at the fullest moment",
    "arena_bytes": "activations alone",
    "shared_share": "shared memory that a tile takes, mean of tiled kernels",
    "register_share": "registers that a tile's sums take, mean of tiled kernels",
}


@dataclass(frozen=True, slots=True)
class Sample:
    """A network as text, what is known of it before any pass, and what comes out after all.

    Args:
        kind: how it was made; or the model's name.
        features: of the module as it is written: counts, bytes, the analytical model's time without any pass.
        figures: by the names of FIGURES.
        text_s, features_s, compile_s, tile_s: processor time of printing, of the features, and of the figures but for
            those of tiles, which come on top.
    """

    kind: str
    text: str
    features: tuple[float, ...]
    figures: dict[str, float]
    text_s: float
    features_s: float
    compile_s: float
    tile_s: float


def sample_of(kind: str, module: Module, target: Target) -> Sample:
    """The module itself is rewritten."""
    clock = [time.process_time()]
    text = print_module(module)
    clock.append(time.process_time())
    features = features_of(compile_model(clone_module(module), target, pipeline=""))
    clock.append(time.process_time())
    report = compile_model(module, target, opt=LEVEL)
    clock.append(time.process_time())
    figures = {**figures_of(report), **tile_figures(module, target)}
    clock.append(time.process_time())
    return Sample(kind, text, features, figures, *np.diff(clock).tolist())


def features_of(report: Report) -> tuple[float, ...]:
    """Logarithms of what a module's ops add up to, one kernel each."""
    kernels = report.kernels
    amounts = (
        *(report.latency_s, report.lower_bound_s, sum(kernel.count for kernel in kernels), len(kernels)),
        *(report.weights_bytes, report.arena_bytes, report.lower_bound_bytes),
        *(sum(getattr(kernel, name) for kernel in kernels) for name in ("flops", "macs", "bytes")),
        max((kernel.flops for kernel in kernels), default=0),
        max((kernel.bytes for kernel in kernels), default=0),
    )
    return tuple(float(np.log(max(amount, 1e-9))) for amount in amounts)


def figures_of(report: Report) -> dict[str, float]:
    return {
        **{"latency_s": report.latency_s, "kernels": float(sum(kernel.count for kernel in report.kernels))},
        **{"peak_bytes": float(report.peak_memory_bytes), "arena_bytes": float(report.arena_bytes)},
    }


def tile_figures(module: Module, target: Target) -> dict[str, float]:
    """Of a compiled module, which gets its tiles."""
    run_pipeline(module, parse_pipeline("tile"), context=PassContext(target=target))
    shared, registers = np.array([*pressures(module, target)] or [(0.0, 0.0)]).mean(axis=0)
    return {"shared_share": float(shared), "register_share": float(registers)}


def pressures(module: Module, target: Target) -> Iterator[tuple[float, float]]:
    """For each kernel with a tile the shares of shared memory and of registers that it takes."""
    registers = next(float(level.capacity_bytes) for level in target.memory if level.name == "registers")
    for op in module.walk():
        if op.name != "kernel" or not op.attrs.get("schedule"):
            continue
        nest = nest_of(op)
        for level in level_figures(op, parse_schedule(str(op.attrs["schedule"])), target):
            if level.name == "shared" and nest is not None:
                sizes = np.array([[extent for _, extent in level.tile]])
                yield level.held_bytes / level.room_bytes, float(sums_bytes(nest, sizes)[0]) / registers


# ---- networks


def generated(count: int, seed: int = 0) -> Iterator[tuple[str, Module]]:
    """Networks of all kinds in turn; half of them in another format than that they are written in."""
    draw = np.random.default_rng(seed)
    kinds = [*KINDS.items()]
    for number in range(count):
        name, make = kinds[number % len(kinds)]
        module = make(draw)
        if draw.random() < 0.5:
            run_pipeline(module, parse_pipeline(f"convert-dtype{{to={'f16' if name in IN_F32 else 'f32'}}}"))
        yield name, module


def power(draw: np.random.Generator, low: int, high: int) -> int:
    """A power of two."""
    return int(2 ** draw.integers(low, high + 1))


def batch(draw: np.random.Generator) -> int:
    return int(draw.choice((1, 1, 2, 4, 8, 16)))


def resolution(draw: np.random.Generator) -> int:
    return int(32 * draw.integers(2, 11))


def resnet(draw: np.random.Generator) -> Module:
    depths = draw.integers(1, 7, 4)
    groups, width = ((1, 64), (1, 32), (1, 128), (32, 4), (32, 8))[int(draw.integers(0, 5))]
    return convnet(ResNet(tuple(map(int, depths)), groups, width, resolution(draw)), batch(draw))  # type: ignore[arg-type]


def regnet(draw: np.random.Generator) -> Module:
    first, group = int(8 * draw.integers(3, 13)), int(8 * draw.integers(1, 7))
    slope, factor, depth = float(draw.uniform(20, 60)), float(draw.uniform(2, 2.9)), int(draw.integers(10, 26))
    squeezes = bool(draw.random() < 0.5)
    return convnet(RegNet(first, slope, factor, depth, group, squeezes, resolution(draw)), batch(draw))


def efficientnet(draw: np.random.Generator) -> Module:
    factors = draw.uniform(0.6, 1.5, 2)
    return convnet(EfficientNet(float(factors[0]), float(factors[1]), resolution(draw)), batch(draw))


def bert(draw: np.random.Generator) -> Module:
    heads, width = int(draw.choice((4, 6, 8, 12, 16))), int(draw.choice((32, 64, 128)))
    hidden, rows = heads * width, power(draw, 4, 10)
    inner = int(hidden * draw.choice((2, 3, 4)))
    return transformer(Transformer(batch(draw), rows, rows, hidden, heads, heads, inner, int(draw.integers(1, 17))))


def llama(draw: np.random.Generator) -> Module:
    """Prompts and, half of the time, single tokens that attend to a cache."""
    heads, width = int(draw.choice((8, 16, 32))), int(draw.choice((64, 128)))
    context = power(draw, 5, 11)
    rows = context if draw.random() < 0.5 else 1
    hidden, groups = heads * width, int(draw.choice((2, 4, 8)))
    inner = int(hidden * draw.choice((2, 3, 4)))
    layers = int(draw.integers(1, 17))
    return transformer(Transformer(batch(draw), rows, context, hidden, heads, heads // groups, inner, layers))


def unet(draw: np.random.Generator) -> Module:
    dims = {"width": int(8 * draw.integers(1, 9)), "size": int(32 * draw.integers(2, 9)), "batch": batch(draw)}
    return import_yaml(str(EXAMPLES / "unet.yaml"), ImportOptions(dims=dims)).module


def small_cnn(draw: np.random.Generator) -> Module:
    dims = {"width": int(8 * draw.integers(1, 17)), "classes": int(draw.integers(2, 1000)), "batch": power(draw, 0, 9)}
    return import_yaml(str(EXAMPLES / "small_cnn.yaml"), ImportOptions(dims=dims)).module


KINDS: Mapping[str, Callable[[np.random.Generator], Module]] = {
    kind.__name__: kind for kind in (resnet, regnet, efficientnet, bert, llama, unet, small_cnn)
}
IN_F32 = frozenset(("resnet", "regnet", "efficientnet", "unet", "small_cnn"))
