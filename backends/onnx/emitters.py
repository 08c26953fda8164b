"""Imports every family of emitters; each registers its own."""

import ircost.backends.onnx.contraction
import ircost.backends.onnx.control_flow
import ircost.backends.onnx.elementwise
import ircost.backends.onnx.filling
import ircost.backends.onnx.fused_convolution
import ircost.backends.onnx.linear_quantisation
import ircost.backends.onnx.mirroring
import ircost.backends.onnx.movement
import ircost.backends.onnx.normalization
import ircost.backends.onnx.quantised
import ircost.backends.onnx.recurrent
import ircost.backends.onnx.reduction
import ircost.backends.onnx.resizing
import ircost.backends.onnx.split  # noqa: F401
