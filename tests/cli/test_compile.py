"""`irc compile`: the screen, the JSON, the CSV, the IR it writes, and the answer no."""

from __future__ import annotations

import csv
import io
import json
import re
import sys
from pathlib import Path

import pytest
from onnx import TensorProto, ValueInfoProto, helper, save

import ircost
from ircost.api import DEFAULT_PIPELINE
from ircost.ir.errors import UnsupportedError
from ircost.ir.parser import parse_module
from ircost.ir.verify import verify
from ircost.quantity_text import small_text

RESNET = Path(__file__).resolve().parents[2] / "datasets/models/resnet50.onnx"
TINY = (
    "name: tiny\nextends: h100\nsource: test\n"
    "memory: {hbm: {capacity: 100 B}, l2: none, shared: none, registers: none}\n"
)


def test_screen_says_what_an_expert_asks(irc) -> None:
    outcome = irc("compile", RESNET, "--target", "h100", "--dtype", "f16")
    lines = outcome.out.splitlines()
    assert (outcome.code, outcome.err) == (0, "")
    assert lines[0] == f"{RESNET}  ->  h100_sxm (H100 SXM5 80 GB, Hopper, 2022)"
    assert lines[1].startswith("  f16 · input 1x3x224x224xf16 · 122 nodes -> ")
    names = [line[2:12].strip() for line in lines[3:9]]
    assert names == ["latency", "at best", "energy", "memory", "work", "bound by"]
    assert "4.09 G MACs" in outcome.out
    assert "/layer1/layer1.0/conv2/Conv and " in outcome.out
    assert "batch dim 'N' of input 'input' is taken as 1 (--dim N=...)" in outcome.out
    assert "hybrid: the analytical model, corrected" in outcome.out
    assert len(lines) < 40


def test_piped_text_is_plain_and_whole(irc, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "20")
    text = irc("compile", RESNET).out
    assert not re.search(r"[\x1b\u2500-\u257f…]", text)
    assert max(map(len, text.splitlines())) > 80


def test_shares_of_all_kernels_add_up(irc) -> None:
    text = irc("compile", RESNET, "--all").out
    shares = [float(share) for share in re.findall(r"^ .*? ([\d.]+)% ", text, re.MULTILINE) if "." in share]
    assert len(shares) == len(json.loads(irc("compile", RESNET, "--json").out)["kernels"])
    assert sum(shares) == pytest.approx(100, abs=0.05 * len(shares) + 0.1)


def test_json_is_the_library_s_report(irc) -> None:
    import ircost

    text = irc("compile", RESNET, "--json", "--dim", "N=2", "--target", "a100").out
    assert text == ircost.compile(RESNET, target="a100", dims={"N": 2}).to_json() + "\n"
    assert json.loads(text)["macs"] == 2 * 4_089_184_256


def test_tiles_are_told_where_every_kernel_is(irc) -> None:
    assert " tile " in irc("compile", RESNET, "--all").out
    kernels = json.loads(irc("compile", RESNET, "--json").out)["kernels"]
    assert {kernel["tile"] != "" for kernel in kernels if kernel["op"].startswith("conv")} == {True}
    assert all(0 < kernel["of_peak"] <= 1 for kernel in kernels)


def test_the_model_suits_the_machine(irc) -> None:
    models = [
        json.loads(irc("compile", RESNET, "--json", "-t", target).out)["model"] for target in ("h100", "cpu", "tpu_v4")
    ]
    assert models == ["hybrid", "hybrid", "roofline"]
    told = irc("compile", RESNET, "-t", "cpu", "--model", "analytical").out
    assert "no conv, vector, gemm kernel of cpu was measured: those of other CPUs stand in" in told
    assert "no runtime is named: kernels as of ONNX Runtime" in told


def test_csv_has_a_line_for_each_kernel(irc) -> None:
    rows = list(csv.DictReader(io.StringIO(irc("compile", RESNET, "--csv").out)))
    report = json.loads(irc("compile", RESNET, "--json").out)
    assert [row["name"] for row in rows] == [kernel["name"] for kernel in report["kernels"]]
    assert sum(float(row["latency_s"]) for row in rows) == pytest.approx(report["latency_s"])


def test_a_knee_is_told_in_the_words_of_the_table(irc) -> None:
    text = irc("compile", RESNET, "--sweep", "N=1,8", "--model", "analytical", "--dtype", "f16").out
    assert "  launch 7" in text and "  L2 4" in text
    assert "N 8: from launch to L2" in text


def test_ir_that_is_written_can_be_compiled_again(irc, tmp_path: Path) -> None:
    out = tmp_path / "out.irc"
    first = json.loads(irc("compile", RESNET, "--json", "-o", out).out)
    verify(parse_module(out.read_text()))
    again = json.loads(irc("compile", out, "--json", "--passes", "").out)
    for key in ("latency_s", "energy_j", "macs", "flops", "peak_memory_bytes", "kernels"):
        assert again[key] == first[key], key


def test_what_does_not_fit_is_answered_with_1(irc, mlp: Path, tmp_path: Path) -> None:
    (tmp_path / "tiny.yaml").write_text(TINY)
    outcome = irc("compile", mlp, "--target", tmp_path / "tiny.yaml")
    assert outcome.code == 1
    assert "does not fit: 124 B more than the 100 B of tiny" in outcome.out
    assert "latency" in outcome.out
    assert irc("compile", mlp, "--targets", tmp_path, "--target", "tiny", "--json").code == 1


def test_opaque_operators_are_listed_first_and_in_no_total(irc, tmp_path: Path) -> None:
    def tensor(name: str) -> ValueInfoProto:
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, [2, 3])

    nodes = [
        helper.make_node("Exp", ["x"], ["a"], name="before"),
        helper.make_node("Frobnicate", ["a"], ["y"], name="odd_one", domain="com.example"),
    ]
    graph = helper.make_graph(nodes, "g", [tensor("x")], [tensor("y")])
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("com.example", 3)]
    save(helper.make_model(graph, opset_imports=opsets, ir_version=8), tmp_path / "odd.onnx")
    text = irc("compile", tmp_path / "odd.onnx", "--allow-opaque").out
    assert "1 opaque kernel left out" in text
    rows = text[text.index("     time") :].splitlines()[1:3]
    assert re.match(r"  unknown +1 +odd_one +\S*Frobnicate", rows[0])
    assert rows[1].endswith("before   exp")
    report = json.loads(irc("compile", tmp_path / "odd.onnx", "--allow-opaque", "--json").out)
    assert report["unknown"] == ["odd_one"]
    assert [kernel["latency_s"] is None for kernel in report["kernels"]] == [False, True]


def test_stats_and_ir_go_to_stderr(irc, mlp: Path) -> None:
    outcome = irc("compile", mlp, "--json", "--stats", "--print-ir-after", "fuse")
    json.loads(outcome.out)
    assert "// IR after fuse\nmodule @mlp" in outcome.err
    assert re.search(r"ms verify +4 -> +6 ops  fuse\{by_cost=true\}\n +1 x kernels", outcome.err)


def test_help_states_the_pipeline_that_runs(irc) -> None:
    assert DEFAULT_PIPELINE in "".join(irc("compile", "--help").out.split())


@pytest.mark.parametrize("target", ["h100", "cpu"])
def test_levels_are_replayed_by_the_pipeline_in_the_report(irc, target: str) -> None:
    latencies = []
    for opt in "0123":
        report = json.loads(irc("compile", RESNET, "-t", target, "--opt", opt, "--json").out)
        again = json.loads(irc("compile", RESNET, "-t", target, "--passes", report["pipeline"], "--json").out)
        assert again == report
        latencies.append(report["latency_s"])
    assert latencies == sorted(latencies, reverse=True)


def test_other_passes_than_the_default_are_told(irc) -> None:
    assert "passes that ran: weight-only,canonicalize\n" in irc("compile", RESNET, "--opt", "1").out
    assert "passes that ran: none\n" in irc("compile", RESNET, "--opt", "0").out
    assert irc("compile", RESNET, "--opt", "2").out == irc("compile", RESNET).out


def test_same_input_same_bytes(irc) -> None:
    assert irc("compile", RESNET) == irc("compile", RESNET)


def test_lines_fit_the_terminal(irc, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("table", "report_text"):
        monkeypatch.setattr(f"ircost.{module}.terminal_width", lambda: 60)
    lines = irc("compile", RESNET).out.splitlines()[1:]
    assert max(map(len, lines)) <= 60
    assert any(line.endswith("…") for line in lines)


def test_a_memory_limit_that_another_order_keeps(irc, tmp_path: Path) -> None:
    (tmp_path / "wide.irc").write_text(
        """
        func @main(%x: 4xf32) -> 4xf32 {
          %a = broadcast %x {shape = [64, 4]}
          %y = softmax %x
          %b = broadcast %y {shape = [64, 4]}
          %c = reduce_sum %a {axes = [0]}
          %d = reduce_sum %b {axes = [0]}
          %e = add %c, %d
          return %e
        }"""
    )
    options = ("compile", tmp_path / "wide.irc", "--passes", "", "--json")
    report = json.loads(irc(*options, "--memory-limit", "1.5KiB").out)
    assert report["fits"] and report["memory_limit_bytes"] == 1536
    assert report["pipeline"].startswith("order-for-memory")
    (note,) = (note for note in report["notes"] if note.startswith("for the memory limit: another order of ops; "))
    free = json.loads(irc(*options).out)
    assert note.endswith(f"latency +{small_text(abs(round(report['latency_s'] - free['latency_s'], 15)), 's')}")
    outcome = irc(*options, "--memory-limit", "512")
    assert outcome.code == 1
    assert json.loads(outcome.out)["remedies"]
    assert free["fits"]


def test_what_would_fit_does_fit(irc) -> None:
    limit = ("compile", RESNET, "--memory-limit", "110MiB")
    outcome = irc(*limit, "--dim", "N=64")
    assert outcome.code == 1
    assert "more than the 110 MiB that it may take" in outcome.out
    remedy = re.search(r"would fit: --dim N=(\d+) instead of 64", outcome.out)
    assert remedy is not None
    assert irc(*limit, "--dim", f"N={remedy[1]}").code == 0
    assert irc(*limit, "--dim", f"N={int(remedy[1]) + 1}").code == 1


@pytest.mark.parametrize("size", ["2", 2.5, None])
def test_extents_of_the_library_are_whole_numbers(size: object) -> None:
    with pytest.raises(UnsupportedError, match=f"'N' is bound to {size!r}"):
        ircost.compile(RESNET, dims={"N": size})  # type: ignore[dict-item]


def reversible_chain(file: Path) -> Path:
    """Blocks whose inputs can be had back from their outputs, all of them read once more at the end."""
    lines = ["%x0, %i = top_k %a {k = 32, axis = 0}", "%y0, %j = top_k %b {k = 32, axis = 0}"]
    for i in range(8):
        lines += [f"%f{i} = tanh %y{i}", f"%fw{i} = matmul %f{i}, %w", f"%x{i + 1} = add %x{i}, %fw{i}"]
        lines += [f"%g{i} = tanh %x{i + 1}", f"%gw{i} = matmul %g{i}, %w", f"%y{i + 1} = add %y{i}, %gw{i}"]
    lines += ["%s8 = add %x8, %y8", "%d8 = softmax %s8"]
    for i in reversed(range(8)):
        lines += [f"%p{i} = mul %x{i}, %y{i}", f"%s{i} = add %d{i + 1}, %p{i}", f"%d{i} = softmax %s{i}"]
    head = "func @main(%a: 32x32xf32, %b: 32x32xf32, %w: 32x32xf32) -> 32x32xf32"
    file.write_text(f"{head} {{ {' '.join(lines)} return %d0 }}")
    return file


def test_a_reversible_chain_fits_once_rounding_is_allowed(irc, tmp_path: Path) -> None:
    limit = ("compile", reversible_chain(tmp_path / "chain.irc"), "--target", "cpu", "--memory-limit", "32KiB")
    outcome = irc(*limit)
    assert outcome.code == 1
    remedy = re.search(r"would fit: --passes '(\S+)'", outcome.out.replace("\n", ""))
    assert remedy is not None
    assert irc(*limit, "--passes", remedy[1]).code == 0


def test_what_is_said_to_fit_is_fused_for_the_target(irc, tmp_path: Path) -> None:
    """Fusion by cost leaves kernels out of which no input can be had back; fusion by rule would not."""
    outcome = irc("compile", reversible_chain(tmp_path / "chain.irc"), "--target", "h100", "--memory-limit", "32KiB")
    assert outcome.code == 1
    remedy = re.search(r"would fit: --memory-limit (\S+)", outcome.out)
    assert remedy is not None
    assert irc("compile", tmp_path / "chain.irc", "--target", "h100", "--memory-limit", remedy[1]).code == 0
    assert "would fit: --passes" not in outcome.out


def test_no_limit_is_above_what_the_target_has(irc) -> None:
    outcome = irc("compile", RESNET, "--target", "h100", "--memory-limit", "80GiB")
    assert outcome.code == 2
    assert "error: the memory limit of 80GiB is more than the 79.6 GiB of h100_sxm" in outcome.err
    small = ("compile", RESNET, "--target", "iphone_6", "--dim", "N=256", "--memory-limit", "110MiB")
    outcome = irc(*small)
    assert outcome.code == 1
    assert "would fit: --memory-limit" not in outcome.out and "would fit: on " in outcome.out


def test_kernels_without_a_tile_are_told(irc, tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(
        "name: mine\nextends: gaudi2\nsource: test\nmemory: {local: {capacity: 64 B}}\n"
    )
    passes = ("--passes", "canonicalize,fold-batch-norm,fuse,tile", "--json")
    small, large = (
        json.loads(irc("compile", RESNET, *passes, "--target", target).out)
        for target in (tmp_path / "mine.yaml", "gaudi2")
    )
    told = [note for note in small["notes"] if note.startswith("tile: ")]
    assert len(told) == 1 and told[0].endswith("no tile of it fits sram, local of mine")
    assert not any(note.startswith("tile: ") for note in large["notes"])


def test_what_does_nothing_on_an_accelerator_is_told(irc, tmp_path: Path) -> None:
    (tmp_path / "lone.yaml").write_text("name: lone\nextends: tpu_v5e\nsource: test\nmemory: {vmem: none}\n")
    passes = ("--passes", "canonicalize,fuse,tile", "--json")
    notes = json.loads(irc("compile", RESNET, *passes, "--target", f"{tmp_path / 'lone.yaml'}+vllm").out)["notes"]
    assert "tile: lone+vllm has no memory but hbm, so there is nothing to tile for" in notes
    assert "runtime vllm changes nothing: no kernels of accelerators were measured under any" in notes
    measured = json.loads(irc("compile", RESNET, "--target", "h100+vllm", "--model", "roofline", "--json").out)["notes"]
    assert not any("changes nothing" in note for note in measured)


@pytest.mark.parametrize("limit", ["much", "0", "-3GiB", "24"])
def test_limits_are_read_before_the_model(irc, limit: str) -> None:
    outcome = irc("compile", "no_such.onnx", "--memory-limit", limit)
    assert outcome.code == 2
    assert ("not a memory limit" in outcome.err) == (limit != "24")


def test_exact_without_a_solver_says_how_to_get_one(irc, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from ircost.cost_models.allocation import Interval, SolverError, place

    monkeypatch.setitem(sys.modules, "ortools.sat.python", None)
    gap = [Interval(2, 0, 1), Interval(1, 1, 2), Interval(2, 2, 3), Interval(1, 3, 4), Interval(3, 4, 4)]
    assert place(gap, exact=True).is_optimal  # nothing to solve
    monkeypatch.setattr("ircost.cost_models.allocation.peak", lambda intervals: 1)
    with pytest.raises(SolverError, match="pip install 'ircost\\[solve\\]'"):
        place(gap, exact=True)


def test_a_schedule_tells_the_tile_where_the_model_has_none(irc) -> None:
    options = ("--target", "epyc_9654", "--json", "--passes", "fuse,tile")
    kernels = json.loads(irc("compile", RESNET, *options).out)["kernels"]
    convolutions = [kernel["tile"] for kernel in kernels if kernel["op"].startswith("conv")]
    assert convolutions and all(tile.startswith("tile@l1 ") for tile in convolutions)


def test_ops_of_a_text_are_named_as_written_there(irc, tmp_path: Path) -> None:
    path = tmp_path / "net.irc"
    path.write_text(
        "func @layer(%x: 64x64xf32) -> 64x64xf32 { %0 = matmul %x, %x %1 = relu %0 return %1 }\n"
        'func @main(%x: 64x64xf32) -> 64x64xf32 { %a = call %x {callee = "layer"} : 64x64xf32\n'
        "  %scores = softmax %a return %scores }\n"
    )
    report = json.loads(irc("compile", path, "--json").out)
    assert [kernel["name"] for kernel in report["kernels"]] == ["@layer/%0", "%scores"]
    assert report["kernels"][0]["source_nodes"] == ["@layer/%0", "@layer/%1"]


def test_mixed_precision_is_between_full_and_half(irc) -> None:
    def latency_s(*formats: str) -> float:
        return json.loads(irc("compile", RESNET, "--target", "a100", "--json", *formats).out)["latency_s"]

    assert latency_s("--dtype", "f16") <= latency_s("--autocast", "f16") < 0.5 * latency_s()


def test_what_weights_take_in_mixed_precision_is_told(irc) -> None:
    """25.6 M weights of f32, and as many of half the width, cross the 2039 GB/s of an A100."""
    outcome = irc("compile", RESNET, "--target", "a100", "--autocast", "bf16", "--sweep", "N=1,8")
    for text in (outcome.out, irc("compile", RESNET, "--target", "a100", "--autocast", "bf16").out):
        assert "autocast: 97.4 MiB of weights are converted to bf16 once, at load, and 48.7 MiB are kept" in text
        assert "75.1 us longer, or more, where each run opens its own" in text


@pytest.mark.parametrize(
    ("arguments", "wrong"),
    [
        ((RESNET, "--autocast", "f16", "--dtype", "bf16"), "--dtype and --autocast exclude each other"),
        ((RESNET, "--autocast", "f16", "--passes", "autocast"), "autocast is among the passes already"),
        (("bert-base-uncased", "--autocast", "f16"), "a model by its configuration is built in one number format"),
    ],
)
@pytest.mark.parametrize("more", [(), ("--what-if",), ("--sweep", "N=1,2")])
def test_no_mixed_precision(irc, arguments: tuple[str, ...], wrong: str, more: tuple[str, ...]) -> None:
    outcome = irc("compile", *arguments, *more)
    assert outcome.code == 2 and wrong in outcome.err and "help: " in outcome.err


def test_a_model_of_half_precision_stays_as_it_is(irc, tmp_path: Path) -> None:
    (tmp_path / "half.irc").write_text("func @main(%x: 8x8xf16) -> 8x8xf16 { %y = matmul %x, %x return %y }")
    report = json.loads(irc("compile", tmp_path / "half.irc", "--autocast", "f16", "--json").out)
    assert "autocast changes nothing: no op of the model takes f32" in report["notes"]
