"""The library as Python users meet it: what help shows, what a mistake is told, and that nothing given is changed."""

from __future__ import annotations

import inspect
import subprocess
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

import ircost
from ircost.alternatives import what_if
from ircost.api import compile_model, import_options_of, sweep_model
from ircost.frontends import load
from ircost.ir import IrcError
from ircost.ir.parser import parse_module
from ircost.ir.printer import print_module
from ircost.report import Report
from ircost.request import FiguresAsked

RESNET = Path(__file__).resolve().parents[1] / "datasets/models/resnet50.onnx"
FUNCTIONS = [name for name in ircost.__all__ if callable(getattr(ircost, name))]


def parameters(function: Any) -> dict[str, inspect.Parameter]:
    return dict(inspect.signature(function).parameters)


def defaults(function: Any) -> dict[str, Any]:
    return {name: parameter.default for name, parameter in parameters(function).items()}


def test_names_of_the_package_are_its_functions() -> None:
    code = "import ircost; print(*(name for name in dir(ircost) if not name.startswith('_')), *ircost.__all__)"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert set(found) - {"library"} == {"__version__", *FUNCTIONS}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_help_tells_of_every_option(name: str) -> None:
    function = getattr(ircost, name)
    own = parameters(function)
    assert not any(p.kind in (p.VAR_KEYWORD, p.VAR_POSITIONAL) for p in own.values())
    assert all(p.annotation is not p.empty for p in own.values())
    if name not in ("what_if", "sweep"):  # whose options are those of compile, they say
        assert [p for p in own if p not in (function.__doc__ or "")] == []
    assert "Raises:" in (function.__doc__ or "")


def test_options_are_those_of_what_they_are_handed_to() -> None:
    bindings, figures = defaults(import_options_of), dict.fromkeys(FiguresAsked.__slots__)
    for public, inner, more in (
        (ircost.compile, compile_model, figures),
        (ircost.what_if, what_if, {}),
        (ircost.sweep, sweep_model, {}),
    ):
        handed_on = {**defaults(inner), **bindings, **more}
        for own in ("bindings", "figures", "hooks", "processes"):
            handed_on.pop(own, None)
        assert defaults(public) == handed_on


@pytest.mark.parametrize(
    ("options", "message", "help"),
    [
        ({"targt": "a100"}, "compile has no option 'targt'", "did you mean target"),
        ({"cost_modle": "roofline"}, "compile has no option 'cost_modle'", "did you mean cost_model"),
        ({"batch": 8}, "compile has no option 'batch'", "dims={'batch': 8}"),
        ({"dims": "N=8"}, "compile: dims is 'N=8'", "dims={'batch': 8}"),
        ({"dims": {"N": True}}, "dim 'N' is bound to True", "whole numbers"),
        ({"shapes": {"input": "1,3,224,224"}}, "compile: shapes is", "shapes={'x': (1, 3, 224, 224)}"),
        ({"opt": "2"}, "compile: opt is '2'", "opt=2"),
        ({"mesh": {"tp": 8}}, "compile: mesh is {'tp': 8}", "mesh='tp=8'"),
        ({"target_folders": "targets"}, "compile: target_folders is 'targets'", "target_folders=["),
        ({"pipeline": ["canonicalize"]}, "compile: pipeline is ['canonicalize']", "pipeline="),
        ({"cost_model": None}, "compile: cost_model is None", "cost_model="),
        ({"autocast": "tf32"}, "autocast: tf32 is no half precision", "f16 or bf16"),
        ({"autocast": "f16", "dtype": "f16"}, "both autocast (f16) and dtype (f16) are given", "leave one out"),
        ({"dtype": float}, "compile: dtype is <class 'float'>", "dtype='f16'"),
    ],
)
def test_a_mistaken_option_is_told_with_its_cure(options: dict[str, Any], message: str, help: str) -> None:
    with pytest.raises(IrcError) as told:
        ircost.compile(RESNET, **options)
    assert message in told.value.message
    assert help in str(told.value.help)


def test_what_is_no_report_or_model_is_told() -> None:
    with pytest.raises(IrcError, match="a NoneType is not a report"):
        ircost.diff(None, RESNET)  # type: ignore[arg-type]
    with pytest.raises(IrcError, match="a str is not a report"):
        ircost.explain("report.json")  # type: ignore[arg-type]
    with pytest.raises(IrcError, match="a Module has one size"):
        ircost.sweep(load(RESNET).module, {"N": [1, 2]})  # type: ignore[arg-type]


def test_a_model_that_is_given_stays_as_it_is() -> None:
    """Compiled for one machine and format after another, a module gives what its file gives."""
    imported = load(RESNET)
    before = print_module(imported.module)
    wanted: list[dict[str, Any]] = [
        {"target": "raspberry_pi_5"},
        {"target": "h100", "dtype": "f16"},
        {"target": "h100", "autocast": "bf16"},
        {"target": "a100"},
    ]
    again = [ircost.compile(imported, **own) for own in wanted]
    assert [report.latency_s for report in again] == [ircost.compile(RESNET, **own).latency_s for own in wanted]
    assert print_module(imported.module) == before
    assert ircost.compile(imported.module, "a100").latency_s == again[-1].latency_s
    assert print_module(imported.module) == before
    assert ircost.explain(again[0]).latency_s == pytest.approx(again[0].latency_s)


@pytest.mark.parametrize(
    "options", [{"dims": {"N": 8}}, {"shapes": {"input": (1, 3, 64, 64)}}, {"phase": "decode"}, {"mesh": "tp=8"}]
)
def test_what_would_bind_a_module_anew_is_an_error(options: dict[str, Any]) -> None:
    """To leave it out of account would be an answer to something else."""
    for ask in (ircost.compile, ircost.what_if):
        with pytest.raises(IrcError, match=f"{next(iter(options))} applies only to models that are read from a file"):
            ask(load(RESNET), **options)


@pytest.mark.parametrize("formats", [{"dtype": "f16"}, {"autocast": "f16"}])
def test_sweeps_are_those_of_the_command_line(formats: dict[str, Any]) -> None:
    found = ircost.sweep(RESNET, {"N": [1, 8]}, "t4", **formats)
    reports = [ircost.compile(RESNET, "t4", dims={"N": n}, **formats) for n in (1, 8)]
    assert [point.latency_s for point in found.points] == pytest.approx([report.latency_s for report in reports])
    assert inspect.isfunction(ircost.sweep), "no module has taken its place"


@pytest.mark.parametrize("axes", [{}, {"N": []}, {"N": [0]}, {"N": [-1]}, {"N": [1.5]}])
def test_axes_without_sizes_are_told(axes: dict[str, Any]) -> None:
    with pytest.raises(IrcError):
        ircost.sweep(RESNET, axes)


def test_explanations_are_of_the_target_of_the_report(tmp_path: Path) -> None:
    mine = tmp_path / "mine.yaml"
    mine.write_text("name: t4\nextends: h100_sxm\nsource: a test\npower: {peak: 500 W}\n")
    report = ircost.compile(RESNET, mine)
    with pytest.raises(IrcError, match="the report is for another version of target t4"):
        ircost.explain(report)
    assert ircost.explain(report, target=mine).latency_s == pytest.approx(report.latency_s)


@pytest.fixture(scope="module")
def report() -> Report:
    return ircost.compile(RESNET, "h100", dtype="f16")


@pytest.fixture(scope="module")
def answers(report: Report) -> list[Any]:
    return [
        report,
        report.kernels[0],
        ircost.what_if(RESNET, "t4"),
        ircost.sweep("llama-3-8b", {"batch": [1, 64]}, "h100", phase="decode", dims={"context": 4096}),
        ircost.diff(report, ircost.compile(RESNET, "t4")),
        ircost.explain(report),
        ircost.compile("llama-3-70b", "t4", phase="decode", dims={"context": 64}),
        ircost.predict({"device": "h100", "m": 1, "n": 2, "k": 3}),
    ]


def test_answers_are_one_line_and_in_notebooks_tables(answers: list[Any]) -> None:
    for answer in answers:
        assert "\n" not in repr(answer)
        assert len(repr(answer)) < 200 + 2 * len(str(RESNET))
        if hasattr(answer, "_repr_html_"):
            document = ElementTree.fromstring(answer._repr_html_())
            assert document.find(".//table") is not None or document.find(".//details") is not None


def test_words_of_a_model_are_no_html() -> None:
    text = 'func @main(%x: 2xf32) -> 2xf32 { %y = exp %x loc("m":"a<b>&\\"c") return %y }'
    shown = ircost.compile(parse_module(text), "t4")._repr_html_()
    assert "a&lt;b&gt;&amp;&quot;c" in shown
    ElementTree.fromstring(shown)


def test_columns_have_a_row_for_each_kernel_change_and_point(report: Report, answers: list[Any]) -> None:
    kernels = report.to_columns()
    assert kernels["name"] == [kernel.name for kernel in report.kernels]
    assert kernels["flops_per_byte"] == [kernel.flops_per_byte for kernel in report.kernels]
    for answer in answers:
        if hasattr(answer, "to_columns"):
            assert len({len(column) for column in answer.to_columns().values()}) == 1
    frame = pytest.importorskip("pandas").DataFrame(kernels)
    assert frame["latency_s"].sum() == pytest.approx(report.latency_s)


def test_an_explanation_as_text_is_that_of_the_command_line(report: Report) -> None:
    lines = str(ircost.explain(report, "layer4.2/conv2")).splitlines()
    assert "/layer4/layer4.2/conv2/Conv" in lines[0]
    assert any("fit: " in line for line in lines)


def test_an_explanation_opens_as_many_kernels_as_asked_for(report: Report) -> None:
    lines = [len(str(ircost.explain(report, most=most)).splitlines()) for most in (0, 3, None)]
    assert lines[0] < lines[1] < lines[2]
    with pytest.raises(IrcError, match="explain: most is -1"):
        ircost.explain(report, most=-1)
