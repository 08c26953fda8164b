"""Binding index notation to shapes: solves the lengths of packs, then the extents of dims, then the access maps."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import lru_cache

from ircost.ir.attributes import Attribute
from ircost.ir.errors import ShapeError
from ircost.ir.index import Access, Affine, Dim, IterationSpace
from ircost.ir.notation import AnyDims, Axis, Composed, Extent, Name, Notation, Offset, Term, Window


def bind(notation: Notation, shapes: Sequence[tuple[int, ...]], attributes: Mapping[str, Attribute]) -> IterationSpace:
    """The iteration space of an op with these operand shapes.

    Args:
        notation: the op's declaration.
        shapes: of each operand.
        attributes: values of the notation's attributes, and extents of dims that no operand has (``window``).

    Raises:
        ShapeError: the shapes do not fit the notation, or each other.
    """
    return _bound(notation, tuple(shapes), tuple(attributes.items()))


# A pure function of immutable values. A model repeats few shapes in many layers: each is bound once. A sweep of a
# thousand points has some ten thousand, which all of its stages ask for.
@lru_cache(maxsize=2**15)
def _bound(
    notation: Notation, shapes: tuple[tuple[int, ...], ...], attributes: tuple[tuple[str, Attribute], ...]
) -> IterationSpace:
    return _Binder(notation, shapes, dict(attributes)).space()


class _Binder:
    """One binding: solves pack lengths, then extents, then builds the access maps."""

    def __init__(
        self, notation: Notation, shapes: Sequence[tuple[int, ...]], attributes: Mapping[str, Attribute]
    ) -> None:
        self.notation = notation
        self.shapes = shapes
        self.attributes = attributes
        self.packs: dict[str, int] = {}
        self.extents: dict[str, int] = {}
        self.broadcast: dict[str, int] = {}
        if len(shapes) != len(notation.operands):
            raise ShapeError(
                f"{len(notation.operands)} operands expected, {len(shapes)} given",
                help=f"notation: {notation}",
            )

    def space(self) -> IterationSpace:
        self._solve_packs()
        self._check_lists()
        operands = [
            self._flatten(axes, len(shape)) for axes, shape in zip(self.notation.operands, self.shapes, strict=True)
        ]
        results = [self._flatten(axes, None) for axes in self.notation.results]
        self._take_extents_from_attributes()
        self._solve_extents(operands)
        dims = self._dims(operands, results)
        positions = {dim.name: position for position, dim in enumerate(dims)}
        return IterationSpace(
            dims,
            tuple(
                Access(tuple(self._affine(a, positions, extent) for a, extent in zip(axes, shape, strict=True)))
                for axes, shape in zip(operands, self.shapes, strict=True)
            ),
            tuple(Access(tuple(self._affine(a, positions, None) for a in axes)) for axes in results),
        )

    # ---- packs: how many dims each stands for

    def _solve_packs(self) -> None:
        pending = list(zip(self.notation.operands, self.shapes, strict=True))
        while pending:
            left = [pair for pair in pending if not self._solve_pack(*pair)]
            if len(left) == len(pending):
                break
            pending = left
        for name in _pack_names(self.notation):
            if name not in self.packs:
                value = self.attributes.get(name)
                self.packs[name] = len(value) if isinstance(value, tuple) else 1

    def _solve_pack(self, axes: tuple[Axis, ...], shape: tuple[int, ...]) -> bool:
        """Reads one pack length off one operand, where all others in it are known."""
        fixed = sum(1 for axis in axes if _pack_of(axis) is None)
        packs = [pack for axis in axes if (pack := _pack_of(axis)) is not None]
        unknown = [pack for pack in packs if pack not in self.packs and pack != "..."]
        length = len(shape) - fixed - sum(self.packs.get(p, 0) for p in packs if p not in unknown and p != "...")
        has_ellipsis = "..." in packs
        if len(unknown) > 1 or (unknown and has_ellipsis):
            return False
        if length < 0 or (length > 0 and not unknown and not has_ellipsis):
            raise ShapeError(
                f"rank {len(shape)} does not fit '{_axes_text(axes)}': shape is {_shape_text(shape)}",
                help=f"notation: {self.notation}",
            )
        if unknown:
            self._set_packs(axes, unknown[0], length)
        elif has_ellipsis:
            self.broadcast["..."] = max(self.broadcast.get("...", 0), length)
        return True

    def _set_packs(self, axes: tuple[Axis, ...], pack: str, length: int) -> None:
        for axis in axes:  # all packs of one window run side by side
            if _pack_of(axis) == pack:
                self.packs |= dict.fromkeys(_packs_in(axis), length)

    def _check_lists(self) -> None:
        """An attribute that is a list has an entry for each axis of its pack, or none at all."""
        packs = {name: name for name in self.packs}
        for axis in (axis for axes in (*self.notation.operands, *self.notation.results) for axis in axes):
            if isinstance(axis, Window) and (pack := _pack_of(axis)) is not None:
                packs |= dict.fromkeys(_attributes_of(axis), pack)
        for name, pack in packs.items():
            value = self.attributes.get(name)
            if isinstance(value, tuple) and value and len(value) != self.packs[pack]:
                raise ShapeError(f"attribute '{name}' has {len(value)} entries for {self.packs[pack]} axes")

    def _flatten(self, axes: tuple[Axis, ...], rank: int | None) -> list[tuple[Axis, int]]:
        """Axes with packs spelled out: (axis, which one of the pack)."""
        flat: list[tuple[Axis, int]] = []
        for axis in axes:
            if isinstance(axis, AnyDims):
                total = self.broadcast.get("...", 0)
                own = total if rank is None else rank - self._rank_without_ellipsis(axes)
                flat.extend((Name(f"_{i}"), 0) for i in range(total - own, total))
            elif (pack := _pack_of(axis)) is not None:
                flat.extend((axis, i) for i in range(self.packs[pack]))
            else:
                flat.append((axis, 0))
        return flat

    def _rank_without_ellipsis(self, axes: tuple[Axis, ...]) -> int:
        return sum(
            0 if isinstance(a, AnyDims) else 1 if (pack := _pack_of(a)) is None else self.packs[pack] for a in axes
        )

    # ---- extents

    def _take_extents_from_attributes(self) -> None:
        dims = self.notation.dims((*self.notation.operands, *self.notation.results))
        for name, value in self.attributes.items():
            if name in self.packs and isinstance(value, tuple):
                for i, extent in enumerate(value):
                    assert isinstance(extent, int)
                    self._give(f"{name}{i}", extent)
            elif isinstance(value, int) and name in dims:
                self._give(name, int(value))

    def _give(self, name: str, extent: int) -> None:
        if extent < 0:
            raise ShapeError(f"dim {name} is {extent}", help="extents are 0 or more")
        self.extents[name] = extent

    def _solve_extents(self, operands: list[list[tuple[Axis, int]]]) -> None:
        equations = [
            (axis, i, extent, position)
            for position, (axes, shape) in enumerate(zip(operands, self.shapes, strict=True))
            for (axis, i), extent in zip(axes, shape, strict=True)
        ]
        while equations:
            left = [equation for equation in equations if not self._solve(*equation)]
            if len(left) == len(equations):
                axis, _, extent, position = left[0]
                raise ShapeError(
                    f"operand {position}: cannot split an axis of {extent} by '{_axes_text((axis,))}'",
                    help=f"notation: {self.notation}",
                )
            equations = left

    def _solve(self, axis: Axis, i: int, extent: int, position: int) -> bool:
        """Learns an extent from one axis, or checks it; False if it must wait for others."""
        if isinstance(axis, Name):
            self._set(_dim_name(axis, i), extent, position, can_broadcast=axis.text.startswith("_"))
            return True
        if isinstance(axis, Extent):
            if extent != axis.length:
                raise ShapeError(f"operand {position}: an axis is {extent} where {axis.length} is due")
            return True
        if isinstance(axis, Composed):
            return self._solve_composed(axis, i, extent, position)
        assert isinstance(axis, Window)
        return self._solve_window(axis, i, extent, position)

    def _set(self, name: str, extent: int, position: int, can_broadcast: bool = False) -> None:
        known = self.extents.get(name)
        if known is None or (can_broadcast and known == 1):
            self.extents[name] = extent
        elif known != extent and not (can_broadcast and extent == 1):
            shown = f"broadcast dim {name[1:]}" if can_broadcast else f"dim {name}"
            raise ShapeError(
                f"{shown} is {known} in one operand and {extent} in operand {position}",
                help=f"shapes {', '.join(map(_shape_text, self.shapes))}; notation: {self.notation}",
            )

    def _solve_composed(self, axis: Composed, i: int, extent: int, position: int) -> bool:
        names = [_dim_name(name, i) for name in axis.dims]
        unknown = [name for name in names if name not in self.extents]
        if len(unknown) > 1:
            return False
        known = math.prod(self.extents[name] for name in names if name in self.extents)
        if unknown:
            if known == 0 or extent % known:
                raise ShapeError(f"operand {position}: an axis of {extent} does not divide into groups of {known}")
            self.extents[unknown[0]] = extent // known
        elif known != extent:
            raise ShapeError(f"operand {position}: an axis is {extent}, '{_axes_text((axis,))}' makes {known}")
        return True

    def _solve_window(self, axis: Window, i: int, extent: int, position: int) -> bool:
        unknown = [term for term in axis.terms if _dim_name(term.dim, i) not in self.extents]
        if len(unknown) > 1:
            return False
        if unknown:
            # Steps that fit between the first and the last element, padding included.
            _, end_padding, begin_padding = self._offsets(axis.offsets, i)
            room = extent + begin_padding + end_padding - 1 - self._reach(axis, i)
            step = abs(self._coefficient(unknown[0], i))
            if step == 0:
                raise ShapeError(f"operand {position}: a stride is 0", help="strides and dilations are 1 or more")
            self.extents[_dim_name(unknown[0].dim, i)] = max(room // step + 1, 0)
        else:
            self._check_inside(axis, i, extent, position)
        return True

    def _check_inside(self, axis: Window, i: int, extent: int, position: int) -> None:
        """An access that declares no padding must not leave its operand."""
        added, end, begin = self._offsets(axis.offsets, i)
        steps = [(self.extents[_dim_name(t.dim, i)] - 1) * self._coefficient(t, i) for t in axis.terms]
        low, high = added + sum(min(s, 0) for s in steps), added + sum(max(s, 0) for s in steps)
        is_empty = any(self.extents[_dim_name(t.dim, i)] == 0 for t in axis.terms)
        if not is_empty and (low < -begin or high >= extent + end):
            raise ShapeError(f"operand {position}: elements {low} to {high} are read of an axis of {extent}")

    def _reach(self, axis: Window, i: int) -> int:
        """Distance from the first to the last element by the dims that are known."""
        return sum(
            (self.extents[name] - 1) * abs(self._coefficient(term, i))
            for term in axis.terms
            if (name := _dim_name(term.dim, i)) in self.extents
        )

    def _coefficient(self, term: Term, i: int) -> int:
        value = term.coefficient if isinstance(term.coefficient, int) else self._attribute(term.coefficient.text, i, 1)
        assert isinstance(value, int)
        return term.sign * value

    def _offsets(self, offsets: tuple[Offset, ...], i: int) -> tuple[int, int, int]:
        """(what is added to the index, padding at the end, padding at the beginning)."""
        added = end = begin = 0
        for offset in offsets:
            amount = offset.amount if isinstance(offset.amount, int) else self._attribute(offset.amount.text, i, 0)
            if isinstance(amount, tuple):
                first, last = amount
                assert isinstance(first, int) and isinstance(last, int)
                begin, end, added = begin + first, end + last, added + offset.sign * first
            else:
                assert isinstance(amount, int)
                added += offset.sign * amount
        return added, end, begin

    def _attribute(self, name: str, i: int, default: int) -> Attribute:
        """The value of an attribute for the ``i``-th axis of a pack; () and numbers stand for all axes."""
        value = self.attributes.get(name, default)
        if not isinstance(value, tuple):
            return value
        return value[i] if value else default

    # ---- the space

    def _dims(self, operands: list[list[tuple[Axis, int]]], results: list[list[tuple[Axis, int]]]) -> tuple[Dim, ...]:
        parallel: dict[str, None] = {}
        for axes in results:
            for axis, i in axes:
                names = _dims_of(axis, i)
                # A window in a result is a scatter: several points meet in one element.
                parallel.update(dict.fromkeys(names[:1] if isinstance(axis, Window) else names))
        every = dict.fromkeys(
            [
                *parallel,
                *(name for axes in (*results, *operands) for axis, i in axes for name in _dims_of(axis, i)),
            ]
        )
        missing = [name for name in every if name not in self.extents]
        if missing:
            raise ShapeError(f"nothing gives the extent of dim {missing[0]}", help=f"notation: {self.notation}")
        return tuple(Dim(name, self.extents[name], name not in parallel) for name in every)

    def _affine(self, item: tuple[Axis, int], positions: dict[str, int], extent: int | None) -> Affine:
        axis, i = item
        if isinstance(axis, Name):
            name = _dim_name(axis, i)
            own = self.extents[name]
            if extent == 1 and own != 1:
                return Affine((), 0, 1)
            return Affine(((positions[name], 1),), 0, own)
        if isinstance(axis, Extent):
            return Affine((), 0, axis.length)
        if isinstance(axis, Composed):
            return self._affine_composed(axis, i, positions)
        assert isinstance(axis, Window)
        terms = tuple((positions[_dim_name(t.dim, i)], self._coefficient(t, i)) for t in axis.terms)
        added, end, begin = self._offsets(axis.offsets, i)
        own = extent if extent is not None else max(self._reach(axis, i) + 1 - begin - end, 0)
        return Affine(terms, added, own)

    def _affine_composed(self, axis: Composed, i: int, positions: dict[str, int]) -> Affine:
        terms: list[tuple[int, int]] = []
        stride = 1
        for dim in reversed(axis.dims):
            name = _dim_name(dim, i)
            terms.append((positions[name], stride))
            stride *= self.extents[name]
        return Affine(tuple(reversed(terms)), 0, stride)


def broadcast_shapes(shapes: Sequence[tuple[int, ...]]) -> tuple[int, ...]:
    """The shape that `...` takes on: NumPy's broadcasting.

    Raises:
        ShapeError: two extents differ and neither is 1.

    >>> broadcast_shapes([(8, 1, 6), (7, 1)])
    (8, 7, 6)
    """
    first = shapes[0]
    if all(shape == first for shape in shapes):
        return first
    rank = max(len(shape) for shape in shapes)
    result = []
    for axis in range(-rank, 0):
        extent = 1
        for shape in shapes:
            own = shape[axis] if len(shape) >= -axis else 1
            if own != 1:
                if extent not in (1, own):
                    raise ShapeError(
                        f"shapes {', '.join(map(_shape_text, shapes))} do not broadcast: {extent} against {own}"
                    )
                extent = own
        result.append(extent)
    return tuple(result)


def _dim_name(name: Name, i: int) -> str:
    return f"{name.text}{i}" if name.is_pack else name.text


def _packs_in(axis: Axis) -> list[str]:
    if isinstance(axis, Name):
        return [axis.text] if axis.is_pack else []
    if isinstance(axis, Window):
        return [term.dim.text for term in axis.terms if term.dim.is_pack]
    return [name.text for name in axis.dims if name.is_pack] if isinstance(axis, Composed) else []


def _pack_of(axis: Axis) -> str | None:
    """The pack that says how many axes this one stands for."""
    if isinstance(axis, AnyDims):
        return "..."
    return next(iter(_packs_in(axis)), None)


def _attributes_of(window: Window) -> list[str]:
    """Names of the attributes in a window: its factors and what is added."""
    given = (*(term.coefficient for term in window.terms), *(offset.amount for offset in window.offsets))
    return [amount.text for amount in given if isinstance(amount, Name)]


def _pack_names(notation: Notation) -> list[str]:
    axes = [axis for operand in (*notation.operands, *notation.results) for axis in operand]
    return list(dict.fromkeys(pack for axis in axes for pack in _packs_in(axis)))


def _dims_of(axis: Axis, i: int) -> list[str]:
    if isinstance(axis, Name):
        return [_dim_name(axis, i)]
    if isinstance(axis, Window):
        return [_dim_name(term.dim, i) for term in axis.terms]
    return [_dim_name(dim, i) for dim in axis.dims] if isinstance(axis, Composed) else []


def _axes_text(axes: tuple[Axis, ...]) -> str:
    def one(axis: Axis) -> str:
        if isinstance(axis, AnyDims):
            return "..."
        if isinstance(axis, Extent):
            return str(axis.length)
        names = (
            [axis]
            if isinstance(axis, Name)
            else axis.dims
            if isinstance(axis, Composed)
            else [t.dim for t in axis.terms]
        )
        text = " ".join(name.text + ".." * name.is_pack for name in names)
        return text if isinstance(axis, Name) else f"({text})"

    return " ".join(map(one, axes))


def _shape_text(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape)) or "scalar"
