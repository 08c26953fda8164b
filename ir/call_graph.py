"""The call graph: without cycles, of limited depth, and with a limited number of calls in all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ircost.ir.errors import VerifyError

MAX_DEPTH = 64  # calls within calls, as bodies within bodies in the text
MAX_CALLS = 1_000_000  # in one run: two calls of a function that calls twice, and so on, are soon beyond counting


def check_calls(callees: Mapping[str, Sequence[str]]) -> None:
    """Linear in the number of calls that are written.

    Args:
        callees: of each function of a module, what it calls, once for each call.

    Raises:
        VerifyError: a function calls itself, calls nest too deep, or there are too many to follow.

    >>> check_calls({"layer": [], "main": ["layer", "layer"]})
    """
    depth: dict[str, int] = {}
    calls: dict[str, int] = {}
    for root in callees:
        path = {root: iter(callees[root])} if root not in depth else {}
        while path:
            name, rest = next(reversed(path.items()))
            following = next((callee for callee in rest if callee not in depth), None)
            if following is None:
                del path[name]
                depth[name] = max((depth[callee] for callee in callees[name]), default=0) + 1
                calls[name] = sum(calls[callee] + 1 for callee in callees[name])
                _check_size(name, depth[name], calls[name])
            elif following in path:
                raise VerifyError(f"function @{following} calls itself, by way of @{name}")
            else:
                path[following] = iter(callees[following])


def _check_size(name: str, depth: int, calls: int) -> None:
    if depth > MAX_DEPTH:
        raise VerifyError(f"calls nest deeper than {MAX_DEPTH}, below function @{name}")
    if calls > MAX_CALLS:
        raise VerifyError(f"function @{name} and what it calls come to {calls:,} calls, more than {MAX_CALLS:,}")
