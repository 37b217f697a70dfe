"""The Python side of the commands."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flopwise import plugins
from flopwise.dims import Dim
from flopwise.graph import Graph


def load(
    source: Any, inputs: Any = None, batch: Dim | None = None, dtype: str = "", **options: Any
) -> Graph:
    """Read a model into a Graph with every shape known.

    `source` is a path, or an object of a framework. `inputs` is a shape, a text such as
    "1x3x224x224", or a dict of them by input name. Raises FlopwiseError.
    """
    from flopwise.frontends import Request, read
    from flopwise.passes.bind import bind
    from flopwise.passes.infer import infer

    request = Request(_shapes(inputs), batch, dtype, options)
    return infer(bind(read(source, request), request))


def count(
    source: Any, inputs: Any = None, batch: Dim | None = None, convention: str = "flops",
    dtype: str = "", **options: Any,
) -> Any:  # fmt: skip
    """Count what a model costs: a Profile, read in `convention`. Raises FlopwiseError.

    >>> profile = count("examples/vgg16.prototxt")
    >>> profile.total().mac
    15470264320
    """
    from flopwise.profile import profile

    graph = source if isinstance(source, Graph) else load(source, inputs, batch, dtype, **options)
    return profile(graph, plugins.load("conventions", convention))


def _shapes(inputs: Any) -> dict[str, Any]:
    from flopwise.sizes import parse_shape

    if inputs is None:
        return {}
    named = inputs if isinstance(inputs, Mapping) else {"": inputs}
    return {k: parse_shape(v) if isinstance(v, str) else tuple(v) for k, v in named.items()}
