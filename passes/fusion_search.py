"""Which ops to fuse: a search by predicted time.

Groups of ops grow by merging a producer with a consumer. Each round prices all merges that have come into reach, in few
calls of the cost model, and takes those that save most; a merge next to one just taken waits for the next round, where
it is priced anew. Nothing is merged that is not predicted to be faster.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from ircost.backends import Target
from ircost.cost_models.interface import CostModel
from ircost.cost_models.kernel_table import Cold, ColdValues, Key, is_kernel, structural_key, table_of_kernels
from ircost.ir.clone import clone_op
from ircost.ir.graph import Block, Op, Value
from ircost.ir.load_time import load_time_ops
from ircost.passes.chain_tiles import schedules
from ircost.passes.fusion_legality import Room, is_product, may_be_kernel
from ircost.passes.fusion_readers import Readers
from ircost.passes.kernel_making import can_fuse, kernel_of

# A value with more readers is looked at from each reader's side only, so that a round stays linear.
MOST_READERS = 16
# Predictions that differ by less are equal: rounding is no gain.
LEAST_SHARE = 1e-6
LONGEST_CHAIN = 6
AT_ONCE = 1000  # kernels in one call of the model: their iteration spaces are remembered from legality to price
# Work that is done several times is short, and so is the code that does it.
LONGEST_COPY, MOST_COPIES = 8, 4


@dataclass(slots=True, eq=False)
class Group:
    """Ops that will be one kernel.

    Args:
        ops: in program order. results: what others read of theirs.
        place: of the last op in the block, which is where the kernel will stand.
        schedule: how it runs, where it holds several products.
        is_alive: no merge has swallowed it.
    """

    ops: tuple[Op, ...]
    results: tuple[Value, ...]
    place: float
    latency_s: float = 0.0
    schedule: str = ""
    is_alive: bool = True


@dataclass(frozen=True, slots=True)
class Candidate:
    """Groups that may become others.

    Args:
        parts: as they are; by place.
        merged: all of them as one; or, of a first one that all others read, each of those with a copy of it.
    """

    parts: tuple[Group, ...]
    merged: tuple[Group, ...]

    @property
    def is_open(self) -> bool:
        return all(part.is_alive for part in self.parts)


@dataclass(frozen=True, slots=True)
class Merge:
    """A candidate; ``gain_s`` is what it saves."""

    candidate: Candidate
    gain_s: float

    @property
    def rank(self) -> tuple[float, float, float]:
        return -self.gain_s, self.candidate.merged[-1].place, self.candidate.parts[0].place


@dataclass(frozen=True, slots=True)
class Price:
    """Predicted time of a kernel under its fastest schedule."""

    latency_s: float
    schedule: str = ""


@dataclass(slots=True)
class Pricer:
    """Predicted times of groups as kernels; remembers those alike.

    Args:
        may_chain: whether a kernel may hold several products.
        may_join: whether one that holds a product may hold anything else.
        known: by structure; None where they cannot be one kernel.
    """

    model: CostModel
    target: Target
    room: Room
    may_chain: bool = False
    may_join: bool = True
    known: dict[Key, Price | None] = field(default_factory=dict)
    numbers: dict[Key, int] = field(default_factory=dict)  # of structures of single ops
    number_of: dict[Op, int] = field(default_factory=dict)

    def price(self, groups: Sequence[tuple[Group, ColdValues]]) -> list[Price | None]:
        """The price of each group; all that are new take few calls of the model."""
        keys = [self.key_of(group, cold) for group, cold in groups]
        new: dict[Key, tuple[Group, ColdValues]] = {}
        for key, found in zip(keys, groups, strict=True):
            if key not in self.known:
                new.setdefault(key, found)
        unseen = [(key, group, cold) for key, (group, cold) in new.items()]
        for start in range(0, len(unseen), AT_ONCE):
            self.learn(unseen[start : start + AT_ONCE])
        return [self.known[key] for key in keys]

    def learn(self, groups: Sequence[tuple[Key, Group, ColdValues]]) -> None:
        """Prices groups with one call of the model."""
        self.known.update((key, None) for key, *_ in groups)
        rows = [(key, *row) for key, group, cold in groups for row in self.candidates(group, cold)]
        if not rows:
            return
        _, schedules, ops, own = zip(*rows, strict=True)
        latencies = self.model.estimate(table_of_kernels(ops, own), self.target).latency_s.tolist()
        for (key, *_), schedule, latency_s in zip(rows, schedules, latencies, strict=True):
            best = self.known[key]
            if best is None or latency_s < best.latency_s:
                self.known[key] = Price(latency_s, schedule)

    def key_of(self, group: Group, cold: ColdValues) -> Key:
        """Equal for groups of ops alike, wired alike, with results and cold operands in the same places."""
        places: dict[Value, int] = {}
        wires: list[object] = []
        for op in group.ops:
            wires.append(self.number(op))
            for value in op.operands:
                place = places.get(value)
                if place is None:
                    place = places[value] = len(places)
                    wires.append(cold.has(value))
                wires.append(place)
            places[op.result] = len(places)
        wires.extend([places[result] for result in group.results])
        return *wires, any(result in cold.leaving for result in group.results)

    def number(self, op: Op) -> int:
        """The same for ops alike; each is looked at once."""
        known = self.number_of.get(op)
        if known is None:
            known = self.number_of[op] = self.numbers.setdefault(structural_key(op), len(self.numbers))
        return known

    def candidates(self, group: Group, cold: ColdValues) -> Iterator[tuple[str, Op, Cold]]:
        """Ways to run a group as one kernel; none where it cannot be one."""
        leaves = any(result in cold.leaving for result in group.results)
        for schedule in self.schedules(group):
            alone = len(group.ops) == 1
            op = group.ops[0] if alone else kernel_of(group.ops, group.results, schedule)
            yield schedule, op, (*[cold.has(operand) for operand in op.operands], leaves)

    def schedules(self, group: Group) -> list[str]:
        if len(group.ops) == 1:
            return [""]
        if not self.may_join and holds_product(group):
            return []
        if may_be_kernel(group.ops, group.results, self.room):
            return [""]
        if self.may_chain and sum(map(is_product, group.ops)) > 1:
            return schedules(group.ops, group.results, self.room)
        return []


def find_groups(blocks: Mapping[Block, ColdValues], pricer: Pricer, max_ops: int) -> list[list[Group]]:
    """Groups of two ops and more of each block, in program order.

    Blocks are searched side by side, so that a round of all of them takes one call of the model.

    Raises:
        TargetError: the target cannot compute in a format that an op needs.
    """
    searches = [_Search(block, cold, max_ops) for block, cold in blocks.items()]
    alone = [(search, group) for search in searches for group in search.alive()]
    for (_, group), price in zip(alone, pricer.price([(group, s.cold) for s, group in alone]), strict=True):
        assert price is not None, "an op alone is a kernel"
        group.latency_s = price.latency_s
    join([(search, search.alive()) for search in searches], _Search.merges_around, pricer)
    if pricer.may_chain:
        ends = [(search, [group for group in search.alive() if holds_product(group)]) for search in searches]
        join(ends, _Search.chains_to, pricer)
    return [[group for group in search.alive() if len(group.ops) > 1] for search in searches]


Changed = Sequence[tuple["_Search", Sequence[Group]]]


def join(
    changed: Changed, candidates: Callable[[_Search, Sequence[Group]], Iterator[Candidate]], pricer: Pricer
) -> None:
    """Rounds of merges, the most gainful of each block first, until there is none left."""
    waiting: dict[_Search, list[Merge]] = {search: [] for search, _ in changed}
    while any(groups for _, groups in changed):
        found = [(search, list(candidates(search, groups))) for search, groups in changed if groups]
        for search, merges in gainful(found, pricer):
            waiting[search].extend(merges)
        changed = [(search, search.take_best(waiting)) for search, _ in found]
        # What was merged in this round waits: the gain of a second merge is another by now.


def gainful(found: Sequence[tuple[_Search, list[Candidate]]], pricer: Pricer) -> Iterator[tuple[_Search, list[Merge]]]:
    """Of the candidates of each block those that are predicted to be faster."""
    asked = [(group, s.cold) for s, candidates in found for each in candidates for group in each.merged]
    prices = iter(pricer.price(asked))
    for search, candidates in found:
        yield search, [merge for each in candidates if (merge := merge_of(each, prices)) is not None]


def merge_of(candidate: Candidate, prices: Iterator[Price | None]) -> Merge | None:
    """The merge, where it is faster; takes as many prices as it makes groups."""
    own = [next(prices) for _ in candidate.merged]
    apart_s = sum(part.latency_s for part in candidate.parts)
    together_s = sum(price.latency_s if price is not None else math.inf for price in own)
    if together_s >= apart_s * (1 - LEAST_SHARE):
        return None
    for group, price in zip(candidate.merged, own, strict=True):
        assert price is not None, "what cannot be has no gain"
        group.latency_s, group.schedule = price.latency_s, price.schedule
    return Merge(candidate, apart_s - together_s)


class _Search:
    """One block."""

    def __init__(self, block: Block, cold: ColdValues, max_ops: int) -> None:
        self.block = block
        self.cold = cold
        self.max_ops = max_ops
        self.order: dict[Op, float] = {op: place for place, op in enumerate(block.ops)}
        self.readers = Readers(self.order)
        self.group_of: dict[Op, Group] = {}
        at_load = load_time_ops(block)
        cold.weights |= at_load
        for op, place in self.order.items():
            if op not in at_load and can_fuse(op) and is_kernel(op):
                self.group_of[op] = Group((op,), op.results, place)

    def alive(self) -> list[Group]:
        return list(dict.fromkeys(self.group_of.values()))

    def take_best(self, waiting: dict[_Search, list[Merge]]) -> list[Group]:
        """Merges of this block that are still open, the most gainful first; what they made."""
        ranked = sorted((m for m in waiting[self] if m.candidate.is_open), key=lambda merge: merge.rank)
        taken = [group for merge in ranked if merge.candidate.is_open for group in self.take(merge.candidate)]
        waiting[self] = [merge for merge in ranked if merge.candidate.is_open]
        return taken

    def take(self, candidate: Candidate) -> tuple[Group, ...]:
        if len(candidate.merged) > 1:
            self.copy_into_readers(candidate)
        for part in candidate.parts:
            part.is_alive = False
        for group in candidate.merged:
            self.group_of.update(dict.fromkeys(group.ops, group))
        return candidate.merged

    def copy_into_readers(self, candidate: Candidate) -> None:
        """Gives each reader of the first part a copy of that, in the block too."""
        source, *readers = candidate.parts
        for reader, merged in zip(readers, candidate.merged, strict=True):
            known: dict[Value, Value] = {}
            copies = []
            for op in source.ops:
                above = self.order[op.previous] if op.previous is not None else self.order[op] - 1
                copies.append(self.block.insert_before(clone_op(op, known), op))
                self.order[copies[-1]] = (above + self.order[op]) / 2
                self.readers.add(copies[-1])
            for op in reader.ops:
                for place, value in enumerate(op.operands):
                    op.set_operand(place, known.get(value, value))
            merged.ops = tuple(sorted((*copies, *reader.ops), key=self.order.__getitem__))
        for op in reversed(source.ops):
            del self.group_of[op]
            self.readers.remove(op)
            self.block.remove(op)

    # ---- what is in reach

    def merges_around(self, groups: Sequence[Group]) -> Iterator[Candidate]:
        """Every group with each of its neighbours, each pair once; and copies of what several read."""
        seen: set[tuple[Group, Group]] = set()
        shared: set[Group] = set()
        for group in groups:
            pairs = [(producer, group, views) for producer, views in self.producers(group).items()]
            for consumer in self.consumers(group):
                pairs.append((group, consumer, self.producers(consumer).get(group, [])))
            for producer, consumer, views in pairs:
                if (producer, consumer) not in seen:
                    seen.add((producer, consumer))
                    merged = self.merged((producer, consumer), views)
                    if merged is not None:
                        yield Candidate((producer, consumer), (merged,))
            for source in (group, *self.producers(group)):
                if source not in shared:
                    shared.add(source)
                    yield from self.copies_of(source)

    def copies_of(self, source: Group) -> Iterator[Candidate]:
        """A cheap group in each of those that read it, so that nobody writes what it makes."""
        if len(source.ops) > LONGEST_COPY or holds_product(source):
            return
        users = [user for result in source.results for user in result.users]
        readers = dict.fromkeys(group for user in users if (group := self.group_of.get(user)) is not source)
        if not 1 < len(readers) <= MOST_COPIES or any(value in self.cold.leaving for value in source.results):
            return
        merged = []
        for reader in readers:
            if reader is None or len(reader.ops) + len(source.ops) > self.max_ops:
                return
            ops = tuple(sorted((*source.ops, *reader.ops), key=self.order.__getitem__))
            merged.append(Group(ops, reader.results, reader.place))
        yield Candidate((source, *(reader for reader in readers if reader is not None)), tuple(merged))

    def chains_to(self, groups: Sequence[Group]) -> Iterator[Candidate]:
        """Groups that end in one with a product and go back from there, up to ``LONGEST_CHAIN`` of them.

        A chain may pay as a whole where no part of it does: a product, a softmax and a product. Producers join the
        last one first, those of each other's before those further away, so that nothing is between that is left out.
        """
        for group in groups:
            parts, views = [group], list[Op]()
            while len(parts) < LONGEST_CHAIN:
                behind = [(p, v) for part in parts for p, v in self.producers(part).items() if p not in parts]
                if not behind:
                    break
                nearest = max((p for p, _ in behind), key=lambda p: p.place)
                views.extend(view for p, own in behind if p is nearest for view in own if view not in views)
                parts.append(nearest)
                if sum(map(holds_product, parts)) < 2:
                    continue
                in_order = tuple(sorted(parts, key=lambda part: part.place))
                merged = self.merged(in_order, views)
                if merged is not None:
                    yield Candidate(in_order, (merged,))

    def producers(self, group: Group) -> dict[Group, list[Op]]:
        """Groups whose results a group reads, and the views between."""
        found: dict[Group, list[Op]] = {}
        for op in group.ops:
            for operand in op.operands:
                views: list[Op] = []
                while self.is_lone_view(operand.producer):
                    assert operand.producer is not None, "a view has a producer"
                    views.append(operand.producer)
                    operand = operand.producer.operands[0]
                other = self.group_of.get(operand.producer) if operand.producer is not None else None
                if other is not None and other is not group:
                    known = found.setdefault(other, [])
                    known.extend(view for view in views if view not in known)
        return found

    def is_lone_view(self, op: Op | None) -> bool:
        return op is not None and op.name == "reshape" and op in self.order and len(op.result.uses) == 1

    def consumers(self, group: Group) -> list[Group]:
        found: dict[Group, None] = {}
        for result in group.results:
            if len(result.uses) > MOST_READERS:
                continue
            for user in result.users:
                while self.is_lone_view(user):
                    (user,) = user.result.users
                other = self.group_of.get(user)
                if other is not None and other is not group:
                    found[other] = None
        return list(found)

    def merged(self, parts: Sequence[Group], views: Sequence[Op]) -> Group | None:
        """Groups as one, unless somebody reads a result before the kernel would stand.

        Args:
            parts: by place.
        """
        if sum(len(part.ops) for part in parts) + len(views) > self.max_ops:
            return None
        members = tuple(sorted({*views, *(op for part in parts for op in part.ops)}, key=self.order.__getitem__))
        inside = set(members)
        *others, last = parts
        results = list(last.results)
        for part in others:
            for result in part.results:
                first = self.readers.first_outside(result, inside)
                if first is not None and first < last.place:
                    return None
                if first is not None:
                    results.append(result)
        return Group(members, tuple(results), last.place)


def holds_product(group: Group) -> bool:
    return any(map(is_product, group.ops))
