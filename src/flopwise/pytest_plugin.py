"""A fixture for tests of models: `assert_cost(model, macs="<5G", params="<30M")`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest


@pytest.fixture
def assert_cost() -> Callable[..., None]:
    """Fail, naming the quantity, when a model costs more than its bounds.

    `inputs` and `batch` are those of `flopwise.count`; bounds are `macs="<5G"` and the like.
    """

    def check_cost(model: Any, inputs: Any = None, batch: Any = None, **bounds: str) -> None:
        from flopwise import count
        from flopwise.analyses.budget import Budget, check, limits, measure
        from flopwise.errors import FlopwiseError
        from flopwise.reports.findings import render

        if not bounds:
            raise FlopwiseError('assert_cost needs a bound: assert_cost(model, macs="<5G")')
        profile = count(model, inputs=inputs, batch=batch)
        findings = check(profile.graph.name, measure(profile), Budget(limits(bounds)))
        over = [f for f in findings if f.over]
        assert not over, render(over)

    return check_cost
