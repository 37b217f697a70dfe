"""What moves elements or only looks at them anew."""

from __future__ import annotations

from typing import Any

import torch

from flopwise.frontends.torch.aten import SAME, Step, aten, plain, views

Tensor = torch.Tensor

views("reshape", "view _unsafe_view view_as unflatten _reshape_alias real imag "
                 "view_as_real view_as_complex _conj conj resolve_conj resolve_neg")  # fmt: skip
views("transpose", "transpose permute t swapaxes swapdims movedim moveaxis numpy_T mT mH adjoint")
views("squeeze", "squeeze")
views("unsqueeze", "unsqueeze")
views("expand", "expand expand_as broadcast_to broadcast_tensors")
views("slice", "slice narrow narrow_copy")
views("select", "select")
views("diagonal", "diagonal linalg_diagonal")
views("unfold_axis", "unfold")
views("as_strided", "as_strided")
views("split", "split split_with_sizes chunk unbind tensor_split unsafe_split unsafe_chunk "
               "unsafe_split_with_sizes hsplit vsplit dsplit")  # fmt: skip

plain({
    "cat concat concatenate hstack vstack dstack column_stack row_stack": "concat",
    "stack": "stack",
    "clone copy _to_copy lift_fresh_copy _pack_padded_sequence _pad_packed_sequence": "copy",
    "repeat tile": "tile",
    "repeat_interleave.self_int repeat_interleave.self_Tensor": "repeat_axis",
    "flip fliplr flipud": "flip",
    "roll": "roll",
    "tril triu": "triangle",
    "pad constant_pad_nd reflection_pad1d reflection_pad2d reflection_pad3d replication_pad1d "
    "replication_pad2d replication_pad3d _pad_circular _pad_enum": "pad",
    "index_select index take": "gather",
    "gather take_along_dim": "gather_elements",
    "masked_select": "compress",
    "diag_embed": "diagonal_embed",
    "one_hot": "one_hot",
    "sort argsort msort": "sort",
    "topk kthvalue": "top_k",
    "nonzero argwhere": "nonzero",
    "unique_dim _unique2 unique_consecutive _unique": "unique",
    "bincount histc": "bincount",
    "channel_shuffle native_channel_shuffle": "channel_shuffle",
    "pixel_shuffle": "depth_to_space",
    "pixel_unshuffle": "space_to_depth",
    "im2col": "unfold",
    "max_unpool2d max_unpool3d": "max_unpool",
    "zeros ones full empty zeros_like ones_like full_like empty_like new_zeros new_ones new_full "
    "new_empty new_empty_strided empty_strided empty_permuted scalar_tensor fill zero arange "
    "linspace logspace eye tril_indices triu_indices rand randn randint randperm rand_like "
    "randn_like randint_like bernoulli normal uniform random exponential multinomial "
    "_efficientzerotensor hann_window hamming_window blackman_window cartesian_prod "
    "combinations": "constant",
})  # fmt: skip


@aten("lift_fresh", "detach", "alias", "is_pinned", "_assert_async", "requires_grad_", "item",
      "_local_scalar_dense", "is_nonzero", "set_data", "_backward", "retain_grad",
      "is_same_size", "_version", "allclose", "resize_", "set_", "output_nr", "is_leaf",
      "_assert_scalar", "sym_constrain_range_for_size", "_assert_tensor_metadata",
      "_has_compatible_shallow_copy_type", "record_stream", "squeeze_", "unsqueeze_",
      "transpose_", "t_", "detach_")  # fmt: skip
def same() -> Step:
    return SAME


@aten("scatter", "scatter_add", "scatter_reduce", "index_add", "index_copy", "index_put",
      "_unsafe_index_put", "index_fill", "index_reduce", "masked_scatter", "slice_scatter",
      "select_scatter", "diagonal_scatter", "_index_put_impl", "put")  # fmt: skip
def scatter(
    self: Tensor, index: Any, indices: Any, operands: list[Tensor], reduce: Any, accumulate: Any
) -> Step:
    kinds = {"sum": "add", "add": "add", "prod": "mul", "multiply": "mul", "mean": "add",
             "amax": "max", "amin": "min"}  # fmt: skip
    reduction = "add" if accumulate else kinds.get(reduce, "none")
    return Step("scatter", tuple(operands), {"reduction": reduction})


def fits(operand: Tensor, shape: Any) -> bool:
    """Whether a view of this shape looks at the same elements in order."""
    if not all(type(size) is int for size in (*operand.shape, *shape)):
        return True  # free sizes: taken to lie as they are
    try:
        operand.view(shape)
    except RuntimeError:
        return False
    return True


@aten("reshape", "reshape_as", "flatten", "ravel")
def reshaped(operands: list[Tensor], outputs: list[Tensor], start_dim: Any) -> Step:
    """A view where elements lie in that order already, else a copy."""
    if not fits(operands[0], outputs[0].shape):
        return Step("copy", (operands[0],))
    return Step("reshape" if start_dim is None else "flatten", (operands[0],), {"view": True})


@aten("contiguous", "to", "type_as", "float", "half", "bfloat16")
def copied(operands: list[Tensor], outputs: list[Tensor]) -> Step:
    """Nothing moves where the operand is as it is wanted."""
    return SAME if outputs[0] is operands[0] else Step("copy", (operands[0],))


@aten("scatter_add", "index_add")
def scatter_add(operands: list[Tensor]) -> Step:
    return Step("scatter", tuple(operands), {"reduction": "add"})


@aten("embedding_bag", "_embedding_bag", "_embedding_bag_forward_only")
def embedding_bag(weight: Tensor, indices: Tensor, mode: int, outputs: list[Tensor]) -> Step:
    kinds = {0: "sum", 1: "mean", 2: "max"}
    return Step("embedding_bag", (indices, weight), {"mode": kinds[mode]}, tuple(outputs[:1]))


@aten("embedding")
def embedding(weight: Tensor, indices: Tensor) -> Step:
    return Step("embedding", (indices, weight))
