"""`irc explain`: the tree as text and JSON, one kernel or the slowest, and unknown names."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path

import pytest

RESNET = Path(__file__).resolve().parents[2] / "datasets/models/resnet50.onnx"


def test_one_kernel_opens_into_its_terms(irc) -> None:
    outcome = irc("explain", RESNET, "--target", "h100", "--dtype", "f16", "--kernel", "layer4.2/conv2")
    lines = outcome.out.splitlines()
    assert (outcome.code, outcome.err) == (0, "")
    assert "/layer4/layer4.2/conv2/Conv" in lines[0]
    assert all(line.startswith(("├─", "│", "└─", "   ")) for line in lines[1:])
    for words in ("HBM", "B / (3.35 TB/s x ", "512x512x3x3xf16 4.72 MB", "H100 Tensor Core GPU data sheet", "launch"):
        assert words in outcome.out, words


def test_the_total_opens_into_the_five_slowest(irc) -> None:
    text = irc("explain", RESNET).out
    opened = [line for line in text.splitlines() if line.startswith(("├─", "└─"))]
    assert len(opened) == 6
    assert "50 more kernels" in opened[-1]


def test_json_adds_up(irc) -> None:
    tree = json.loads(irc("explain", RESNET, "--json", "--target", "a100").out)
    report = json.loads(irc("compile", RESNET, "--json", "--target", "a100").out)
    assert tree["how"] == "sum"
    assert sum(child["value"] for child in tree["children"]) == pytest.approx(report["latency_s"], rel=1e-9)


def test_several_kernels_of_one_name_are_added(irc) -> None:
    tree = json.loads(irc("explain", RESNET, "--json", "--kernel", "layer3").out)
    assert tree["label"] == "kernels with 'layer3'"
    assert len(tree["children"]) == 6  # five, and the others together


def test_an_unknown_kernel_is_the_user_s_mistake(irc) -> None:
    outcome = irc("explain", RESNET, "--kernel", "layer4.2/conv9")
    assert outcome.code == 2
    assert outcome.err.startswith("error: no kernel has 'layer4.2/conv9' in its node's name")
    assert "did you mean " in outcome.err


def test_other_models_explain_by_their_terms(irc) -> None:
    text = irc("explain", RESNET, "--model", "roofline").out
    assert "roofline, kernels one after another" in text
    assert "(hidden)" in text


def test_tiles_are_told_beside_the_time_and_not_added_to_it(irc) -> None:
    options = ("--target", "epyc_9654", "--json", "--kernel", "layer4.2/conv2", "--passes", "fuse,tile")
    tree = json.loads(irc("explain", RESNET, *options).out)
    tiles = [child for child in tree["children"] if child["label"].startswith("through ")]
    assert [child["label"].split()[1] for child in tiles] == ["l3", "l2", "l1"]
    assert all(child["hidden"] and child["unit"] == "B" for child in tiles)
    assert all("no order moves less than" in child["source"] for child in tiles)
    plain = json.loads(irc("explain", RESNET, *options[:-1], "fuse").out)
    assert tree["value"] == pytest.approx(plain["value"], rel=1e-12)


def test_effects_on_a_share_are_said_to_multiply_its_loss(irc) -> None:
    """0.86, x0.77 and x0.90 make more than 0.86: what is lost of the peak shrinks; x1.5 makes less."""
    text = irc("explain", RESNET, "--kernel", "layer4.2/conv2").out
    (line,) = [line for line in text.splitlines() if "'matrix'" in line]
    share, whole = (float(number) for number in re.findall(r"─ +([\d.]+)  'matrix'  all ([\d.]+)", line)[0])
    loss = math.prod(map(float, re.findall(r"loss x([\d.]+)", line)))
    assert loss != 1
    assert 1 / (1 + (1 / whole - 1) * loss) == pytest.approx(share, abs=0.01)


def test_what_ranks_tell_each_other_is_opened_by_its_name_or_its_collective(irc) -> None:
    model = ("llama-3-8b", "--mesh", "tp=8", "--phase", "decode", "--context", "512", "--json")
    one = json.loads(irc("explain", *model, "--kernel", "sum of the heads").out)
    assert [child["label"] for child in one["children"]] == ["all_reduce", "runs"]
    sums = json.loads(irc("explain", *model, "--kernel", "all_reduce").out)
    assert one["label"] in [child["label"] for child in sums["children"]]
    assert irc("explain", *model, "--kernel", "all_gater").err.count("did you mean all_gather") == 1
