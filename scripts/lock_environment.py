"""Pin the environment: pyproject.toml -> requirements.txt, with the digests of all files, and environment.yml.

Needs uv and the package index. Versions that are pinned already stay; `--upgrade` takes the newest of all,
`--upgrade-package NAME` of one.
"""

import re
import subprocess
import sys
from pathlib import Path

import yaml

from cmr.files import write_text

ROOT = Path(__file__).parents[1]
PYTHON = "3.11"
HEADER = f"""\
# Every package of the environment, direct and transitive, for Python {PYTHON} or later, with the SHA-256 \
digests of its files: pip
# installs nothing else. Made by scripts/lock_environment.py from pyproject.toml; environment.yml repeats the pins.
"""
CONDA_HEADER = """\
# For users of conda: `conda env create --file environment.yml && conda activate cmr`, or `snakemake --sdm conda`.
# The pins are those of requirements.txt, without its digests. Made by scripts/lock_environment.py.
"""


def main() -> None:
    requirements = ROOT / "requirements.txt"
    resolution = ["--extra", "test", "--universal", "--python-version", PYTHON]
    form = ["--generate-hashes", "--no-annotate", "--no-header", "--quiet"]
    command = ["uv", "pip", "compile", "pyproject.toml", *resolution, *form, "--output-file", str(requirements)]
    subprocess.run([*command, *sys.argv[1:]], check=True, cwd=ROOT, stdout=subprocess.DEVNULL)
    locked = requirements.read_text("utf-8")
    write_text(requirements, HEADER + locked)
    write_text(ROOT / "environment.yml", CONDA_HEADER + conda_environment(pins(locked)))


def pins(requirements: str) -> list[str]:
    """The lines of a requirements file without comments and digests: `name==version`, and where it is needed."""
    joined = requirements.replace("\\\n", " ").splitlines()
    return [re.split(r"\s+--hash", line)[0].strip() for line in joined if line.strip() and not line.startswith("#")]


def conda_environment(pinned: list[str]) -> str:
    """Python and pip by conda, the rest by pip: a package of conda's would be a second set of pins."""
    environment = {
        "name": "cmr",
        "channels": ["conda-forge"],
        "dependencies": [f"python={PYTHON}", "pip", {"pip": pinned}],
    }
    return yaml.safe_dump(environment, sort_keys=False, width=1000)


if __name__ == "__main__":
    main()
