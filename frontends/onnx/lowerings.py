"""Imports every family of lowerings, so that each operator is known."""

import ircost.frontends.onnx.casting
import ircost.frontends.onnx.contraction
import ircost.frontends.onnx.control_flow
import ircost.frontends.onnx.einsum
import ircost.frontends.onnx.elementwise
import ircost.frontends.onnx.generation
import ircost.frontends.onnx.indexing
import ircost.frontends.onnx.linear_algebra
import ircost.frontends.onnx.loop
import ircost.frontends.onnx.microsoft_attention
import ircost.frontends.onnx.microsoft_embedding
import ircost.frontends.onnx.microsoft_experts
import ircost.frontends.onnx.microsoft_fused
import ircost.frontends.onnx.microsoft_qlinear
import ircost.frontends.onnx.microsoft_quantised
import ircost.frontends.onnx.microsoft_recurrent
import ircost.frontends.onnx.ml_linear
import ircost.frontends.onnx.ml_trees
import ircost.frontends.onnx.normalization
import ircost.frontends.onnx.pooling
import ircost.frontends.onnx.quantisation
import ircost.frontends.onnx.random
import ircost.frontends.onnx.recurrent
import ircost.frontends.onnx.reduction
import ircost.frontends.onnx.regions
import ircost.frontends.onnx.resize
import ircost.frontends.onnx.sampling
import ircost.frontends.onnx.selection
import ircost.frontends.onnx.sequence_axis
import ircost.frontends.onnx.sequences
import ircost.frontends.onnx.shape
import ircost.frontends.onnx.signal
import ircost.frontends.onnx.text
import ircost.frontends.onnx.unpooling  # noqa: F401
