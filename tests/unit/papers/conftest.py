import pytest

from tests.made_paper import made_paper


@pytest.fixture(scope="session")
def made(tmp_path_factory):
    """The made paper, for tests that change nothing of it."""
    return made_paper(tmp_path_factory.mktemp("paper"))
