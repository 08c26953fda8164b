"""Imports every family of layers, so that each kind is known."""

import ircost.frontends.yaml.convolution
import ircost.frontends.yaml.dense
import ircost.frontends.yaml.normalization
import ircost.frontends.yaml.recurrent
import ircost.frontends.yaml.shaping
import ircost.frontends.yaml.structure  # noqa: F401
