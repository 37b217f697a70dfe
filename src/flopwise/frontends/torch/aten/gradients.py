"""Backward operators: the gradient of an operator of ours, by the rule beside its formula."""

from __future__ import annotations

from typing import Any

import torch

from flopwise.frontends.torch.aten import Step, aten, plain
from flopwise.frontends.torch.aten.contraction import convolution

Tensor = torch.Tensor
ALL = (True, True, True)


def gradient(of: Step, grads: tuple[Tensor, ...], wants: Any, outputs: Any = None) -> Step:
    """The backward of a forward step `of`, whose results are given, for the operands in `wants`."""
    places = frozenset(i for i, wanted in enumerate(wants) if wanted)
    inputs = (*grads, *(t for t in of.inputs if t is not None))
    return Step("gradient", inputs, {"of": of, "wants": places}, outputs)


def pointwise(op: str, *names: str) -> None:
    """Enter the backward of pointwise operators: gradient first, then what was kept."""

    @aten(*(f"{name}_backward" for name in names))
    def rule(operands: list[Tensor]) -> Step:
        grad, *kept = operands
        return gradient(Step(op, (kept[0],), {}, (grad,)), (grad,), (True,))


for _name in ("gelu", "silu", "sigmoid", "tanh", "leaky_relu", "elu", "mish", "softplus"):
    pointwise(_name, _name)
pointwise("relu", "threshold")
pointwise("hard_swish", "hardswish")
pointwise("hard_sigmoid", "hardsigmoid")
pointwise("hard_tanh", "hardtanh")
pointwise("logsigmoid", "log_sigmoid")
pointwise("hardshrink", "hardshrink")
pointwise("softshrink", "softshrink")


@aten("_prelu_kernel_backward")
def prelu(grad_output: Tensor, self: Tensor, weight: Tensor) -> Step:
    of = Step("prelu", (self, weight), {}, (grad_output,))
    return gradient(of, (grad_output,), (True, True))


@aten("native_dropout_backward")
def dropout(grad_output: Tensor, mask: Tensor) -> Step:
    return Step("mul", (grad_output, mask))


@aten("convolution_backward")
def conv(
    grad_output: Tensor, input: Tensor, weight: Tensor, bias_sizes: Any, stride: Any,
    padding: Any, dilation: Any, transposed: bool, output_padding: Any, groups: int,
    output_mask: Any, outputs: list[Tensor],
) -> Step:  # fmt: skip
    """Each of the two contractions sweeps the index space of the forward, groups and all."""
    bias = weight.new_empty(bias_sizes) if output_mask[2] and bias_sizes else None
    of = convolution(
        input, weight, bias, stride, padding, dilation, transposed, output_padding, groups
    )
    return gradient(Step(of.op, of.inputs, of.attrs, (grad_output,)), (grad_output,), output_mask)


@aten("native_layer_norm_backward")
def layer_norm(
    grad_out: Tensor, input: Tensor, normalized_shape: Any, weight: Any, bias: Any,
    output_mask: Any,
) -> Step:  # fmt: skip
    attrs = {"axes": len(normalized_shape)}
    of = Step("layer_norm", (input, weight, bias), attrs, (grad_out,))
    return gradient(of, (grad_out,), output_mask)


@aten("_fused_rms_norm_backward")
def rms_norm(
    grad_out: Tensor, input: Tensor, normalized_shape: Any, weight: Any, output_mask: Any
) -> Step:
    of = Step("rms_norm", (input, weight), {"axes": len(normalized_shape)}, (grad_out,))
    return gradient(of, (grad_out,), output_mask)


@aten("native_group_norm_backward")
def group_norm(grad_out: Tensor, input: Tensor, weight: Any, group: int, output_mask: Any) -> Step:
    bias = None if weight is None else weight
    of = Step("group_norm", (input, weight, bias), {"groups": group}, (grad_out,))
    return gradient(of, (grad_out,), output_mask)


@aten("native_batch_norm_backward", "cudnn_batch_norm_backward", "batch_norm_backward")
def batch_norm(
    grad_out: Any, grad_output: Any, input: Tensor, weight: Any, running_mean: Any,
    running_var: Any, train: Any, output_mask: Any,
) -> Step:  # fmt: skip
    """Through the statistics of the batch where they were used."""
    grad = grad_out if grad_out is not None else grad_output
    wants = output_mask or ALL
    if train is False:
        of = Step("batch_norm", (input, running_mean, running_var, weight, weight), {}, (grad,))
        return gradient(of, (grad,), (wants[0], False, False, *wants[1:]))
    return gradient(Step("batch_norm_train", (input, weight, weight), {}, (grad,)), (grad,), wants)


@aten("_softmax_backward_data", "_log_softmax_backward_data")
def softmax(grad_output: Tensor, output: Tensor, dim: int) -> Step:
    of = Step("softmax", (output,), {"axis": dim}, (output,))
    return gradient(of, (grad_output,), (True,))


@aten("embedding_dense_backward", "_embedding_bag_dense_backward")
def embedding(operands: list[Tensor]) -> Step:
    """Rows of gradients added to those of the table that were looked up."""
    return Step("scatter", (*operands[1:2], operands[0]), {"reduction": "add"})


@aten("max_pool2d_with_indices_backward", "max_pool3d_with_indices_backward",
      "adaptive_max_pool2d_backward", "adaptive_max_pool3d_backward", "index_select_backward",
      "unfold_backward", "value_selecting_reduction_backward", "reflection_pad1d_backward",
      "reflection_pad2d_backward", "replication_pad1d_backward", "replication_pad2d_backward",
      "replication_pad3d_backward", "upsample_nearest1d_backward", "upsample_nearest2d_backward",
      "upsample_nearest3d_backward", "_upsample_nearest_exact2d_backward")  # fmt: skip
def spread(grad_output: Any, operands: list[Tensor]) -> Step:
    """Gradients put (and added, where they meet) in the places that the elements came from."""
    return Step("scatter", (operands[0], operands[0]), {"reduction": "add"})


@aten("slice_backward", "select_backward", "diagonal_backward")
def placed(operands: list[Tensor]) -> Step:
    """Gradients put where the elements came from, zeros beside: nothing meets there."""
    return Step("scatter", (operands[0], operands[0]))


@aten("avg_pool2d_backward", "avg_pool3d_backward", "_adaptive_avg_pool2d_backward",
      "_adaptive_avg_pool3d_backward")  # fmt: skip
def averaged(grad_output: Tensor, outputs: list[Tensor]) -> list[Step]:
    """Each gradient divided by the number of elements, and added to each of them."""
    part = torch.empty_like(grad_output, device="meta")
    return [
        Step("div", (grad_output,), {}, (part,)),
        Step("scatter", (part, outputs[0]), {"reduction": "add"}),
    ]


@aten("upsample_linear1d_backward", "upsample_bilinear2d_backward", "upsample_bicubic2d_backward",
      "upsample_trilinear3d_backward")  # fmt: skip
def resized(grad_output: Tensor, outputs: list[Tensor], scales_d: Any, scales_w: Any) -> Step:
    """The weights of the neighbours, the other way round."""
    mode = {3: "linear", 4: "bilinear", 5: "trilinear"}[grad_output.dim()]
    return Step("resize", (outputs[0],), {"mode": mode}, (grad_output,))


@aten("glu_backward")
def glu(grad_output: Tensor, self: Tensor) -> list[Step]:
    half = torch.empty_like(grad_output, device="meta")
    sigmoid = Step("sigmoid", (half,), {}, (half,))
    product = Step("mul", (half, half), {}, (grad_output,))
    return [sigmoid, gradient(product, (grad_output,), (True, True), (half,))]


plain({
    "mse_loss_backward": "fma",
    "nll_loss_backward nll_loss2d_backward": "scatter",
})  # fmt: skip


@aten("nll_loss_forward", "nll_loss2d_forward", "nll_loss", "nll_loss_nd", "nll_loss2d")
def nll_loss(operands: list[Tensor], reduction: int, outputs: list[Tensor]) -> Step:
    kind = {0: "none", 1: "mean", 2: "sum"}[reduction]
    return Step("nll_loss", tuple(operands), {"reduction": kind}, tuple(outputs[:1]))
