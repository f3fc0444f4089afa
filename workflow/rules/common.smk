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
# Modules of the user's may lie beside the Snakefile.
PLACES = [str(SOURCE), str(Path(workflow.basedir))]
sys.path[:0] = PLACES
os.environ.update(PYTHONPATH=os.pathsep.join([*PLACES, *filter(None, [os.environ.get("PYTHONPATH")])]))

import grimp
import yaml

from cmr.assets import folder_digest
from cmr.catalogue import Catalogue, compared_runs, run_name
from cmr.errors import UserError
from cmr.folders import check_writable, redate
from cmr.jobs import announce_call

# Jobs end with the call that starts them, however it ends.
announce_call()

NAME = r"[A-Za-z0-9_][A-Za-z0-9_\-]*"


def typed(value):
    """Numbers for strings: Snakemake leaves every value within `--config key={...}` a string."""
    if isinstance(value, dict):
        return {key: typed(item) for key, item in value.items()}
    if isinstance(value, list):
        return [typed(item) for item in value]
    try:
        return yaml.safe_load(value) if isinstance(value, str) else value
    except yaml.YAMLError as error:
        raise WorkflowError(f"--config: {value!r} is no value: {error}") from None


for key in ("methods", "shards", "mixed_precision", "compile", "downloads", "substitute"):
    config[key] = typed(config[key])

FOLDERS = {key: Path(config[key]) for key in ("data", "results")}

try:
    catalogue = Catalogue.read(Path(workflow.basedir), config, FOLDERS["data"] / "raw")
    if workflow.is_main_process:
        redate(FOLDERS.values())
except UserError as error:
    raise WorkflowError(str(error)) from None


def check_folders():
    """Refuse to begin where nothing can be written."""
    try:
        check_writable(FOLDERS)
    except UserError as error:
        raise WorkflowError(str(error)) from None


@cache
def import_graph():
    return grimp.build_graph("cmr", cache_dir=None)


def code_of(script, *modules):
    """The script, and the library modules that it or the modules named in the configuration reach by imports.

    Snakemake does not look into imports by itself: an edited module would leave stale results behind.
    """
    reached = _reached_from([*_imports_of(Path(workflow.basedir) / script), *modules])
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


def _reached_from(modules):
    """These modules, and all that they reach by imports: the library's by its graph, a user's own by their source."""
    graph, reached, waiting = import_graph(), set(), list(modules)
    while waiting:
        name = waiting.pop()
        if name in reached:
            continue
        reached |= {name}
        if name in graph.modules:
            reached |= graph.find_upstream_modules(name)
        else:
            waiting += _imports_of(Path(_file_of(name)), name.partition(".")[0])
    return reached


@cache
def _imports_of(file, package=None):
    """Modules of the library that the import statements of a file name, and those of a user's package."""
    names = set()
    for node in ast.walk(ast.parse(file.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    own = {name for name in names if package and name.partition(".")[0] == package and _is_module(name)}
    return names & import_graph().modules | own


def _is_module(name):
    try:
        return find_spec(name) is not None
    except ImportError:
        return False


@cache
def _file_of(module):
    """A module's file; one outside the library may be named in the configuration too."""
    spec = find_spec(module)
    if spec is None:
        raise WorkflowError(f'module "{module}", named in config/, cannot be found')
    return os.path.relpath(spec.origin)


def module_of(dotted_name):
    return dotted_name.rpartition(".")[0]


def as_json(settings, sort_keys=True):
    """One argument of a command line; sorted, so that equal settings are equal parameters.

    Snakemake's report holds parameters within a script, which no text of theirs may end.
    """
    return json.dumps(settings, sort_keys=sort_keys).replace("<", "\\u003c")


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
