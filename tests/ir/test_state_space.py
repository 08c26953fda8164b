"""Layers with a state, step by step in NumPy: from zeros, from a state, and in two runs that hand the state on."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import scipy.special
from op_support import check, floats, run

from ircost.ir import Op, ops
from ircost.ir.attributes import Attribute
from ircost.ir.definition import OPS
from ircost.ir.errors import AttributeTypeError, ShapeError
from ircost.ir.graph import Block
from ircost.ir.types import parse_type

SILU = lambda x: x * scipy.special.expit(x)  # noqa: E731
SOFTPLUS = lambda x: np.logaddexp(x, 0)  # noqa: E731
B, T, G, H, D, E = 2, 5, 2, 4, 6, 3


def conv_reference(x, weight, bias, state):
    padded = np.concatenate([state, x], axis=1)
    w = weight.shape[1]
    windows = np.stack([padded[:, i : i + x.shape[1]] for i in range(w)], axis=-1)
    return SILU((windows * weight).sum(-1) + bias), padded[:, x.shape[1] :]


@pytest.mark.parametrize("tokens", [1, 2, 7])
def test_causal_conv1d(tokens: int) -> None:
    x, weight, bias, state = floats(2, tokens, 5), floats(5, 4), floats(5), floats(2, 3, 5)
    expected = list(conv_reference(x, weight, bias, state))
    check(
        lambda *args: ops.causal_conv1d.results(*args, has_bias=True, has_state=True), expected, x, weight, bias, state
    )
    out, last = conv_reference(x, weight, 0, state * 0)
    check(lambda *args: ops.causal_conv1d.results(*args), [out, last], x, weight)
    (linear, _) = run(lambda *args: ops.causal_conv1d.results(*args, activation="identity"), x, weight)
    np.testing.assert_allclose(SILU(linear), out, rtol=1e-4, atol=1e-6)


def test_a_window_of_one_token_has_no_state() -> None:
    x, weight = floats(2, 3, 5), floats(5, 1)
    check(lambda *args: ops.causal_conv1d.results(*args), [SILU(x * weight[:, 0]), np.zeros((2, 0, 5))], x, weight)


def selective_reference(x, dt, a, b, c, bias, skip, gate, state):
    state, outs = state.astype(np.float64), []
    for i in range(x.shape[1]):
        step = SOFTPLUS(dt[:, i] + bias)
        state = np.exp(step[:, :, None] * a) * state + (step * x[:, i])[:, :, None] * b[:, i, None]
        outs.append((state * c[:, i, None]).sum(-1) + skip * x[:, i])
    return np.stack(outs, 1) * SILU(gate), state


@pytest.mark.parametrize("tokens", [1, 6])
def test_selective_scan(tokens: int) -> None:
    x, dt, gate = floats(2, tokens, 5), floats(2, tokens, 5), floats(2, tokens, 5)
    a, b, c = -floats(5, 4, low=0.1), floats(2, tokens, 4), floats(2, tokens, 4)
    bias, skip, state = floats(5), floats(5), floats(2, 5, 4)
    attrs = dict.fromkeys(("has_bias", "has_skip", "has_gate", "has_state"), True)
    operands = (x, dt, a, b, c, bias, skip, gate, state)
    check(
        lambda *args: ops.selective_scan.results(*args, **attrs),
        list(selective_reference(*operands)),
        *operands,
        rtol=1e-4,
    )
    # silu(1.278..) is 1: the same without a gate, from zeros.
    out, last = selective_reference(x, dt, a, b, c, 0, 0, np.full_like(gate, 1.2784645), state * 0)
    check(lambda *args: ops.selective_scan.results(*args), [out, last], x, dt, a, b, c, rtol=1e-4)


def mixed_reference(q, k, v, g, beta, scale, state):
    """Head by head; keys and queries of a group serve neighbouring heads."""
    b, t, h, _ = v.shape
    q, k = (np.repeat(x, h // x.shape[2], axis=2).astype(np.float64) for x in (q, k))
    g = np.broadcast_to(g if g.ndim == 4 else np.broadcast_to(g, (b, t, h))[..., None], k.shape)
    state, out = state.astype(np.float64), np.zeros(v.shape)
    for i in range(t):
        state = state * np.exp(g[:, i])[..., None]
        new = v[:, i].astype(np.float64)
        if beta is not None:
            new = beta[:, i, :, None] * (new - np.einsum("bhde,bhd->bhe", state, k[:, i]))
        state = state + k[:, i][..., None] * new[:, :, None]
        out[:, i] = scale * np.einsum("bhde,bhd->bhe", state, q[:, i])
    return out, state


DECAYS = {"of a head": (H,), "of a token": (B, T, H), "of a row": (B, T, H, D)}


@pytest.mark.parametrize("decay", DECAYS)
@pytest.mark.parametrize("has_state", [False, True])
def test_linear_attention(decay: str, has_state: bool) -> None:
    q, k, v, g, state = (
        *(floats(B, T, G, D) for _ in "qk"),
        floats(B, T, H, E),
        -floats(*DECAYS[decay], low=0.1),
        floats(B, H, D, E),
    )
    expected = list(mixed_reference(q, k, v, g, None, 0.3, state * has_state))
    operands = (q, k, v, g, state) if has_state else (q, k, v, g)
    check(
        lambda *args: ops.linear_attention.results(*args, scale=0.3, has_state=has_state),
        expected,
        *operands,
        rtol=1e-4,
    )


@pytest.mark.parametrize("decay", ["of a token", "of a row"])
@pytest.mark.parametrize("is_normalised", [False, True])
def test_gated_delta_rule(decay: str, is_normalised: bool) -> None:
    q, k, v, beta = floats(B, T, G, D), floats(B, T, G, D), floats(B, T, H, E), floats(B, T, H, low=0.0, high=1.0)
    g, state = -floats(*DECAYS[decay], low=0.1), floats(B, H, D, E)
    unit = [x / np.sqrt((x.astype(np.float64) ** 2).sum(-1, keepdims=True) + 1e-6) for x in (q, k)]
    left, right = unit if is_normalised else (q, k)
    expected = list(mixed_reference(left, right, v, g, beta, 0.3, state))
    attrs: dict[str, Attribute] = {"scale": 0.3, "is_normalised": is_normalised, "has_state": True}
    check(lambda *args: ops.gated_delta_rule.results(*args, **attrs), expected, q, k, v, g, beta, state, rtol=1e-4)


def test_ssd_scan() -> None:
    x, dt, a = floats(B, T, H, E), floats(B, T, H), -floats(H, low=0.1)
    b, c, bias, skip, state = floats(B, T, G, D), floats(B, T, G, D), floats(H), floats(H), floats(B, H, D, E)
    steps = np.clip(SOFTPLUS(dt + bias), 0.2, 1.5)
    out, last = mixed_reference(c, b, x * steps[..., None], a * steps, None, 1.0, state)
    expected = [out + skip[:, None] * x, last]
    attrs: dict[str, Attribute] = {
        "least_step": 0.2,
        "most_step": 1.5,
        "has_bias": True,
        "has_skip": True,
        "has_state": True,
    }
    check(lambda *args: ops.ssd_scan.results(*args, **attrs), expected, x, dt, a, b, c, bias, skip, state, rtol=1e-4)


def test_two_runs_are_one() -> None:
    """The state that a run hands back is where the next one begins."""
    x, dt, b, c, a = floats(B, T, H, E), floats(B, T, H), floats(B, T, G, D), floats(B, T, G, D), -floats(H, low=0.1)
    whole, last = run(lambda *args: ops.ssd_scan.results(*args), x, dt, a, b, c)
    first, state = run(lambda *args: ops.ssd_scan.results(*args), x[:, :3], dt[:, :3], a, b[:, :3], c[:, :3])
    rest = (x[:, 3:], dt[:, 3:], a, b[:, 3:], c[:, 3:], state)
    second, end = run(lambda *args: ops.ssd_scan.results(*args, has_state=True), *rest)
    np.testing.assert_allclose(np.concatenate([first, second], 1), whole, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(end, last, rtol=1e-4, atol=1e-6)


def test_what_does_not_fit() -> None:
    x, weight = floats(2, 3, 5), floats(4, 2)
    with pytest.raises(ShapeError, match="causal_conv1d"):
        run(lambda *args: ops.causal_conv1d.results(*args), x, weight)
    with pytest.raises(AttributeTypeError, match="1 further operands, attributes tell of 0"):
        run(lambda *args: ops.causal_conv1d.results(*args), x, weight[[0, 1, 2, 3, 3]], floats(5))
    q, v, g = floats(2, 3, 4, 8), floats(2, 3, 6, 8), floats(2, 3, 6)
    with pytest.raises(ShapeError, match=r"\[batch, tokens, heads, width\]|q is"):
        run(lambda *args: ops.linear_attention.results(*args), q, q, v, g)


# ---- work, bytes, memory


def made(name: str, *types: str, **attrs: Attribute) -> Op:
    return OPS.get(name).create(Block([parse_type(text) for text in types]).arguments, attrs)


def test_chunks_do_the_products_of_the_steps_and_one_step_does_all() -> None:
    b, t, g, h, d, e = 2, 64, 2, 4, 16, 8

    def counts(tokens: int) -> Any:
        qk, v = f"{b}x{tokens}x{g}x{d}xbf16", f"{b}x{tokens}x{h}x{e}xbf16"
        decay = f"{b}x{tokens}x{h}xf32"
        op = made(
            "gated_delta_rule", qk, qk, v, decay, decay, f"{b}x{h}x{d}x{e}xf32",
            scale=0.25, is_normalised=False, has_state=True,
        )  # fmt: skip
        return op.definition.counts(op)

    state = b * h * d * e
    assert counts(t).multiply_add == 3 * t * state  # what it says of k, what it learns, what it says of q
    assert counts(1).multiply_add == 3 * state
    row = b * h * e
    assert counts(1).multiply == state + 2 * row  # decay; beta and scale
    assert counts(t).multiply == 2 * t * row


def test_a_selective_scan_is_arithmetic_of_each_step() -> None:
    op = made("selective_scan", *["2x7x6xf16"] * 2, "6x4xf32", *["2x7x4xf16"] * 2)
    states, rows = 2 * 7 * 6 * 4, 2 * 7 * 6
    counts = op.definition.counts(op)
    assert counts.multiply_add == states
    assert counts.transcendental - states in (rows, 2 * rows)  # softplus
    assert counts.multiply == 3 * states + rows


def test_states_are_read_and_written_once_and_lie_in_one_place() -> None:
    op = made("ssd_scan", "2x1x4x8xbf16", "2x1x4xbf16", "4xf32", *["2x1x1x16xbf16"] * 2, "2x4x16x8xf32", has_state=True)
    state = 2 * 4 * 16 * 8 * 4
    traffic = op.definition.traffic(op)
    assert traffic.read_bytes == state + 2 * (2 * 4 * 8 + 2 * 4 + 2 * 2 * 16) + 16
    assert traffic.write_bytes == state + 2 * 2 * 4 * 8
    assert op.definition.overwritten(op) == {1: 5}
    assert made("causal_conv1d", "2x1x8xf16", "8x4xf16").definition.overwritten(op) == {1: 5}


@pytest.mark.parametrize("name", ["bf16", "f16"])
def test_a_state_comes_back_in_its_own_format(name: str) -> None:
    op = made("linear_attention", *["2x3x4x8xf16"] * 3, "4xf16", f"2x4x8x8x{name}", has_state=True)
    assert [str(result.type) for result in op.results] == ["2x3x4x8xf16", f"2x4x8x8x{name}"]
    op = made("selective_scan", *["2x3x8xbf16"] * 2, "8x4xf32", *["2x3x4xbf16"] * 2, f"2x8x4x{name}", has_state=True)
    assert [str(result.type) for result in op.results] == ["2x3x8xbf16", f"2x8x4x{name}"]
