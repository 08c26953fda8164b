"""Rewriting: patterns that read as equations, and the worklist driver that applies them.

A pattern looks at one op and returns what should stand in its place, made of detached ops; it never edits the graph.
The driver inserts, replaces, erases what died, revisits the neighbours, and counts.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter, deque
from collections.abc import Iterable, Sequence

from ircost.ir.builder import detached_ops
from ircost.ir.definition import OPS
from ircost.ir.errors import IrcError, did_you_mean
from ircost.ir.graph import Block, Module, Op, Region, Value, replace_value
from ircost.ir.location import Location, merge_locations

# Rewrites per op after which patterns are taken to undo each other.
REWRITES_PER_OP = 64


class RewriteError(IrcError):
    """A pattern broke a rule of rewriting: a fault of the pattern, not of the model."""


class RewritePattern(ABC):
    """One rewrite. Its docstring is its equation.

    ``root`` names the op, or ops, that it looks at; None for all.
    """

    root: str | tuple[str, ...] | None

    @abstractmethod
    def rewrite(self, op: Op) -> Value | Sequence[Value] | None:
        """What should stand in place of ``op``: a value for each result, of the same type; None to leave it alone."""


def apply_patterns(module: Module, patterns: Iterable[RewritePattern]) -> Counter[str]:
    """Applies patterns until none fires. Bodies of control flow and kernels are visited, those of composites are not.

    Returns:
        How often each pattern fired, by the name of its class.

    Raises:
        RewriteError: a pattern failed or changed a type, or the patterns undo each other without end; names the
            pattern and the op.

    Time is linear in the number of ops and of rewrites.
    """
    return _Driver(patterns).run(module)


class _Driver:
    def __init__(self, patterns: Iterable[RewritePattern]) -> None:
        self.by_root: dict[str, list[RewritePattern]] = {}
        self.of_any: list[RewritePattern] = []
        for pattern in patterns:
            check_root(pattern)
            if pattern.root is None:
                self.of_any.append(pattern)
                continue
            roots = (pattern.root,) if isinstance(pattern.root, str) else pattern.root
            for root in roots:
                self.by_root.setdefault(root, []).append(pattern)
        for root in self.by_root:
            self.by_root[root] += self.of_any
        self.fired: Counter[str] = Counter()
        self.worklist: deque[Op] = deque()
        self.waiting: set[Op] = set()

    def run(self, module: Module) -> Counter[str]:
        for op in rewritable_ops(module):
            self._push(op)
        budget = REWRITES_PER_OP * (len(self.worklist) + 16)
        while self.worklist:
            op = self.worklist.popleft()
            self.waiting.discard(op)
            if op.block is not None:
                self._visit(op)
            if self.fired.total() > budget:
                name, times = self.fired.most_common(1)[0]
                raise RewriteError(f"rewriting does not end: '{name}' fired {times} times", at=op)
        return self.fired

    def _push(self, op: Op) -> None:
        if op not in self.waiting and (op.name in self.by_root or self.of_any or is_erasable(op)):
            self.waiting.add(op)
            self.worklist.append(op)

    def _visit(self, op: Op) -> None:
        if is_dead(op):
            self._erase(op)
            return
        for pattern in self.by_root.get(op.name, self.of_any):
            replacement = self._rewrite(pattern, op)
            if replacement is not None:
                self._replace(op, values_of(replacement, pattern, op), pattern)
                return

    def _rewrite(self, pattern: RewritePattern, op: Op) -> Value | Sequence[Value] | None:
        try:
            return pattern.rewrite(op)
        except Exception as error:  # whatever a pattern does wrong, it and the op it failed on are named
            reason = error.message if isinstance(error, IrcError) else f"{type(error).__name__}: {error}"
            raise RewriteError(f"pattern '{type(pattern).__name__}' failed: {reason}", at=op) from error

    def _replace(self, op: Op, values: list[Value], pattern: RewritePattern) -> None:
        name = type(pattern).__name__
        self._check(op, values, name)
        self.fired[name] += 1
        block = op.block
        assert block is not None
        made = detached_ops(values)
        for new in made:
            if new.location is None:
                new.location = merge_locations([op.location, *absorbed_locations(op, new)])
            block.insert_before(new, op)
        for old, value in zip(op.results, values, strict=True):
            for user in old.users:
                self._push(user)
            replace_value(old, value)
            if value.name is None:
                value.name = old.name
        for new in made:
            for inner in new.walk() if not new.definition.is_composite else (new,):
                self._push(inner)
        self._erase(op)

    def _check(self, op: Op, values: list[Value], name: str) -> None:
        if len(values) != len(op.results):
            raise RewriteError(f"pattern '{name}' gives {len(values)} values for {len(op.results)} results", at=op)
        for old, value in zip(op.results, values, strict=True):
            if value in op.results:
                raise RewriteError(f"pattern '{name}' gives the op's own result", at=op, help="None leaves an op alone")
            if old.type != value.type:
                raise RewriteError(f"pattern '{name}' puts a {value.type} in place of a {old.type}", at=op)

    def _erase(self, op: Op) -> None:
        """Takes an op out, and with it at once what only it used: no pattern is to take the dead for users."""
        gone = {op: None}
        while gone:
            op, _ = gone.popitem()
            producers = [operand.producer for operand in dict.fromkeys(op.operands)]
            captured = [inner.operands for region in op.regions for inner in region.block.walk()]
            assert op.block is not None
            drop_regions(op)
            op.block.remove(op)
            for producer in dict.fromkeys([*producers, *(v.producer for operands in captured for v in operands)]):
                if producer is None or producer.block is None or producer in gone:
                    continue
                if is_dead(producer):
                    gone[producer] = None
                else:
                    self._push_remaining(producer)

    def _push_remaining(self, producer: Op) -> None:
        """An op that has one user fewer: patterns that ask for a single use may fit it and its last user now."""
        self._push(producer)
        for result in producer.results:
            if len(result.uses) == 1:
                self._push(next(iter(result.uses))[0])


def check_root(pattern: RewritePattern) -> None:
    """Raises RewriteError where a pattern looks at no op that there is, and so would never fire."""
    name = type(pattern).__name__
    if not hasattr(pattern, "root"):
        raise RewriteError(f"pattern '{name}' has no root", help="name the op that it looks at, or None for all")
    for root in (pattern.root,) if isinstance(pattern.root, str) else pattern.root or ():
        if root not in OPS:
            help = did_you_mean(root, OPS.names(), "irc ops lists all")
            raise RewriteError(f"pattern '{name}' looks at '{root}', which is not an op", help=help)


def values_of(replacement: object, pattern: RewritePattern, op: Op) -> list[Value]:
    """What a pattern returned, as a list.

    Raises:
        RewriteError: it is neither values nor None.
    """
    given = replacement if isinstance(replacement, (tuple, list)) else [replacement]
    values = [value for value in given if isinstance(value, Value)]
    for value in given:
        if not isinstance(value, Value):
            help = "return the op's result" if isinstance(value, Op) else "return values, or None to leave the op alone"
            name = type(pattern).__name__
            raise RewriteError(f"pattern '{name}' gives {type(value).__name__}, not a value", at=op, help=help)
    return values


def drop_regions(op: Op) -> None:
    """Takes the ops of an op's bodies out, so that values from around it forget them."""
    for region in op.regions:
        discard_body(region)


def discard_body(region: Region) -> None:
    """Takes all ops out of a body that is no longer wanted, so that values from around it forget them."""
    for op in reversed(list(region.block.ops)):
        drop_regions(op)
        region.block.remove(op)


def absorbed_locations(op: Op, new: Op) -> list[Location | None]:
    """Locations of the producers that ``new`` passes over: only ``op`` used them, and ``new`` does not read them."""
    absorbed = []
    read = set(new.operands)
    for operand in dict.fromkeys(op.operands):
        producer = operand.producer
        if producer is not None and producer.name != "constant" and len(operand.uses) == 1 and operand not in read:
            absorbed.append(producer.location)
    return absorbed


def rewritable_ops(module: Module) -> Iterable[Op]:
    """All ops but those in the bodies of composites, which are their declared meaning."""
    for function in module.functions.values():
        yield from _rewritable(function.block)


def _rewritable(block: Block) -> Iterable[Op]:
    for op in block.ops:
        yield op
        if op.regions and not op.definition.is_composite:
            for region in op.regions:
                yield from _rewritable(region.block)


def is_erasable(op: Op) -> bool:
    """Whether the op may go once nothing uses its results."""
    return op.definition.is_pure and not op.definition.is_terminator


def is_dead(op: Op) -> bool:
    return is_erasable(op) and not op.has_uses


def erase_dead_ops(module: Module) -> int:
    """Takes out pure ops whose results nothing uses, bottom up.

    Returns:
        How many.
    """
    erased = 0
    for op in reversed(list(rewritable_ops(module))):
        if op.block is not None and is_dead(op):
            drop_regions(op)
            op.block.remove(op)
            erased += 1
    return erased
