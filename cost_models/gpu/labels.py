"""What kernels have in common, beyond their shapes: the effects that fitted constants are made of."""

from __future__ import annotations

from collections.abc import Mapping

# Formats of one width run at one speed on every matrix unit so far.
SAME_SPEED = dict.fromkeys(("bfloat16", "float16", "half", "bf16", "f16", "fp16"), "16 bit")
# Libraries that a kernel's name tells of; the first that fits.
IMPLEMENTATIONS = (
    *("deepgemm", "flashmla", "flashinfer", "marlin", "oaitriton", "triton", "cutlass", "fa2", "fa3", "fa4"),
    *("nongated", "winograd", "fft", "implicit"),
)
# TensorRT-LLM has kernels for latent attention on Hopper and later; before, what it falls back to takes 18 to 26 times
# as long (16 heads, 4,096 keys: 18 us on an H100, 322 on an L40S, 477 on an A100). Tables call both the default.
FALLBACK = "fallback"
BEFORE_HOPPER = frozenset(("volta", "turing", "ampere", "ampere_ga102", "ada"))

GRAPH_REPLAY = "graph replay"  # nobody's runtime in particular: the mean of those that replay what they recorded
FASTEST = "fastest"  # of those, kernel by kernel: what others publish are the fastest kernels that they know
OF_COLLECTIVES = "nccl"  # whose kernels send between devices, whatever runtime asks for it
# Architectures of collectives between cards without links of their own: what their server makes of its bus counts, and
# whether they write to one another over it; whatever they are does not.
WITH_PEERS, THROUGH_HOST = "peers on a bus", "cards behind their host"
ON_A_BUS = (WITH_PEERS, THROUGH_HOST)
BETWEEN_NODES = "between nodes"  # the last words of the kind of collectives that leave their node
OF_BYTES = "float16"  # format of collectives whose bytes are all that counts
OF_WORK = ("nongated",)  # words of kernels' names that tell what is computed, not who computes it

# Effect -> how far its levels may spread, a standard deviation on the link scale.
WIDTHS = {
    "machine": 0.5,
    "architecture": 0.5,
    "device": 0.3,
    "runtime": 1.0,
    "dtype": 0.5,
    "kind": 1.0,
    "kernel": 0.35,
    "runtime, dtype": 0.5,
    "runtime, kind": 0.5,
    "architecture, dtype": 0.3,
    "architecture, kernel": 0.3,
}


def labels_of(
    *,
    architecture: str,
    device: str,
    runtime: str,
    dtype: str,
    cache: str = "",
    kind: str = "",
    kernel: str = "",
    machine: str = "",
) -> dict[str, str]:
    """The level of each effect; an effect without a level adds nothing.

    Args:
        architecture, device: the target's. runtime: whose kernels. dtype, kernel: as tables name them.
        cache: number format of cached keys and values.
        kind: of kernels within a family.
        machine: the kind of the target. GPUs are what most constants are of, and have no effect of their own.
    """
    width = SAME_SPEED.get(dtype, dtype)
    if cache and SAME_SPEED.get(cache, cache) != width:
        width = f"{width}, {SAME_SPEED.get(cache, cache)} cache"
    return _with_pairs(
        {
            "machine": "" if machine == "gpu" else machine,
            "architecture": architecture,
            "device": device,
            "runtime": runtime,
            "dtype": width,
            "kind": kind,
            "kernel": implementation(runtime, kernel),
        }
    )


def as_runtime(labels: Mapping[str, str], runtime: str) -> dict[str, str]:
    """The same kernels as another runtime's, by whatever library."""
    alone = {effect: labels.get(effect, "") for effect in WIDTHS if ", " not in effect}
    told = of_work(alone["kernel"])
    return _with_pairs({**alone, "runtime": runtime, "kernel": f"{runtime} {told}" if told else ""})


def _with_pairs(alone: Mapping[str, str]) -> dict[str, str]:
    pairs = {effect: [alone[part] for part in effect.split(", ")] for effect in WIDTHS if ", " in effect}
    return {**alone, **{effect: " ".join(parts) if all(parts) else "" for effect, parts in pairs.items()}}


def of_work(kernel: str) -> str:
    """What of a kernel's name tells what it computes; "" where nothing does."""
    return next((word for word in OF_WORK if word in kernel), "")


def runtime_on(architecture: str, family: str, runtime: str) -> str:
    """Whose kernels a runtime has on an architecture: those of another runtime where they have nothing in common."""
    falls_back = (family, runtime) == ("mla", "trtllm") and architecture in BEFORE_HOPPER
    return f"{FALLBACK} of {runtime}" if falls_back else runtime


def is_runtime(level: str) -> bool:
    """Whether a level of the effect of runtimes is somebody's runtime, and no kind of kernels of several.

    >>> is_runtime("vllm"), is_runtime(GRAPH_REPLAY), is_runtime("fallback of trtllm")
    (True, False, False)
    """
    return level not in ("", GRAPH_REPLAY, FASTEST) and not level.startswith(f"{FALLBACK} of ")


def implementation(runtime: str, kernel: str) -> str:
    """The library behind a kernel's name, with the runtime that calls it; "" where the name tells none."""
    low = kernel.lower().replace("_", "")
    found = next((word for word in IMPLEMENTATIONS if word in low), "")
    return f"{runtime} {found}".strip() if found else ""


# Effects of the machine, and of whose kernel it is: how often a kernel streams its operands is none of the machine's.
OF_MACHINE = frozenset(effect for effect in WIDTHS if effect.startswith(("machine", "architecture", "device")))
OF_KERNEL = frozenset(WIDTHS) - OF_MACHINE
# Effects of the host and of how a benchmark launches.
OF_HOST = frozenset(("device", "runtime", "kind", "kernel", "runtime, kind"))
# Effects of a kernel's start on the device: what the host does before is no part of it.
OF_START = OF_MACHINE | {"kind", "kernel", "dtype"}
