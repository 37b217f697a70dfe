"""Normalisations and softmax."""

from __future__ import annotations

from typing import Any

import torch

from flopwise.frontends.torch.aten import Step, aten

Tensor = torch.Tensor


@aten("layer_norm", "native_layer_norm")
def layer_norm(input: Tensor, normalized_shape: Any, weight: Any, bias: Any) -> Step:
    return Step("layer_norm", (input, weight, bias), {"axes": len(normalized_shape)})


@aten("rms_norm", "_fused_rms_norm")
def rms_norm(input: Tensor, normalized_shape: Any, weight: Any) -> Step:
    return Step("rms_norm", (input, weight), {"axes": len(normalized_shape)})


@aten("group_norm")
def group_norm(input: Tensor, num_groups: int, weight: Any, bias: Any) -> Step:
    return Step("group_norm", (input, weight, bias), {"groups": num_groups})


@aten("native_group_norm")
def native_group_norm(input: Tensor, group: int, weight: Any, bias: Any) -> Step:
    return group_norm(input, group, weight, bias)


@aten("instance_norm")
def instance_norm(
    input: Tensor, weight: Any, bias: Any, running_mean: Any, running_var: Any,
    use_input_stats: bool,
) -> Step:  # fmt: skip
    if use_input_stats:
        return Step("instance_norm", (input, weight, bias))
    return Step("batch_norm", (input, running_mean, running_var, weight, bias))


@aten("batch_norm", "native_batch_norm", "cudnn_batch_norm", "_native_batch_norm_legit")
def batch_norm(
    input: Tensor, weight: Any, bias: Any, running_mean: Any, running_var: Any, training: bool
) -> Step:
    if training or running_mean is None:
        return Step("batch_norm_train", (input, weight, bias))
    return Step("batch_norm", (input, running_mean, running_var, weight, bias))


@aten("_native_batch_norm_legit_no_training")
def batch_norm_eval(
    input: Tensor, weight: Any, bias: Any, running_mean: Any, running_var: Any
) -> Step:
    return batch_norm(input, weight, bias, running_mean, running_var, False)


@aten("softmax", "_softmax", "special_softmax", "_safe_softmax")
def softmax(self: Tensor, dim: int) -> Step:
    return Step("softmax", (self,), {"axis": dim})


@aten("log_softmax", "_log_softmax", "special_log_softmax")
def log_softmax(self: Tensor, dim: int) -> Step:
    return Step("log_softmax", (self,), {"axis": dim})
