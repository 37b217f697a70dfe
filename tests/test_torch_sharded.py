"""Modules in the wrappers of FSDP: the count of the whole, and nothing is gathered."""

from collections.abc import Iterator
from typing import Any

import pytest

import flopwise

torch = pytest.importorskip("torch")
nn = torch.nn
distributed = pytest.importorskip("torch.distributed")
if not distributed.is_available():
    pytest.skip("this torch is built without distributed", allow_module_level=True)


@pytest.fixture(scope="module", autouse=True)
def _alone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A group of one process."""
    store = distributed.FileStore(str(tmp_path_factory.mktemp("group") / "store"), 1)
    distributed.init_process_group("gloo", store=store, rank=0, world_size=1)
    yield
    distributed.destroy_process_group()


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.up, self.down = nn.Linear(8, 16), nn.Linear(16, 8)
        self.norm = nn.BatchNorm1d(8)

    def forward(self, x: Any) -> Any:
        return self.norm(x + self.down(self.up(x).relu()))


def net() -> Any:
    module = nn.Sequential(Block(), Block(), nn.Linear(8, 8))
    module[1].up.weight.requires_grad_(False)
    return module


def first(module: Any, **options: Any) -> Any:
    from torch.distributed.fsdp import FullyShardedDataParallel

    def wrap(part: Any) -> Any:
        return FullyShardedDataParallel(part, device_id=torch.device("cpu"), **options)

    module[0] = wrap(module[0])
    return wrap(module)


def second(module: Any) -> Any:
    fsdp = pytest.importorskip("torch.distributed.fsdp")
    if not hasattr(fsdp, "fully_shard"):
        pytest.skip("this torch has no fully_shard")
    from torch.distributed.device_mesh import init_device_mesh

    mesh = init_device_mesh("cpu", (1,))
    fsdp.fully_shard(module[0], mesh=mesh)
    return fsdp.fully_shard(module, mesh=mesh) or module


@pytest.mark.parametrize("kind", ["first", "original parameters", "second"])
@pytest.mark.parametrize("mode", ["", "train"])
def test_the_whole_is_counted(kind: str, mode: str) -> None:
    plain = net()
    if kind == "first":
        plain.requires_grad_(True)  # flat shards learn as one
    expected = flopwise.count(plain, inputs=(4, 8), mode=mode)
    module = {
        "first": first, "second": second,
        "original parameters": lambda m: first(m, use_orig_params=True),
    }[kind](plain)  # fmt: skip
    before = {k: v.clone() for k, v in module.state_dict().items()}
    parameters = [id(p) for p in module.parameters()]
    profile = flopwise.count(module, inputs=(4, 8), mode=mode)
    assert profile.total() == expected.total()
    assert profile.parameters == expected.parameters
    assert [t.name for t in profile.graph.weights] == [t.name for t in expected.graph.weights]
    assert [row.node.scope for row in profile.rows] == [row.node.scope for row in expected.rows]
    assert [id(p) for p in module.parameters()] == parameters
    assert all(torch.equal(v, before[k]) for k, v in module.state_dict().items())


def test_tied_weights_stay_tied() -> None:
    plain = nn.Sequential(nn.Linear(8, 8, bias=False), nn.Linear(8, 8, bias=False))
    plain[1].weight = plain[0].weight
    from torch.distributed.fsdp import FullyShardedDataParallel

    module = FullyShardedDataParallel(plain, device_id=torch.device("cpu"))
    profile = flopwise.count(module, inputs=(4, 8))
    assert (profile.params, profile.total().mac) == (64, 2 * 4 * 64)
