"""Imports every pass of ours, so that each is known by its name."""

import ircost.passes.absorb_transposes
import ircost.passes.algebra
import ircost.passes.autocast
import ircost.passes.cancel_transposes
import ircost.passes.canonicalize
import ircost.passes.convert_dtype
import ircost.passes.eager
import ircost.passes.fold_affine
import ircost.passes.fold_batch_norm
import ircost.passes.fold_constants
import ircost.passes.fold_control_flow
import ircost.passes.fold_pads
import ircost.passes.fuse
import ircost.passes.inline
import ircost.passes.integer_products
import ircost.passes.layout
import ircost.passes.loop_invariants
import ircost.passes.merge_equal_ops
import ircost.passes.merge_products
import ircost.passes.merge_reshapes
import ircost.passes.monarch
import ircost.passes.order_for_memory
import ircost.passes.outline
import ircost.passes.patch
import ircost.passes.recognise
import ircost.passes.rematerialise
import ircost.passes.tile
import ircost.passes.views
import ircost.passes.weight_only  # noqa: F401
