"""Tiles of typical kernels on several machines: what each memory moves, beside its lower bound.

    python -m benchmarks.tiling_table

Prints a Markdown table.
"""

from __future__ import annotations

from ircost.backends import Target, load_target
from ircost.cost_models.automatic import search_model
from ircost.cost_models.tiling import figures_of
from ircost.ir.parser import parse_module
from ircost.ir.schedule import parse_schedule
from ircost.passes import PassContext, run_pipeline
from ircost.quantity_text import si_text

KERNELS = {
    "product 4096 x 4096 x 4096, f16": "(%x: 4096x4096xf16, %w: 4096x4096xf16) -> 4096x4096xf16 { %y = matmul %x, %w",
    "product 64 x 64 x 65536, f16": "(%x: 64x65536xf16, %w: 65536x64xf16) -> 64x64xf16 { %y = matmul %x, %w",
    "convolution 3 x 3, 256 to 256 channels of 56 x 56, f16": (
        "(%x: 8x256x56x56xf16, %w: 256x256x3x3xf16) -> 8x256x56x56xf16 "
        "{ %y = conv %x, %w {pads = [[1, 1], [1, 1]], strides = [1, 1]}"
    ),
    "attention, 16 heads of 4096 x 128, f16": (
        "(%q: 1x16x4096x128xf16, %k: 1x16x4096x128xf16, %v: 1x16x4096x128xf16) -> 1x16x4096x128xf16 "
        "{ %y = attention %q, %k, %v {scale = 0.088}"
    ),
    "softmax of 4096 rows of 4096, f32": "(%x: 4096x4096xf32) -> 4096x4096xf32 { %y = softmax %x",
}
TARGETS = ("h100_sxm", "a100_sxm_80gb", "epyc_9654", "tpu_v5e", "raspberry_pi_3")


def rows(text: str, target: Target) -> list[str]:
    """One for each memory; what the target cannot compute has none."""
    module = parse_module(f"func @main{text} return %y }}")
    run_pipeline(module, "tile", context=PassContext(target, search_model(target)))
    kernel = next((op for op in module.walk() if op.name == "kernel"), None)
    if kernel is None:
        return [f"| {target.name} | | left as it is | | | |"]
    schedule = parse_schedule(str(kernel.attrs["schedule"]))
    split = ", ".join(f"{dim} split {parts}" for dim, parts in schedule.splits.items())
    return [
        f"| {target.name} | {level.name} | {' '.join(f'{dim}={size}' for dim, size in level.tile if size > 1)}"
        f"{f'; {split}' if split and level.name == schedule.levels[-1] else ''} | {si_text(level.moved_bytes, 'B')} | "
        f"{si_text(level.bound_bytes, 'B')} | {level.moved_bytes / level.bound_bytes:.2f} |"
        for level in figures_of(kernel, schedule, target)
    ]


def main() -> None:
    for name, text in KERNELS.items():
        print(f"\n### {name}\n\n| machine | memory | tile | moved | bound | ratio |\n|---|---|---|---|---|---|")
        for target in TARGETS:
            try:
                print("\n".join(rows(text, load_target(target))))
            except Exception as error:  # a machine without the format is no reason to print no other
                print(f"| {target} | | {str(error).splitlines()[0]} | | | |")


if __name__ == "__main__":
    main()
