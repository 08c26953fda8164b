"""Which ops to fuse: a search by predicted time.

Groups of ops grow by merging a producer with a consumer. Each round prices all merges that have come into reach, in one
call of the cost model, and takes those that save most; a merge next to one just taken waits for the next round, where
it is priced anew. Nothing is merged that is not predicted to be faster.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from ircost.backends import Target
from ircost.cost_models.interface import CostModel
from ircost.cost_models.kernel_table import Cold, ColdValues, Key, group_key, is_kernel, table_of_kernels
from ircost.ir.graph import Block, Op, Value
from ircost.ir.load_time import load_time_ops
from ircost.passes.fusion_legality import Room, may_be_kernel
from ircost.passes.kernel_making import can_fuse, kernel_of

# A value with more readers is looked at from each reader's side only, so that a round stays linear.
MOST_READERS = 16
# Predictions that differ by less are equal: rounding is no gain.
LEAST_SHARE = 1e-6


@dataclass(slots=True, eq=False)
class Group:
    """Ops that will be one kernel.

    Args:
        ops: in program order. results: what others read of theirs.
        place: of the last op in the block, which is where the kernel will stand.
        is_alive: no merge has swallowed it.
    """

    ops: tuple[Op, ...]
    results: tuple[Value, ...]
    place: int
    latency_s: float = 0.0
    is_alive: bool = True


@dataclass(frozen=True, slots=True)
class Merge:
    """A producer and a consumer as one group; ``gain_s`` is what that saves."""

    producer: Group
    consumer: Group
    merged: Group
    gain_s: float


@dataclass(slots=True)
class Pricer:
    """Predicted times of groups as kernels; remembers those alike.

    Args:
        times_s: by structure; None where they cannot be one kernel.
    """

    model: CostModel
    target: Target
    room: Room
    times_s: dict[Key, float | None] = field(default_factory=dict)

    def price(self, groups: Sequence[Group], cold: ColdValues) -> list[float | None]:
        """Seconds of each group, with one call of the model for all that are new."""
        keys: list[Key] = []
        rows: dict[Key, tuple[Op, Cold]] = {}
        for group in groups:
            flags = cold_flags(group, cold)
            key = group_key(group.ops, group.results), flags
            keys.append(key)
            if key in self.times_s or key in rows:
                continue
            if len(group.ops) > 1 and not may_be_kernel(group.ops, group.results, self.room):
                self.times_s[key] = None
                continue
            op = group.ops[0] if len(group.ops) == 1 else kernel_of(group.ops, group.results)
            leaves = any(result in cold.leaving for result in group.results)
            rows[key] = op, (*[cold.has(operand) for operand in op.operands], leaves)
        if rows:
            table = table_of_kernels([op for op, _ in rows.values()], [own for _, own in rows.values()])
            latencies = self.model.estimate(table, self.target).latency_s
            self.times_s.update(zip(rows, map(float, latencies), strict=True))
        return [self.times_s[key] for key in keys]


def cold_flags(group: Group, cold: ColdValues) -> Cold:
    outside = [cold.has(operand) for op in group.ops for operand in op.operands]
    return (*outside, any(result in cold.leaving for result in group.results))


def find_groups(block: Block, pricer: Pricer, cold: ColdValues, max_ops: int) -> list[Group]:
    """Groups of two ops and more of a block, in program order.

    Raises:
        TargetError: the target cannot compute in a format that an op needs.
    """
    return _Search(block, pricer, cold, max_ops).run()


class _Search:
    def __init__(self, block: Block, pricer: Pricer, cold: ColdValues, max_ops: int) -> None:
        self.block = block
        self.pricer = pricer
        self.cold = cold
        self.max_ops = max_ops
        self.order = {op: place for place, op in enumerate(block.ops)}
        self.group_of: dict[Op, Group] = {}
        at_load = load_time_ops(block)
        cold.weights |= at_load
        for op, place in self.order.items():
            if op not in at_load and can_fuse(op) and is_kernel(op):
                self.group_of[op] = Group((op,), op.results, place)

    def run(self) -> list[Group]:
        changed = list(self.group_of.values())
        for group, latency_s in zip(changed, self.pricer.price(changed, self.cold), strict=True):
            assert latency_s is not None, "an op alone is a kernel"
            group.latency_s = latency_s
        waiting: list[Merge] = []
        while changed:
            waiting = [merge for merge in waiting if is_open(merge)]
            waiting.extend(self.gainful(self.merges_around(changed)))
            waiting.sort(key=lambda merge: (-merge.gain_s, merge.merged.place, merge.producer.place))
            changed = [self.take(merge) for merge in waiting if is_open(merge)]
            # What was merged in this round waits: the gain of a second merge is another by now.
        groups = dict.fromkeys(self.group_of.values())
        return [group for group in groups if len(group.ops) > 1]

    def take(self, merge: Merge) -> Group:
        merge.producer.is_alive = merge.consumer.is_alive = False
        for op in merge.merged.ops:
            self.group_of[op] = merge.merged
        return merge.merged

    def gainful(self, pairs: Iterable[tuple[Group, Group, Group]]) -> Iterator[Merge]:
        found = list(pairs)
        prices = self.pricer.price([merged for *_, merged in found], self.cold)
        for (producer, consumer, merged), latency_s in zip(found, prices, strict=True):
            apart_s = producer.latency_s + consumer.latency_s
            if latency_s is not None and latency_s < apart_s * (1 - LEAST_SHARE):
                merged.latency_s = latency_s
                yield Merge(producer, consumer, merged, apart_s - latency_s)

    # ---- what is in reach

    def merges_around(self, groups: Sequence[Group]) -> Iterator[tuple[Group, Group, Group]]:
        """(producer, consumer, both as one) for every group with its neighbours, each pair once."""
        seen: set[tuple[Group, Group]] = set()
        for group in groups:
            pairs = [(producer, group, views) for producer, views in self.producers(group).items()]
            for consumer in self.consumers(group):
                pairs.append((group, consumer, self.producers(consumer).get(group, [])))
            for producer, consumer, views in pairs:
                if (producer, consumer) not in seen:
                    seen.add((producer, consumer))
                    merged = self.merged(producer, consumer, views)
                    if merged is not None:
                        yield producer, consumer, merged

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

    def merged(self, producer: Group, consumer: Group, views: Sequence[Op]) -> Group | None:
        """Both groups as one, unless somebody reads a result before the kernel would stand."""
        count = len(producer.ops) + len(consumer.ops) + len(views)
        if count > self.max_ops:
            return None
        members = tuple(sorted((*producer.ops, *views, *consumer.ops), key=self.order.__getitem__))
        inside = set(members)
        results = list(consumer.results)
        for result in producer.results:
            readers = [user for user in result.users if user not in inside]
            if any(self.place_of(user) < consumer.place for user in readers):
                return None
            if readers:
                results.append(result)
        return Group(members, tuple(results), consumer.place)

    def place_of(self, user: Op) -> int:
        """Where in this block a reader stands, or the op whose body it is in."""
        while user not in self.order:
            assert user.block is not None and user.block.parent_op is not None, "readers stand below what they read"
            user = user.block.parent_op
        return self.order[user]


def is_open(merge: Merge) -> bool:
    return merge.producer.is_alive and merge.consumer.is_alive
