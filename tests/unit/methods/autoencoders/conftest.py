import pytest

from cmr.progress import Progress


@pytest.fixture(scope="session")
def shared(tmp_path_factory):
    """Lets the tests share stacks of equal settings, as methods do."""
    return Progress(stages=tmp_path_factory.mktemp("stages"), quiet=True)
