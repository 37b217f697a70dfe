"""Sparse matrices: products of the elements that are stored (FlopCounterMode counts dense)."""

from typing import Any

import pytest

import flopwise

torch = pytest.importorskip("torch")
nn, F = torch.nn, torch.nn.functional
WEIGHT = torch.tensor([[0.0, 1, 0, 2], [0, 0, 0, 0], [3, 0, 4, 5]])  # 3 x 4, five of them stored


class Product(nn.Module):
    def __init__(self, weight: Any, function: Any) -> None:
        super().__init__()
        self.register_buffer("weight", weight)
        self.function = function

    def forward(self, x: Any) -> Any:
        return self.function(self.weight, x)


def loops(columns: int) -> int:
    return sum(1 for row in WEIGHT.tolist() for w in row if w for _ in range(columns))


FORMS = {"coo": lambda w: w.to_sparse(), "csr": lambda w: w.to_sparse_csr()}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    ("function", "shape", "columns"),
    [
        (lambda w, x: w @ x, (4, 6), 6),
        (lambda w, x: torch.sparse.mm(w, x), (4, 6), 6),
        (lambda w, x: w @ x, (4,), 1),
        (lambda w, x: F.linear(x, w), (6, 4), 6),
    ],
    ids=["@", "sparse.mm", "vector", "linear"],
)
def test_stored_elements(form: str, function: Any, shape: Any, columns: int) -> None:
    module = Product(FORMS[form](WEIGHT), function)
    profile = flopwise.count(module, inputs=shape)
    assert not profile.unknown, profile.not_counted()
    assert profile.total().mac == loops(columns) == 5 * columns
    assert profile.graph.outputs[0].shape == tuple(function(WEIGHT, torch.zeros(shape)).shape)


def test_dense_times_dense_is_as_ever() -> None:
    assert flopwise.count(Product(WEIGHT, lambda w, x: w @ x), inputs=(4, 6)).total().mac == 72
