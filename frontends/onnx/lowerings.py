"""Imports every family of lowerings, so that each operator is known."""

import ircost.frontends.onnx.casting
import ircost.frontends.onnx.contraction
import ircost.frontends.onnx.control_flow
import ircost.frontends.onnx.einsum
import ircost.frontends.onnx.elementwise
import ircost.frontends.onnx.generation
import ircost.frontends.onnx.indexing
import ircost.frontends.onnx.loop
import ircost.frontends.onnx.normalization
import ircost.frontends.onnx.quantisation
import ircost.frontends.onnx.recurrent
import ircost.frontends.onnx.reduction
import ircost.frontends.onnx.resize
import ircost.frontends.onnx.selection
import ircost.frontends.onnx.sequences
import ircost.frontends.onnx.shape  # noqa: F401
