"""Experts spread over ranks, and sequences over copies: what each rank holds, runs and sends."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from ircost.api import compile_model
from ircost.backends import Target, load_target
from ircost.collective_kernels import collective_kernels, collective_kernels_of
from ircost.cost_models.analytical import Analytical
from ircost.cost_models.collectives import collective_times
from ircost.cost_models.memory import memory_use
from ircost.frontends import ImportOptions
from ircost.frontends.config import ConfigError, architecture_of, build_model
from ircost.frontends.config.build import BuiltModel
from ircost.frontends.config.config_file import Config
from ircost.frontends.config.frontend import build_pass
from ircost.frontends.config.plan import Collective, Mesh, parse_mesh
from ircost.frontends.config.workload import workload_of
from ircost.ir import Builder, Function, Module, interpret, ops
from ircost.ir.ops.experts import experts_met
from ircost.ir.types import TensorType, f32, i64
from ircost.ir.verify import verify
from ircost.report import Report
from ircost.request import FiguresAsked

LAYERS, HIDDEN, INNER, EXPERTS, CHOSEN = 3, 512, 256, 16, 4
MIXTURE: dict[str, Any] = {
    "model_type": "deepseek_v2",
    "vocab_size": 1024,
    "hidden_size": HIDDEN,
    "intermediate_size": 1024,
    "moe_intermediate_size": INNER,
    "num_hidden_layers": LAYERS,
    "first_k_dense_replace": 1,
    "num_attention_heads": 8,
    "num_key_value_heads": 8,
    "kv_lora_rank": 64,
    "q_lora_rank": None,
    "qk_nope_head_dim": 32,
    "qk_rope_head_dim": 32,
    "v_head_dim": 32,
    "n_routed_experts": EXPERTS,
    "num_experts_per_tok": CHOSEN,
    "n_shared_experts": 2,
    "torch_dtype": "bfloat16",
}
ALONE = {**MIXTURE, "n_shared_experts": None}
ROUTED_BYTES = 2 * (LAYERS - 1) * EXPERTS * 3 * HIDDEN * INNER


def built(mesh: str, batch: int = 8, config: dict[str, Any] = MIXTURE, context: int = 65) -> BuiltModel:
    work = workload_of("decode", batch=batch, context=context)
    model = build_model(architecture_of(Config(config, "config.json")), work, parse_mesh(mesh))
    verify(model.module)
    return model


def report(mesh: str, batch: int, target: str = "h100", **options: Any) -> Report:
    sizes = ImportOptions(phase="decode", dims={"batch": batch, "context": 1024}, mesh=mesh)
    architecture = architecture_of(Config(MIXTURE, "config.json"))
    return compile_model(build_pass(architecture, sizes), target, cost_model="analytical", **options)


def sent(model: BuiltModel, kind: str) -> list[Collective]:
    return [item for item in model.collectives if item.kind == kind]


def weights_bytes(mesh: str) -> int:
    return memory_use(built(mesh).module).weights_bytes


@pytest.mark.parametrize(
    ("text", "ranks"),
    [
        ("tp=8,ep=4", 8),
        ("dp=8,ep=8", 8),
        ("tp=2,dp=4,ep=8,pp=2", 16),
        ("", 1),
        ("dp=8,ep=8,redundant=8,balance=0.75", 8),
    ],
)
def test_a_mesh_reads_as_it_is_written(text: str, ranks: int) -> None:
    mesh = parse_mesh(text)
    assert mesh.ranks == ranks and parse_mesh(str(mesh)) == mesh
    assert str(Mesh()) == ""


@pytest.mark.parametrize("text", ["tp=4,ep=8", "dp=4,ep=2", "tp=2,dp=4,ep=4", "ep=2"])
def test_experts_stay_within_a_copy_or_are_over_all(text: str) -> None:
    with pytest.raises(ConfigError, match="cannot be spread"):
        parse_mesh(text)


def test_ranks_add_up_to_the_whole_mixture() -> None:
    """Each rank as the first of four: experts are numbered from its own on."""
    rng = np.random.default_rng(0)
    rows, held = 6, EXPERTS // 4
    x, up = rng.standard_normal((rows, 8)), rng.standard_normal((EXPERTS, 8, 8))
    down, shares = rng.standard_normal((EXPERTS, 8, 4)), rng.random((rows, CHOSEN))
    chosen = np.array([rng.permutation(EXPERTS)[:CHOSEN] for _ in range(rows)])

    def run(chosen: np.ndarray, up: np.ndarray, down: np.ndarray, ranks: int) -> np.ndarray:
        arrays = [a.astype(np.float32) for a in (x, shares)] + [chosen, up.astype(np.float32), down.astype(np.float32)]
        function = Function("main", [TensorType(a.shape, i64 if a is chosen else f32) for a in arrays])
        build = Builder(function.block)
        build.op(ops.return_.create([build(ops.mixture_of_experts(*function.arguments, ranks=ranks))]))
        module = Module([function])
        verify(module)
        return np.asarray(interpret(module, arrays)[0])

    parts = [
        run((chosen - held * r) % EXPERTS, up[held * r : held * (r + 1)], down[held * r : held * (r + 1)], 4)
        for r in range(4)
    ]
    np.testing.assert_allclose(sum(parts), run(chosen, up, down, 1), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("mesh", "experts", "inner"),
    [
        *[("", 16, 256), ("tp=4", 16, 64), ("tp=4,ep=4", 4, 256), ("tp=4,ep=2", 8, 128), ("dp=4", 16, 256)],
        *[("dp=4,ep=4", 4, 256), ("tp=2,dp=2,ep=4", 4, 256), ("tp=2,dp=2,ep=2", 8, 256), ("tp=2,dp=2", 16, 128)],
    ],
)
def test_each_rank_holds_some_experts_or_a_part_of_each(mesh: str, experts: int, inner: int) -> None:
    shapes = {use.name.partition(".experts.")[2]: use.type.shape for use in built(mesh).weights}
    assert shapes["gate_up"] == (experts, 2 * inner, HIDDEN)
    assert shapes["down"] == (experts, HIDDEN, inner)


def test_copies_hold_all_but_the_experts_whole_and_a_part_of_the_sequences() -> None:
    one, copies, split = built(""), built("dp=4,ep=4"), built("tp=4")
    saved = memory_use(one.module).weights_bytes - memory_use(copies.module).weights_bytes
    assert saved == ROUTED_BYTES * 3 // 4
    assert memory_use(split.module).weights_bytes < memory_use(copies.module).weights_bytes
    (cache,) = {value.type.shape[1] for value in copies.module.main.arguments if value.type.rank == 5}
    assert cache == 2  # of 8 sequences
    assert copies.kv_bytes_per_token == one.kv_bytes_per_token == split.kv_bytes_per_token / 4


def test_within_a_copy_nothing_more_is_sent() -> None:
    assert built("tp=4,ep=4").collectives == built("tp=4").collectives
    assert built("dp=4").collectives == ()


def test_between_copies_tokens_go_out_and_come_back() -> None:
    out, back = sent(built("dp=4,ep=4"), "all_to_all")
    ranks = experts_met(CHOSEN, 1, 4)  # that the experts of a token stand on
    assert out.ranks == back.ranks == 4 and out.count == back.count == LAYERS - 1
    assert out.size_bytes == back.size_bytes == math.ceil(2 * ranks * HIDDEN * 2)
    assert not sent(built("dp=4,ep=4"), "all_reduce")


def test_tokens_of_prompts_cross_the_network_once_for_each_node() -> None:
    """A token of 4 experts on 16 ranks goes to 3.6 of them, and to 1 of 1 other node."""
    target, size = load_target("h100"), 1_000_000
    each = Collective("all_to_all", size, 16, 1, "tokens")
    once = replace(each, chosen=CHOSEN)
    work = workload_of("prefill", batch=16, seq=64)
    model = build_model(architecture_of(Config(MIXTURE, "config.json")), work, parse_mesh("dp=16,ep=16"))
    (sent_once, sent_each), near = collective_times_of([once, each], target), replace(once, ranks=8)
    assert {item.chosen for item in sent(model, "all_to_all")} == {CHOSEN}
    assert {item.chosen for item in sent(built("dp=16,ep=16", batch=16), "all_to_all")} == {0}
    assert sent_once < sent_each
    away = size / experts_met(CHOSEN, 1, 16) * (1 - 0.5**CHOSEN)
    (direct,) = collective_times("all_to_all", [away * 16 / 15], 16, target).latency_s
    assert sent_once == pytest.approx(direct)
    assert collective_times_of([near], target) == collective_times_of([replace(near, chosen=0)], target)


def collective_times_of(items: list[Collective], target: Target) -> list[float]:
    models = [replace(built(""), collectives=(item,)) for item in items]
    return [kernel.latency_s or 0.0 for (kernel,) in collective_kernels_of(models, target, Analytical())]


def test_narrow_tokens_go_out_in_8_bits_and_come_back_wide() -> None:
    config = {**MIXTURE, "quantization_config": {"quant_method": "fp8", "weight_block_size": [128, 128]}}
    out, back = sent(built("dp=4,ep=4", config=config), "all_to_all")
    assert back.size_bytes / out.size_bytes == pytest.approx(2 / (1 + 4 / 128), rel=1e-3)


def test_ranks_of_a_group_send_a_part_of_its_tokens_each_and_share_what_comes_back() -> None:
    mesh = "tp=2,dp=2,ep=4"
    out, _ = sent(built(mesh), "all_to_all")
    assert out.size_bytes == math.ceil(2 * experts_met(CHOSEN, 1, 4) * HIDDEN * 2)  # 4 tokens of a group, 2 of a rank
    assert "sum of the experts' parts" in {item.purpose for item in sent(built(mesh), "all_reduce")}
    assert "results of the ranks' tokens" in {item.purpose for item in sent(built(mesh, config=ALONE), "all_gather")}


def test_figures_are_of_all_devices() -> None:
    one, copies = (report(mesh, 64, figures=FiguresAsked(price_per_hour=2.0)).transformer for mesh in ("dp=1", "dp=4"))
    assert one is not None and copies is not None
    quarter = report("dp=1", 16)
    assert copies.devices == 4 and copies.batch == 64
    assert copies.tokens_per_s == pytest.approx(64 / quarter.latency_s)
    assert copies.tokens_per_j == pytest.approx(64 / (4 * quarter.energy_j))
    assert one.cost_per_million_tokens is not None and copies.cost_per_million_tokens is not None
    assert copies.cost_per_million_tokens == pytest.approx(1e6 * 4 * 2.0 / 3600 / copies.tokens_per_s)
    assert copies.largest_batch % 4 == 0
    assert copies.largest_batch == pytest.approx(4 * one.largest_batch, rel=0.01)
    assert copies.experts_touched == pytest.approx(experts_met(16, CHOSEN, EXPERTS))


@pytest.mark.parametrize("mesh", ["tp=4", "tp=4,ep=2", "tp=4,ep=4", "dp=4,ep=4", "tp=2,dp=2,ep=4"])
@pytest.mark.parametrize("batch", [4, 256])
def test_ranks_do_a_quarter_of_the_experts_work_and_none_is_below_the_bound(mesh: str, batch: int) -> None:
    whole, own = report("", batch), report(mesh, batch)
    named = [[k for k in r.kernels if "mixture" in k.op] for r in (whole, own)]
    flops = [sum(k.flops for k in kernels) for kernels in named]
    shared = 2 * batch * (LAYERS - 1) * 3 * HIDDEN * 2 * INNER  # may be fused with it
    assert flops[1] == pytest.approx(flops[0] / 4, rel=0.02, abs=shared)
    assert own.lower_bound_s <= own.latency_s


def test_all_wait_for_the_busiest_rank() -> None:
    """One token of 4 experts among 4 ranks: some rank has more than one, and the note tells so."""
    split, spread = report("tp=4", 1), report("tp=4,ep=4", 1)
    assert any("busiest of 4 ranks" in note for note in spread.notes)
    assert not any("busiest" in note for note in split.notes)
    assert spread.latency_s > split.latency_s


def test_experts_and_sequences_must_divide() -> None:
    with pytest.raises(ConfigError, match="16 experts do not divide by ep=32"):
        built("dp=32,ep=32", batch=32)
    with pytest.raises(ConfigError, match="sequences do not divide by dp=4"):
        built("dp=4", batch=6)


def test_stages_in_other_nodes_are_sent_parts_over_the_network() -> None:
    """Two stages of eight ranks in nodes of eight: a card carries an eighth; two of four stand in one node."""
    target, size = load_target("h100"), 80_000_000
    handed = Collective("send_recv", size, 2, 1, "to the next stage", stages=(0,))

    def kernels(mesh: str) -> list[tuple[str, float]]:
        model = replace(built(""), mesh=parse_mesh(mesh), collectives=(handed,))
        return [(kernel.op, kernel.latency_s or 0.0) for kernel in collective_kernels(model, target, Analytical())]

    (whole,) = kernels("tp=4,pp=2")
    part, gathered = kernels("tp=8,pp=2")
    (card_s,) = collective_times("send_recv", [size / 8], 2, target, node=1).latency_s
    (within_s,) = collective_times("all_gather", [size], 8, target).latency_s
    (whole_s,) = collective_times("send_recv", [size], 2, target).latency_s
    assert [whole[0], part[0], gathered[0]] == ["send_recv", "send_recv", "all_gather"]
    assert [whole[1], part[1], gathered[1]] == pytest.approx([whole_s, card_s, within_s])
    assert card_s > size / 8 / 50e9, "no card of 400 Gb/s is faster"


@pytest.mark.parametrize(
    ("mesh", "far"),
    [("pp=9", [7]), ("tp=4,pp=4", [1]), ("tp=3,pp=3", [1]), ("tp=2,dp=4,pp=2", []), ("dp=8,ep=8,pp=2", [0])],
)
def test_which_stages_hand_on_to_another_node(mesh: str, far: list[int]) -> None:
    """Of copies that share nothing all stages stand side by side; where copies share experts, each stage of all."""
    ranks = parse_mesh(mesh)
    assert [stage for stage in range(ranks.pp - 1) if ranks.leaves_node(stage, 8)] == far


def test_copies_of_experts_take_memory_and_no_one_waits_less_than_chance_asks() -> None:
    """Sixteen experts and eight copies over eight ranks: three each; a busiest rank of twice the mean takes longer."""
    shapes = {use.name.partition(".experts.")[2]: use.type.shape for use in built("dp=8,ep=8,redundant=8").weights}
    assert shapes["gate_up"][0] == 3
    with pytest.raises(ConfigError, match="16 experts and 5 redundant ones do not divide by ep=8"):
        built("dp=8,ep=8,redundant=5")
    even, odd, chance = (report(f"dp=8,ep=8,balance={share}", 4096) for share in (1, 0.5, 0.999))
    assert odd.latency_s > 1.05 * even.latency_s
    assert chance.latency_s == pytest.approx(even.latency_s, rel=1e-3), "chance deals out more than that"
    assert odd.flops == even.flops, "on the mean a rank has as much to do"
    assert odd.transformer is not None and odd.transformer.balance == 0.5
    assert any("gets 2.00 times the mean" in note for note in odd.notes)


def test_what_most_go_to_is_sent_most() -> None:
    even, odd = (sent(built(f"dp=4,ep=4,balance={share}"), "all_to_all")[0].size_bytes for share in (1, 0.8))
    assert odd == pytest.approx(even / 0.8, rel=1e-3)
    (most,) = {item.size_bytes for item in sent(built("dp=4,ep=4,balance=0.01"), "all_to_all")}
    assert most == 2 * 4 * HIDDEN * 2, "no more than all tokens of all ranks"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        *[
            ("dp=8,ep=8,balance=1.5", "up to 1"),
            ("dp=8,ep=8,balance=nan", "up to 1"),
            ("tp=8,balance=0.5", "are of experts"),
        ],
        *[("dp=8,ep=8,redundant=x", "of 0 and more"), ("redundant=4", "are of experts")],
    ],
)
def test_what_is_said_of_experts_is_checked(text: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_mesh(text)
    assert message in f"{caught.value.message} {caught.value.help}"
