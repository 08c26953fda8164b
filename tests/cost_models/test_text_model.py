"""The text model: tokens, vectors, estimators, texts of rows, training, storage."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.utils.estimator_checks import parametrize_with_checks

from ircost.backends import load_target
from ircost.cost_models.evaluation import ROW_MODELS, predict_table
from ircost.cost_models.gpu.constants import bundled_constants
from ircost.cost_models.gpu.families import FAMILIES
from ircost.cost_models.learned.estimators.linear_trees import LinearTrees
from ircost.cost_models.learned.packing import packed, unpacked
from ircost.cost_models.learned.row_text import WRITERS, RowTextError, row_attributes, texts_of
from ircost.cost_models.learned.rows import readable
from ircost.cost_models.learned.stored_trees import LearnedModelError
from ircost.cost_models.learned.text_model import IrTextRegressor
from ircost.cost_models.learned.text_storage import read_text_models, write_text_model
from ircost.cost_models.learned.text_tokens import lines_of, type_of
from ircost.cost_models.learned.text_training import TextModel, train_text
from ircost.cost_models.learned.text_vectors import IrTextVectorizer, bucket_of
from ircost.ir import Module, Value
from ircost.ir.parser import parse_module
from ircost.ir.printer import print_module
from ircost.ir.types import parse_type
from ircost.ir.verify import verify
from tests.random_modules import modules

DEVICES = ("h100_sxm", "a100_sxm_80gb", "l40s", "t4")
SMALL = IrTextRegressor(trees=60, leaves=7)
TEXT = """
module @net {target = "h100", clock = 1.5}

func @main(%x: 512x1024xbf16, %c: bool) -> 512x2048xbf16 {
  %w = constant file<"a, %x = b : 2xf32", 0, 4194304, bf16> : 1024x2048xbf16
  %y = matmul %x, %w {out = bf16} : 512x2048xbf16
  %z = if %c then() {
    %a = relu %y : 512x2048xbf16
    yield %a
  } else() {
    yield %y
  } : 512x2048xbf16
  %t = slice %z {starts = [0, 128], size = [512, 128]} : 512x128xbf16
  return %z
}
"""


def lines(text: str = TEXT) -> dict[str, Any]:
    return {line.op: line for line in lines_of(text)}


# ---- tokens


def test_operands_are_known_by_their_lines() -> None:
    product = lines()["matmul"]
    assert {"matmul.0:bf16,2", "matmul.0<func", "matmul.1<constant", "matmul.out=bf16"} <= set(product.words)
    assert {("matmul.0.-1", 1024.0), ("matmul.1.-1", 2048.0), ("matmul=>0.-2", 512.0)} <= set(product.sizes)
    assert ("matmul.1.bytes", 2.0 * 1024 * 2048) in product.sizes


def test_distances_are_octaves_of_lines() -> None:
    assert "matmul.1@1" in lines()["matmul"].words  # the line before
    assert "relu.0@2" in lines()["relu"].words  # two lines before


def test_regions_and_their_results_are_read() -> None:
    found = lines()
    assert "relu.0<matmul" in found["relu"].words
    assert "slice.0:bf16,2" in found["slice"].words and "slice.0<if" in found["slice"].words
    assert {("slice.starts.1", 128.0), ("slice.size.0", 512.0)} <= set(found["slice"].sizes)


def test_the_head_of_a_module_is_read() -> None:
    assert lines()["module"].words == ['module.target="h100"']
    assert lines()["module"].sizes == [("module.clock.0", 1.5)]


def test_bytes_of_constants_say_nothing_but_their_type() -> None:
    text = 'func @main() -> 2xf32 {\n  %w = constant hex<"00{=} : 99xf16"> : 2xf32\n  return %w\n}\n'
    (constant,) = [line for line in lines_of(text) if line.op == "constant"]
    assert constant.sizes == [("constant=>0.-1", 2.0), ("constant=>0.elements", 2.0), ("constant=>0.bytes", 8.0)]


@pytest.mark.parametrize("text", ["2x3xbf16", "f32", "<=100x4xf32", "0xi64", "5xf8e4m3fnuz"])
def test_types_are_read_as_they_are_printed(text: str) -> None:
    wanted, found = parse_type(text), type_of(text)
    assert (found.extents, found.format, found.bits) == (wanted.shape, wanted.dtype.name, wanted.dtype.bits)


@settings(max_examples=50, deadline=None)
@given(modules(runnable=False))
def test_every_op_of_a_module_is_a_line(module: Module) -> None:
    """Names of functions and values are odd, attributes hold braces: none of that is taken for an op."""
    found = [line.op for line in lines_of(print_module(module)) if line.op not in ("module", "func")]
    written = [line.strip() for line in print_module(module).split("\n")]
    assert len(found) == sum(bool(line) and not line.startswith(("module", "func", "}")) for line in written)
    assert set(found) <= {op.name for function in module.functions.values() for op in walked(function.block)}


def walked(block: Any, with_composites: bool = True) -> Any:
    for op in block.ops:
        yield op
        for region in op.regions if with_composites or not op.definition.is_composite else ():
            yield from walked(region.block, with_composites)


@settings(max_examples=30, deadline=None)
@given(modules(runnable=False), st.randoms(use_true_random=False))
def test_names_of_values_do_not_matter(module: Module, random: Any) -> None:
    before = [(line.op, line.words, line.sizes) for line in lines_of(print_module(module))]
    for value in values_of(module):
        value.name = f"n{random.randrange(10**6)}"
    after = [(line.op, line.words, line.sizes) for line in lines_of(print_module(module))]
    assert before == after


def values_of(module: Module) -> list[Value]:
    found: list[Value] = []
    for function in module.functions.values():
        found += function.arguments
        for op in walked(function.block, with_composites=False):
            regions = () if op.definition.is_composite else op.regions
            found += [*op.results, *(value for region in regions for value in region.block.arguments)]
    return found  # but for those in bodies that stand for a composite: with names of their own these are printed


# ---- vectors


def test_buckets_are_the_same_in_every_process() -> None:
    code = "from ircost.cost_models.learned.text_vectors import bucket_of; print(bucket_of('matmul.0<func'))"
    for seed in ("1", "2"):
        environment = {**os.environ, "PYTHONHASHSEED": seed}
        told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
        assert int(told.stdout) == bucket_of("matmul.0<func")


def product_text(m: int, n: int, k: int) -> str:
    return (
        f"func @main(%0: {m}x{k}xbf16, %1: {k}x{n}xbf16) -> {m}x{n}xbf16 {{\n"
        f"  %2 = matmul %0, %1 : {m}x{n}xbf16\n  return %2\n}}\n"
    )


def test_the_volume_of_a_product_is_its_sizes_multiplied() -> None:
    sizes = [*product((16, 32), (64,), (128, 256))]
    vectorizer = IrTextVectorizer(fewest=1)
    matrix = vectorizer.fit_transform([product_text(m, n, k) for m, n, k in sizes])
    names = [
        f"{kind} {op} volume" for kind in ("sum", "max") for op in ("matmul", "*")
    ]  # alike here: one column is left
    (column,) = np.flatnonzero(np.isin(vectorizer.buckets_, [*map(bucket_of, names)]))
    np.testing.assert_allclose(matrix[:, column], np.log2([1 + m * n * k for m, n, k in sizes]), rtol=1e-6)


def test_a_text_is_the_same_row_alone_and_among_others() -> None:
    texts = [product_text(m, n, 64) for m, n in product((8, 16, 32), (8, 16))]
    vectorizer = IrTextVectorizer(fewest=1).fit(texts)
    whole = vectorizer.transform(texts)
    for row, text in enumerate(texts):
        np.testing.assert_array_equal(vectorizer.transform([text])[0], whole[row])
    np.testing.assert_array_equal(IrTextVectorizer(fewest=1).fit_transform(texts), whole)


def chain_text(*names: str) -> str:
    ops = "".join(f"  %{i + 1} = {name} %{i} : 4xf32\n" for i, name in enumerate(names))
    return f"func @f(%0: 4xf32) -> 4xf32 {{\n{ops}  return %{len(names)}\n}}\n"


def test_n_grams_tell_orders_apart() -> None:
    texts = [chain_text("relu", "tanh", "exp"), chain_text("tanh", "relu", "exp")]
    first, second = IrTextVectorizer(fewest=1).fit_transform(texts)
    assert (first != second).any()


@pytest.mark.parametrize("wrong", ["one text", [1, 2]])
def test_what_is_no_list_of_texts_is_refused(wrong: Any) -> None:
    with pytest.raises(ValueError, match="text"):
        IrTextVectorizer().fit(wrong)


# ---- estimators


@parametrize_with_checks([LinearTrees(trees=20, least_rows=1), IrTextRegressor(), IrTextVectorizer()])
def test_the_estimators_keep_to_the_conventions(estimator: Any, check: Callable[[Any], None]) -> None:
    """Of those that take texts scikit-learn can check no more than parameters, clones and tags."""
    check(estimator)


def test_lines_go_on_where_steps_stop() -> None:
    """Beyond the sizes that were seen, but no further than a tenth of the range of the target."""
    sizes = np.random.default_rng(0).uniform(0, 10, (1000, 1))
    found = LinearTrees(trees=100).fit(sizes, 3 * sizes[:, 0]).predict(np.array([[10.5], [40.0]]))
    np.testing.assert_allclose(found, [31.5, 33.0], atol=0.2)  # the second is not 120


def test_sizes_in_texts_are_learned() -> None:
    draw = np.random.default_rng(0)
    sizes = draw.integers(16, 4096, (800, 3))
    texts, target = [product_text(*map(int, row)) for row in sizes], np.log(sizes.prod(axis=1))
    model = IrTextRegressor(trees=100, leaves=7).fit(texts[:600], target[:600])
    assert np.abs(model.predict(texts[600:]) - target[600:]).mean() < 0.05
    assert model.score(texts[600:], target[600:]) > 0.99


# ---- rows as texts

SIZES: dict[str, Any] = {
    **{"rows": 16, "cols": 64, "m": 32, "n": 48, "k": 64, "batch": 2, "heads": 4, "kv_heads": 2, "head_dim": 64},
    **{"q_len": 64, "kv_len": 128, "window": 0, "dtype": "bfloat16", "kv_dtype": "bfloat16"},
    **{"tokens": 8, "hidden": 64, "inter": 128, "topk": 2, "experts": 8, "tp": 2, "ep": 2},
    **{"kernel": "x", "distribution": "power_law_1.2"},
    **{"in_channels": 8, "in_h": 15, "in_w": 16, "out_channels": 4, "kernel_h": 3, "kernel_w": 3},
    **{"stride_h": 2, "stride_w": 2, "pad_h": 1, "pad_w": 1},
}
PHASES = (("prefill", 64), ("decode", 1), ("encoder", 128))
VECTOR_OPS = (
    *("add", "pow", "mul_scalar", "relu", "gelu", "activation", "silu_and_mul", "softmax", "layer_norm", "norm"),
    *("rope", "embedding"),
)
FORMATS = ("float16", "fp8", "fp8_block", "int4_wo", "int8_wo", "sq")
TABLES: dict[str, list[dict[str, Any]]] = {
    "gemm": [{"batch": b, "dtype": d} for b, d in product((1, 3), FORMATS)],
    "attention": [
        {"phase": p, "q_len": q, "window": w, "kv_dtype": kv}
        for (p, q), w, kv in product(PHASES, (0, 32), ("bfloat16", "fp8"))
    ],
    "mla": [{"phase": p, "q_len": q, "kv_dtype": "fp8"} for p, q in PHASES[:2]],
    "moe": [
        {"dtype": d, "kernel": k}
        for d, k in product(("bfloat16", "fp8_block", "int4_wo", "w4a16_mxfp4"), ("x", "nongated"))
    ],
    "conv": [{"op": op, "dtype": "float32"} for op in ("conv2d", "conv2d_dgrad", "conv2d_wgrad")],
    "vector": [{"op": op, "dtype": "float16"} for op in VECTOR_OPS],
    "quantize": [{"op": op, "dtype": "fp8"} for op in ("computescale", "scale_matrix")],
}


def table_of(rows: list[dict[str, Any]]) -> dict[str, np.ndarray]:
    whole = [{**SIZES, "device": "h100_sxm", "framework": "vllm", "latency_us": 10.0, **row} for row in rows]
    return {
        name: np.array([row[name] for row in whole], dtype=object if isinstance(whole[0][name], str) else None)
        for name in whole[0]
    }


def own_columns(family: str, rows: list[dict[str, Any]]) -> dict[str, np.ndarray]:
    """The rows as a table of that family: with no column of another."""
    names = {*FAMILIES[family].columns, "device", "framework", "latency_us", "kernel"}
    return {name: column for name, column in table_of(rows).items() if name in names}


@pytest.mark.parametrize("family", TABLES)
def test_rows_become_modules_that_hold(family: str) -> None:
    table = readable(own_columns(family, TABLES[family]), family, load_target)
    assert table.family.name == family
    for text in texts_of(table, np.arange(len(TABLES[family]))):
        module = parse_module(text)
        verify(module)
        assert print_module(module) == text


def test_every_family_with_a_writer_is_tried() -> None:
    assert set(TABLES) == set(WRITERS)


def test_rows_without_an_op_are_refused() -> None:
    columns = own_columns("vector", [{"op": "dropout", "dtype": "float16"}])
    with pytest.raises(RowTextError, match=r"row 1 of vector: .*dropout"):
        texts_of(readable(columns, "vector", load_target), [0])


def test_a_row_that_no_op_can_be_is_named() -> None:
    columns = own_columns("vector", [{"op": "rope", "rows": 8, "cols": cols} for cols in (64, 63)])
    with pytest.raises(RowTextError, match="row 2 of vector"):
        texts_of(readable(columns, "vector", load_target), [0, 1])


def test_the_skew_is_that_of_tables() -> None:
    assert row_attributes({"experts": 8, "distribution": "power_law_1.2", "ep": 2}) == {"skew": 1.2, "ranks": 2}
    assert row_attributes({"experts": 8, "distribution": "balanced", "ep": 2}) == {"skew": 0.0, "ranks": 2}
    with pytest.raises(RowTextError, match="'power_law_1abc' is not known"):
        row_attributes({"experts": 8, "distribution": "power_law_1abc", "ep": 2})


# ---- training and storage


def products() -> dict[str, np.ndarray]:
    """Products on four machines, as fast as the analytical model says."""
    m, n, k = (g.ravel() for g in np.meshgrid(*(2.0 ** np.arange(low, 14, 2) for low in (0, 8, 7)), indexing="ij"))
    count = len(m) * len(DEVICES)
    columns = {
        **{name: np.tile(sizes, len(DEVICES)) for name, sizes in (("m", m), ("n", n), ("k", k))},
        "device": np.repeat(np.array(DEVICES, dtype=object), len(m)),
        "framework": np.full(count, "vllm", dtype=object),
        "dtype": np.full(count, "float16", dtype=object),
        "latency_us": np.ones(count),
    }
    constants = bundled_constants()
    found = predict_table(columns, "products", load_target, ROW_MODELS["analytical"], lambda name: constants)
    return {**columns, "latency_us": found.predicted_s * 1e6}


@pytest.fixture(scope="module")
def model() -> TextModel:
    constants = bundled_constants()
    table = readable(products(), "products", load_target)
    return train_text(table, constants, dict.fromkeys(map(frozenset, zip(DEVICES)), constants), SMALL)


def test_errors_of_shapes_and_devices_are_told(model: TextModel) -> None:
    errors = {str(line["held_out"]): line for line in model.about["errors"]}  # type: ignore[attr-defined]
    assert set(errors) == {"shapes", *DEVICES}
    assert errors["shapes"]["analytical_median"] == 0.0  # the figures are its own
    assert errors["shapes"]["text_median"] < 25 and errors["shapes"]["text_tau"] > 0.8


def test_intervals_hold_the_rows_that_they_are_made_of(model: TextModel) -> None:
    columns = products()
    table = readable(columns, "products", load_target)
    found, low, high = model.latency_s(texts_of(table, np.arange(len(table.place)))).T
    assert (low < found).all() and (found < high).all()
    assert ((low <= table.measured_s) & (table.measured_s <= high)).mean() > 0.9


def test_a_model_reads_back_as_it_was(model: TextModel, tmp_path: Path) -> None:
    write_text_model(model, tmp_path)
    again = read_text_models(tmp_path)["gemm"]
    texts = [product_text(m, 512, 256) for m in (1, 100, 10_000)]
    np.testing.assert_array_equal(model.latency_s(texts), again.latency_s(texts))
    write_text_model(again, tmp_path / "copy")
    for path in sorted((tmp_path / "gemm").iterdir()):
        assert path.read_bytes() == (tmp_path / "copy/gemm" / path.name).read_bytes()


def test_training_is_repeatable(model: TextModel) -> None:
    constants = bundled_constants()
    table = readable(products(), "products", load_target)
    again = train_text(table, constants, dict.fromkeys(map(frozenset, zip(DEVICES)), constants), SMALL)
    assert again.regressor.trees_.text_ == model.regressor.trees_.text_
    assert again.half_width == model.half_width


def test_too_little_is_refused() -> None:
    few = {name: column[:50] for name, column in products().items()}
    with pytest.raises(ValueError, match="50 rows"):
        train_text(readable(few, "few", load_target), bundled_constants(), {}, SMALL)


def test_a_folder_without_text_models_is_told(tmp_path: Path) -> None:
    with pytest.raises(LearnedModelError, match="holds no text model"):
        read_text_models(tmp_path)


DAMAGES: dict[str, tuple[str, Any]] = {
    "version": ("version", 99),
    "family": ("family", "../x"),
    "buckets": ("buckets", [3, 2, 1]),
    "range": ("range", ["nan", 1]),
    "parameters": ("parameters", {"tree": 3}),
    "fewer columns": ("buckets", [1, 2]),
}


@pytest.mark.parametrize("damage", [*DAMAGES, "feature", "coefficient", "short", "no xz"])
def test_damaged_models_are_refused(model: TextModel, tmp_path: Path, damage: str) -> None:
    write_text_model(model, tmp_path)
    trees, plain = tmp_path / "gemm/text.txt.xz", tmp_path / "gemm/text.json"
    if damage in DAMAGES:
        name, value = DAMAGES[damage]
        plain.write_text(json.dumps({**json.loads(plain.read_text()), name: value}))
    elif damage in ("feature", "coefficient"):
        key, value = ("leaf_features", "4000") if damage == "feature" else ("leaf_coeff", "inf")
        text = unpacked(trees)
        line = next(line for line in text.splitlines() if line.startswith(f"{key}=") and line.split("=")[1].strip())
        rest = line.split("=")[1].split()[1:]
        trees.write_bytes(packed(text.replace(line, f"{key}={' '.join([value, *rest])}", 1)))
    elif damage == "short":
        trees.write_bytes(trees.read_bytes()[:500])
    else:
        trees.write_bytes(b"tree")
    with pytest.raises(LearnedModelError, match="irc train"):
        read_text_models(tmp_path)


def test_a_model_says_what_it_is_made_of(model: TextModel, tmp_path: Path) -> None:
    write_text_model(replace(model, about={**model.about, "tables": {"p.csv": "0" * 64}}), tmp_path)
    assert read_text_models(tmp_path)["gemm"].about["tables"] == {"p.csv": "0" * 64}
