"""Layers with a state and attention with sinks, against the code of Hugging Face's `transformers`."""

from __future__ import annotations

import math
from importlib import import_module
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from op_support import floats, run

from ircost.ir import ops
from ircost.ir.attributes import Attribute

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers", minversion="5.0")

B, T, G, H, D, E = 2, 70, 2, 4, 8, 6  # more tokens than one chunk has


def compared(ours: list[np.ndarray], theirs: list[Any]) -> None:
    for own, other in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(own, other.detach().numpy(), rtol=1e-4, atol=1e-5)


def function_of(model: str, name: str) -> Any:
    """What a model's file in ``transformers`` defines."""
    return getattr(import_module(f"transformers.models.{model}.modeling_{model}"), name)


def tensors(*arrays: np.ndarray) -> list[Any]:
    return [torch.from_numpy(array) for array in arrays]


def turned(array: np.ndarray) -> Any:
    """A tensor with the last two axes in each other's place."""
    return torch.from_numpy(array).mT


@pytest.mark.parametrize("form", ["torch_chunk_gated_delta_rule", "torch_recurrent_gated_delta_rule"])
def test_gated_delta_rule_of_qwen3_next(form: str) -> None:
    q, k, v = floats(B, T, G, D), floats(B, T, G, D), floats(B, T, H, E)
    g, beta, state = -floats(B, T, H, low=0.1), floats(B, T, H, low=0.0, high=1.0), floats(B, H, D, E)
    attrs: dict[str, Attribute] = {"scale": D**-0.5, "has_state": True}
    flags = {"output_final_state": True, "use_qk_l2norm_in_kernel": True}
    compared(
        run(lambda *args: ops.gated_delta_rule.results(*args, **attrs), q, k, v, g, beta, state),
        function_of("qwen3_next", form)(*tensors(q, k, v, g, beta), initial_state=torch.from_numpy(state), **flags),
    )


def test_kimi_delta_attention() -> None:
    theirs = function_of("kimi_linear", "recurrent_kimi_delta_attention")

    q, k, v = floats(B, T, H, D), floats(B, T, H, D), floats(B, T, H, E)
    g, beta, state = -floats(B, T, H, D, low=0.1), floats(B, T, H, low=0.0, high=1.0), floats(B, H, D, E)
    attrs: dict[str, Attribute] = {"scale": D**-0.5, "has_state": True}
    compared(
        run(lambda *args: ops.gated_delta_rule.results(*args, **attrs), q, k, v, g, beta, state),
        theirs(*tensors(q, k, v, g, beta, state), output_final_state=True, use_qk_l2norm_in_kernel=True),
    )


def test_lightning_attention_of_minimax() -> None:
    """Blocks of the layer are what one head with a constant decay does."""
    config = transformers.MiniMaxConfig(
        hidden_size=16, num_attention_heads=4, num_key_value_heads=4, head_dim=4, block_size=16
    )
    layer = function_of("minimax", "MiniMaxLightningAttention")(
        config, layer_idx=config.layer_types.index("linear_attention")
    ).eval()
    x = floats(B, T, 16)
    with torch.no_grad():
        wide = layer.act_fn(layer.qkv_proj(torch.from_numpy(x))).reshape(B, T, 4, 3, 4).numpy()
        layer.norm, layer.out_proj = torch.nn.Identity(), torch.nn.Identity()
        gate = torch.sigmoid(layer.output_gate(torch.from_numpy(x)))
        out, state = layer(torch.from_numpy(x), None, None)
        theirs = (out / gate).reshape(B, T, 4, 4)
    decay = -layer.slope_rate.reshape(4).numpy().astype(np.float32)
    ours = run(lambda *args: ops.linear_attention.results(*args), *(wide[:, :, :, i] for i in range(3)), decay)
    compared(ours, [theirs, state])


def test_selective_scan_of_mamba() -> None:
    theirs = function_of("mamba", "mamba_selective_scan")

    x, dt, gate, a = floats(B, T, E), floats(B, T, E), floats(B, T, E), -floats(E, D, low=0.1)
    b, c, bias, skip = floats(B, T, D), floats(B, T, D), floats(E), floats(E)
    attrs = dict.fromkeys(("has_bias", "has_skip", "has_gate"), True)
    ours = run(lambda *args: ops.selective_scan.results(*args, **attrs), x, dt, a, b, c, bias, skip, gate)
    rows = [turned(x), turned(dt), *tensors(a), turned(b), turned(c), *tensors(skip), turned(gate), *tensors(bias)]
    out, state = theirs(*rows, delta_softplus=True, return_last_state=True)
    compared(ours, [out.mT, state])


def test_chunks_of_mamba2() -> None:
    theirs = function_of("mamba2", "mamba2_chunk_scan")

    x, dt, a, b, c = floats(B, T, H, E), floats(B, T, H), -floats(H, low=0.1), floats(B, T, G, D), floats(B, T, G, D)
    bias, skip, state = floats(H), floats(H), floats(B, H, D, E)
    attrs = dict.fromkeys(("has_bias", "has_skip", "has_state"), True)
    ours = run(lambda *args: ops.ssd_scan.results(*args, **attrs), x, dt, a, b, c, bias, skip, state)
    begin = {"initial_states": turned(state), "dt_softplus": True, "return_final_states": True}
    out, last = theirs(*tensors(x, dt, a, b, c), 16, *tensors(skip, bias), **begin)
    compared(ours, [out, last.mT])


def test_short_convolution_and_its_state() -> None:
    whole_run, one_step = (function_of("mamba", f"causal_conv1d_{name}") for name in ("fn", "update"))
    x, weight, bias, state = floats(B, T, E), floats(E, 4), floats(E), floats(B, 3, E)
    whole = whole_run(turned(x), *tensors(weight, bias), activation="silu")
    compared(run(lambda *args: ops.causal_conv1d.results(*args, has_bias=True), x, weight, bias)[:1], [whole.mT])
    kept = turned(state).contiguous()
    one = one_step(turned(x[:, :1]), kept, *tensors(weight, bias), activation="silu")
    attrs = {"has_bias": True, "has_state": True}
    ours = run(lambda *args: ops.causal_conv1d.results(*args, **attrs), x[:, :1], weight, bias, state)
    compared(ours, [one.mT, kept.mT])


@pytest.mark.parametrize("window", [0, 5])
def test_attention_with_sinks_of_gpt_oss(window: int) -> None:
    theirs = function_of("gpt_oss", "eager_attention_forward")

    q, k, v, sinks = floats(B, H, 9, D), floats(B, G, 9, D), floats(B, G, 9, D), floats(H)
    away = np.arange(9)[:, None] - np.arange(9)
    mask = np.where((away >= 0) & (away < (window or 9)), 0, -np.inf).astype(np.float32)[None, None]

    layer = SimpleNamespace(num_key_value_groups=H // G, training=False, sinks=torch.from_numpy(sinks))
    out, _ = theirs(layer, *tensors(q, k, v, mask), scaling=1 / math.sqrt(D))
    attrs: dict[str, Attribute] = {"scale": 1 / math.sqrt(D), "is_causal": True, "window": window, "has_sinks": True}
    compared(run(lambda *args: ops.attention(*args, **attrs), q, k, v, sinks), [out.transpose(1, 2)])


def test_router_of_deepseek_v3() -> None:
    config = transformers.DeepseekV3Config(
        hidden_size=16, n_routed_experts=32, num_experts_per_tok=4, n_group=8, topk_group=3, routed_scaling_factor=2.5
    )
    layer = function_of("deepseek_v3", "DeepseekV3TopkRouter")(config)
    x, weight, bias = floats(T, 16), floats(32, 16), floats(32, low=-1.0, high=1.0)
    layer.weight.data, layer.e_score_correction_bias.data = tensors(weight, bias)
    logits, shares, experts = layer(*tensors(x))
    order = torch.argsort(-(logits.sigmoid() + layer.e_score_correction_bias).gather(1, experts), dim=1)
    attrs: dict[str, Attribute] = {"k": 4, "score": "sigmoid", "is_renormalised": True, "factor": 2.5, "has_bias": True}
    attrs |= {"groups": 8, "chosen_groups": 3, "best_of_group": 2}
    ours = run(lambda *args: ops.expert_routing.results(*args, **attrs), logits.detach().numpy(), bias)
    compared(ours, [shares.gather(1, order), experts.gather(1, order)])
