"""Safetensors files written here: headers, packed weights, hostile headers, whole models."""

from __future__ import annotations

import json
from collections.abc import Mapping
from math import prod
from pathlib import Path
from typing import Any

import pytest

import flopwise
from flopwise.errors import FlopwiseError, UnreadableModel

BYTES = {
    "F32": 4, "F16": 2, "BF16": 2, "I64": 8, "I32": 4, "U8": 1, "I8": 1, "F8_E4M3": 1, "BOOL": 1,
    "F8_E8M0": 1,
}  # fmt: skip
Entries = Mapping[str, tuple[str, tuple[int, ...]]]


def header(entries: Entries) -> dict[str, Any]:
    found: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    at = 0
    for name, (dtype, shape) in entries.items():
        end = at + prod(shape) * BYTES[dtype]
        found[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [at, end]}
        at = end
    return found


def write(path: Path, entries: Any) -> Path:
    """A file that ends after its header, as one that is not wholly downloaded."""
    text = entries if isinstance(entries, bytes) else json.dumps(entries).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text)
    return path


LAYER = {
    "a.weight": ("BF16", (8, 4)), "a.bias": ("F32", (8,)), "bn.running_mean": ("F32", (8,)),
    "bn.num_batches_tracked": ("I64", ()), "position_ids": ("I64", (1, 16)),
}  # fmt: skip


def test_parameters_by_name_dtype_and_bytes(tmp_path: Path) -> None:
    profile = flopwise.count(write(tmp_path / "model.safetensors", header(LAYER)))
    assert profile.params == 40
    assert profile.weight_bytes == 32 * 2 + 8 * 4
    assert profile.buffers == 8 + 1 + 16
    assert {t.name: t.dtype for t in profile.graph.weights}["a.weight"] == "bfloat16"
    assert profile.coverage == 0.0
    assert "weights only" in profile.graph.notes[0]


# Logical shapes and all stored bytes, by the layouts that the libraries write.
PACKED: dict[str, tuple[Entries, str, tuple[int, ...], int]] = {
    "mxfp4": (
        {"e.up_blocks": ("U8", (4, 6, 3, 16)), "e.up_scales": ("U8", (4, 6, 3))},
        "e.up", (4, 6, 96), 4 * 6 * 3 * 17,
    ),
    "gptq": (
        {"q.qweight": ("I32", (16, 64)), "q.qzeros": ("I32", (2, 8)), "q.scales": ("F16", (2, 64)),
         "q.g_idx": ("I32", (128,))},
        "q.weight", (64, 128), 4 * 16 * 64 + 4 * 16 + 2 * 128 + 4 * 128,
    ),
    "awq": (
        {"q.qweight": ("I32", (128, 8)), "q.qzeros": ("I32", (2, 8)), "q.scales": ("F16", (2, 64))},
        "q.weight", (64, 128), 4 * 128 * 8 + 4 * 16 + 2 * 128,
    ),
    "bitsandbytes": (
        {"q.weight": ("U8", (4096, 1)), "q.weight.absmax": ("F32", (128,)),
         "q.weight.quant_map": ("F32", (16,)),
         "q.weight.quant_state.bitsandbytes__nf4": ("U8", (90,))},
        "q.weight", (8192,), 4096 + 4 * 128 + 4 * 16 + 90,
    ),
    "fp8": (
        {"q.weight": ("F8_E4M3", (256, 128)), "q.weight_scale_inv": ("F32", (2, 1))},
        "q.weight", (256, 128), 256 * 128 + 8,
    ),
    "int8": (
        {"q.weight": ("I8", (64, 32)), "q.weight.SCB": ("F32", (64,))},
        "q.weight", (64, 32), 64 * 32 + 4 * 64,
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", PACKED)
def test_packed_weights(kind: str, tmp_path: Path) -> None:
    entries, name, shape, stored = PACKED[kind]
    entries = {**entries, "norm.weight": ("F16", (10,))}
    graph = flopwise.load(write(tmp_path / "model.safetensors", header(entries)))
    found = {t.name: t for t in graph.weights}
    assert set(found) == {name, "norm.weight"}
    assert (found[name].shape, found[name].bytes) == (shape, stored)
    assert flopwise.count(graph).params == prod(shape) + 10
    assert flopwise.count(graph).weight_bytes == stored + 20


def test_several_files_by_their_index(tmp_path: Path) -> None:
    parts = [{"a": ("F32", (3,))}, {"b": ("F16", (5,))}]
    names = [f"model-0000{i}-of-00002.safetensors" for i in (1, 2)]
    for name, part in zip(names, parts):
        write(tmp_path / name, header(part))
    index = tmp_path / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": {"a": names[0], "b": names[1]}}))
    for source in (index, tmp_path):
        profile = flopwise.count(source)
        assert (profile.params, profile.weight_bytes) == (8, 22)
    alone = flopwise.count(tmp_path / names[0])
    assert alone.params == 3
    assert "file 1 of 2" in alone.graph.notes[1]


@pytest.mark.parametrize(
    "named",
    ["../a.safetensors", "/etc/passwd", "sub/a.safetensors", "absent.safetensors", "..", 7, None],
)
def test_an_index_names_files_beside_it(named: Any, tmp_path: Path) -> None:
    index = tmp_path / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": {"a": named}}))
    with pytest.raises(UnreadableModel) as error:
        flopwise.count(index)
    assert "\n" not in str(error.value)


def lie(**changes: Any) -> dict[str, Any]:
    return {"a": {"dtype": "F32", "shape": [4], "data_offsets": [0, 16], **changes}}


LIES: dict[str, Any] = {
    "dtype": lie(dtype="Q9"),
    "dtype of another kind": lie(dtype=["F32"]),
    "more bytes": lie(data_offsets=[0, 17]),
    "turned": lie(data_offsets=[16, 0]),
    "three offsets": lie(data_offsets=[0, 8, 16]),
    "negative": lie(shape=[-4], data_offsets=[0, -16]),
    "huge": lie(shape=[2**40, 2**40], data_offsets=[0, 2**82]),
    "a float": lie(shape=[4.0]),
    "a truth": lie(shape=[True], data_offsets=[0, 4]),
    "no shape": {"a": {"dtype": "F32"}},
    "no object": {"a": 3},
    "a shape that is text": lie(shape="4"),
    "broken JSON": b'{"a": ',
    "nested": b'{"a":' + b"[" * 100_000,
    "many digits": b'{"a":' + b"9" * 5000 + b"}",
    "not UTF-8": b'{"\xff": 1}',
}  # fmt: skip


@pytest.mark.parametrize("kind", LIES)
def test_headers_that_lie(kind: str, tmp_path: Path) -> None:
    path = write(tmp_path / "model.safetensors", LIES[kind])
    with pytest.raises(UnreadableModel) as error:
        flopwise.count(path)
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 600


@pytest.mark.parametrize("size", [0, 1, 10**8 + 1, 2**63, 2**64 - 1, 500])
def test_lengths_that_lie(size: int, tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(size.to_bytes(8, "little") + b'{"a": 1}')
    with pytest.raises(FlopwiseError):
        flopwise.count(path)


@pytest.fixture
def transformers() -> Any:
    pytest.importorskip("torch")
    from support import torchvision_ops

    torchvision_ops.available()
    return pytest.importorskip("transformers")


SMALL = {
    "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2, "vocab_size": 100,
    "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 128,
}  # fmt: skip


@pytest.mark.parametrize(
    ("name", "own"),
    [
        ("LlamaForCausalLM", {}),
        ("LlamaForCausalLM", {"tie_word_embeddings": True}),
        ("MixtralForCausalLM", {"num_local_experts": 4}),
    ],
)
def test_a_config_beside_gives_the_whole_count(
    name: str, own: dict[str, Any], transformers: Any, tmp_path: Path
) -> None:
    """Files as transformers itself saves them; experts one by one there, stacked in the model."""
    import torch

    kind = getattr(transformers, name)
    model = kind(kind.config_class(**SMALL, **own)).to(torch.float16)
    model.save_pretrained(tmp_path)
    params = sum(p.numel() for p in model.parameters())
    path = tmp_path / "model.safetensors"
    bare, full = flopwise.count(path), flopwise.count(path, prompt=8)
    config = flopwise.count(tmp_path / "config.json", prompt=8)
    assert bare.params == full.params == config.params == params
    assert bare.weight_bytes == full.weight_bytes == 2 * params
    assert full.total().mac == config.total().mac > 0
    assert (bare.coverage, full.coverage) == (0.0, 1.0)
    assert "--prompt" in bare.graph.notes[-1]
    assert not [n for n in full.graph.notes if n.startswith("not in")]


def test_tensors_that_a_model_has_not_are_told(transformers: Any, tmp_path: Path) -> None:
    config = {"model_type": "llama", "architectures": ["LlamaForCausalLM"], **SMALL}
    (tmp_path / "config.json").write_text(json.dumps(config))
    entries = {"model.norm.weight": ("F32", (64,)), "extra.weight": ("F32", (7,))}
    path = write(tmp_path / "model.safetensors", header(entries))
    notes = flopwise.count(path, prompt=4).graph.notes
    assert any("not in the model: 1 tensors of 7 elements" in note for note in notes)
    assert any(note.startswith("not in the file") for note in notes)
