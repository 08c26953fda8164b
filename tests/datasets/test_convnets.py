"""Networks built from hyper-parameters, held against published counts."""

from __future__ import annotations

import pytest

from ircost.datasets.convnets import Complexity, convnet
from ircost.datasets.pycls_zoo import ZooNetwork, pycls_zoo
from ircost.ir.graph import Module
from ircost.ir.verify import verify


@pytest.mark.parametrize("net", pycls_zoo(), ids=lambda net: net.name)
def test_counts_are_the_published_ones(net: ZooNetwork) -> None:
    """To the last one: flops, parameters, activations."""
    module = convnet(net.network)
    verify(module)
    assert complexity(module) == net.published


def complexity(module: Module) -> Complexity:
    """Counts of a network for one image, read off the module.

    Source of what counts: pycls, pycls/models/blocks.py, functions ``*_cx``; Dollár et al., "Fast and Accurate Model
    Scaling", CVPR 2021, section 3.
    """
    macs = biases = parameters = activations = 0
    for op in module.main.block.ops:
        space = op.definition.iteration_space(op)
        if op.definition.is_contraction and space is not None:
            macs += space.points
        if op.definition.is_contraction or op.name == "max_pool":
            activations += op.result.type.elements
        if op.name == "add":
            biases += sum(v.type.elements for v in op.operands if v.producer and v.producer.name == "constant")
        if op.name == "constant":
            statistics = all(user.name == "batch_norm" and place >= 3 for user, place in op.result.uses)
            parameters += 0 if statistics else op.result.type.elements
    return Complexity(macs + biases, parameters, activations)
