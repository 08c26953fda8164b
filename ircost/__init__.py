"""A tensor IR and cost models: how fast will a network run on a machine, at what energy, and what limits it?

``compile`` answers for a model, ``sweep`` for many sizes of it, ``what_if`` for changes of the machine and the passes;
``explain`` opens a report, ``diff`` holds two side by side; ``predict`` and ``evaluate`` are about tables of single
kernels. Figures are in SI base units, with the unit in the name: ``latency_s``, ``energy_j``, ``weights_bytes``. What a
caller does wrong is an ``ircost.ir.IrcError``.
"""

from ircost.library import compile, diff, evaluate, explain, from_torch, predict, sweep, what_if

__all__ = ["__version__", "compile", "diff", "evaluate", "explain", "from_torch", "predict", "sweep", "what_if"]

__version__ = "0.1.0"
