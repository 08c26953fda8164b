"""Modules of PyTorch: what they compute here is what they compute there."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import ircost  # noqa: E402
from ircost.frontends.imported import Imported  # noqa: E402
from ircost.frontends.torch.call import LOWERINGS  # noqa: E402
from ircost.ir import interpret  # noqa: E402
from ircost.ir.constant import Borrowed  # noqa: E402
from ircost.ir.errors import IrcError  # noqa: E402
from ircost.ir.verify import verify  # noqa: E402

nn: Any = torch.nn
F: Any = nn.functional


def imported(module: Any, *inputs: Any, **options: Any) -> Imported:
    found = ircost.from_torch(module.eval(), inputs, **options)
    verify(found.module)
    return found


def flat(value: Any) -> list[Any]:
    if isinstance(value, (tuple, list)):
        return [inner for one in value for inner in flat(one)]
    return [value]


def check(module: Any, *inputs: Any, rtol: float = 1e-4, atol: float = 2e-5) -> Imported:
    """Our interpreter's results are PyTorch's."""
    found = imported(module, *inputs)
    with torch.no_grad():
        expected = flat(module(*inputs))
    actual = interpret(found.module, [x.numpy() for x in flat(inputs)])
    assert len(actual) == len(expected)
    for ours, theirs in zip(actual, expected, strict=True):
        np.testing.assert_allclose(ours, theirs.numpy(), rtol=rtol, atol=atol)
    return found


class Function(nn.Module):
    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__()
        self.function = function

    def forward(self, *inputs: Any) -> Any:
        return self.function(*inputs)


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(0)


# ---- models


class BasicBlock(nn.Module):
    def __init__(self, channels: int, out: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, out, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(out)
        self.conv2 = nn.Conv2d(out, out, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(out)
        self.down = nn.Identity() if stride == 1 else nn.Conv2d(channels, out, 1, stride)

    def forward(self, x: Any) -> Any:
        y = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        return F.relu(y + self.down(x))


def resnet() -> Any:
    stages = [BasicBlock(8, 8, 1), BasicBlock(8, 16, 2), BasicBlock(16, 16, 1), BasicBlock(16, 32, 2)]
    stem = [nn.Conv2d(3, 8, 7, 2, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(3, 2, 1)]
    return nn.Sequential(*stem, *stages, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(32, 10))


class CausalBlock(nn.Module):
    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))

    def forward(self, x: Any) -> Any:
        n, m, width = x.shape
        parts = self.qkv(self.norm1(x)).view(n, m, 3, self.heads, width // self.heads).permute(2, 0, 3, 1, 4)
        y = F.scaled_dot_product_attention(*parts.unbind(0), is_causal=True)
        x = x + self.out(y.transpose(1, 2).reshape(n, m, width))
        return x + self.mlp(self.norm2(x))


class Gpt(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.words, self.places = nn.Embedding(50, 32), nn.Embedding(16, 32)
        self.blocks = nn.ModuleList([CausalBlock(32, 4) for _ in range(2)])
        self.head = nn.Linear(32, 50, bias=False)

    def forward(self, tokens: Any) -> Any:
        x = self.words(tokens) + self.places(torch.arange(tokens.shape[1]))
        for block in self.blocks:
            x = block(x)
        return self.head(x)


class Vit(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, 32, 4, 4)
        self.cls, self.places = nn.Parameter(torch.randn(1, 1, 32)), nn.Parameter(torch.randn(1, 17, 32))
        layer = nn.TransformerEncoderLayer(32, 4, 64, activation="gelu", batch_first=True, norm_first=True)
        self.encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)

    def forward(self, image: Any) -> Any:
        x = self.patches(image).flatten(2).transpose(1, 2)
        x = torch.cat([self.cls.expand(x.shape[0], -1, -1), x], dim=1) + self.places
        return self.encoder(x)[:, 0]


class UNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.down = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.GroupNorm(2, 8), nn.SiLU())
        self.deep = nn.Sequential(nn.MaxPool2d(2), nn.Conv2d(8, 16, 3, padding=1), nn.ReLU())
        self.up = nn.ConvTranspose2d(16, 8, 2, 2)
        self.out = nn.Conv2d(24, 2, 1)

    def forward(self, x: Any) -> Any:
        skip = self.down(x)
        deep = self.deep(skip)
        wide = F.interpolate(deep[:, :8], scale_factor=2, mode="bilinear")
        return self.out(torch.cat([skip, self.up(deep), wide], 1))


MODELS: dict[str, tuple[Callable[[], Any], Callable[[], Any]]] = {
    "mlp": (
        lambda: nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Dropout(0.5), nn.Linear(16, 4), nn.Softmax(-1)),
        lambda: torch.randn(3, 8),
    ),
    "cnn": (
        lambda: nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1, groups=1), nn.Hardswish(), nn.AvgPool2d(2), nn.Flatten()),
        lambda: torch.randn(2, 3, 16, 16),
    ),
    "resnet": (resnet, lambda: torch.randn(2, 3, 32, 32)),
    "depthwise": (
        lambda: nn.Sequential(nn.Conv2d(8, 8, 3, padding=1, groups=8), nn.ReLU6(), nn.Conv2d(8, 4, 1, bias=False)),
        lambda: torch.randn(2, 8, 9, 9),
    ),
    "encoder": (lambda: nn.TransformerEncoderLayer(32, 4, 64, batch_first=True), lambda: torch.randn(2, 6, 32)),
    "gpt": (Gpt, lambda: torch.randint(0, 50, (2, 9))),
    "vit": (Vit, lambda: torch.randn(2, 3, 16, 16)),
    "unet": (UNet, lambda: torch.randn(1, 3, 16, 16)),
    "lstm": (lambda: nn.LSTM(8, 16, 2, bidirectional=True, batch_first=True), lambda: torch.randn(2, 5, 8)),
    "gru": (lambda: nn.GRU(8, 16, 2), lambda: torch.randn(5, 2, 8)),
    "rnn": (lambda: nn.RNN(8, 16, nonlinearity="relu"), lambda: torch.randn(5, 2, 8)),
    "wavenet": (
        lambda: nn.Sequential(
            nn.Conv1d(4, 8, 2, dilation=2), nn.Tanh(), nn.ConstantPad1d((2, 0), 0.0), nn.Conv1d(8, 4, 1)
        ),
        lambda: torch.randn(2, 4, 20),
    ),
}


@pytest.mark.parametrize("name", MODELS)
def test_model_computes_the_same(name: str) -> None:
    make, example = MODELS[name]
    check(make(), example())


@pytest.mark.parametrize("name", MODELS)
def test_model_compiles(name: str) -> None:
    make, example = MODELS[name]
    report = ircost.compile(ircost.from_torch(make().eval(), (example(),)), target="h100")
    assert report.latency_s > report.lower_bound_s > 0
    assert not report.unknown


# ---- operators


X = torch.linspace(-2.7, 3.1, 24).reshape(2, 3, 4)
POSITIVE = X.abs() + 0.1
IMAGE = torch.randn(2, 4, 6, 6, generator=torch.Generator().manual_seed(1))
INDEX = torch.tensor([[1, 0, 2], [2, 2, 0]])

CASES: dict[str, tuple[Callable[..., Any], tuple[Any, ...]]] = {
    "promotion": (lambda x, i: x * i + 1 - i / 2, (X[0, 0, :3], INDEX)),
    "floor_div": (lambda i: (i - 1) // 2 + torch.div(i, 2, rounding_mode="trunc"), (INDEX,)),
    "remainder": (lambda x: torch.remainder(x, 0.7) + torch.fmod(x, 0.7), (X,)),
    "powers": (lambda x: x**2 + x**3 + 2**x + x.abs() ** 0.5, (X,)),
    "logs": (lambda x: x.log2() + x.log10() + x.log1p() + x.expm1() + x.exp2() + x.erfc() + x.rsqrt(), (POSITIVE,)),
    "trigonometry": (lambda x: x.sin() + x.cos() + x.tanh() + x.atan() + x.sinh(), (X,)),
    "rounding": (lambda x: x.floor() + x.ceil() + x.round() + x.trunc() + x.sign(), (X,)),
    "comparison": (lambda x, y: (x > y) | (x <= 0) & ~(x == y) ^ (x != 1), (X, X.flip(2))),
    "where": (lambda x: torch.where(x > 0, x, -x).masked_fill(x > 2, float("inf")), (X,)),
    "clamp": (lambda x: x.clamp(0, 1) + x.clamp(min=-1) + x.clamp_max(2) + F.hardtanh(x), (X,)),
    "activations": (
        lambda x: (
            F.gelu(x) + F.gelu(x, approximate="tanh") + F.silu(x) + F.elu(x) + F.selu(x) + F.mish(x) + F.softplus(x)
        ),
        (X,),
    ),
    "activations2": (
        lambda x: F.leaky_relu(x) + F.hardsigmoid(x) + F.hardswish(x) + F.logsigmoid(x) + F.softsign(x) + F.celu(x),
        (X,),
    ),
    "glu": (lambda x: F.glu(x) + F.softplus(x, 2)[..., :2], (X,)),
    "atan2": (lambda x, y: torch.atan2(x, y), (X, X.flip(2) - 0.4)),
    "diagonal": (lambda x: (x.diagonal(dim1=1, dim2=2), x.diagonal(1, 0, 2), x[0].diagonal(-1)), (X,)),
    "grid_sample": (
        lambda x, grid: F.grid_sample(x, grid) + F.grid_sample(x, grid, "nearest", "border", align_corners=True),
        (IMAGE, torch.rand(2, 3, 5, 2, generator=torch.Generator().manual_seed(2)) * 2.4 - 1.2),
    ),
    "cdist": (lambda x: torch.cdist(x, x + 1), (X,)),
    "prelu": (lambda x: F.prelu(x, torch.tensor([0.1, 0.2, 0.3])), (X,)),
    "reductions": (lambda x: x.sum() + x.mean(1).sum(0) + x.amax((0, 2), keepdim=True) + x.prod(-1).min(), (X,)),
    "statistics": (lambda x: x.var(1) + x.std(1) + torch.var_mean(x, 1, correction=0)[1], (X,)),
    "norm": (lambda x: x.norm(dim=-1) + x.abs().norm(1, -1) + torch.linalg.vector_norm(x, float("inf"), -1), (X,)),
    "normalize": (lambda x: F.normalize(x, dim=-1) + F.cosine_similarity(x, x + 1, dim=-1, eps=1e-6)[..., None], (X,)),
    "arg": (lambda x: (x.argmax(-1), x.argmin(), x.max(1), x.min(2)), (torch.randn(2, 3, 4),)),
    "any_all": (lambda x: ((x > 0).any(-1), (x > 0).all(-1), x.bool().all()), (X,)),
    "running": (lambda x: x.cumsum(1) + x.cumprod(2), (X,)),
    "logsumexp": (lambda x: torch.logsumexp(x, -1) + F.log_softmax(x, 1)[..., 0], (X,)),
    "topk": (lambda x: (*x.topk(2), *x.sort(dim=1, descending=True)), (torch.randn(2, 5),)),
    "einsum": (lambda x, y: torch.einsum("bij,bkj->bik", x, y), (X, X + 1)),
    "products": (lambda x, v: (x @ v, v @ v, torch.baddbmm(x[:, :, :3], x, x.mT, beta=0.5, alpha=2)), (X, X[0, 0])),
    "addmm": (lambda x: torch.addmm(x[0, 0], x[0], x[0].T @ x[1], alpha=2.0), (X,)),
    "shapes": (lambda x: x.permute(2, 0, 1).reshape(4, 6).T.unsqueeze(0).squeeze().flatten(), (X,)),
    "slices": (lambda x: (x[:, 1:, ::2], x[..., -1], x.narrow(1, 1, 2), x[:, None, 0]), (X,)),
    "splits": (lambda x: (*x.split(2, 1), *x.chunk(3, 2), *x.unbind(0), *x.split([1, 2], 1)), (X,)),
    "joins": (lambda x: torch.stack([x, x + 1], 1).sum(1) + torch.cat([x[:, :1], x[:, 1:]], 1), (X,)),
    "repeats": (lambda x: x.repeat(2, 1, 3) + x.repeat_interleave(3, -1).repeat(2, 1, 1), (X,)),
    "flips": (lambda x: x.flip(1, 2) + x.roll(1, 2) + x.roll((1, -1), (0, 1)), (X,)),
    "expand": (
        lambda x: x[:, :1].expand(-1, 3, -1) + x.new_zeros(4) + torch.ones_like(x) + torch.full((4,), 2.0),
        (X,),
    ),
    "triangles": (lambda x: x.tril() + x.triu(1) + torch.eye(3, 4) + torch.arange(1, 9, 2), (X,)),
    "pads": (
        lambda x: (
            F.pad(x, (1, 2, 1, 1), mode="reflect") + F.pad(x, (1, 2, 1, 1), mode="replicate") + F.pad(x, (2, 1, 0, 2))
        ),
        (IMAGE,),
    ),
    "index": (lambda x, i: (x[i], x[:, :, i[0]], x.index_select(1, i[1])), (torch.randn(3, 3, 4), INDEX)),
    "index_two": (lambda x, i: (x[i, i[:1]], x[:, i, i], x[i, :, i]), (torch.randn(3, 3, 4)[:, :, :3], INDEX)),
    "gather": (lambda x, i: x.gather(1, i) + torch.take_along_dim(x, i, 1), (torch.randn(2, 3), INDEX)),
    "scatter": (
        lambda x, i: (x.scatter(1, i[:, :1], 5.0), x.scatter_add(1, i, x), torch.zeros(2, 3).scatter(1, i[:, :1], x)),
        (torch.randn(2, 3), INDEX),
    ),
    "index_put": (lambda x, i: x.index_put((i[0],), x[:1, 0] * 0 + 1), (torch.randn(3, 4)[:, None], INDEX)),
    "writes": (
        lambda x: torch.slice_scatter(x, x[:, :2] * 2, 1, 1, 3) + torch.select_scatter(x, x[:, 0] + 1, 1, 2),
        (X,),
    ),
    "one_hot": (lambda i: F.one_hot(i, 4) * 2, (INDEX,)),
    "pools": (
        lambda x: (F.max_pool2d(x, 3, 2, 1), F.max_pool2d(x, 3, 2, ceil_mode=True), F.avg_pool2d(x, 3, 2, 1)),
        (IMAGE,),
    ),
    "avg_pools": (
        lambda x: (F.avg_pool2d(x, 3, 2, 1, count_include_pad=False), F.avg_pool2d(x, 3, 2, 1, ceil_mode=True)),
        (IMAGE,),
    ),
    "pools_1d": (lambda x: (F.max_pool1d(x, 2), F.avg_pool1d(x, 2)), (X,)),
    "adaptive": (
        lambda x: (F.adaptive_avg_pool2d(x, 3), F.adaptive_avg_pool2d(x, (4, 5)), F.adaptive_max_pool2d(x, 2)),
        (IMAGE,),
    ),
    "resize": (
        lambda x: (
            F.interpolate(x, scale_factor=2),
            F.interpolate(x, size=(9, 4), mode="nearest-exact"),
            F.interpolate(x, size=(9, 4), mode="bilinear"),
            F.interpolate(x, size=(9, 4), mode="bilinear", align_corners=True),
            F.interpolate(x, scale_factor=1.5, mode="bicubic"),
        ),
        (IMAGE,),
    ),
    "shuffle": (lambda x: (F.pixel_shuffle(x, 2), F.pixel_unshuffle(x, 2)), (IMAGE,)),
    "unfold": (lambda x: F.unfold(x, 3, padding=1), (IMAGE,)),
    "convolutions": (
        lambda x, w: (F.conv2d(x, w, padding="same"), F.conv_transpose2d(x, w, stride=2, output_padding=1)),
        (IMAGE, torch.randn(4, 4, 3, 3)),
    ),
    "norms": (
        lambda x: F.layer_norm(x, (6, 6)) + F.group_norm(x, 2) + F.instance_norm(x) + F.rms_norm(x, (6,)),
        (IMAGE,),
    ),
    "batch_statistics": (
        lambda x, w: (F.batch_norm(x, None, None, training=True, eps=1e-3), F.batch_norm(x, None, None, w, w, True)),
        (IMAGE, torch.randn(4)),
    ),
    "attention": (
        lambda q, mask: F.scaled_dot_product_attention(q, q, q, attn_mask=mask, scale=0.3),
        (torch.randn(2, 3, 4, 8), torch.tensor([[1, 0, 1, 1], [1, 1, 0, 0], [0, 0, 0, 0], [1, 1, 1, 1]]).bool()),
    ),
    "grouped_queries": (
        lambda q, k: F.scaled_dot_product_attention(q, k, k, is_causal=True, enable_gqa=True),
        (torch.randn(2, 6, 4, 8), torch.randn(2, 2, 5, 8)),
    ),
    "attention_of_3_axes": (lambda q: F.scaled_dot_product_attention(q, q, q), (torch.randn(3, 4, 8),)),
    "formats": (lambda x, i: (x.long(), i.float() + 0.5, x.bool(), x.half().float(), i.to(torch.int32)), (X, INDEX)),
}


@pytest.mark.parametrize("name", CASES)
def test_operators_compute_the_same(name: str) -> None:
    function, inputs = CASES[name]
    check(Function(function), *inputs)


# ---- what is kept of the module


def test_ops_name_the_module_that_they_come_from() -> None:
    module = imported(Gpt(), torch.randint(0, 50, (1, 4))).module
    nodes = [op.location.nodes[0] for op in module.main.walk() if op.location is not None]
    assert "blocks.1.mlp.2" in nodes
    assert "blocks.0.scaled_dot_product_attention" in nodes
    assert "blocks.0.qkv.weight" in nodes


def test_composites_stay_whole() -> None:
    names = [op.name for op in imported(Gpt(), torch.randint(0, 50, (1, 4))).module.main.block.ops]
    assert names.count("attention") == 2
    assert names.count("layer_norm") == 4
    assert names.count("gelu") == 2


def test_weights_are_not_copied() -> None:
    linear = nn.Linear(64, 64)
    module = imported(linear, torch.randn(1, 64)).module
    constants = [op for op in module.main.walk() if op.name == "constant" and op.result.type.rank == 2]
    (weight,) = [op.attrs["value"] for op in constants]
    assert isinstance(weight, Borrowed)
    assert np.shares_memory(weight.read(), linear.weight.detach().numpy())


def test_a_module_on_the_meta_device_is_costed_without_memory() -> None:
    with torch.device("meta"):
        module = nn.Sequential(nn.Linear(8192, 8192), nn.ReLU(), nn.Linear(8192, 8192)).eval()
        example = torch.empty(4, 8192)
    report = ircost.compile(ircost.from_torch(module, (example,)), "h100")
    assert report.weights_bytes == 4 * 2 * (8192 * 8192 + 8192)
    assert report.macs == 4 * 2 * 8192 * 8192


def test_equal_shapes_on_the_meta_device_are_two_weights() -> None:
    with torch.device("meta"):
        module = nn.Sequential(nn.Linear(16, 16), nn.Linear(16, 16)).eval()
        example = torch.empty(4, 16)
    assert ircost.compile(ircost.from_torch(module, (example,)), "h100").weights_bytes == 4 * 2 * (16 * 16 + 16)


def test_bfloat16_is_read_as_it_is() -> None:
    linear = nn.Linear(16, 16, bias=False).bfloat16()
    module = imported(linear, torch.randn(2, 16).bfloat16()).module
    (weight,) = [op for op in module.main.walk() if op.name == "constant"]
    value = weight.attrs["value"]
    assert isinstance(value, Borrowed)
    np.testing.assert_array_equal(value.read().astype(np.float32), linear.weight.detach().float().numpy())


def test_named_dims_bind() -> None:
    module = nn.Linear(8, 4).eval()
    found = ircost.from_torch(module, (torch.randn(2, 8),), ({0: torch.export.Dim("batch")},), dims={"batch": 7})
    assert found.batch_dims == {"batch": 7}
    assert found.module.main.arguments[0].type.shape == (7, 8)


def test_an_exported_program_is_taken() -> None:
    program = torch.export.export(nn.Linear(8, 4).eval(), (torch.randn(2, 8),))
    assert ircost.from_torch(program).module.main.results[0].type.shape == (2, 4)


# ---- mistakes


def refusal(call: Callable[[], Any]) -> str:
    with pytest.raises(IrcError) as caught:
        call()
    return caught.value.render()


def test_an_unknown_operator_is_named_counted_and_placed() -> None:
    class Spectral(nn.Module):
        def forward(self, x: Any) -> Any:
            return torch.linalg.inv(x) + torch.linalg.inv(x + 1)

    module = nn.Sequential(nn.Linear(4, 4), Spectral())
    message = refusal(lambda: imported(module, torch.eye(4)))
    assert "aten.linalg_inv_ex.default (2)" in message
    assert "'1.linalg_inv" in message
    assert "allow_opaque=True" in message
    report = ircost.compile(imported(module, torch.eye(4), allow_opaque=True), "h100")
    assert report.unknown


def test_training_mode_is_refused() -> None:
    module = nn.Sequential(nn.Linear(4, 4), nn.Dropout(0.5))
    message = refusal(lambda: ircost.from_torch(module, (torch.randn(2, 4),)))
    assert "training mode" in message
    assert "module.eval()" in message


def test_what_cannot_be_exported_is_told() -> None:
    def branches(x: Any) -> Any:
        return x if x.sum() > 0 else -x

    assert "torch.export cannot trace Function" in refusal(lambda: imported(Function(branches), X))


def test_wrong_dims_are_told() -> None:
    example = (torch.randn(2, 8),)
    module = nn.Linear(8, 4).eval()
    assert "names no dim 'bacth'" in refusal(
        lambda: ircost.from_torch(module, example, ({0: "batch"},), dims={"bacth": 4})
    )
    assert "name it" in refusal(lambda: ircost.from_torch(module, example, dims={"batch": 4}))


def test_every_lowering_is_of_an_operator_that_exists() -> None:
    for name in LOWERINGS:
        _, packet, overload = name.split(".")
        assert hasattr(getattr(torch.ops.aten, packet, None), overload), name


def test_the_page_is_current_and_runs() -> None:
    from pathlib import Path

    from ircost.frontends.torch.coverage import markdown

    page = (Path(__file__).resolve().parents[2] / "docs/torch.md").read_text()
    if torch.__version__.partition("+")[0] in page:
        assert markdown() == page, "run: python -m ircost.frontends.torch.coverage > docs/torch.md"
    (block,) = re.findall(r"^```python\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    exec(compile(block, "torch.md", "exec"), {})


def test_torch_is_not_imported_before_it_is_needed() -> None:
    code = "import sys, ircost, ircost.frontends.load; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
