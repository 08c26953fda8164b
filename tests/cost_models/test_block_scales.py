"""8-bit floats whose blocks share scales: a GeForce of Blackwell multiplies them at twice its plain rate."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import ircost
from ircost.backends import load_target
from ircost.cost_models.row_estimates import RowEstimates, estimate_rows

GEFORCE = ("rtx_5060_ti", "rtx_5080", "rtx_5090")
OTHERS = ("rtx_pro_6000", "dgx_spark", "h100", "b200")
CONFIG = {
    "model_type": "llama",
    **{"hidden_size": 4096, "intermediate_size": 14336, "num_hidden_layers": 2, "vocab_size": 32000},
    **{"num_attention_heads": 32, "num_key_value_heads": 8, "torch_dtype": "bfloat16"},
}


@pytest.mark.parametrize("name", [*GEFORCE, *OTHERS])
def test_geforce_alone_is_faster_at_them(name: str) -> None:
    target = load_target(name)
    for dtype in ("f8e4m3", "f8e5m2"):
        faster = target.peak_flops_per_s(dtype, is_block_scaled=True) / target.peak_flops_per_s(dtype)
        assert faster == (2.0 if name in GEFORCE else 1.0)
    for dtype in ("bf16", "i8"):
        assert target.peak_flops_per_s(dtype, is_block_scaled=True) == target.peak_flops_per_s(dtype)


def products(device: str, *dtypes: str) -> RowEstimates:
    columns = {
        "device": np.full(len(dtypes), device, dtype=object),
        "dtype": np.array(dtypes, dtype=object),
        **{name: np.full(len(dtypes), 8192.0) for name in ("m", "n", "k")},
    }
    return estimate_rows(columns, "products", load_target, "analytical")


def test_no_measured_product_beats_the_bound() -> None:
    """184.6 TFLOP/s on an RTX 5060 Ti, of 94.8 for plain operands: NVIDIA/CUDALibrarySamples, issue 283."""
    found = products("rtx_5060_ti", "mxfp8", "fp8")
    assert found.at_best_s[0] < 2 * 8192**3 / 184.6e12 < found.at_best_s[1]
    assert found.at_best_s[0] < found.latency_s[0] < found.latency_s[1]


def test_other_formats_and_machines_are_as_they_were() -> None:
    plain, scaled = products("rtx_pro_6000", "fp8", "mxfp8").at_best_s
    assert scaled == plain


def test_a_model_in_them_is_bounded_and_priced_by_their_rate(tmp_path: Path) -> None:
    found = {}
    for algorithm in ("FP8", "MXFP8"):
        own = tmp_path / algorithm / "config.json"
        own.parent.mkdir()
        own.write_text(
            json.dumps({**CONFIG, "quantization_config": {"quant_method": "modelopt", "quant_algo": algorithm}})
        )
        found[algorithm] = ircost.compile(own, target="rtx_5090", phase="prefill", dims={"batch": 1, "seq": 8192})
    peak_per_s = load_target("rtx_5090").peak_flops_per_s("f8e4m3", is_block_scaled=True)
    assert found["MXFP8"].latency_s < 0.8 * found["FP8"].latency_s
    assert found["MXFP8"].lower_bound_s < found["MXFP8"].latency_s
    assert found["MXFP8"].lower_bound_s == pytest.approx(found["FP8"].lower_bound_s, rel=0.05), "a bound of both"
    assert found["MXFP8"].flops / (peak_per_s * 3.09 / 2.407) < found["MXFP8"].latency_s
