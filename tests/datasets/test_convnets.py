"""Networks built from hyper-parameters, held against published counts."""

from __future__ import annotations

import pytest

from ircost.datasets.convnets import complexity, convnet
from ircost.datasets.pycls_zoo import ZooNetwork, pycls_zoo
from ircost.ir.verify import verify


@pytest.mark.parametrize("net", pycls_zoo(), ids=lambda net: net.name)
def test_counts_are_the_published_ones(net: ZooNetwork) -> None:
    """To the last one: flops, parameters, activations."""
    module = convnet(net.network)
    verify(module)
    assert complexity(module) == net.published
