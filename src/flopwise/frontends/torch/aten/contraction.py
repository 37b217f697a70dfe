"""Convolutions and matrix products."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch

from flopwise.frontends.torch.aten import Step, aten
from flopwise.frontends.torch.aten.movement import fits

Tensor = torch.Tensor
UNBATCHED = "c *x, weight: f g *k, bias?: f -> f *y"
UNBATCHED_TRANSPOSE = "c *x, weight: c g *k, bias?: f -> f *y"


def attributes(x: Tensor, weight: Tensor, pattern: str, **attrs: Any) -> dict[str, Any]:
    """The attributes of a convolution; one image without a batch axis has its own pattern."""
    plain = {k: tuple(v) if isinstance(v, list) else v for k, v in attrs.items()}
    if x.dim() < weight.dim():
        plain |= {"pattern": pattern, "n": 1}
    return plain


@aten("conv1d", "conv2d", "conv3d")
def conv(
    input: Tensor, weight: Tensor, bias: Any, stride: Any, padding: Any, dilation: Any, groups: int
) -> Step:
    attrs = attributes(
        input, weight, UNBATCHED, stride=stride, pad=padding, dilation=dilation, groups=groups
    )
    return Step("conv", (input, weight, bias), attrs)


@aten("conv_transpose1d", "conv_transpose2d", "conv_transpose3d")
def conv_transpose(
    input: Tensor, weight: Tensor, bias: Any, stride: Any, padding: Any, output_padding: Any,
    groups: int, dilation: Any,
) -> Step:  # fmt: skip
    attrs = attributes(
        input, weight, UNBATCHED_TRANSPOSE, stride=stride, pad=padding, output_pad=output_padding,
        dilation=dilation, groups=groups,
    )  # fmt: skip
    return Step("conv_transpose", (input, weight, bias), attrs)


@aten("convolution", "_convolution", "convolution_overrideable")
def convolution(
    input: Tensor, weight: Tensor, bias: Any, stride: Any, padding: Any, dilation: Any,
    transposed: bool, output_padding: Any, groups: int,
) -> Step:  # fmt: skip
    if not transposed:
        return conv(input, weight, bias, stride, padding, dilation, groups)
    return conv_transpose(input, weight, bias, stride, padding, output_padding, groups, dilation)


@aten("mkldnn_convolution", "cudnn_convolution", "miopen_convolution")
def library_convolution(
    self: Tensor, weight: Tensor, bias: Any, stride: Any, padding: Any, dilation: Any, groups: int
) -> Step:
    return conv(self, weight, bias, stride, padding, dilation, groups)


@aten("linear", "mkldnn_linear")
def linear(operands: list[Tensor], weight: Tensor) -> Step:
    return Step("matmul" if weight.dim() == 1 else "linear", tuple(operands))


@aten("mm", "bmm", "mv", "dot", "vdot", "_int_mm", "_scaled_mm", "_sparse_mm")
def product(operands: list[Tensor]) -> Step:
    return Step("matmul", tuple(operands[:2]))


@aten("matmul", "linalg_matmul")
def matmul(operands: list[Tensor], outputs: list[Tensor]) -> Iterator[Step]:
    """Batches are laid side by side first, which copies operands whose do not lie so."""
    factors = []
    if any(operand.layout is not torch.strided for operand in operands):
        yield product(operands)
        return
    for operand in operands[:2]:
        batch = outputs[0].shape[:-2] if operand.dim() > 2 else operand.shape[:-2]
        free = not all(type(size) is int for size in (*batch, *operand.shape))
        if len(batch) < 2 or free:  # free sizes: taken to lie as they are
            factors.append(operand)
            continue
        spread = operand.expand((*batch, *operand.shape[-2:]))
        if fits(spread, (-1, *operand.shape[-2:])):
            factors.append(operand)
            continue
        factors.append(torch.empty(spread.shape, dtype=operand.dtype, device="meta"))
        op = "copy" if spread.shape == operand.shape else "tile"
        yield Step(op, (operand,), {}, (factors[-1],))
    yield Step("matmul", tuple(factors))


@aten("addmm", "_addmm_activation", "_sparse_addmm")
def addmm(self: Tensor, mat1: Tensor, mat2: Tensor, outputs: list[Tensor]) -> Any:
    """A dense layer whose weight lies the other way round, where the addend is a bias."""
    if self.dim() == 1 and self.shape[0] == mat2.shape[1]:
        attrs = {"pattern": "*n i, weight: i o, bias?: o -> *n o"}
        return Step("linear", (mat1, mat2, self), attrs)
    return added(self, Step("matmul", (mat1, mat2)), outputs)


@aten("baddbmm")
def baddbmm(self: Tensor, batch1: Tensor, batch2: Tensor, outputs: list[Tensor]) -> Any:
    return added(self, Step("matmul", (batch1, batch2)), outputs)


@aten("addbmm")
def addbmm(self: Tensor, batch1: Tensor, batch2: Tensor, outputs: list[Tensor]) -> Any:
    """The products of all batches summed: one product of inner length b x k."""
    product = Step("einsum", (batch1, batch2), {"equation": "bnk,bkm->nm"})
    return added(self, product, outputs)


@aten("addmv")
def addmv(self: Tensor, mat: Tensor, vec: Tensor, outputs: list[Tensor]) -> Any:
    return added(self, Step("matmul", (mat, vec)), outputs)


@aten("addr")
def addr(self: Tensor, vec1: Tensor, vec2: Tensor, outputs: list[Tensor]) -> Any:
    return added(self, outer(vec1, vec2), outputs)


@aten("outer", "ger")
def outer(self: Tensor, vec2: Tensor) -> Step:
    """n x m products of length one, as the definition has it; torch multiplies elementwise."""
    return Step("einsum", (self, vec2), {"equation": "i,j->ij"})


def added(addend: Tensor, product: Step, outputs: list[Tensor]) -> list[Step]:
    """A product, and the addition of something to it."""
    between = torch.empty_like(outputs[0], device="meta")
    return [
        Step(product.op, product.inputs, product.attrs, (between,)),
        Step("add", (addend, between)),
    ]


@aten("einsum")
def einsum(equation: str, tensors: list[Tensor], path: Any, outputs: list[Tensor]) -> Any:
    """Two operands at a time, in the order that torch takes: as given, or along `path`."""
    equation = equation.replace(" ", "")
    if len(tensors) < 3:
        return Step("einsum", tuple(tensors), {"equation": equation})
    return list(_pairwise(equation, list(tensors), path, outputs[0]))


def _pairwise(equation: str, tensors: list[Tensor], path: Any, result: Tensor) -> Any:
    left, _, right = equation.partition("->")
    terms, wanted = _letters(left, right if "->" in equation else None, tensors)
    path = list(path) if path else [0, 1] * (len(tensors) - 1)
    sizes = {a: s for term, t in zip(terms, tensors) for a, s in zip(term, t.shape) if s != 1}
    while len(tensors) > 1:
        i, j = sorted(path[:2])
        path = path[2:]
        b, y, a, x = terms.pop(j), tensors.pop(j), terms.pop(i), tensors.pop(i)
        needed = {*wanted, *(letter for term in terms for letter in term)}
        kept = wanted if not terms else "".join(k for k in dict.fromkeys(a + b) if k in needed)
        made = result.new_empty([sizes.get(k, 1) for k in kept], device="meta") if terms else result
        yield Step("einsum", (x, y), {"equation": f"{a},{b}->{kept}"}, (made,))
        terms.append(kept)
        tensors.append(made)


def _letters(left: str, right: str | None, tensors: list[Tensor]) -> tuple[list[str], str]:
    """The equation with letters in place of every ellipsis, and of a missing result."""
    used, terms = set(left), left.split(",")
    spare = [c for c in "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz" if c not in used]
    most = max((t.dim() - len(p) + 3 for p, t in zip(terms, tensors) if "..." in p), default=0)

    def spell(term: str, count: int) -> str:
        return term.replace("...", "".join(spare[most - count : most]))

    if right is None:
        once = sorted(c for c in used - set(".,") if left.count(c) == 1)
        right = ("..." if "..." in left else "") + "".join(once)
    return [spell(p, t.dim() - len(p) + 3) for p, t in zip(terms, tensors)], spell(right, most)


@aten("bilinear")
def bilinear(input1: Tensor, input2: Tensor, weight: Tensor, bias: Any) -> Step:
    return Step("bilinear", (input1, input2, weight, bias))


@aten("_grouped_mm")
def grouped_product(
    self: Tensor, mat2: Tensor, bias: Any, operands: list[Tensor], outputs: list[Tensor]
) -> Step:  # fmt: skip
    """Rows sorted by group, each group with its matrix: every row meets one. Two matrices are
    rows and their gradients, of which each group sums the products for its own."""
    if self.dim() == 3 and mat2.dim() == 3:
        return Step("matmul", (self, mat2))
    if self.dim() == 2 and mat2.dim() == 3:
        return Step("grouped_matmul", (self, mat2, bias))
    if self.dim() == 2 and mat2.dim() == 2:
        of = Step("grouped_matmul", (self.t(), outputs[0]), {}, (mat2,))
        return Step("gradient", (self, mat2), {"of": of, "wants": frozenset({1})})
    return Step("unknown", tuple(operands))


@aten("linalg_solve_triangular")
def solve_triangular(self: Tensor, B: Tensor, unitriangular: Any) -> Step:
    return Step("solve_triangular", (self, B), {"unit": bool(unitriangular)})


@aten("_euclidean_dist")
def distance(x1: Tensor, x2: Tensor, outputs: list[Tensor]) -> list[Step]:
    """|a|² + |b|² - 2ab by one product whose operands carry the squares and ones beside them."""
    wide = x1.shape[-1] + 2
    left = x1.new_empty([*x1.shape[:-1], wide], device="meta")
    right = x2.new_empty([*x2.shape[:-2], wide, x2.shape[-2]], device="meta")
    squares = [t.new_empty([*t.shape[:-1], 1], device="meta") for t in (x1, x2)]
    between = torch.empty_like(outputs[0], device="meta")
    return [
        Step("reduce_sum_square", (x1,), {}, (squares[0],)),
        Step("reduce_sum_square", (x2,), {}, (squares[1],)),
        Step("concat", (x1, squares[0]), {}, (left,)),
        Step("concat", (x2, squares[1]), {}, (right,)),
        Step("matmul", (left, right), {}, (between,)),
        Step("sqrt", (between,)),
    ]


@aten("_cdist_forward")
def all_pairs(
    x1: Tensor, x2: Tensor, p: float, compute_mode: Any, outputs: list[Tensor]
) -> list[Step]:
    """Past 25 points torch takes the Euclidean way by a matrix product; else pair by pair."""
    many = x1.shape[-2] > 25 or x2.shape[-2] > 25
    if p == 2 and (compute_mode == 1 or (many and compute_mode in (None, 0))):
        return distance(x1, x2, outputs)
    return [Step("cdist", (x1, x2), {"p": p})]
