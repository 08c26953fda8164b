"""Memory in use over the program, by liveness: weights stay, activations come and go."""

from __future__ import annotations

from dataclasses import dataclass

from ircost.ir.graph import Block, Module, Op, Value
from ircost.ir.load_time import load_time_ops


@dataclass(frozen=True, slots=True)
class MemoryUse:
    """Bytes in main memory.

    Args:
        weights_bytes: what stays for the whole run: constants and what is computed from them at load.
        peak_activations_bytes: most that inputs, intermediates and results take at one time.
        peak_op: where that is; None in an empty program.
    """

    weights_bytes: int
    peak_activations_bytes: int
    peak_op: Op | None

    @property
    def peak_bytes(self) -> int:
        return self.weights_bytes + self.peak_activations_bytes


def memory_use(module: Module) -> MemoryUse:
    """Memory in program order, no buffer reused in place.

    A value lives from its op to its last use; a view shares its operand's bytes; inputs live from the start and
    results to the end. Inside a kernel or composite nothing is held in main memory.
    """
    return _Liveness(module).whole()


class _Liveness:
    def __init__(self, module: Module) -> None:
        self.module = module
        self.weights: dict[object, int] = {}
        self.of_function: dict[str, tuple[int, Op | None]] = {}

    def whole(self) -> MemoryUse:
        main = self.module.main
        arguments = sum(argument.type.size_bytes for argument in main.arguments)
        peak, at = self._block(main.block)
        return MemoryUse(sum(self.weights.values()), peak + arguments, at)

    def _block(self, block: Block) -> tuple[int, Op | None]:
        """Peak of what the ops of a block hold, without the block's arguments; and where."""
        at_load = load_time_ops(block)
        owners = _owners(block)
        last_use = _last_uses(block, owners)
        self._keep_weights(block, at_load)
        live = peak = 0
        peak_op: Op | None = None
        for op in block.ops:
            if op in at_load:
                continue
            own = [r for r in op.results if owners[r] is r]
            live += sum(result.type.size_bytes for result in own)
            during = live + self._inside(op)
            if during > peak:
                peak, peak_op = during, op
            dead = [
                value for value in dict.fromkeys(owners.get(o, o) for o in op.operands) if last_use.get(value) is op
            ]
            live -= sum(
                v.type.size_bytes
                for v in dead
                if v.producer is not None and v.producer.block is block and v.producer not in at_load
            )
            live -= sum(result.type.size_bytes for result in own if result not in last_use)
        return peak, peak_op

    def _inside(self, op: Op) -> int:
        """What the bodies of an op hold at most."""
        if op.name == "call":
            name = str(op.attrs["callee"])
            if name not in self.of_function:
                self.of_function[name] = self._block(self.module.functions[name].block)
            return self.of_function[name][0]
        if op.definition.is_isolated:
            return 0
        return max((self._block(region.block)[0] for region in op.regions), default=0)

    def _keep_weights(self, block: Block, at_load: set[Op]) -> None:
        """Load-time results that something reads at run time; what only feeds other load-time ops is let go."""
        for op in at_load:
            for result in op.results:
                if any(user not in at_load for user, _ in result.uses):
                    self.weights[_identity(op, result)] = result.type.size_bytes


def _identity(op: Op, result: Value) -> object:
    """Constants with the same data are one weight; all other values are themselves."""
    return (op.attrs["value"], result.type) if op.name == "constant" else result


def _owners(block: Block) -> dict[Value, Value]:
    """For each value of the block, the one whose bytes it has: its own, or a view's operand's."""
    owners: dict[Value, Value] = {}
    for op in block.ops:
        for result in op.results:
            source = op.operands[0] if op.definition.is_view else result
            owners[result] = owners.get(source, source)
    return owners


def _last_uses(block: Block, owners: dict[Value, Value]) -> dict[Value, Op]:
    """The last op of the block that reads each value's bytes, in a nested body or itself."""
    last: dict[Value, Op] = {}
    for op in block.ops:
        for inner in op.walk() if op.regions and not op.definition.is_isolated else (op,):
            for operand in inner.operands:
                last[owners.get(operand, operand)] = op
    return last
