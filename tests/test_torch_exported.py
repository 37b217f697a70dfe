"""Files that torch writes: programs are read as data, and nothing is unpickled or run."""

import json
import zipfile
from pathlib import Path
from typing import Any

import pytest

import flopwise
from flopwise.errors import FlopwiseError, UnknownName, UnknownSize, UnreadableModel

torch = pytest.importorskip("torch")
nn, F = torch.nn, torch.nn.functional


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1, groups=1), nn.BatchNorm2d(8))
        self.table = nn.Embedding(5, 8)
        self.block = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
        self.head = nn.Linear(8, 4, bias=False)

    def forward(self, x: Any, ids: Any) -> Any:
        x = self.stem(x).relu().flatten(2).transpose(1, 2) + self.table(ids)
        first, second = self.block(x).chunk(2, dim=1)
        return self.head(torch.cat([first, second], 1).mean(1)), x.shape[0] * 2


INPUTS = (torch.randn(2, 3, 4, 4), torch.zeros(2, 16, dtype=torch.int64))


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("programs")
    net = Net().eval()
    torch.export.save(torch.export.export(net, INPUTS), folder / "fixed.pt2")
    batch = torch.export.Dim("batch", min=2, max=64)
    free = torch.export.export(net, INPUTS, dynamic_shapes=({0: batch}, {0: batch}))
    torch.export.save(free, folder / "free.pt2")
    linear = nn.Linear(4, 4)
    torch.save(linear.state_dict(), folder / "weights.pt")
    torch.save(linear, folder / "old.pt", _use_new_zipfile_serialization=False)
    return folder


def counts(profile: Any) -> Any:
    total = profile.total()
    return total.mac, total.add, total.mul, total.exp, profile.params, profile.buffers


def test_a_program_counts_as_its_module(files: Path) -> None:
    module = flopwise.count(Net().eval(), inputs=INPUTS)
    program = flopwise.count(files / "fixed.pt2")
    assert program.coverage == 1
    assert counts(program) == counts(module)
    assert program.graph.name == "fixed"
    parameters = {t.name for t in program.graph.tensors() if t.role == "weight"}
    assert parameters == {name for name, _ in Net().named_parameters()}
    assert program.by_scope(1)[("block",)].mac == module.by_scope(1)[("block",)].mac


def test_free_sizes(files: Path) -> None:
    with pytest.raises(UnknownSize, match=r"input 'x' is \w+x3x4x4: give numbers, as in --input x"):
        flopwise.count(files / "free.pt2")
    assert counts(flopwise.count(files / "free.pt2", batch=2)) == counts(
        flopwise.count(files / "fixed.pt2")
    )
    one = flopwise.count(files / "free.pt2", batch=1).total().mac
    profile = flopwise.count(files / "free.pt2", inputs={"x": "Nx3x4x4", "ids": "Nx16"})
    assert str(profile.total().mac) == f"{one}*N"


def test_inputs_are_named(files: Path) -> None:
    with pytest.raises(UnknownName, match="no input 'y'"):
        flopwise.count(files / "fixed.pt2", inputs={"y": (2, 3, 4, 4)})


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("weights.pt", "a pickle may run anything when it is loaded, so it is not"),
        ("old.pt", "a pickle may run anything"),
    ],
)
def test_what_is_not_data_is_not_loaded(files: Path, name: str, words: str) -> None:
    with pytest.raises(UnreadableModel, match=words):
        flopwise.count(files / name, inputs=(1, 4))


def changed(source: Path, path: Path, **nodes: Any) -> Path:
    """The program with something else in its first node."""
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(path, "w") as new:
        for name in old.namelist():
            data = old.read(name)
            if name.endswith(("models/model.json", "serialized_exported_program.json")):
                program = json.loads(data)
                program["graph_module"]["graph"]["nodes"][0].update(nodes)
                data = json.dumps(program).encode()
            new.writestr(name, data)
    return path


@pytest.mark.parametrize(
    "target",
    ["os.system", "builtins.eval", "torch.ops.aten.from_file.default", "torch.load",
     "_operator.attrgetter", "torch.ops.os.system.default"],
)  # fmt: skip
def test_a_program_may_call_operators_alone(files: Path, tmp_path: Path, target: str) -> None:
    path = changed(files / "fixed.pt2", tmp_path / "strange.pt2", target=target)
    with pytest.raises(UnreadableModel, match=f"the program calls {target}, which is not"):
        flopwise.count(path)


def test_broken_programs_are_one_line(files: Path, tmp_path: Path) -> None:
    for i, nodes in enumerate(({"inputs": None}, {"metadata": []}, {"outputs": [{"a": 1}]})):
        path = changed(files / "fixed.pt2", tmp_path / f"{i}.pt2", **nodes)
        with pytest.raises(FlopwiseError) as error:
            flopwise.count(path)
        assert "\n" not in str(error.value)
    with zipfile.ZipFile(tmp_path / "text.pt2", "w") as file:
        file.writestr("a/models/model.json", "{")
    with pytest.raises(UnreadableModel, match=r"model\.json is not JSON"):
        flopwise.count(tmp_path / "text.pt2")
