"""Where does ResNet-50 run fastest, and what limits it there? Prints a table over several machines and formats.

python examples/compare_targets.py
"""

from __future__ import annotations

from pathlib import Path

import ircost

MODEL = Path(__file__).resolve().parents[1] / "datasets" / "models" / "resnet50.onnx"
TARGETS = ("h100_sxm", "a100_sxm_80gb", "l40s", "t4", "mi300x", "cpu")
BATCH = 32


def main() -> None:
    print(f"ResNet-50, batch {BATCH}; GPUs as measured kernels are, others at data-sheet speed: real ones are slower\n")
    print(f"{'target':16}{'format':8}{'ms':>8}{'images/s':>10}{'J/image':>9}   bound by")
    for target in TARGETS:
        for dtype in ("f32", "f16"):
            report = ircost.compile(MODEL, target, dtype=dtype, dims={"N": BATCH})
            bounds = ", ".join(f"{name} {share:.0%}" for name, share in list(report.bound_shares.items())[:2])
            print(
                f"{target:16}{dtype:8}{report.latency_s * 1e3:8.2f}{BATCH / report.latency_s:10,.0f}"
                f"{report.energy_j / BATCH:9.4f}   {bounds}"
            )


if __name__ == "__main__":
    main()
