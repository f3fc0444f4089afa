"""The comparison of the made vectorisers."""

import pytest

from cmr.vectorisation.comparison import compare
from tests.unit.vectorisation.made import PROTOCOL, made_lists, made_vectorisers


@pytest.fixture(scope="session")
def comparison():
    return compare(made_vectorisers(), ["glove"], made_lists(), PROTOCOL)
