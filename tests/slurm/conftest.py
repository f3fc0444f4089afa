"""A cluster for the tests of this folder, and projects whose jobs it runs."""

import pytest

from tests.slurm.cluster import Cluster, obstacle


@pytest.fixture(scope="session")
def cluster(tmp_path_factory):
    """One node, idle; the tests are skipped where it cannot be started."""
    if reason := obstacle():
        pytest.skip(reason)
    cluster = Cluster(tmp_path_factory.mktemp("slurm"))
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()
