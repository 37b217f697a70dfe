"""Layers as published Caffe files write them."""

from pathlib import Path

import pytest
from click.testing import CliRunner

import flopwise
from flopwise.cli import main
from flopwise.errors import UnknownSize, UnreadableModel

DATA = 'input: "data" input_shape { dim: 2 dim: 6 dim: 4 dim: 5 } '


def net(folder: Path, text: str) -> Path:
    file = folder / "net.prototxt"
    file.write_text(text)
    return file


def layer(kind: str, bottoms: str, top: str, param: str = "") -> str:
    given = " ".join(f'bottom: "{b}"' for b in bottoms.split())
    return f'layer {{ name: "{top}" type: "{kind}" {given} top: "{top}" {param} }} '


POOL = layer("Pooling", "data", "p", "pooling_param { pool: AVE global_pooling: true }")
DENSE = layer("InnerProduct", "p", "fc", "inner_product_param { num_output: 6 }")


def test_excitation_by_a_second_bottom(tmp_path: Path) -> None:
    """SE-BN-Inception of hujie-frank/SENet: factors [n c] from the first axis on."""
    scale = layer("Scale", "data fc", "s", "scale_param { axis: 0 }")
    profile = flopwise.count(net(tmp_path, DATA + POOL + DENSE + scale))
    assert profile.coverage == 1
    (row,) = (r for r in profile.rows if r.node.name == "s")
    assert row.total.mul == 2 * 6 * 4 * 5 and row.node.outputs[0].shape == (2, 6, 4, 5)


@pytest.mark.parametrize(
    ("param", "params"),
    [
        ("", 6),
        ("bias_term: true", 12),
        ("axis: 0", 2),
        ("axis: 0 num_axes: 2", 12),
        ("axis: 0 num_axes: -1", 240),
        ("num_axes: -1", 120),
        ("num_axes: 0 bias_term: true", 2),
    ],
)
def test_learned_factors_span_the_axes_that_they_say(
    param: str, params: int, tmp_path: Path
) -> None:
    """scale_param of BVLC caffe.proto: num_axes axes from axis on; -1 all, 0 none."""
    text = layer("Scale", "data", "s", f"scale_param {{ {param} }}")
    profile = flopwise.count(net(tmp_path, DATA + text))
    assert (profile.params, profile.total().mul) == (params, 240)


@pytest.mark.parametrize(("param", "params"), [("", 6), ("axis: 0", 2), ("num_axes: -1", 120)])
def test_learned_offsets_span_theirs(param: str, params: int, tmp_path: Path) -> None:
    text = layer("Bias", "data", "b", f"bias_param {{ {param} }}")
    profile = flopwise.count(net(tmp_path, DATA + text))
    assert (profile.params, profile.total().add) == (params, 240)


@pytest.mark.parametrize(("kind", "param"), [("Scale", "num_axes: 2"), ("Bias", "axis: 2")])
def test_a_span_that_is_not_known_is_an_error(kind: str, param: str, tmp_path: Path) -> None:
    text = layer(kind, "data", "s", f"{kind.lower()}_param {{ {param} }}")
    with pytest.raises(flopwise.FlopwiseError, match=r"layer 's': . axes from axis"):
        flopwise.count(net(tmp_path, DATA + text))


def test_a_bottom_that_no_layer_makes_is_an_input(tmp_path: Path) -> None:
    file = net(tmp_path, POOL)
    with pytest.raises(flopwise.FlopwiseError, match=r"size of input 'data'.*--input data="):
        flopwise.count(file)
    assert flopwise.count(file, {"data": (1, 6, 4, 5)}).rows[0].node.outputs[0].sizes[1] == 6


def test_proposals_of_a_layer_in_python(tmp_path: Path) -> None:
    """What follows an unknown layer is counted once its shape is given, and the table says how."""
    python = layer("Python", "data", "rois", 'python_param { layer: "ProposalLayer" }')
    pool = layer("ROIPooling", "data rois", "roi", "roi_pooling_param { pooled_w: 2 pooled_h: 2 }")
    head = layer("InnerProduct", "roi", "fc", "inner_product_param { num_output: 7 }")
    file = net(tmp_path, DATA + python + pool + head)
    said = CliRunner().invoke(main, [str(file)]).stdout
    assert said.rstrip().endswith("to count what follows: --input rois=SHAPE")
    profile = flopwise.count(file, {"data": (2, 6, 4, 5), "rois": (300, 5)})
    assert profile.total().mac == 300 * 7 * 6 * 2 * 2
    assert profile.not_counted() == {"Python (ProposalLayer) layer": 1}


def test_proposals_of_a_layer_in_cpp(tmp_path: Path) -> None:
    text = (
        'input: "scores" input_shape { dim: 1 dim: 6 dim: 4 dim: 5 } '
        'input: "boxes" input_shape { dim: 1 dim: 12 dim: 4 dim: 5 } '
        + layer("Proposal", "scores boxes", "rois", "proposal_param { post_nms_topn: 9 }")
    )
    assert flopwise.count(net(tmp_path, text)).rows[0].node.outputs[0].shape == (9, 5)


def test_clustered_priors(tmp_path: Path) -> None:
    """Open Model Zoo's retail detectors: widths and heights in pairs."""
    sizes = "width: 10 width: 20 width: 30 height: 5 height: 6 height: 7"
    text = layer("PriorBoxClustered", "data data", "b", f"prior_box_param {{ {sizes} }}")
    assert flopwise.count(net(tmp_path, DATA + text)).rows[0].node.outputs[0].shape == (1, 2, 240)


@pytest.mark.parametrize("end", ["# solver_mode: CPU", "  # }\n\n# a\n# b }", "#", "# é\n"])
def test_comments_may_end_a_file(end: str, tmp_path: Path) -> None:
    assert len(flopwise.load(net(tmp_path, DATA + POOL + "\n" + end)).nodes) == 1


def test_what_follows_a_comment_is_read(tmp_path: Path) -> None:
    with pytest.raises(UnreadableModel, match=r"net.prototxt:3: not protobuf"):
        flopwise.load(net(tmp_path, DATA + POOL + '\n# a\n"unclosed'))


def test_a_solver_names_its_net(tmp_path: Path) -> None:
    with pytest.raises(UnreadableModel, match=r"a solver: give the net .*, v.prototxt"):
        flopwise.load(net(tmp_path, 'net: "v.prototxt"\nbase_lr: 0.01\n# CPU'))


def test_the_shape_to_give_is_told_as_an_image(tmp_path: Path) -> None:
    data = 'layer { name: "d" type: "Data" top: "data" transform_param { crop_size: 27 } } '
    with pytest.raises(UnknownSize, match="--input data=1x3x27x27"):
        flopwise.count(net(tmp_path, data + POOL))


def test_values_in_brackets(tmp_path: Path) -> None:
    """`dim: [1, 6, 8]` and `layer: [{...}, {...}]`, the short forms of repeated fields."""
    data = 'input: "data" input_shape { dim: [2, 6, 8] } '
    layers = [layer("ReLU", "data", "a")[6:], layer("ReLU", "a", "b")[6:]]
    graph = flopwise.load(net(tmp_path, data + f"layer: [{', '.join(layers)}]"))
    assert [n.outputs[0].shape for n in graph.nodes] == [(2, 6, 8)] * 2
    with pytest.raises(UnreadableModel, match="'}' is out of place"):
        flopwise.load(net(tmp_path, data.replace("]", "")))


@pytest.mark.parametrize(
    ("rule", "kept"),
    [
        ("include { min_level: 1 }", 1), ("include { min_level: -1 }", 2),
        ("exclude { max_level: 3 }", 1), ("include { max_level: -1 }", 1),
        ('include { phase: TEST not_stage: "a" }', 2),
    ],
)  # fmt: skip
def test_rules_of_level(rule: str, kept: int, tmp_path: Path) -> None:
    """NetState of caffe.proto: level 0, no stage."""
    text = DATA + layer("ReLU", "data", "a", rule) + layer("ReLU", "data", "b")
    assert len(flopwise.load(net(tmp_path, text)).nodes) == kept


def test_pyramids_learned_blobs_and_pooling_by_chance(tmp_path: Path) -> None:
    text = 'layer { name: "w" type: "Parameter" top: "w" parameter_param { shape { dim: 6 } } } '
    text += layer("Scale", "data w", "s") + layer("SPP", "s", "y", "spp_param{pyramid_height: 2}")
    text += layer("Pooling", "s", "z", "pooling_param { pool: STOCHASTIC kernel_size: 2 }")
    profile = flopwise.count(net(tmp_path, DATA + text))
    assert profile.params == 6 and profile.not_counted() == {"Pooling (STOCHASTIC) layer": 1}
    (row,) = (r for r in profile.rows if r.node.op == "spp")
    assert row.node.outputs[0].shape == (2, 6 * 5)
    assert row.total.cmp == 2 * 6 * (20 - 1 + 4 * (2 * 3 - 1))
