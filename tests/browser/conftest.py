"""What every story in the browser may rely on."""

import pytest


@pytest.fixture(autouse=True)
def only_engines_of_the_test(no_engines: None) -> None:
    """Pages show what the engines of the process tell: only those that a test makes known."""
