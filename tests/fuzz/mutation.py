"""Damage to models, as files get it and as an enemy does it: bytes, and fields of the protobuf."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import onnx

ODD_INTS = (0, 1, -1, 2, 3, 7, 255, -128, 2**31 - 1, 2**31, -(2**31), 2**40, 2**62, 2**63 - 1, -(2**63))
ODD_FLOATS = (0.0, -1.0, 1e-45, 1e38, float("inf"), float("-inf"), float("nan"))
ODD_STRINGS = ("", "x", "Conv", "Loop", "constant", "\n", "a" * 300, "../../etc/passwd", "ai.onnx.ml", "%0")


def mutated_bytes(data: bytes, rng: random.Random) -> bytes:
    """A few bytes changed, cut, doubled or inserted."""
    changed = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 5, 20))):
        at = rng.randrange(len(changed) or 1)
        how = rng.randrange(5)
        if how == 0 and changed:
            changed[at] ^= 1 << rng.randrange(8)
        elif how == 1 and changed:
            changed[at] = rng.randrange(256)
        elif how == 2:
            del changed[at : at + rng.choice((1, 4, 100))]
        elif how == 3:
            changed[at:at] = rng.randbytes(rng.choice((1, 4, 30)))
        else:
            changed[at:at] = changed[at : at + rng.choice((4, 50, 500))]
    return bytes(changed[: rng.randrange(len(changed) or 1)] if rng.random() < 0.05 else changed)


def mutated_fields(model: onnx.ModelProto, rng: random.Random) -> onnx.ModelProto:
    """A few fields changed, anywhere in the model."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    for _ in range(rng.choice((1, 1, 2, 4))):
        change_one(random_message(copy, rng), rng, names_in(copy))
    return copy


def random_message(message: Any, rng: random.Random) -> Any:
    """A message anywhere below, by a random walk downwards."""
    below = [
        part
        for field, value in message.ListFields()
        if field.type == field.TYPE_MESSAGE
        for part in (value if is_repeated(field) else [value])
    ]
    if not below or rng.random() < 0.15:
        return message
    return random_message(rng.choice(below), rng)


def is_repeated(field: Any) -> bool:
    return bool(field.is_repeated)


def names_in(model: onnx.ModelProto) -> list[str]:
    """Names of values, to mix up."""
    names = {name for node in model.graph.node for name in (*node.input, *node.output)}
    return sorted(names)[:200] or ["x"]


def change_one(message: Any, rng: random.Random, names: list[str]) -> None:
    """One field of a message: another value, or more or fewer elements."""
    fields = [field for field in message.DESCRIPTOR.fields if field.type != field.TYPE_MESSAGE or has(message, field)]
    if not fields:
        return
    field = rng.choice(fields)
    if is_repeated(field):
        change_list(getattr(message, field.name), field, rng, names)
    elif field.type == field.TYPE_MESSAGE or rng.random() < 0.2:
        message.ClearField(field.name)
    else:
        setattr(message, field.name, odd_value(field, rng, names))


def has(message: Any, field: Any) -> bool:
    return bool(len(getattr(message, field.name))) if is_repeated(field) else bool(message.HasField(field.name))


def change_list(values: Any, field: Any, rng: random.Random, names: list[str]) -> None:
    how = rng.randrange(4)
    if len(values) and how == 0:
        del values[rng.randrange(len(values))]
    elif len(values) and how == 1 and field.type == field.TYPE_MESSAGE:
        values.add().CopyFrom(values[rng.randrange(len(values))])
    elif field.type == field.TYPE_MESSAGE:
        if len(values) > 1:
            i, j = rng.randrange(len(values)), rng.randrange(len(values))
            values[i].CopyFrom(values[j])
    elif len(values) and how == 2:
        values[rng.randrange(len(values))] = odd_value(field, rng, names)
    else:
        values.append(odd_value(field, rng, names))


def odd_value(field: Any, rng: random.Random, names: list[str]) -> Any:
    return ODD[field.cpp_type](field, rng, names)


def fitting(low: int, high: int) -> Callable[..., int]:
    return lambda field, rng, names: rng.choice([n for n in ODD_INTS if low <= n <= high])


def odd_enum(field: Any, rng: random.Random, names: list[str]) -> int:
    return int(rng.choice([value.number for value in field.enum_type.values]))


def odd_text(field: Any, rng: random.Random, names: list[str]) -> str | bytes:
    if field.type == field.TYPE_BYTES:
        return rng.randbytes(rng.choice((0, 1, 3, 8, 100)))
    return rng.choice((*ODD_STRINGS, *rng.choices(names, k=5)))


ODD: dict[int, Callable[..., Any]] = {
    1: fitting(-(2**31), 2**31 - 1),  # int32
    2: fitting(-(2**63), 2**63 - 1),  # int64
    3: fitting(0, 2**32 - 1),  # uint32
    4: fitting(0, 2**64 - 1),  # uint64
    5: lambda field, rng, names: rng.choice(ODD_FLOATS),
    6: lambda field, rng, names: rng.choice(ODD_FLOATS),
    7: lambda field, rng, names: rng.random() < 0.5,
    8: odd_enum,
    9: odd_text,
}
