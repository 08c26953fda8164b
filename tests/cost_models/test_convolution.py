"""What convolutions ask for: windows that strides mask, channels that matrix units fill up, Winograd's products."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from ircost.backends import load_target
from ircost.cost_models.gpu.convolution import OTHER_WAYS, convolution_demand, implicit_demand, scattered_demand
from ircost.cost_models.gpu.convolution_work import ConvolutionWork, as_products, as_scattered
from ircost.cost_models.gpu.families import FAMILIES
from ircost.cost_models.gpu.gemm import GemmWork
from ircost.cost_models.gpu.machine import machine_of
from ircost.cost_models.gpu.rows import setting_of
from ircost.cost_models.gpu.winograd import fused_demand, may_fuse, winograd_demand

V100 = machine_of(load_target("v100_sxm2"))
FORWARD, OF_DATA, OF_WEIGHTS = 0.0, 1.0, 2.0


def layer(kernel: float = 3, stride: float = 1, direction: float = FORWARD, **changes: float) -> ConvolutionWork:
    """128 images of 64 x 64 and 128 channels, as many filters, f32 on lanes."""
    sizes = {"batch": 128, "groups": 1, "in_channels": 128, "in_height": 64, "in_width": 64, "out_channels": 128}
    made = {"out_height": 64 / stride, "out_width": 64 / stride, "kernel_height": kernel, "kernel_width": kernel}
    own = {**sizes, **made, "direction": direction, "is_winograd": 0, "element_bytes": 4, **changes}
    columns = {name: np.array([float(value)]) for name, value in own.items()}
    return ConvolutionWork(**columns, flops_per_s=1e13, sets=1.0, least_tile=32.0)


def multiplications(product: GemmWork) -> float:
    return float(np.sum(product.batch * product.m * product.n * product.k))


@pytest.mark.parametrize("kernel", [1, 3, 5])
@pytest.mark.parametrize("direction", [FORWARD, OF_DATA, OF_WEIGHTS])
def test_without_strides_all_directions_multiply_alike(kernel: float, direction: float) -> None:
    assert multiplications(as_products(layer(kernel, 1, direction))) == multiplications(as_products(layer(kernel)))


@pytest.mark.parametrize(("kernel", "masked"), [(1, 4.0), (2, 1.0), (3, 16 / 9), (4, 1.0), (5, 36 / 25)])
def test_a_strided_gradient_multiplies_what_strides_mask(kernel: float, masked: float) -> None:
    """A window of 5 and steps of 2 meet a pixel 2 or 3 times along an axis: what serves all pixels goes for 3."""
    forward, gradient = layer(kernel, 2), layer(kernel, 2, OF_DATA)
    assert multiplications(as_products(gradient)) == pytest.approx(masked * multiplications(as_products(forward)))
    assert multiplications(as_scattered(gradient)) == multiplications(as_products(forward))


def test_adding_windows_up_is_a_way_for_strided_gradients_and_few_channels_only() -> None:
    assert layer(3, 2, OF_DATA).is_scattered and layer(3, 1, OF_DATA, in_channels=3).is_scattered
    assert not layer(3, 1, OF_DATA).is_scattered
    assert not layer(3, 2).is_scattered and not layer(3, 2, OF_WEIGHTS).is_scattered


def test_results_of_windows_are_streamed_before_they_are_added() -> None:
    work = layer(3, 2, OF_DATA)
    results, image = 128 * 32 * 32 * 128 * 9, 128 * 64 * 64 * 128
    streamed_s = scattered_demand(work, V100).fixed["transforms"]
    assert float(streamed_s[0, 0]) == pytest.approx((results + image) * 4 * 2 / V100.main_bytes_per_s)


def test_matrix_units_take_one_channel_as_eight() -> None:
    def matrix_s(channels: float, aligned: float) -> np.ndarray:
        work = replace(layer(in_channels=channels), aligned_channels=aligned)
        return implicit_demand(work, V100).busy["matrix"]

    assert (matrix_s(1, 8) == matrix_s(8, 8)).all()
    assert (matrix_s(1, 1) < matrix_s(8, 1)).all()


@pytest.mark.parametrize(
    ("demand", "kernel", "size", "fewer"),
    [(winograd_demand, 3, 64, 4.0), (winograd_demand, 5, 60, 625 / 81), (fused_demand, 3, 64, 2.25)],
)
def test_winograd_takes_fewer_products(demand, kernel: float, size: float, fewer: float) -> None:
    """On images and filters that fill all tiles, whose waves fill the machine."""
    extents = dict.fromkeys(("in_height", "in_width", "out_height", "out_width"), size)
    work = layer(kernel, is_winograd=1, batch=512, **extents)
    plain_s = 2 * multiplications(as_products(work)) / 1e13
    assert float(demand(work, V100).busy["matrix"].min()) == pytest.approx(plain_s / fewer, rel=0.02)


def test_one_kernel_does_all_of_winograd_for_windows_of_three_forwards() -> None:
    assert may_fuse(layer(is_winograd=1)) and may_fuse(layer(is_winograd=1, direction=OF_DATA))
    assert not may_fuse(layer(is_winograd=1, direction=OF_WEIGHTS)) and not may_fuse(layer(5, is_winograd=1))
    assert not may_fuse(layer())


def test_rows_take_the_ways_that_are_open_to_them() -> None:
    """One table of all: none of the ways may be the fastest where it is not open, whatever its seconds."""
    parts = [layer(), layer(is_winograd=1), layer(5, is_winograd=1), layer(3, 2, OF_DATA)]
    names = ConvolutionWork.__dataclass_fields__
    columns = {
        name: np.concatenate([getattr(part, name) for part in parts])
        for name in names
        if isinstance(getattr(parts[0], name), np.ndarray)
    }
    work = replace(parts[0], **columns)
    demand = convolution_demand(work, V100)
    is_barred = demand.fixed["launch"] > 1e6
    for start, open_rows in (("128x128", [1, 1, 1, 1]), ("Winograd", [0, 1, 1, 0]), ("fused", [0, 1, 0, 0])):
        place = next(i for i, choice in enumerate(demand.choices) if choice.startswith(start) and "128x128" in choice)
        assert (~is_barred[:, place]).tolist() == [bool(is_open) for is_open in open_rows], start
    place = next(i for i, choice in enumerate(demand.choices) if choice == "windows added 128x128")
    assert (~is_barred[:, place]).tolist() == [False, False, False, True]
    assert len(OTHER_WAYS) == 3


@pytest.mark.parametrize(
    ("device", "dtype", "expected"),
    [("v100_sxm2", "float32", 1), ("p100_pcie", "float16", 1), ("v100_sxm2", "float16", 0), ("knl_7250", "float32", 0)],
)
def test_the_shortcut_is_taken_on_lanes_of_gpus(device: str, dtype: str, expected: float) -> None:
    """As the names of kernels say in DeepBench's results: on matrix units, and by MKL, none was."""
    setting, _ = setting_of(device, "vendor library", dtype, load_target)
    assert setting is not None
    sizes = {"batch": 8, "in_channels": 64, "in_h": 28, "in_w": 28, "out_channels": 64, "kernel_h": 3, "kernel_w": 3}
    columns = {name: np.array([value]) for name, value in {**sizes, "stride_h": 1, "stride_w": 1}.items()}
    columns |= {
        "groups": np.array([1]),
        "pad_h": np.array([1]),
        "pad_w": np.array([1]),
        "op": np.array(["conv2d"], dtype=object),
    }
    assert FAMILIES["conv"].work(columns, setting).is_winograd.tolist() == [expected]
