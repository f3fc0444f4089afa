"""Before any library of numbers is loaded: small products gain nothing from threads, whose waiting costs the others."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

pytest_plugins = ["tests.made_project"]

# Of what several processes share, what takes longest comes first: the other process then has enough left to do.
LONGEST_FIRST = ("slurm", "workflow", "faults", "hostile", "data", "browser")


def pytest_collection_modifyitems(config, items):
    if hasattr(config, "workerinput"):
        items.sort(key=lambda item: _place(item.path.parent.name))


def _place(folder: str) -> int:
    return LONGEST_FIRST.index(folder) if folder in LONGEST_FIRST else len(LONGEST_FIRST)
