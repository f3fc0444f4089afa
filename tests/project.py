"""A copy of the checkout, in which Snakemake really runs."""

import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[1]


@dataclass(frozen=True)
class Project:
    """A copy of the checkout that can be changed at will."""

    root: Path

    def snakemake(self, *arguments: str, cores: int = 2) -> subprocess.CompletedProcess:
        """Run Snakemake to its end; output and errors together in `stdout`."""
        return subprocess.run(
            self.command(*arguments, cores=cores),
            cwd=self.root,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )

    def python(self, *arguments: str) -> subprocess.CompletedProcess:
        """Run a program of the checkout, with its own library."""
        return subprocess.run(
            [sys.executable, *arguments],
            cwd=self.root,
            env=self.environment | {"PYTHONPATH": str(self.root / "src")},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )

    def command(self, *arguments: str, cores: int = 2) -> list[str]:
        # Many short calls: none of them should wait at its end, as the profile has it for the sake of long ones.
        prompt = ["--max-jobs-per-timespan", "100/1s"]
        return [sys.executable, "-m", "snakemake", "--cores", str(cores), *prompt, *arguments]

    @property
    def environment(self) -> dict[str, str]:
        """The tests' interpreter comes first on the path."""
        return os.environ | {"PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])}

    def planned(self, *arguments: str) -> Counter:
        """What a dry-run would execute: (rule, method or file stem or "") -> number of jobs."""
        run = self.snakemake("-n", *arguments)
        assert run.returncode == 0, run.stdout
        jobs: Counter = Counter()
        for block in re.split(r"\n(?=\[|Job stats|\w*rule )", run.stdout):
            if match := re.match(r"(?:local)?rule (\w+):", block):
                wildcards = dict(re.findall(r"(\w+)=([^,\n]+)", (re.search(r"wildcards: (.*)", block) or [""])[0]))
                detail = next((wildcards[key] for key in ("method", "table", "figure") if key in wildcards), "")
                jobs[match[1], detail] += 1
        return jobs

    def edit(self, file: str, change: Callable[[dict], None]) -> None:
        """Change a YAML file in place."""
        path = self.root / file
        settings = yaml.safe_load(path.read_text())
        change(settings)
        path.write_text(yaml.safe_dump(settings, sort_keys=False))

    def results(self) -> dict[str, bytes]:
        """The bytes of every CSV of every study."""
        return {
            str(path.relative_to(self.root)): path.read_bytes()
            for path in (self.root / "results/studies").rglob("*.csv")
        }


def copy_checkout(target: Path) -> None:
    """All files that git tracks or would track."""
    files = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    for file in files:
        if (ROOT / file).is_file():
            (target / file).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / file, target / file)
