"""The numbers of an explanation, reckoned out, give its result, in every convention."""

from pathlib import Path

import pytest

import flopwise
from flopwise import plugins
from flopwise.analyses.explain import explain
from flopwise.graph import Graph
from flopwise.profile import profile

EXAMPLES = Path(__file__).parents[1] / "examples"
NAMES = ("alexnet", "mobilenet_v2")


@pytest.fixture(scope="module")
def graphs() -> dict[str, Graph]:
    return {name: flopwise.load(EXAMPLES / f"{name}.prototxt") for name in NAMES}


@pytest.mark.parametrize("convention", sorted(plugins.available("conventions")))
@pytest.mark.parametrize("name", NAMES)
def test_numbers_give_the_result(name: str, convention: str, graphs: dict[str, Graph]) -> None:
    count = profile(graphs[name], plugins.load("conventions", convention))
    reckoned = 0
    for explanation in explain(count):
        for formula in explanation.formulas:
            python = formula.numbers.replace("·", "*").replace("²", "**2").replace("³", "**3")
            assert eval(python, {"min": min, "max": max}) == formula.result, explanation.name
            reckoned += formula.what == convention
    assert reckoned > 0


def test_a_layer_whose_formula_needs_numbers(shared: Path) -> None:
    """DetectionOutput loops over priors: it is explained in numbers alone."""
    count = flopwise.count(shared / "models/caffe/netscope_SSD300.prototxt")
    (explanation,) = explain(count, "detection_out")
    assert all(formula.letters == formula.numbers for formula in explanation.formulas)
    assert explanation.formulas
