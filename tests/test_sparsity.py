"""Dense and effective counts of pruned modules."""

import json
from pathlib import Path

import numpy
import pytest
from click.testing import CliRunner

import flopwise
from flopwise.cli import main

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


def product(path: Path, zeros: int, **kept: object) -> Path:
    """An ONNX file of one product of 5 x 6 with a 6 x 8 matrix, with so many zeros."""
    onnx = pytest.importorskip("onnx")
    made = onnx.helper
    values = numpy.arange(1, 49, dtype="float32")
    values[:zeros] = 0
    if kept.get("dtype"):
        weight = made.make_tensor("w", onnx.TensorProto.BFLOAT16, [6, 8], values)
    elif kept.get("typed"):
        weight = made.make_tensor("w", onnx.TensorProto.FLOAT, [6, 8], values)
    else:
        weight = onnx.numpy_helper.from_array(values.reshape(6, 8), "w")
    node = made.make_node("Constant", [], ["w"], value=weight) if kept.get("constant") else None
    kind = weight.data_type
    nodes = [node] if node else []
    graph = made.make_graph(
        [*nodes, made.make_node("MatMul", ["x", "w"], ["y"])], "net",
        [made.make_tensor_value_info("x", kind, [5, 6])],
        [made.make_tensor_value_info("y", kind, [5, 8])],
        [] if node else [weight],
    )  # fmt: skip
    onnx.save(made.make_model(graph), path)
    return path


@pytest.mark.parametrize("kept", [{}, {"typed": True}, {"constant": True}, {"dtype": "bfloat16"}])
def test_zeros_in_an_onnx_file(kept: dict[str, object], tmp_path: Path) -> None:
    file = product(tmp_path / "net.onnx", 12, **kept)
    assert flopwise.count(file).total().mac == 5 * 48
    assert flopwise.effective_macs(file) == 5 * 36


def test_the_command_shows_both(tmp_path: Path) -> None:
    files = [str(product(tmp_path / f"{zeros}.onnx", zeros)) for zeros in (0, 12)]
    said = CliRunner().invoke(main, ["compare", *files, "--effective", "--format", "json"])
    found = [m["totals"] for m in json.loads(said.stdout)["models"]]
    assert [(t["macs"], t["effective_macs"]) for t in found] == [(240, 240), (240, 180)]
    table = CliRunner().invoke(main, ["compare", *files, "--effective"]).stdout
    assert "-25.00%" in next(line for line in table.splitlines() if "effective MACs" in line)


def test_a_named_model_is_built_for_real(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "sparse_nets.py").write_text(
        "import torch\n\ndef net():\n    made = torch.nn.Linear(6, 8)\n"
        "    made.weight.data[:2] = 0\n    return made\n"
    )
    monkeypatch.chdir(tmp_path)
    assert flopwise.effective_macs("sparse_nets:net", (5, 6)) == 5 * 36


@pytest.mark.parametrize("external", [False, True])
def test_weights_that_are_not_there_are_an_error(external: bool, tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx")
    if external:
        file = product(tmp_path / "net.onnx", 12)
        kept = {"save_as_external_data": True, "size_threshold": 0}
        onnx.save(onnx.load(file), file, **kept)
    else:
        file = tmp_path / "net.prototxt"
        file.write_text(
            'input: "x" input_shape { dim: 1 dim: 4 } layer { name: "fc" type: "InnerProduct" '
            'bottom: "x" top: "y" inner_product_param { num_output: 2 } }'
        )
    with pytest.raises(flopwise.FlopwiseError, match="another file" if external else "not read"):
        flopwise.effective_macs(file)


def test_zeros_of_quantised_weights_are_not_guessed(tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx")
    made, whole = onnx.helper, numpy.zeros((6, 8), "int8")
    weight = onnx.numpy_helper.from_array(whole, "w")
    kind, result = onnx.TensorProto.INT8, onnx.TensorProto.INT32
    graph = made.make_graph(
        [made.make_node("MatMulInteger", ["x", "w"], ["y"])], "net",
        [made.make_tensor_value_info("x", kind, [5, 6])],
        [made.make_tensor_value_info("y", result, [5, 8])], [weight],
    )  # fmt: skip
    onnx.save(made.make_model(graph), tmp_path / "net.onnx")
    with pytest.raises(flopwise.FlopwiseError, match="'w' holds int8, whose zeros are not counted"):
        flopwise.effective_macs(tmp_path / "net.onnx")
