"""Modules that are sharded over devices: seen as the whole that they are shards of.

FSDP keeps flat or distributed shards of weights, and gathers them by collectives in the middle
of a forward. What is counted is a shadow of the module: the same objects' own attributes, with
meta weights of full size, without the wrappers and hooks that move shards about. The user's
module is not touched.
"""

from __future__ import annotations

import sys
from typing import Any

import torch

HOOKS = ("_forward_hooks", "_forward_pre_hooks")
Leaves = dict[tuple[int, str], torch.nn.Parameter]


def whole(module: torch.nn.Module) -> torch.nn.Module:
    """The module as if it had never been sharded; itself, where it is not."""
    if "torch.distributed" not in sys.modules or not _sharded(module):
        return module
    return _shadow(module, _flattened(module), {})


def _sharded(module: torch.nn.Module) -> bool:
    return any(map(_wrapper, module.modules())) or any(map(_distributed, module.parameters()))


def _wrapper(part: torch.nn.Module) -> bool:
    """A module of FSDP's first generation, around another."""
    return type(part).__name__ == "FullyShardedDataParallel" and _of_torch(type(part))


def _distributed(tensor: torch.Tensor) -> bool:
    return type(tensor).__name__ == "DTensor" and _of_torch(type(tensor))


def _of_torch(kind: type) -> bool:
    return kind.__module__.startswith("torch.distributed")


def _flattened(module: torch.nn.Module) -> Leaves:
    """The weights that flat shards are made of, by module and name; tied ones are one."""
    leaves: Leaves = {}
    for part in filter(_wrapper, module.modules()):
        handle: Any = part._handle
        if handle is None:
            continue
        flat = handle.flat_param
        originals = flat._params or [flat] * len(flat._shapes)  # each learns or not by itself
        for info, shape, like in zip(flat._param_infos, flat._shapes, originals):
            leaves[id(info.module), info.param_name] = _leaf(like, shape)
        for tied in flat._shared_param_infos:
            first = leaves[id(tied.prim_module), tied.prim_param_name]
            leaves[id(tied.module), tied.param_name] = first
    return leaves


def _leaf(shard: torch.Tensor, shape: Any) -> torch.nn.Parameter:
    full = torch.empty(shape, dtype=shard.dtype, device="meta")
    return torch.nn.Parameter(full, shard.requires_grad)


def _shadow(
    module: torch.nn.Module, leaves: Leaves, made: dict[int, torch.nn.Module]
) -> torch.nn.Module:  # fmt: skip
    while _wrapper(module):
        module = module._fsdp_wrapped_module  # type: ignore[assignment]
    if id(module) in made:
        return made[id(module)]
    shadow: Any = object.__new__(_plain(type(module)))
    made[id(module)] = shadow
    kept = vars(module)
    given = {name: leaf for (owner, name), leaf in leaves.items() if owner == id(module)}
    vars(shadow).update({k: v for k, v in kept.items() if k not in given})
    weights = {k: p for k, p in kept["_parameters"].items() if k != "_flat_param"}
    vars(shadow)["_parameters"] = {**{k: _full(p, leaves) for k, p in weights.items()}, **given}
    vars(shadow)["_modules"] = {
        name: part if part is None else _shadow(part, leaves, made)
        for name, part in kept["_modules"].items()
    }
    for hooks in HOOKS:
        vars(shadow)[hooks] = type(kept[hooks])(
            (k, hook) for k, hook in kept[hooks].items() if not _moves_shards(hook)
        )
    return shadow


def _plain(kind: type) -> type:
    """The class that FSDP's second generation made another class of."""
    return next(k for k in kind.__mro__ if not _of_torch(k))


def _full(weight: Any, leaves: Leaves) -> Any:
    if weight is None or not _distributed(weight):
        return weight
    return leaves.setdefault((id(weight), ""), _leaf(weight, weight.shape))


def _moves_shards(hook: Any) -> bool:
    owner = getattr(hook, "__self__", None)
    kind = type(owner).__module__ if owner is not None else getattr(hook, "__module__", "")
    return str(kind).startswith("torch.distributed")
