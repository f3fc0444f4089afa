"""What rules ask of the configuration, and which library code they depend on."""

import ast
import hashlib
import json
import os
import shutil
import sys
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from snakemake.exceptions import WorkflowError

# The code that rules declare as input is the code that runs: this checkout's, whatever else may be installed.
SOURCE = Path(workflow.basedir) / "src"
sys.path.insert(0, str(SOURCE))
os.environ.update(PYTHONPATH=os.pathsep.join([str(SOURCE), *filter(None, [os.environ.get("PYTHONPATH")])]))

import grimp
import yaml

from cmr.assets import folder_digest
from cmr.catalogue import Catalogue, compared_runs, run_name
from cmr.errors import UserError

NAME = r"[A-Za-z0-9_\-]+"


def typed(value):
    """Numbers for strings: Snakemake leaves every value within `--config key={...}` a string."""
    if isinstance(value, dict):
        return {key: typed(item) for key, item in value.items()}
    if isinstance(value, list):
        return [typed(item) for item in value]
    return yaml.safe_load(value) if isinstance(value, str) else value


config["methods"], config["shards"] = typed(config["methods"]), typed(config["shards"])

try:
    catalogue = Catalogue.read(Path(workflow.basedir), config)
except UserError as error:
    raise WorkflowError(str(error)) from None


@cache
def import_graph():
    return grimp.build_graph("cmr", cache_dir=None)


def code_of(script, *modules):
    """The script, and the library modules that it or the modules named in the configuration reach by imports.

    Snakemake does not look into imports by itself: an edited module would leave stale results behind.
    """
    graph = import_graph()
    reached = set()
    for module in [*_imports_of(script), *modules]:
        reached |= {module}
        if module in graph.modules:
            reached |= graph.find_upstream_modules(module)
    packages = {name.rsplit(".", depth)[0] for name in reached for depth in range(1, name.count(".") + 1)}
    return [script, *sorted(map(_file_of, reached | packages))]


def digest_of(code):
    """A rule's parameter: the content of its code, given as `code_of` gives it or as a function of wildcards.

    It notices what times of files do not tell: code that changed while the job ran, or came with an older time.
    """
    if callable(code):
        return lambda wildcards: _digest_of_files(tuple(code(wildcards)))
    return _digest_of_files(tuple(code))


@cache
def _digest_of_files(files):
    return hashlib.sha256(b"".join(hashlib.sha256(Path(file).read_bytes()).digest() for file in files)).hexdigest()


@cache
def _imports_of(script):
    """Modules of the library that a script's import statements name."""
    tree = ast.parse((Path(workflow.basedir) / script).read_text("utf-8"))
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return names & import_graph().modules


@cache
def _file_of(module):
    """A module's file; one outside the library may be named in the configuration too."""
    spec = find_spec(module)
    if spec is None:
        raise WorkflowError(f'module "{module}", named in config/, cannot be found')
    return os.path.relpath(spec.origin)


def module_of(dotted_name):
    return dotted_name.rpartition(".")[0]


def as_json(settings):
    """One argument of a command line; sorted, so that equal settings are equal parameters."""
    return json.dumps(settings, sort_keys=True)


def has_nvidia_gpu():
    return shutil.which("nvidia-smi") is not None


def gpus_of(uses_torch):
    """How many GPUs a job asks for: one if it computes with torch on a device other than the CPU."""
    device = config["device"]
    on_gpu = has_nvidia_gpu() if device == "auto" else device != "cpu"
    return int(uses_torch and on_gpu)


def study_config(study):
    return catalogue.studies[study]


def method_config(method):
    return catalogue.method(method)


def runs_of_study(study):
    return catalogue.runs(study)


def run_folder(run):
    return f"{config['results']}/runs/{run_name(run)}"
