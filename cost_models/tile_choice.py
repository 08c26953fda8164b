"""The tile that the analytical model has chosen for a kernel, as sizes of the kernel's own dims."""

from __future__ import annotations

from collections.abc import Iterable

from ircost.cost_models.contraction_dims import Dims
from ircost.cost_models.gpu import attention, gemm
from ircost.cost_models.tiling import Given
from ircost.ir.nest import Nest

PRODUCTS = dict(zip(gemm.CHOICES, gemm.CANDIDATES, strict=True))
ATTENTION = dict(zip(attention.CHOICES, attention.CANDIDATES, strict=True))


def given_by(choice: str, nest: Nest, rows_extent: float = 0.0) -> Given | None:
    """What the model's words say of the kernel's dims; None where they are no tile of these.

    Rows and columns of a product may run over several dims each, such as pixels: the innermost are filled up first.

    Args:
        choice: of ``Estimates``.
        rows_extent: how many rows the model saw: it may have taken the product transposed; 0 where nobody asks.
    """
    if nest.attention is not None and choice in ATTENTION:
        rows, parts = ATTENTION[choice]
        r = next(dim.extent for dim in nest.dims if dim.name == "r")
        wanted = {"b": 1, "g": 1, "r": min(r, rows), "m": max(rows // r, 1), "n": attention.KEY_TILE}
        return _fitting(nest, wanted, parts)
    if nest.product is None or choice not in PRODUCTS:
        return None
    (rows, columns), parts = PRODUCTS[choice]
    roles = roles_of(nest)
    if roles is None:
        return None
    if rows_extent and rows_extent != _extent(nest, roles, "m"):
        rows, columns = columns, rows
    wanted = {name: 1 for name, role in roles.items() if role == "b"}
    for role, size, inner_last in (("m", rows, True), ("n", columns, True), ("k", gemm.STEP, False)):
        dims = [dim.name for dim in nest.dims if roles[dim.name] == role]
        wanted |= _filled(nest, reversed(dims) if inner_last else dims, size)
    return _fitting(nest, wanted, parts)


def roles_of(nest: Nest) -> dict[str, str] | None:
    """Dim -> its role in the product; None where one moves along several, or along none."""
    assert nest.product is not None, "only products have roles"
    dims = Dims(nest.product)
    if dims.is_scattered and dims.windows:
        return None
    found = {}
    for dim in nest.dims:
        roles = {dims.roles[place] for place in dim.moves}
        # Channels of all groups are one axis: what an m or n dim of the product is part of counts, not the groups.
        roles -= {"b"} if len(roles) > 1 else set()
        if len(roles) != 1:
            return None
        found[dim.name] = roles.pop()
    return found


def _extent(nest: Nest, roles: dict[str, str], role: str) -> int:
    total = 1
    for dim in nest.dims:
        if roles[dim.name] == role:
            total *= dim.extent
    return total


def _filled(nest: Nest, names: Iterable[str], size: int) -> dict[str, int]:
    """A run of so many elements, the first dim first."""
    extents, found = nest.extents, {}
    for name in names:
        found[name] = min(extents[name], max(size, 1))
        size //= found[name]
    return found


def _fitting(nest: Nest, wanted: dict[str, int], parts: int) -> Given | None:
    """None where a dim would be cut that has to be whole."""
    sizes = tuple(min(wanted[dim.name], dim.extent) for dim in nest.dims)
    is_cut = any(size < dim.extent and not dim.is_splittable for size, dim in zip(sizes, nest.dims, strict=True))
    return None if is_cut else Given(sizes, parts)
