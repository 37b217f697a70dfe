"""Kernels of packages that need not be installed, each against loops or what torch makes of it."""

import sys
import types
from collections.abc import Callable
from itertools import product
from typing import Any

import pytest

import flopwise
from flopwise.errors import FlopwiseError

torch = pytest.importorskip("torch")
nn, F = torch.nn, torch.nn.functional
Package = Callable[..., Any]


class Function(nn.Module):
    def __init__(self, function: Any) -> None:
        super().__init__()
        self.function = function

    def forward(self, *inputs: Any, **named: Any) -> Any:
        return self.function(*inputs, **named)


def blind(*args: Any, **kwargs: Any) -> Any:
    raise RuntimeError("this kernel needs a device")


@pytest.fixture
def package(monkeypatch: pytest.MonkeyPatch) -> Package:
    """Pretend that a package has a function, which cannot run."""

    def install(name: str, **contents: Any) -> Any:
        module = types.ModuleType(name)
        vars(module).update(contents)
        monkeypatch.setitem(sys.modules, name, module)
        return module

    return install


def total(function: Any, inputs: Any) -> Any:
    profile = flopwise.count(Function(function), inputs=inputs)
    assert not profile.unknown and len(profile.graph.nodes) > 0
    return profile.total()


def same(ours: Any, theirs: Any, *names: str) -> None:
    assert [getattr(ours, n) for n in names] == [getattr(theirs, n) for n in names]


R = torch.randn
ELEMENTARY = ("mac", "add", "mul", "div", "cmp", "exp", "sqrt")


@pytest.mark.skipif(torch.__version__ < "2.5", reason="torch 2.4 has no grouped attention")
@pytest.mark.parametrize("causal", [False, True])
def test_flash_attention(package: Package, causal: bool) -> None:
    flash = package("flash_attn.flash_attn_interface", flash_attn_func=blind)
    q, kv = R(2, 7, 4, 8), R(2, 9, 2, 8)  # batch, places, heads, width
    ours = total(lambda q, k, v: flash.flash_attn_func(q, k, v, causal=causal), (q, kv, kv))

    def plain(q: Any, k: Any, v: Any) -> Any:
        q, k, v = (t.transpose(1, 2) for t in (q, k, v))
        return F.scaled_dot_product_attention(q, k, v, enable_gqa=True)

    assert ours.mac == 2 * 4 * 7 * 9 * (8 + 8)
    same(ours, total(plain, (q, kv, kv)), *ELEMENTARY)


def test_flash_attention_packed_and_uneven(package: Package) -> None:
    flash = package(
        "flash_attn.flash_attn_interface", flash_attn_qkvpacked_func=blind,
        flash_attn_varlen_func=blind,
    )  # fmt: skip
    assert total(lambda x: flash.flash_attn_qkvpacked_func(x), (2, 5, 3, 4, 8)).mac == (
        2 * 4 * 5 * 5 * 16
    )
    lengths = [3, 5, 1]
    places = torch.tensor([0, 3, 8, 9])
    x = R(9, 4, 8)
    uneven = total(
        lambda x: flash.flash_attn_varlen_func(x, x, x, places, places, 5, 5), x
    )  # fmt: skip
    assert uneven.mac == sum(4 * n * n * 16 for n in lengths)


def selective_scan(u: Any, delta: Any, A: Any, B: Any, C: Any, D: Any, z: Any) -> Any:
    """The definition, one step after another (Gu and Dao 2023, algorithm 2)."""
    delta = F.softplus(delta)
    state = torch.zeros(u.shape[0], u.shape[1], A.shape[1])
    results = []
    for t in range(u.shape[2]):
        decay = torch.exp(delta[:, :, t, None] * A)
        state = decay * state + (delta[:, :, t] * u[:, :, t])[:, :, None] * B[:, None, :, t]
        results.append(torch.einsum("bdn,bn->bd", state, C[:, :, t]))
    return (torch.stack(results, 2) + u * D[None, :, None]) * F.silu(z)


def test_selective_scan(package: Package) -> None:
    mamba = package("mamba_ssm.ops.selective_scan_interface", selective_scan_fn=blind)
    u, A, B, D = R(2, 3, 5), R(3, 4), R(2, 4, 5), R(3)
    ours = total(lambda *x: mamba.selective_scan_fn(*x, delta_softplus=True), (u, u, A, B, B, D, u))
    theirs = total(selective_scan, (u, u, A, B, B, D, u))
    assert ours.mac == 2 * 3 * 5 * 4
    same(ours, theirs, *ELEMENTARY)
    made, state = flopwise.count(
        Function(lambda *x: mamba.selective_scan_fn(*x, return_last_state=True)),
        inputs=(u, u, A, B, B),
    ).graph.outputs
    assert (made.shape, state.shape) == ((2, 3, 5), (2, 3, 4))


def test_state_space_duality(package: Package) -> None:
    mamba = package("mamba_ssm.ops.triton.ssd_combined", mamba_chunk_scan_combined=blind)
    b, length, h, p, g, n, chunk = 2, 10, 4, 3, 2, 5, 4
    x, dt, A, B = R(b, length, h, p), R(b, length, h), R(h), R(b, length, g, n)
    ours = total(lambda *x: mamba.mamba_chunk_scan_combined(*x, chunk_size=chunk), (x, dt, A, B, B))
    mac = 0
    for _ in range(b * 3):  # chunks of 4 hold 10
        mac += chunk * chunk * g * n  # C Bᵀ
        mac += chunk * chunk * h * p  # its product with x
        mac += 2 * chunk * h * p * n  # into the state, and out of it
    assert ours.mac == mac


def test_causal_convolution(package: Package) -> None:
    conv = package("causal_conv1d.causal_conv1d_interface", causal_conv1d_fn=blind)
    x, weight, bias = R(2, 3, 7), R(3, 4), R(3)
    ours = total(lambda *x: conv.causal_conv1d_fn(*x, activation="silu"), (x, weight, bias))

    def plain(x: Any, weight: Any, bias: Any) -> Any:
        return F.silu(F.conv1d(F.pad(x, (3, 0)), weight[:, None], bias, groups=3))

    same(ours, total(plain, (x, weight, bias)), *ELEMENTARY)


def test_neighbourhood_attention(package: Package) -> None:
    natten = package("natten.functional", na2d=blind, na2d_qk=blind, na2d_av=blind, na1d=blind)
    x = R(2, 5, 6, 4, 8)  # batch, height, width, heads, width of a head
    mac = 0
    for _ in product(range(2), range(5), range(6), range(4), range(3 * 3)):
        mac += 8 + 8
    assert total(lambda x: natten.na2d(x, x, x, kernel_size=3), x).mac == mac
    y = R(2, 4, 5, 6, 8)  # heads before places

    def halves(x: Any) -> Any:
        return natten.na2d_av(natten.na2d_qk(x, x, 3, 1), x, 3, 1)

    assert total(halves, y).mac == mac
    assert total(lambda x: natten.na1d(x, x, x, 5), R(2, 7, 4, 8)).mac == 2 * 7 * 4 * 5 * 16


def deformable(value: Any, shapes: Any, locations: Any, weights: Any) -> Any:
    """The definition in torch (Zhu et al. 2021, eq. 3)."""
    n, _, heads, width = value.shape
    _, queries, _, levels, points, _ = locations.shape
    sampled = []
    start = 0
    for level, (height, wide) in enumerate(shapes):
        part = value[:, start : start + height * wide].flatten(2).transpose(1, 2)
        part = part.reshape(n * heads, width, height, wide)
        grid = locations[:, :, :, level].transpose(1, 2).flatten(0, 1)
        sampled.append(F.grid_sample(part, grid, align_corners=False))
        start += height * wide
    weights = weights.transpose(1, 2).reshape(n * heads, 1, queries, levels * points)
    return (torch.stack(sampled, -2).flatten(-2) * weights).sum(-1)


def test_deformable_attention(package: Package) -> None:
    class Apply:
        apply = staticmethod(blind)

    mmcv = package("mmcv.ops.multi_scale_deform_attn", MultiScaleDeformableAttnFunction=Apply)
    shapes = [(4, 5), (2, 3)]
    value, places = R(2, 26, 4, 8), R(2, 7, 4, 2, 3, 2)
    weights = R(2, 7, 4, 2, 3)

    def kernel(value: Any, places: Any, weights: Any) -> Any:
        function = mmcv.MultiScaleDeformableAttnFunction
        return function.apply(value, torch.tensor(shapes), None, places, weights, 64)

    ours = total(kernel, (value, places, weights))
    theirs = total(lambda v, p, w: deformable(v, shapes, p, w), (value, places, weights))
    same(ours, theirs, *ELEMENTARY)
    assert Apply.apply is blind


@pytest.mark.parametrize("transposed", [False, True])
def test_products_by_group(package: Package, transposed: bool) -> None:
    gemm = package("grouped_gemm.ops", gmm=blind)
    weight = R(4, 6, 8) if transposed else R(4, 8, 6)
    sizes = torch.tensor([3, 0, 5, 2])
    ours = total(lambda x, w: gemm.gmm(x, w, sizes, trans_b=transposed), (R(10, 8), weight))
    assert ours.mac == sum(n * 8 * 6 for n in (3, 0, 5, 2))


def test_four_bits(package: Package) -> None:
    bnb = package("bitsandbytes.autograd._functions", matmul_4bit=blind)

    class State:
        shape, quant_type = torch.Size([16, 64]), "nf4"

    weight = torch.zeros(16 * 32, 1, dtype=torch.uint8)
    ours = total(lambda x, w: bnb.matmul_4bit(x, w.t(), State(), bias=None), (R(3, 64), weight))
    assert ours.mac == 3 * 16 * 64


def test_regions_of_interest(package: Package) -> None:
    mmcv = package("mmcv.ops.roi_align", roi_align=blind)
    ours = total(lambda x, rois: mmcv.roi_align(x, rois, 7, 0.5, 2), (R(1, 3, 16, 16), R(5, 5)))
    samples = 5 * 3 * 7 * 7 * 4
    assert (ours.mul, ours.div) == (4 * samples, 5 * 3 * 7 * 7)
    assert ours.add == 3 * samples + 5 * 3 * 7 * 7 * 3


class Sites:
    """What spconv.SparseConvTensor is to a layer."""

    def __init__(self, features: Any, indices: Any, spatial_shape: Any) -> None:
        self.features, self.indices, self.spatial_shape = features, indices, spatial_shape

    def replace_feature(self, features: Any) -> Any:
        return Sites(features, self.indices, self.spatial_shape)


def layer(subm: bool, stride: int = 1, padding: int = 1) -> Any:
    class SparseConvolution(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.in_channels, self.out_channels, self.subm = 3, 5, subm
            self.kernel_size, self.stride, self.dilation = [3, 3], [stride] * 2, [1, 1]
            self.padding = [padding] * 2
            self.weight, self.bias = nn.Parameter(R(5, 3, 3, 3)), None

        forward = blind

    SparseConvolution.__module__ = "spconv.pytorch.conv"
    SparseConvolution.__qualname__ = "SparseConvolution"
    return type("SubMConv2d" if subm else "SparseConv2d", (SparseConvolution,), {})()


ACTIVE = [(0, 0, 0), (0, 0, 1), (0, 3, 3), (0, 4, 4), (1, 2, 2)]


@pytest.mark.parametrize(
    ("subm", "stride", "padding"), [(True, 1, 1), (False, 2, 1), (False, 1, 0)]
)
def test_sparse_convolutions_by_their_pairs(subm: bool, stride: int, padding: int) -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = layer(subm, stride, padding)

        def forward(self, features: Any, indices: Any) -> Any:
            return self.conv(Sites(features, indices, [5, 5])).features

    profile = flopwise.count(Net(), inputs=(R(5, 3), torch.tensor(ACTIVE)))
    # A dense convolution of ones at the active sites: how many taps meet one at each place.
    maps = torch.zeros(2, 1, 5, 5)
    for n, y, x in ACTIVE:
        maps[n, 0, y, x] = 1
    met = F.conv2d(maps, torch.ones(1, 1, 3, 3), stride=stride, padding=padding)
    kept = maps > 0 if subm else met > 0
    assert profile.total().mac == int(met[kept].sum()) * 3 * 5
    assert profile.graph.outputs[0].shape == (int(kept.sum()), 5)
    assert profile.params == 135
    with pytest.raises(FlopwiseError, match="hangs on the active sites: give their indices"):
        flopwise.count(Net(), inputs=((5, 3), "5x3"))


def flex() -> Any:
    module = pytest.importorskip("torch.nn.attention.flex_attention")
    if not hasattr(torch.compiler, "set_stance"):
        pytest.skip("needs torch 2.6")
    return module.flex_attention


@pytest.mark.parametrize("inner", [False, True])
def test_flex_attention(inner: bool) -> None:
    """On a tensor from outside, and on one that the forward made."""
    attention = flex()
    namespace: dict[str, Any] = {"flex_attention": attention}
    module = types.ModuleType("flopwise_test_flex")
    vars(module).update(namespace)
    sys.modules[module.__name__] = module
    try:
        x = R(1, 2, 128, 16)
        ours = total(
            lambda x: module.flex_attention(
                *[x * 1 if inner else x] * 3, score_mod=lambda s, b, h, q, k: s + (q - k)
            ),
            x,
        )
    finally:
        del sys.modules[module.__name__]
    theirs = total(lambda x: F.scaled_dot_product_attention(x, x, x), x)
    assert ours.mac == theirs.mac == 2 * 128 * 128 * 32
    scores = 2 * 128 * 128
    assert ours.add == theirs.add + scores + 128 * 128


def test_a_kernel_has_no_gradient(package: Package) -> None:
    flash = package("flash_attn.flash_attn_interface", flash_attn_func=blind)

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.linear = nn.Linear(8, 8)

        def forward(self, x: Any) -> Any:
            x = self.linear(x)
            return flash.flash_attn_func(x, x, x)

    with pytest.raises(FlopwiseError, match="flash_attn_func: its rule makes the results"):
        flopwise.count(Net(), inputs=(2, 7, 4, 8), mode="train")
    assert flopwise.count(Net(), inputs=(2, 7, 4, 8), mode="train-forward").total().mac > 0
    assert flash.flash_attn_func is blind


class Spiking(nn.Module):
    """Leaky integrate and fire, as spiking libraries have it in plain torch."""

    def forward(self, x: Any) -> Any:
        potential, spikes = torch.zeros_like(x[0]), []
        for current in x:
            potential = potential + (current - potential) / 2.0
            spike = (potential >= 1.0).to(x.dtype)
            potential = potential * (1.0 - spike)
            spikes.append(spike)
        return torch.stack(spikes)


def test_spiking_layers() -> None:
    profile = flopwise.count(Spiking(), inputs=(6, 3, 4))
    steps = 6 * 3 * 4
    found = profile.total()
    assert (found.cmp, found.mul, found.div, found.add) == (steps, steps, steps, 3 * steps)
    assert profile.coverage == 1
