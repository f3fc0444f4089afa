"""Before any library of numbers is loaded: small products gain nothing from threads, whose waiting costs the others."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

pytest_plugins = ["tests.made_project"]
