"""Dense and effective counts of pruned modules."""

import pytest

import flopwise

torch = pytest.importorskip("torch")
from torch.nn.utils import prune  # noqa: E402


def network() -> "torch.nn.Module":
    torch.manual_seed(0)
    layers = torch.nn.Conv2d(3, 8, 3, padding=1), torch.nn.ReLU(), torch.nn.Conv2d(8, 4, 1)
    return torch.nn.Sequential(*layers)


DENSE = 100 * (8 * 27 + 4 * 8)


def test_a_dense_module() -> None:
    model = network()
    assert flopwise.effective_macs(model, (1, 3, 10, 10)) == DENSE


def test_weights_set_to_zero() -> None:
    model = network()
    with torch.no_grad():
        model[0].weight[:6] = 0
    assert flopwise.count(model, (1, 3, 10, 10)).total().mac == DENSE
    assert flopwise.effective_macs(model, (1, 3, 10, 10)) == 100 * (2 * 27 + 4 * 8)


def test_a_mask_of_torch_prune() -> None:
    model = network()
    prune.l1_unstructured(model[0], "weight", amount=0.5)
    assert flopwise.effective_macs(model, (1, 3, 10, 10)) == 100 * (8 * 27 // 2 + 4 * 8)
    prune.remove(model[0], "weight")
    assert flopwise.effective_macs(model, (1, 3, 10, 10)) == 100 * (8 * 27 // 2 + 4 * 8)


def test_weights_without_values_are_dense() -> None:
    assert flopwise.effective_macs(network().to("meta"), (1, 3, 10, 10)) == DENSE
