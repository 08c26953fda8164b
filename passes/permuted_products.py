"""Products that read and write their axes in another order: what BLAS calls transposed operands, for any axes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ircost.ir import ops
from ircost.ir.graph import Op, Value
from ircost.passes.permuting import Perm


@dataclass(frozen=True, slots=True)
class ProductDims:
    """The names of the dims along the axes of a product's operands and result."""

    operands: tuple[tuple[str, ...], ...]
    result: tuple[str, ...]

    @property
    def batch(self) -> frozenset[str]:
        """Dims that all three have."""
        return frozenset(self.result).intersection(*self.operands)

    def may_end(self, names: Sequence[str]) -> bool:
        """Whether units for products can stream along the innermost axis: it is none that they only repeat over."""
        return not names or names[-1] not in self.batch

    def may_read(self, index: int, perm: Perm) -> bool:
        return self.may_end([self.operands[index][axis] for axis in perm])

    def may_write(self, perm: Perm) -> bool:
        return self.may_end([self.result[axis] for axis in perm])


def product_dims(op: Op) -> ProductDims | None:
    """None for what is no product, for windows, and where an operand broadcasts."""
    if op.name not in ("matmul", "contract") or op.result.type.bounded:
        return None
    notation = str(op.attrs["notation"]) if op.name == "contract" else "... m k, ... k n -> ... m n"
    if "(" in notation:
        return None
    read, written = notation.split("->")
    types = [*(operand.type for operand in op.operands), op.result.type]
    parts = [part.split() for part in (*read.split(","), written)]
    lead = max(type.rank - len(names) + 1 for type, names in zip(types, parts, strict=True))
    named = [_spelt(names, type.rank, lead) for names, type in zip(parts, types, strict=True)]
    extents: dict[str, int] = {}
    for names, type in zip(named, types, strict=True):
        for name, extent in zip(names, type.shape, strict=True):
            if extents.setdefault(name, extent) != extent:
                return None
    if any(len(set(names)) < len(names) or any(name.isdecimal() for name in names) for names in named):
        return None
    *operands, result = map(tuple, named)
    return ProductDims(tuple(operands), result)


def _spelt(names: Sequence[str], rank: int, lead: int) -> list[str]:
    """Names of all axes: those that ``...`` stands for count from the last one back."""
    found: list[str] = []
    for name in names:
        if name == "...":
            count = rank - len(names) + 1
            found += [f"lead{lead - count + i}" for i in range(count)]
        else:
            found.append(name)
    return found


def permuted_product(op: Op, operands: Sequence[Value], read: Sequence[Perm], written: Perm) -> Op:
    """The product of operands whose axes are in these orders, with its result's in that one."""
    dims = product_dims(op)
    assert dims is not None, "asked of products"
    parts = [
        " ".join(names[axis] for axis in perm)
        for names, perm in zip((*dims.operands, dims.result), (*read, written), strict=True)
    ]
    notation = f"{', '.join(parts[:-1])} -> {parts[-1]}"
    return ops.contract.create(operands, {"notation": notation, "out": op.attrs["out"]}, location=op.location)
