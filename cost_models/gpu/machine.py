"""A target as the analytical model sees it: a handful of numbers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ircost.backends import Target

MEASURED_KINDS = frozenset(("gpu", "cpu"))  # of targets: the analytical model's constants are of their kernels
# What one processor takes in from beyond it in one clock: the port between L2 and an SM is 64 bytes wide.
# Source: NVIDIA A100 Tensor Core GPU Architecture white paper, 2020 (64 B per clock and SM).
PORT_BYTES_PER_CLOCK = 64
# Reads of shared memory: 32 banks of 4 bytes. Source: CUDA C++ Programming Guide, "Shared Memory". Where two processors
# share one operand of a product, two thirds of the reads are left. Source: PTX ISA 8.6, tcgen05.mma, cta_group::2.
SHARED_BYTES_PER_CLOCK = 128
OPERANDS_SHARED = {"blackwell": 1.5}


# Processors of a cluster that one load from L2 serves. Source: CUDA C++ Programming Guide, "Asynchronous Data Copies
# using the Tensor Memory Accelerator" (multicast); clusters of two in NVIDIA/cutlass' default products.
SERVED_AT_ONCE = {"hopper": 2.0, "blackwell": 2.0}
# Latencies on a chip are so many clocks: fitted times are those at this clock.
REFERENCE_CLOCK_HZ = 2e9


@dataclass(frozen=True, slots=True)
class LinkKind:
    """What messages between devices go by, however many devices there are.

    Args:
        topology: as of ``Link``. bytes_per_s: out of one device, in one direction.
        reduces: switches add up what they pass on.
    """

    topology: str
    bytes_per_s: float
    reduces: bool


@dataclass(frozen=True, slots=True)
class GpuMachine:
    """What the model asks of a machine.

    Args:
        name, architecture, runtime: the target's; the last two choose the fitted constants.
        processors: SMs, or compute units.
        clock_hz: of the processors, the highest; rates below are at that clock.
        main_bytes_per_s: main memory, by its data sheet.
        cache_bytes: the last cache that all processors share; 0 where the target has none.
        cache_bytes_per_s: of that nearest to the processors; without end where the target does not say.
        vector_flops_per_s: f32 on the vector lanes.
        special_per_s: transcendental functions.
        launch_s: least time between two kernels launched one by one.
        shared_bytes: shared memory of one processor; without end where the target does not say.
        kind: the target's: ``gpu``, ``cpu``, ...
        chip: the target by whose name its kernels were measured, if any were: its own, or one with the same chip.
        link: the widest of its own links to other devices; None where it has none.
    """

    name: str
    architecture: str
    runtime: str
    processors: float
    clock_hz: float
    main_bytes_per_s: float
    cache_bytes: float
    cache_bytes_per_s: float
    vector_flops_per_s: float
    special_per_s: float
    launch_s: float
    shared_bytes: float = float("inf")
    kind: str = "gpu"
    chip: str = ""
    link: LinkKind | None = None

    @property
    def is_of_measured_kind(self) -> bool:
        """Whether kernels of any such machine were measured; of all others data sheets are all that is known."""
        return self.kind in MEASURED_KINDS

    @property
    def clocks_per_reference(self) -> float:
        """How much longer than at the reference clock a number of clocks takes."""
        return REFERENCE_CLOCK_HZ / self.clock_hz

    @property
    def cuts_to_size(self) -> bool:
        """Whether tiles share out a product evenly, as on CPUs, and none reaches beyond its edge.

        Source: Van Zee, van de Geijn, "BLIS", ACM TOMS 2015, section 4 (edges go by kernels of their own; threads get
        even shares of the loops).
        """
        return self.kind == "cpu"

    @property
    def host_launches(self) -> float:
        """How many launches of a kernel a host makes beside the machine: a CPU is its own."""
        return 0.0 if self.kind == "cpu" else 1.0

    @property
    def served_at_once(self) -> float:
        """Processors that share the loads of one operand."""
        return SERVED_AT_ONCE.get(self.architecture, 1.0)

    def l2_bytes_per_s(self, active: np.ndarray | float) -> np.ndarray:
        """From L2 into so many processors: their ports, or what L2 delivers."""
        rate: np.ndarray = np.minimum(
            np.asarray(active) * (PORT_BYTES_PER_CLOCK * self.clock_hz), self.cache_bytes_per_s
        )
        return rate

    @property
    def shared_bytes_per_s(self) -> float:
        """From its shared memory into one processor's arithmetic."""
        return SHARED_BYTES_PER_CLOCK * OPERANDS_SHARED.get(self.architecture, 1.0) * self.clock_hz

    def share_of_cache(self, touched_bytes: np.ndarray) -> np.ndarray:
        """Touched bytes as a multiple of the last cache; without end where there is none."""
        if self.cache_bytes <= 0:
            return np.full(np.shape(touched_bytes), np.inf)
        share: np.ndarray = touched_bytes / self.cache_bytes
        return share


def machine_of(target: Target) -> GpuMachine:
    """The numbers of a target."""
    caches = [level for level in target.memory[1:] if not level.per_processor]
    boost = target.processors.boost
    vector = boost * (target.vector.get("f32") or max(target.vector.values()))
    return GpuMachine(
        name=target.name,
        architecture=target.architecture,
        runtime=target.runtime,
        processors=float(target.processors.count),
        clock_hz=float(target.processors.clock_hz) * boost,
        main_bytes_per_s=float(target.main_memory.bandwidth_bytes_per_s),
        cache_bytes=float(max((level.capacity_bytes for level in caches), default=0.0)),
        cache_bytes_per_s=float(caches[-1].bandwidth_bytes_per_s) * boost if caches else float("inf"),
        vector_flops_per_s=float(vector),
        # Where nothing is said: a quarter of the lanes' multiply-adds, as on every NVIDIA machine since Maxwell.
        special_per_s=float(target.special_per_s * boost if target.special_per_s else vector / 8),
        launch_s=float(target.launch_overhead_s),
        shared_bytes=next((float(x.capacity_bytes) for x in target.memory[1:] if x.name == "shared"), float("inf")),
        kind=target.kind,
        chip=target.measured_as,
        link=_widest_link(target),
    )


def _widest_link(target: Target) -> LinkKind | None:
    own = [link for link in target.links if link.topology not in ("bus", "network")]
    widest = max(own, key=lambda link: link.bandwidth_bytes_per_s, default=None)
    if widest is None:
        return None
    return LinkKind(widest.topology, float(widest.bandwidth_bytes_per_s), widest.reduces)
