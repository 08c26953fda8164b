"""Pipelines by name: what ``--opt 0`` to ``--opt 3`` run, for each kind of machine."""

from __future__ import annotations

from dataclasses import dataclass

from ircost.passes.base import PassError


@dataclass(frozen=True, slots=True)
class Level:
    """One step of ``--opt``.

    Args:
        summary: what is gained over the level below, in a few words.
        pipelines: kind of target -> text that ``--passes`` takes.
    """

    summary: str
    pipelines: dict[str, str]


KINDS = ("gpu", "cpu", "accelerator", "microcontroller")
DEFAULT_LEVEL = 2

_STANDARD = "canonicalize,recognise,fold-batch-norm,fuse"
# Runtimes of microcontrollers run a list of integer kernels with a bias and a relu in them; a call would hold its
# operands to its end.
_LISTED = "integer-products,canonicalize,recognise,fold-batch-norm,inline,fuse{residuals=false}"
_BY_COST = "weight-only,canonicalize,recognise,fold-batch-norm,fuse{by_cost=true}"
# Kernels of compilers grow as long as values fit registers; 64 ops is more than any measured fusion has.
_FOLDED = "canonicalize,recognise,fold-batch-norm,canonicalize,layout"
_LONG_KERNELS = f"{_FOLDED},fuse{{by_cost=true,max_ops=64}},merge-products,outline"
# What PyTorch launches one by one; its scaled_dot_product_attention is one kernel.
_OP_BY_OP = "weight-only,canonicalize,recognise,eager{attention=false},views"
# Inductor's default: products, with the bias of a linear layer, are calls of cuBLAS and cuDNN, batch norms are not
# folded into them, and everything between is fused. Source: PyTorch 2.13, torch/_inductor/config.py, max_autotune and
# freezing, both off.
_COMPILED = (
    "weight-only,canonicalize,recognise,eager{attention=false,activations=false},"
    "fuse{by_cost=true,max_ops=64,products=false},views{compiled=true}"
)
# What a runtime runs by default, where that is not what its kind of machine does.
OF_RUNTIMES = {"pytorch": _OP_BY_OP, "pytorch compile": _COMPILED}
_CHAINS = f"weight-only,{_FOLDED},fuse{{by_cost=true,chains=true,max_ops=64}},merge-products,outline"

LEVELS: tuple[Level, ...] = (
    Level("the model as it is written", dict.fromkeys(KINDS, "")),
    Level(
        "nothing twice, nothing dead, constants folded; on GPUs formats that they multiply",
        {**dict.fromkeys(KINDS, "canonicalize"), "gpu": "weight-only,canonicalize"},
    ),
    Level(
        "composites named, batch norm folded, ops fused; on GPUs by predicted time",
        # Kernels of GPUs were measured and their model fitted; elsewhere the plain rule is as good as a roofline.
        {**dict.fromkeys(KINDS, _STANDARD), "gpu": _BY_COST, "microcontroller": _LISTED},
    ),
    Level(
        "fewest transposes; long kernels, on GPUs of several products; q, k and v at once; repeats as functions",
        # A microcontroller has neither the registers nor the code memory for long kernels.
        {**dict.fromkeys(KINDS, _LONG_KERNELS), "gpu": _CHAINS, "microcontroller": _LISTED},
    ),
)


def pipeline_of_level(level: int, kind: str, runtime: str = "") -> str:
    """The pipeline of a level on a kind of machine.

    Args:
        runtime: whose kernels run there. On a GPU PyTorch fuses nothing by default, and its compiler nothing with
            products.

    Raises:
        PassError: there is no such level.

    >>> pipeline_of_level(1, "gpu")
    'weight-only,canonicalize'
    """
    if level == DEFAULT_LEVEL and kind == "gpu" and runtime in OF_RUNTIMES:
        return OF_RUNTIMES[runtime]
    if not 0 <= level < len(LEVELS):
        raise PassError(f"no level {level}", help=f"--opt takes 0 to {len(LEVELS) - 1}; irc passes --levels lists them")
    return LEVELS[level].pipelines[kind]
