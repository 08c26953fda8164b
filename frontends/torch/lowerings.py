"""Imports every family of lowerings, so that each operator is known."""

import ircost.frontends.torch.attention
import ircost.frontends.torch.contraction
import ircost.frontends.torch.creation
import ircost.frontends.torch.elementwise
import ircost.frontends.torch.indexing
import ircost.frontends.torch.normalization
import ircost.frontends.torch.pooling
import ircost.frontends.torch.recurrent
import ircost.frontends.torch.reduction
import ircost.frontends.torch.resize
import ircost.frontends.torch.shape  # noqa: F401
