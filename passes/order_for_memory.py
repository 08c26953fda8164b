"""The order of ops that needs the least memory."""

from __future__ import annotations

import bisect
import heapq
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
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


Needs = tuple[int, int]  # bytes that an op adds while it runs, and behind it


@dataclass(frozen=True, slots=True)
class _State:
    """What there is once a set of ops has run.

    Args:
        peak: most bytes on the way to it. live: bytes in use.
        ready: ops that can run now. alike: the same by what they need, in ascending order.
    """

    peak: int
    live: int
    ready: tuple[int, ...]
    alike: Mapping[Needs, tuple[int, ...]]

    def best(self, most: int) -> list[tuple[int, int, int]]:
        """Peak, bytes in use behind it, and number, of ops that can run now: those with the lowest."""
        return heapq.nsmallest(
            most,
            (
                (max(self.peak, self.live + during), self.live + kept, i)
                for (during, kept), own in self.alike.items()
                for i in own[:most]
            ),
        )


def _count_following(states: Mapping[int, _State], most: int) -> int:
    """How many sets follow these; one more than ``most`` where there are more."""
    found: set[int] = set()
    for done, state in states.items():
        for i in state.ready:
            found.add(done | 1 << i)
            if len(found) > most:
                return len(found)
    return len(found)


def _moved(
    alike: Mapping[Needs, tuple[int, ...]], old: Mapping[int, Needs], new: Mapping[int, Needs]
) -> dict[Needs, tuple[int, ...]]:
    """Ops by what they need, some of them from where they were to where they are now."""
    found = dict(alike)
    for i, needs in old.items():
        own = found[needs]
        place = bisect.bisect_left(own, i)
        found[needs] = own[:place] + own[place + 1 :]
    for i, needs in new.items():
        own = found.get(needs, ())
        place = bisect.bisect_left(own, i)
        found[needs] = (*own[:place], i, *own[place:])
    return {needs: own for needs, own in found.items() if own}


class _Dependences:
    """Run-time ops of a block by number: what each waits for, which buffers it reads, how large they are."""

    def __init__(self, block: Block) -> None:
        at_load = load_time_ops(block)
        self.fixed = [op for op in block.ops if op in at_load]
        self.ops = [op for op in block.ops if op not in at_load and op is not block.last]
        self.number = {op: i for i, op in enumerate(self.ops)}
        self.owner = self._owners()
        self.before = self._waits()
        self.reads = [self._reads(op) for op in self.ops]
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

    def _owners(self) -> dict[Value, Value]:
        """Results -> the value whose buffer each is in: views are in that of what they view."""
        owner: dict[Value, Value] = {}
        for op in self.ops:
            for result in op.results:
                source = op.operands[0] if op.definition.is_view else result
                owner[result] = owner.get(source, source)
        return owner

    def _waits(self) -> list[tuple[int, ...]]:
        """What each op waits for: producers of what it reads, and of impure ops the one before."""
        before: list[tuple[int, ...]] = []
        impure = -1
        for i, op in enumerate(self.ops):
            producers = [value.producer for inner in _reading(op) for value in inner.operands]
            found = {self.number[made] for made in producers if made in self.number and made is not op}
            if not all(inner.definition.is_pure for inner in _reading(op)) and op.name != "call":
                found |= {impure} - {-1}
                impure = i
            before.append(tuple(sorted(found)))
        return before

    def _reads(self, op: Op) -> tuple[Value, ...]:
        """Buffers that an op reads, each once."""
        values = [value for inner in _reading(op) for value in inner.operands]
        own = dict.fromkeys(self.owner[value] for value in values if value in self.owner)
        return tuple(value for value in own if value.producer in self.number and value.producer is not op)

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

    def _beam(self, max_states: int, width: int) -> list[int]:
        """Sets of finished ops, by their number: of each the lowest peak on the way to it.

        Every set is kept as long as all together are few, which makes it exact; then the best of each number are. What
        is in use after a set depends on the set alone. So where the best ``width`` sets are kept, none but the best
        ``width`` that follow each of them matter.
        """
        self.users = {value: sum(1 << i for i in readers) for value, readers in self.readers.items()}
        start = self._ready_at_start()
        states = {0: _State(0, 0, start, _moved({}, {}, {i: self._needs(i, 0) for i in start}))}
        steps: list[dict[int, tuple[int, int]]] = []
        seen = 0
        for _ in self.ops:
            if seen <= max_states:
                seen += _count_following(states, max_states - seen)
            is_whole = seen <= max_states
            following: dict[int, tuple[int, int]] = {}
            came: dict[int, tuple[int, int]] = {}
            for done, state in states.items():
                for reached, live, i in self._each(done, state) if is_whole else state.best(width):
                    after = done | 1 << i
                    if after not in following or reached < following[after][0]:
                        following[after] = reached, live
                        came[after] = done, i
            kept = following if is_whole else heapq.nsmallest(width, following, key=lambda s: (following[s], s))
            steps.append({after: came[after] for after in kept})
            states = {after: self._state(*following[after], states[came[after][0]], *came[after]) for after in kept}
        (done,) = states
        order = []
        for came in reversed(steps):
            done, i = came[done]
            order.append(i)
        return order[::-1]

    def _each(self, done: int, state: _State) -> Iterator[tuple[int, int, int]]:
        """Peak, bytes in use behind it, and number, of every op that can run now."""
        for i in state.ready:
            during, kept = self._needs(i, done)
            yield max(state.peak, state.live + during), state.live + kept, i

    def _state(self, peak: int, live: int, before: _State, done: int, i: int) -> _State:
        """What there is once op ``i`` has run, too."""
        after = done | 1 << i
        opened = tuple(j for j in self.behind[i] if self._is_ready(j, after))
        place = before.ready.index(i)
        old, new = {i: self._needs(i, done)}, {j: self._needs(j, after) for j in opened}
        for value in self.reads[i]:
            left = self.users[value] & ~after
            last = left.bit_length() - 1
            # The last to read a value lets go of it.
            if left and left == 1 << last and last not in new and self._is_ready(last, after):
                old[last], new[last] = self._needs(last, done), self._needs(last, after)
        ready = (*before.ready[:place], *before.ready[place + 1 :], *opened)
        return _State(peak, live, ready, _moved(before.alike, old, new))

    def _is_ready(self, i: int, done: int) -> bool:
        return all(done >> j & 1 for j in self.before[i])

    def _needs(self, i: int, done: int) -> Needs:
        """Bytes that op ``i`` adds while it runs, and behind it."""
        after = done | 1 << i
        dead = [v for v in self.reads[i] if v not in self.leaving and not self.users[v] & ~after]
        freed = sum(v.type.size_bytes for v in dead)
        over = next((v.type.size_bytes for v in self.in_place[i] if v in dead), 0)
        return self.made[i] - over, self.made[i] - freed - self._unread(i)

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
