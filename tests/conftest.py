"""Fixtures: the shared model files, which only developers have."""

from pathlib import Path

import pytest

from support.browser import browser  # noqa: F401 (a fixture)

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
