"""The order of ops that needs the least memory."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ircost.cost_models.liveness import lifetimes, may_overwrite
from ircost.ir.graph import Block, Function, Module, Op, Value
from ircost.ir.load_time import load_time_ops
from ircost.passes.base import Pass, PassContext, check_least, register_pass


@register_pass("order-for-memory")
@dataclass(frozen=True, slots=True)
class OrderForMemory(Pass):
    """Put ops in an order whose fullest moment holds fewer bytes.

    The best order of all where there are few enough; else the best that a beam, or for long programs a greedy list
    scheduler, finds. An order that is no better than the given one is not taken. Outputs stay bit-identical.

    Args:
        max_states: sets of finished ops that are looked at; as long as no more are met, the order is the best.
    """

    is_exact = True
    is_idempotent = False  # a beam that starts from a better order may find one that is better still

    max_states: int = 20_000

    def __post_init__(self) -> None:
        check_least(self, "max_states", 0)

    def run(self, module: Module, context: PassContext) -> Counter[str]:
        fired: Counter[str] = Counter()
        peaks: dict[str, int] = {}  # of functions as they are now; a callee's order changes its callers' too
        for function, block in ordered_blocks(module):
            before = [op for op in block.ops if op is not block.last]
            for order in _Dependences(block).orders(self.max_states):
                if function.name not in peaks:
                    peaks[function.name] = lifetimes(module, function=function).peak_bytes
                put_in_order(block, order)
                peak = lifetimes(module, function=function).peak_bytes
                if peak < peaks[function.name]:
                    peaks = {function.name: peak}
                    fired["blocks"] += 1
                    break
                put_in_order(block, before)
        return fired


def ordered_blocks(module: Module) -> list[tuple[Function, Block]]:
    """Functions, and bodies of control flow in them."""
    blocks = []
    for function in module.functions.values():
        blocks.append((function, function.block))
        for op in function.walk():
            if op.name in ("if", "while", "scan"):
                blocks += [(function, region.block) for region in op.regions]
    return blocks


def put_in_order(block: Block, order: Sequence[Op]) -> None:
    """Moves the ops of a block; its terminator stays last."""
    terminator = block.terminator
    for op in order:
        block.remove(op)
        block.insert_before(op, terminator)


class _Dependences:
    """Run-time ops of a block by number: what each waits for, which buffers it reads, how large they are."""

    def __init__(self, block: Block) -> None:
        at_load = load_time_ops(block)
        self.fixed = [op for op in block.ops if op in at_load]
        self.ops = [op for op in block.ops if op not in at_load and op is not block.last]
        self.number = {op: i for i, op in enumerate(self.ops)}
        self.owner: dict[Value, Value] = {}
        for op in self.ops:
            for result in op.results:
                source = op.operands[0] if op.definition.is_view else result
                self.owner[result] = self.owner.get(source, source)
        self.before: list[tuple[int, ...]] = []
        self.reads: list[tuple[Value, ...]] = []
        impure = -1
        for i, op in enumerate(self.ops):
            operands = [v for inner in _reading(op) for v in inner.operands]
            found = {self.number[v.producer] for v in operands if v.producer in self.number and v.producer is not op}
            if not all(inner.definition.is_pure for inner in _reading(op)) and op.name != "call":
                found |= {impure} - {-1}
                impure = i
            self.before.append(tuple(sorted(found)))
            own = dict.fromkeys(self.owner[v] for v in operands if v in self.owner)
            self.reads.append(tuple(v for v in own if v.producer in self.number and v.producer is not op))
        self.behind: list[list[int]] = [[] for _ in self.ops]
        for i, befores in enumerate(self.before):
            for j in befores:
                self.behind[j].append(i)
        self.readers: dict[Value, list[int]] = {}
        for i, reads in enumerate(self.reads):
            for value in reads:
                self.readers.setdefault(value, []).append(i)
        self.users: dict[Value, int] = {}  # the same as bits, for the search that needs them
        returned = {self.owner.get(value, value) for value in block.terminator.operands}
        self.leaving = returned & set(self.owner.values())
        self.made = [sum(r.type.size_bytes for r in op.results if self.owner[r] is r) for op in self.ops]
        self.in_place = [self._overwritten(op) for op in self.ops]

    def _overwritten(self, op: Op) -> tuple[Value, ...]:
        if len(op.results) != 1 or op.definition.is_view or op.result in self.leaving:
            return ()
        values = [self.owner.get(v, v) for i, v in enumerate(op.operands) if may_overwrite(op, i)]
        return tuple(v for v in values if v.producer in self.number and v not in self.leaving)

    def orders(self, max_states: int) -> Iterator[list[Op]]:
        """Candidates, the best first; the given order is none."""
        if len(self.ops) < 3:
            return
        width = max_states // len(self.ops)
        found = self._beam(max_states, width) if width >= 4 else None
        for numbers in (found, self._greedy()):
            if numbers is not None and list(numbers) != list(range(len(self.ops))):
                yield [*self.fixed, *(self.ops[i] for i in numbers)]

    def _freed(self, i: int, done: int) -> tuple[int, int]:
        """Bytes that are let go once op ``i`` has run, and those that it writes over."""
        after = done | 1 << i
        dead = [v for v in self.reads[i] if v not in self.leaving and not self.users[v] & ~after]
        freed = sum(v.type.size_bytes for v in dead)
        over = next((v.type.size_bytes for v in self.in_place[i] if v in dead), 0)
        return freed, over

    def _beam(self, max_states: int, width: int) -> list[int]:
        """Sets of finished ops, by their number: of each the lowest peak on the way to it.

        Every set is kept as long as all together are few, which makes it exact; then the best of each number are.
        """
        self.users = {value: sum(1 << i for i in readers) for value, readers in self.readers.items()}
        states: dict[int, tuple[int, int, tuple[int, ...]]] = {0: (0, 0, self._ready_at_start())}
        steps: list[dict[int, tuple[int, int]]] = []
        seen = 0
        for _ in self.ops:
            following: dict[int, tuple[int, int, tuple[int, ...]]] = {}
            came: dict[int, tuple[int, int]] = {}
            for done, (peak, live, ready) in states.items():
                for i in ready:
                    after = done | 1 << i
                    freed, over = self._freed(i, done)
                    during = live + self.made[i] - over
                    reached = max(peak, during)
                    if after not in following or reached < following[after][0]:
                        opened = [j for j in self.behind[i] if all(after >> k & 1 for k in self.before[j])]
                        left = tuple(j for j in ready if j != i)
                        live_after = during - (freed - over) - self._unread(i)
                        following[after] = reached, live_after, (*left, *opened)
                        came[after] = done, i
            seen += len(following)
            if seen > max_states:
                kept = heapq.nsmallest(width, following, key=lambda s: (following[s][:2], s))
                following = {state: following[state] for state in kept}
            states = following
            steps.append(came)
        (done,) = states
        order = []
        for came in reversed(steps):
            done, i = came[done]
            order.append(i)
        return order[::-1]

    def _unread(self, i: int) -> int:
        results = self.ops[i].results
        return sum(
            r.type.size_bytes for r in results if self.owner[r] is r and r not in self.readers and r not in self.leaving
        )

    def _ready_at_start(self) -> tuple[int, ...]:
        return tuple(i for i, before in enumerate(self.before) if not before)

    def _greedy(self) -> list[int]:
        """Of the ops that can run, the one after which least is in use."""
        waiting = [len(before) for before in self.before]
        left = {value: len(readers) for value, readers in self.readers.items()}
        heap = [(self._growth(i, left), i) for i in self._ready_at_start()]
        heapq.heapify(heap)
        done = [False] * len(self.ops)
        order = []
        while heap:
            growth, i = heapq.heappop(heap)
            if done[i] or growth != self._growth(i, left):
                continue  # an older estimate; the newer one is in the heap too
            done[i] = True
            order.append(i)
            for j in self.behind[i]:
                waiting[j] -= 1
                if not waiting[j]:
                    heapq.heappush(heap, (self._growth(j, left), j))
            for value in self.reads[i]:
                left[value] -= 1
                if left[value] == 1:
                    last = next(j for j in self.readers[value] if not done[j])
                    if not waiting[last]:
                        heapq.heappush(heap, (self._growth(last, left), last))
        return order

    def _growth(self, i: int, left: dict[Value, int]) -> int:
        freed = sum(v.type.size_bytes for v in self.reads[i] if left[v] == 1 and v not in self.leaving)
        return self.made[i] - freed - self._unread(i)


def _reading(op: Op) -> Iterator[Op]:
    """The op, and ops in its bodies that may read what is around it."""
    return iter(op.walk()) if op.regions and not op.definition.is_isolated else iter((op,))
