"""Quantisation: operators that the frontend takes apart, put together again."""

from __future__ import annotations

import numpy as np

from ircost.backends.onnx.emitter import Scope, emits, only_use
from ircost.backends.onnx.node import Input, Known, Node, Output, node, whole_numbers
from ircost.ir.constant import Literal
from ircost.ir.graph import Block, Op, Value
from ircost.ir.ops.quantised import quantised_dynamically
from ircost.ir.terminators import yield_
from ircost.ir.types import f32, u8

__all__: list[str] = []
