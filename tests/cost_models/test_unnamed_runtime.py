"""The fastest of several runtimes: which rows they are, and what a machine that others published has of them."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

import numpy as np
import pytest

from ircost.backends import load_target
from ircost.cost_models.gpu.calibrate import calibrate, measured
from ircost.cost_models.gpu.constants import ConstantsFile, bundled_constants
from ircost.cost_models.gpu.families import FAMILIES
from ircost.cost_models.gpu.labels import FASTEST, GRAPH_REPLAY, as_runtime, labels_of
from ircost.cost_models.gpu.table_schema import completed
from ircost.cost_models.gpu.table_work import Columns
from ircost.cost_models.gpu.unnamed_runtime import fastest_rows
from ircost.cost_models.row_estimates import estimate_rows

target_of = lru_cache(maxsize=None)(load_target)
BASE = bundled_constants().base
EXPERTS = (
    # tokens, kernel, runtime, latency
    (16, "cutlass", "trtllm", 30.0),
    (16, "triton", "vllm", 20.0),
    (16, "triton", "pytorch", 1.0),  # an eager call: it replays no graph
    (16, "cutlass_nongated", "trtllm", 15.0),  # two matrices of an expert, not three: another kernel
    (64, "triton", "vllm", 50.0),
    (64, "marlin", "vllm", 40.0),  # no other runtime has it, though its format
)


def experts() -> dict[str, np.ndarray]:
    tokens, kernels, runtimes, latencies = zip(*EXPERTS, strict=True)
    sizes = {"hidden": 4096, "inter": 2048, "topk": 2, "experts": 8}
    columns: Columns = {
        "device": np.full(len(tokens), "h100_sxm", dtype=object),
        "tokens": np.array(tokens),
        **{name: np.full(len(tokens), size) for name, size in sizes.items()},
        **{"kernel": np.array(kernels, dtype=object), "framework": np.array(runtimes, dtype=object)},
        "latency_us": np.array(latencies),
    }
    return completed(FAMILIES["moe"], columns)


def test_the_fastest_are_of_kernels_that_several_runtimes_have() -> None:
    found = fastest_rows(FAMILIES["moe"], experts())
    assert found["latency_us"].tolist() == [20.0] and found["framework"].tolist() == ["vllm"]


def test_a_format_that_one_runtime_alone_has_is_that_runtimes() -> None:
    columns = experts()
    columns["dtype"] = np.where(columns["tokens"] == 64, "int4_wo", columns["dtype"]).astype(object)
    assert fastest_rows(FAMILIES["moe"], columns)["latency_us"].tolist() == [20.0, 40.0]


def test_a_table_of_one_runtime_has_none() -> None:
    columns = experts()
    alone = {**columns, "framework": np.full(len(columns["device"]), "vllm", dtype=object)}
    assert not len(fastest_rows(FAMILIES["moe"], alone)["device"])


def test_latent_attention_has_none() -> None:
    """Its runtimes are too far apart."""
    words = {"device": "h100_sxm", "phase": "decode"}
    columns = {name: np.array([word] * 2, dtype=object) for name, word in words.items()}
    columns |= {name: np.ones(2) for name in ("batch", "q_len", "kv_len", "heads")}
    columns |= {"framework": np.array(["vllm", "trtllm"], dtype=object), "latency_us": np.array([160.0, 18.0])}
    assert not len(fastest_rows(FAMILIES["mla"], completed(FAMILIES["mla"], columns))["device"])


def test_labels_of_another_runtime_keep_what_is_computed_not_by_whom() -> None:
    def labels(runtime: str, kernel: str) -> dict[str, str]:
        return labels_of(
            architecture="hopper", device="h100_sxm", runtime=runtime, dtype="fp8", kind="x", kernel=kernel
        )

    assert as_runtime(labels("vllm", "triton"), "sglang") == labels("sglang", "")
    assert as_runtime(labels("vllm", "triton_nongated"), FASTEST)["kernel"] in ("", f"{FASTEST} nongated")
    assert as_runtime(labels("trtllm", "nongated"), FASTEST) == labels(FASTEST, "nongated")


def decoding(device: str, runtime: str) -> Columns:
    keys = np.array([1024.0, 4096.0, 16384.0, 65536.0])
    words = {"device": device, "framework": runtime, "phase": "decode", "dtype": "bfloat16", "kv_dtype": "bfloat16"}
    return {
        **{name: np.full(len(keys), word, dtype=object) for name, word in words.items()},
        **{"batch": np.full(len(keys), 32.0), "q_len": np.ones(len(keys)), "kv_len": keys},
        **{name: np.full(len(keys), size) for name, size in (("heads", 32.0), ("kv_heads", 8.0), ("head_dim", 128.0))},
    }


def latency_s(columns: Columns, constants: ConstantsFile) -> np.ndarray:
    found: np.ndarray = estimate_rows(columns, "attention", target_of, "analytical", fitted=constants).latency_s
    return found


def published(times: float) -> ConstantsFile:
    """Rows of a Blackwell: so many times what the fastest of runtimes would take by the base."""
    asked = {**decoding("b200", FASTEST), "latency_us": np.zeros(4)}
    rows = {**decoding("b200", GRAPH_REPLAY), "latency_us": latency_s(asked, BASE) * 1e6 * times}
    return calibrate([measured(rows, "attention", target_of, fewest_rows=3)], onto=BASE)


def test_published_rows_are_those_of_the_fastest_runtime() -> None:
    """What they say of the machine holds for each runtime: none gets as fast as the fastest of all by it."""
    found = published(times=1.0)
    for name in ("vllm", "sglang", "trtllm"):
        now, before = (latency_s(decoding("b200", name), constants) for constants in (found, BASE))
        assert now == pytest.approx(before, rel=0.1)
    nobodys = latency_s(decoding("b200", GRAPH_REPLAY), found)
    assert nobodys == pytest.approx(latency_s(decoding("b200", FASTEST), BASE), rel=0.1)


def test_constants_without_a_fastest_runtime_take_published_rows_for_the_mean() -> None:
    old = replace(
        BASE.fits["attention"], effects={k: v for k, v in BASE.fits["attention"].effects.items() if FASTEST not in k[1]}
    )
    base = replace(BASE, fits={**BASE.fits, "attention": old})
    rows = {**decoding("b200", GRAPH_REPLAY), "latency_us": latency_s(decoding("b200", GRAPH_REPLAY), base) * 1e6}
    found = calibrate([measured(rows, "attention", target_of, fewest_rows=3)], onto=base)
    assert latency_s(decoding("b200", GRAPH_REPLAY), found) == pytest.approx(rows["latency_us"] * 1e-6, rel=0.1)


def test_rows_that_say_themselves_that_they_are_the_fastest_are_fitted() -> None:
    rows = {**decoding("b200", FASTEST), "latency_us": latency_s(decoding("b200", FASTEST), BASE) * 2e6}
    found = calibrate([measured(rows, "attention", target_of, fewest_rows=3)], onto=BASE)
    assert ("device", "b200_sxm") in found.fits["attention"].added
    assert latency_s(decoding("b200", FASTEST), found).sum() > 1.5 * latency_s(decoding("b200", FASTEST), BASE).sum()
