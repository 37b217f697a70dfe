"""Darknet cfg files: its size rules, its stored weights, and what can be wrong.

Output sizes and stored weights of the golden files equal those of AlexeyAB's Darknet
59596d78, where it knows the layer.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from flopwise import count, load
from flopwise.errors import ShapeMismatch, UnknownSize, UnreadableModel

NET = "[net]\nwidth=15\nheight=13\nchannels=4\n"


def write(path: Path, text: str) -> Path:
    file = path / "net.cfg"
    file.write_text(text)
    return file


def last(path: Path, text: str, **options: Any) -> tuple[Any, ...]:
    """The output shape of the last layer."""
    shape = load(write(path, NET + text), **options).nodes[-1].outputs[0].shape
    assert shape is not None
    return shape


def test_vgg16_is_the_same_in_caffe_and_darknet(shared: Path) -> None:
    """Darknet's file crops 256 x 256 to the 224 x 224 of Caffe's."""
    caffe = count(shared / "models" / "caffe" / "netscope_vgg-16.prototxt", inputs=(1, 3, 224, 224))
    darknet = count(shared / "models" / "darknet" / "vgg-16.cfg")
    sides = [
        [(r.total, r.params) for r in profile.rows if r.node.op in ("conv", "linear")]
        for profile in (caffe, darknet)
    ]
    assert sides[0] == sides[1]
    assert len(sides[0]) == 16


def test_yolov3_stores_its_statistics(shared: Path) -> None:
    """yolov3.weights of pjreddie.com has 248,007,048 bytes, 20 of them a header."""
    profile = count(shared / "models" / "darknet" / "yolov3.cfg")
    assert profile.params == (248_007_048 - 20) // 4 == 62_001_757
    means = [t for t in profile.weights if t.name.endswith("rolling_mean")]
    assert len(means) == 72
    assert profile.trainable_params == profile.params - 2 * sum(t.size for t in means)


def test_an_lstm_is_counted_for_one_step(shared: Path) -> None:
    """8 products per cell (Hochreiter 1997): 4 with the input, 4 with the state."""
    path = shared / "models" / "darknet" / "lstm.train.cfg"
    cells = 4 * (256 + 1024) * 1024 + 2 * 4 * (1024 + 1024) * 1024
    assert count(path).total().mac == cells + 1024 * 256
    assert count(path, batch=576).total().mac == 576 * (cells + 1024 * 256)


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        ("[convolutional]\nfilters=8\nsize=3\npad=1\nstride=2", (1, 8, 7, 8)),
        ("[convolutional]\nfilters=8\nsize=4\npadding=1", (1, 8, 12, 14)),
        ("[convolutional]\nfilters=8\nsize=3\npad=1\ndilation=4", (1, 8, 13, 15)),
        ("[convolutional]\nfilters=8\nsize=3\npad=1\nstride_x=3", (1, 8, 13, 5)),
        ("[maxpool]\nsize=2\nstride=1", (1, 4, 13, 15)),
        ("[maxpool]\nsize=2\nstride=2", (1, 4, 7, 8)),
        ("[maxpool]\nsize=3\nstride=2\npadding=0", (1, 4, 6, 7)),
        ("[maxpool]\nstride=4", (1, 4, 4, 4)),
        ("[upsample]\nstride=3", (1, 4, 39, 45)),
        ("[reorg]\nstride=2\nreverse=1", (1, 1, 26, 30)),
        ("[local]\nfilters=2\nsize=3\nstride=2\npad=1", (1, 2, 7, 8)),
        ("[local]\nfilters=2\nsize=3\nstride=2", (1, 2, 6, 7)),
        ("[crop]\ncrop_height=9\ncrop_width=10", (1, 4, 9, 10)),
        ("[route]\nlayers=-1", None),
    ],
)
def test_sizes_follow_darknet(tmp_path: Path, layer: str, shape: Any) -> None:
    text = layer + "\nactivation=linear\n"
    if shape is None:
        with pytest.raises(UnreadableModel, match="it reads layer -1, and there are 0 layers"):
            last(tmp_path, text)
    else:
        assert last(tmp_path, text) == shape


def test_the_batch_of_a_file_is_a_training_setting(tmp_path: Path) -> None:
    text = NET.replace("[net]", "[net]\nbatch=64\nsubdivisions=16") + "[avgpool]\n"
    file = write(tmp_path, text)
    assert load(file).inputs[0].shape == (1, 4, 13, 15)
    assert load(file, batch=8).inputs[0].shape == (8, 4, 13, 15)
    assert load(file, inputs=(2, 4, 9, 9)).outputs[0].shape == (2, 4, 1, 1)


def test_a_size_that_is_left_out_is_asked_for(tmp_path: Path) -> None:
    file = write(tmp_path, "[net]\nchannels=3\n[avgpool]\n")
    with pytest.raises(UnknownSize, match=r"\(1x3x\?x\?\) .* --input data="):
        load(file)


def test_shared_weights_count_once(tmp_path: Path) -> None:
    layer = "[convolutional]\nbatch_normalize=1\nfilters=4\nsize=3\npad=1\nactivation=leaky\n"
    profile = count(write(tmp_path, NET + layer + layer + "share_index=0\n"))
    assert profile.params == 4 * 4 * 9 + 4 * 4
    assert profile.total().mac == 2 * 13 * 15 * 4 * 4 * 9


def test_single_bits_are_told(tmp_path: Path) -> None:
    graph = load(write(tmp_path, NET + "[convolutional]\nfilters=4\nxnor=1\ngroups=2\n"))
    assert graph.nodes[0].attrs["xnor"] is True
    assert graph.nodes[0].attrs["groups"] == 1  # Darknet ignores groups there


def test_heads_are_outputs(tmp_path: Path) -> None:
    head = "[convolutional]\nfilters=18\nactivation=linear\n[yolo]\nmask=0,1,2\nclasses=1\n"
    graph = load(write(tmp_path, NET + head + "[route]\nlayers=0\n" + head))
    assert [t.name for t in graph.outputs] == ["yolo_1", "yolo_4"]


def test_an_unknown_section_is_listed(tmp_path: Path) -> None:
    profile = count(write(tmp_path, NET + "[mystery]\n[avgpool]\n"))
    assert profile.coverage == 0
    assert profile.not_counted() == {"[mystery]": 1, "[avgpool]": 1}


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "the file is empty"),
        (b"\x80\x81\x00\xff" * 99, "not UTF-8 text at byte 0"),
        (NET.encode() + b"# caf\xe9\n[avgpool]\n", "not UTF-8"),
        ("[convolutional]\nfilters=4\n", r"the first section is \[convolutional\], and \[net\]"),
        ("# nothing\n", "there is no section"),
        ("width=3\n[net]\n", "net.cfg:1: 'width=3': no section is open"),
        (NET, "holds no layer"),
        (NET + "[avgpool\n", r"net.cfg:5: '\[avgpool' is no section"),
        (NET + "[avgpool]\nwords\n", "net.cfg:6: 'words': an option is written key=value"),
        (NET + "[convolutional]\nfilters=x\n", r"layer 0 \[convolutional\]: filters is 'x'"),
        (NET + "[convolutional]\nfilters=-4\n", "filters is -4"),
        (NET + "[convolutional]\nfilters=0\n", "filters is 0"),
        (NET + "[convolutional]\nfilters=9999999999\n", "filters is 9999999999"),
        (NET + "[convolutional]\nsize=-3\n", "size is -3"),
        (NET + "[convolutional]\nstride=0\n", "stride is 0"),
        (NET + "[maxpool]\nstride=0\n", "stride is 0"),
        (NET + "[upsample]\nstride=0\n", "stride is 0"),
        (NET + "[reorg]\nstride=0\n", "stride is 0"),
        (NET + "[avgpool]\n[route]\nlayers=7\n", "reads layer 7, and there are 1 layers"),
        (NET + "[avgpool]\n[route]\nlayers=1\n", "reads layer 1, and there are 1 layers"),
        (NET + "[avgpool]\n[route]\n", "layers is missing"),
        (NET + "[avgpool]\n[route]\nlayers=0\ngroups=2\ngroup_id=2\n", "group_id is 2"),
        (NET + "[avgpool]\n[shortcut]\nfrom=-3\n", "it reads layer -3"),
        (NET.replace("15", "-15") + "[avgpool]\n", "width is -15"),
        (NET.replace("15", "wide") + "[avgpool]\n", "width is 'wide'"),
    ],
)
def test_broken_files_are_told_in_one_line(tmp_path: Path, content: Any, words: str) -> None:
    file = tmp_path / "net.cfg"
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(UnreadableModel, match=words) as raised:
        count(file)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[convolutional]\nsize=99\n", r"convolutional_0/conv .* a window of 99 does not fit"),
        ("[convolutional]\ngroups=3\n", "4 input channels do not divide into 3 groups"),
        ("[maxpool]\nstride=2\n[route]\nlayers=-1,0\n[upsample]\n[route]\nlayers=-1,0\n", "axis 2"),
        ("[convolutional]\nfilters=7\n[yolo]\nclasses=1\nnum=3\n", "7 channels; 3 anchors of 6"),
    ],
)
def test_sizes_that_do_not_fit_name_the_layer(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(ShapeMismatch, match=words):
        count(write(tmp_path, NET + text))
