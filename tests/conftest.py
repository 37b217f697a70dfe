"""Fixtures: the shared model files, which only developers have."""

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from support.browser import browser  # noqa: F401 (a fixture)

# A machine that others share is slow at times; what a test finds does not depend on it. CI tries
# the same examples on every run, so that a change fails for what it changes; developers try new.
settings.register_profile(
    "shared", deadline=None, suppress_health_check=[HealthCheck.too_slow],
    derandomize=bool(os.environ.get("CI")),
)  # fmt: skip
settings.load_profile("shared")

SHARED = Path(__file__).parents[2] / "shared"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--update-goldens",
        action="store_true",
        help="rewrite the counts in tests/golden/*/*.txt from what is counted now",
    )


@pytest.fixture
def shared() -> Path:
    if not SHARED.is_dir():
        pytest.skip("needs ../shared, which only developers have")
    return SHARED
